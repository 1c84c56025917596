"""Many tasks that drive many motions at once, each motion to the end that is its own.

Run as a program (``python -m tests.support.driving ADDRESS``) it is one of several processes that
drive the same motions on one store.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult
from governance_flow.application.services.flow_orchestrator_service import (
    FlowOrchestratorService,
)
from governance_flow.bootstrap import open_flow
from governance_flow.domain.branches import Purpose
from governance_flow.domain.errors import CompletionRefused, NotInState, NotRoutable
from governance_flow.domain.states import TERMINAL_STATES, GovernanceState
from tests.support.flows import failing, success
from tests.support.keys import fixed_keyring

S = GovernanceState
P = Purpose

MOTIONS = 500
TASKS = 64

_AT_REST = TERMINAL_STATES | {S.TABLED}

FATES: tuple[dict[Purpose, dict[str, Any]], ...] = (
    {},
    {P.DELIBERATE: {"next_state": S.REJECTED}},
    {P.EXECUTE: {"error_type": "validation_error"}},
    {P.JUDGE: {"error_type": "permission_error"}},
    {P.DELIBERATE: {"next_state": S.TABLED}},
    {P.PLAN: {"error_type": "compliance_error"}, P.REVIEW: {"output": {"decision": "reject"}}},
    {P.ACKNOWLEDGE: {"error_type": "validation_error"}},
)
"""What is special about the first answer to each purpose; every other answer is a plain success."""


def motion_id(number: int) -> UUID:
    """Return the id of a motion, the same in every process."""
    return uuid5(UUID(int=0), f"motion {number}")


def fate_of(number: int) -> int:
    """Return which of the fates a motion has."""
    return number % len(FATES)


def answer(number: int, assignment: BranchAssignment) -> BranchResult:
    """Return the answer to an assignment: whoever is asked, it is the same."""
    special = FATES[fate_of(number)].get(assignment.purpose, {})
    if assignment.earlier_answers:
        special = {}
    if "error_type" in special:
        failed: BranchResult = failing(special["error_type"])(assignment)
        return _about(failed, assignment)
    done = success(assignment.motion_id, assignment.branch, assignment.purpose, **special)
    return _about(done, assignment)


async def introduce(orchestrator: FlowOrchestratorService, number: int) -> None:
    """Put a motion before the assembly, unless another process has done so."""
    await orchestrator.introduce_motion(
        motion_id=motion_id(number),
        title=f"motion {number}",
        text="Whereas.",
        introduced_by="ada",
    )


async def drive(orchestrator: FlowOrchestratorService, number: int) -> None:
    """Take a motion to where it rests, whoever else does so at the same time."""
    motion, state = motion_id(number), S.INTRODUCED
    while state not in _AT_REST:
        try:
            assignment = await orchestrator.route_to_branch(motion, state)
            # In memory nothing ever waits by itself; let the others come in between.
            await asyncio.sleep(0)
            outcome = await orchestrator.handle_completion(motion, answer(number, assignment))
            state = outcome.state
        except (NotInState, CompletionRefused):
            state = (await orchestrator.get_motion_status(motion)).current_state
        except NotRoutable:
            # Every place is taken, or another task has just taken it to its end.
            state = (await orchestrator.get_motion_status(motion)).current_state
            await asyncio.sleep(0)


async def drive_all(orchestrator: FlowOrchestratorService) -> None:
    """Introduce all motions and drive them at once; every motion by two of the tasks."""
    waiting = deque([*range(MOTIONS), *range(MOTIONS)])

    async def work() -> None:
        while waiting:
            number = waiting.popleft()
            await introduce(orchestrator, number)
            await drive(orchestrator, number)

    async with asyncio.TaskGroup() as group:
        for _ in range(TASKS):
            group.create_task(work())


def _about(result: BranchResult, assignment: BranchAssignment) -> BranchResult:
    return replace(result, routing_id=assignment.routing_id)


async def _main(address: str) -> None:
    async with open_flow(address, environ={}, alert_sinks=[], keyring=fixed_keyring()) as flow:
        await drive_all(flow.orchestrator)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
