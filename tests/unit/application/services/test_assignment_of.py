"""What a branch service is given: complete, and its own."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from governance_flow.application.ports.flow_orchestrator import BranchAssignment
from governance_flow.application.services.assignments import assignment_of
from governance_flow.domain.configuration import FlowConfiguration
from tests.support.flows import S, opened


async def _assignment() -> BranchAssignment:
    async with opened() as flow:
        motion_id = await flow.introduce(ballots={"ada": "yes"}, topics=["rivers"])
        await flow.reach(S.PLANNING, motion_id)
        motion = await flow.motion(motion_id)
        assert motion.routing is not None
        return assignment_of(motion, motion.routing, FlowConfiguration(), 7)


async def test_it_holds_every_field_with_a_value_that_its_own_constructor_would_take() -> None:
    assignment = await _assignment()
    assert set(vars(assignment)) == {field.name for field in fields(BranchAssignment)}
    assert BranchAssignment(**asdict(assignment)) == assignment


async def test_what_a_service_does_to_it_reaches_nobody_else() -> None:
    async with opened() as flow:
        motion_id = await flow.introduce(ballots={"ada": "yes"}, topics=["rivers"])
        await flow.reach(S.PLANNING, motion_id)
        motion = await flow.motion(motion_id)
        assert motion.routing is not None
        assignment = assignment_of(motion, motion.routing, FlowConfiguration(), 7)
        given: dict[str, Any] = vars(assignment)
        for name in ("ballots", "metadata"):
            given[name].clear()
        for output in given["outputs"].values():
            output.clear()
        given["outputs"].clear()
        assert motion.ballots
        assert motion.metadata
        assert all(motion.outputs.values())
