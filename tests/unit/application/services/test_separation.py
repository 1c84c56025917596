"""Nobody acts for two branches that exclude each other on one motion, however they are reached."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations
from typing import Any
from uuid import UUID, uuid4

import pytest

from governance_flow.application.ports.branch_services import BranchService
from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    GovernanceBranch,
    GovernanceState,
)
from governance_flow.domain.errors import CompletionRefused, ViolationRefused
from governance_flow.domain.events import ViolationWitnessed
from tests.support.flows import PlayedFlow, Scripted, cast, opened, succeeding
from tests.support.http_server import running_server
from tests.support.motions import INTRODUCER

S = GovernanceState
B = GovernanceBranch

WORKING = {
    B.CONCLAVE: S.DELIBERATING,
    B.PRESIDENT: S.PLANNING,
    B.DUKE: S.EXECUTING,
    B.PRINCE: S.JUDGING,
    B.KNIGHT: S.WITNESSING,
}
EXCLUDED = {
    frozenset(pair)
    for pair in [
        *combinations((B.KING, B.PRESIDENT, B.DUKE, B.PRINCE), 2),
        *((other, B.KNIGHT) for other in B if other is not B.KNIGHT),
    ]
}
PAIRS = [
    (first, second)
    for first, second in combinations((B.KING, *WORKING), 2)
    if {first, second} != {B.KING, B.CONCLAVE}
]


async def refused_after(flow: PlayedFlow, motion: UUID, who: str) -> list[str]:
    """Return what was recorded from the refusal of ``who`` on."""
    story = await flow.story(motion)
    return story[story.index(f"violation: collapsed_role by holder {who}") :]


# -- The matrix ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_whoever_acted_for_one_branch_may_not_act_for_one_it_excludes(
    first: B, second: B
) -> None:
    async with opened() as flow:
        motion = await flow.introduce(introduced_by="mae" if first is B.KING else INTRODUCER)
        if first is not B.KING:
            await flow.reach(WORKING[first], motion)
            await flow.succeeds(motion, actor="mae")
        await flow.reach(WORKING[second], motion)
        outcome = await flow.succeeds(motion, actor="mae")
        if frozenset((first, second)) not in EXCLUDED:
            assert outcome.accepted
            return
        assert (outcome.accepted, outcome.status) == (False, "refused")
        assert outcome.state is WORKING[second]
        assert outcome.reason == (
            f"mae has acted for the {first} on this motion and may not act for the {second}"
        )
        violation = await flow.last(motion, ViolationWitnessed)
        assert (violation.kind, violation.by_holder) == ("collapsed_role", True)
        assert (violation.severity, violation.actor.id) == ("major", "mae")
        # The Knight's own offences are for a person; all others' for the Conclave.
        assert (await refused_after(flow, motion, "mae"))[1:] == (
            ["error: permission_error, halt_and_alert"]
            if second is B.KNIGHT
            else ["error: permission_error, conclave_review", "routed: review to conclave_service"]
        )


async def test_the_same_person_may_act_for_one_branch_as_often_as_asked() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "timeout_error", actor="dora")
        assert (await flow.succeeds(motion, actor="dora")).accepted


async def test_a_failure_is_an_act_too() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "timeout_error", actor="dora")
        await flow.succeeds(motion)
        assert not (await flow.fails(motion, "system_error", actor="dora")).accepted


async def test_acts_on_other_motions_do_not_count() -> None:
    async with opened() as flow:
        motion, other = await flow.reach(S.EXECUTING), await flow.reach(S.JUDGING)
        await flow.succeeds(motion, actor="mae")
        assert (await flow.succeeds(other, actor="mae")).accepted


async def test_the_matrix_is_configured_and_a_routing_keeps_the_one_it_was_made_under() -> None:
    apart = {"separation_of_powers": {"excludes": {"conclave": ["president"]}}}
    async with opened(settings=apart) as flow:
        motion = await flow.reach(S.DELIBERATING)
        await flow.succeeds(motion, actor="mae")
        assert not (await flow.succeeds(motion, actor="mae")).accepted
        other = await flow.reach(S.EXECUTING)
        await flow.succeeds(other, actor="mae")
        assert (await flow.succeeds(other, actor="mae")).accepted


async def test_after_the_review_somebody_else_does_the_work() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.succeeds(motion, actor="mae")
        await flow.succeeds(motion, actor="mae")
        await flow.succeeds(motion, {"decision": "resume"})
        routed = await flow.routing(motion)
        assert (routed.purpose, routed.branch) == ("judge", B.PRINCE)
        assert (await flow.succeeds(motion, actor="paul")).accepted


async def test_a_refused_act_is_answered_again_when_it_is_repeated() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.succeeds(motion, actor="mae")
        routed = await flow.routing(motion)
        first = await flow.succeeds(motion, actor="mae")
        length = await flow.length(motion)
        again = await flow.succeeds_as(motion, routed, actor="mae")
        assert again == first
        assert await flow.length(motion) == length


# -- From somebody who does not hold the assignment ------------------------------------------------


async def test_a_stranger_cannot_block_a_motion_however_often_he_tries() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.JUDGING)
        routed = await flow.routing(motion)
        before = await flow.length(motion)
        forged = BranchResult(
            motion, B.PRINCE, success=True, output={}, next_state=None,
            actor=INTRODUCER, routing_id=uuid4(),
        )  # fmt: skip
        for _ in range(5):
            with pytest.raises(ViolationRefused, match="may not act for the prince"):
                await flow.orchestrator.handle_completion(motion, forged)
        assert await flow.story(motion, before) == [
            f"violation: collapsed_role by stranger {INTRODUCER}"
        ]
        violation = await flow.last(motion, ViolationWitnessed)
        assert (violation.severity, violation.by_holder) == ("minor", False)
        assert (await flow.routing(motion)).routing_id == routed.routing_id
        assert (await flow.succeeds(motion)).state is S.WITNESSING


# -- Each kind of service ----------------------------------------------------------------------


async def test_a_built_in_service_in_the_name_of_another(store_address: str) -> None:
    async with opened(store_address, branches={}) as flow:
        motion = await flow.introduce(
            ballots={"bo": "yes"},
            review="resume",
            rehearse={"judge": {"act_as": "duke_service"}},
        )
        await flow.idle()
        story = await refused_after(flow, motion, "duke_service")
        assert story[1:4] == [
            "error: permission_error, conclave_review",
            "routed: review to conclave_service",
            "completed: review by conclave_service",
        ]
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_a_service_given_to_open_flow_that_names_somebody() -> None:
    branches = cast(duke=[succeeding(actor="mae")], prince=[succeeding(actor="mae")])
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        assert await refused_after(flow, motion, "mae")
        assert branches["prince_service"].purposes == ["judge", "judge"]
        assert await flow.state(motion) is S.ACKNOWLEDGED


class Everywhere:
    """A service that puts one name under everything, whatever branch it serves."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        result: BranchResult = succeeding(actor=self.name)(assignment)
        return result


async def test_a_service_named_in_the_configuration() -> None:
    here = f"{__name__}:Everywhere"
    python = {"kind": "python", "target": here, "options": {"name": "mae"}}
    settings = {"branches": {"duke_service": python, "prince_service": python}}
    conclave = Scripted([succeeding(), succeeding({"decision": "reject"})])
    branches = _without("duke_service", "prince_service", conclave=conclave)
    async with opened(branches=branches, settings=settings) as flow:
        motion = await flow.introduce()
        await flow.idle()
        assert (await refused_after(flow, motion, "mae"))[
            -1
        ] == "moved: JUDGING > REJECTED (review)"


async def test_a_service_over_http() -> None:
    with running_server() as server:
        server.body = json.dumps({"success": True, "output": {}, "actor": INTRODUCER}).encode()
        settings = {"branches": {"duke_service": {"kind": "http", "url": server.address}}}
        conclave = [succeeding(), succeeding({"decision": "reject"})]
        branches = _without("duke_service", conclave=Scripted(conclave))
        async with opened(branches=branches, settings=settings) as flow:
            motion = await flow.introduce()
            await flow.idle()
            assert (await refused_after(flow, motion, INTRODUCER))[1:] == [
                "error: permission_error, conclave_review",
                "routed: review to conclave_service",
                "completed: review by conclave_service",
                "moved: EXECUTING > REJECTED (review)",
            ]
            violation = await flow.last(motion, ViolationWitnessed)
            assert violation.actor.authenticated_by == "service"


async def test_somebody_who_fetched_the_assignment() -> None:
    settings = {"branches": {"duke_service": {"kind": "external"}}}
    async with opened(branches=_without("duke_service"), settings=settings) as flow:
        motion = await flow.introduce()
        await flow.idle()
        [assignment] = await flow.flow.external.fetch(
            ["duke_service"], by=INTRODUCER, limit=1, lease_seconds=60
        )
        result = BranchResult(
            motion, B.DUKE, success=True, output={}, next_state=None, actor=INTRODUCER,
            routing_id=assignment.routing_id, lease_token=assignment.lease_token,
        )  # fmt: skip
        outcome = await flow.orchestrator.handle_completion(motion, result)
        assert (outcome.accepted, outcome.strategy) == (False, "conclave_review")
        violation = await flow.last(motion, ViolationWitnessed)
        assert violation.actor.authenticated_by == "asserted"
        await flow.idle()
        # Reviewed, and open again for somebody else.
        [again] = await flow.flow.external.fetch(
            ["duke_service"], by="dora", limit=1, lease_seconds=60
        )
        assert again.routing_id != assignment.routing_id


async def test_somebody_without_the_lease_is_refused_and_blocks_nothing() -> None:
    settings = {"branches": {"duke_service": {"kind": "external"}}}
    async with opened(branches=_without("duke_service"), settings=settings) as flow:
        motion = await flow.introduce()
        await flow.idle()
        [assignment] = await flow.flow.external.fetch(
            ["duke_service"], by="dora", limit=1, lease_seconds=60
        )
        before = await flow.length(motion)
        forged = BranchResult(
            motion, B.DUKE, success=True, output={}, next_state=None, actor=INTRODUCER,
            routing_id=assignment.routing_id,
        )  # fmt: skip
        with pytest.raises(CompletionRefused):
            await flow.orchestrator.handle_completion(motion, forged)
        assert await flow.length(motion) == before
        assert (await flow.routing(motion)).routing_id == assignment.routing_id


def _without(*services: str, **others: Scripted) -> Mapping[str, BranchService]:
    branches: dict[str, Any] = {k: v for k, v in cast().items() if k not in services}
    return {**branches, **{f"{name}_service": service for name, service in others.items()}}
