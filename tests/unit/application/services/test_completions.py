"""Completions that come twice, too late, from the wrong hands, or with a step too many."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from governance_flow.application.ports.event_store import Append
from governance_flow.application.ports.flow_orchestrator import (
    BranchResult,
    GovernanceBranch,
    GovernanceState,
)
from governance_flow.domain.errors import (
    CompletionRefused,
    ConcurrencyConflict,
    ViolationRefused,
)
from governance_flow.domain.events import TransitionWitnessed
from governance_flow.domain.states import OWNER_PURPOSE
from tests.support.clock import ManualClock
from tests.support.flows import PlayedFlow, cast, opened, renamed, success
from tests.support.motions import INTRODUCER

S = GovernanceState
B = GovernanceBranch

WORKING = [S.DELIBERATING, S.PLANNING, S.EXECUTING, S.JUDGING, S.WITNESSING]


# -- Reported twice ----------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False], ids=["named", "bound in process"])
@pytest.mark.parametrize("state", WORKING)
async def test_a_repeated_completion_changes_nothing_and_gets_the_first_answer(
    state: S, named: bool
) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        routed = await flow.routing(motion)
        result = success(motion, routed.branch, routed.purpose, output={"n": 1})
        if named:
            result = renamed(result, routing_id=routed.routing_id)
        first = await flow.orchestrator.handle_completion(motion, result)
        before = (await flow.flow.store.head()).position
        # The Conclave is asked again at the end of the way, so this would be another act.
        if named or state is not S.WITNESSING:
            assert await flow.orchestrator.handle_completion(motion, result) == first
            assert (await flow.flow.store.head()).position == before


async def test_the_first_answer_is_given_again_at_the_end_of_all_and_after_a_restart(
    sqlite_address: str, clock: ManualClock
) -> None:
    async with opened(sqlite_address, clock=clock) as flow:
        motion = await flow.reach(S.PLANNING)
        planned = await flow.routing(motion)
        plan = success(motion, B.PRESIDENT, planned.purpose, routing_id=planned.routing_id)
        first = await flow.orchestrator.handle_completion(motion, plan)
        await flow.reach(S.ACKNOWLEDGED, motion)
        length = await flow.length(motion)
        assert await flow.orchestrator.handle_completion(motion, plan) == first
    async with opened(sqlite_address, clock=clock) as flow:
        assert await flow.orchestrator.handle_completion(motion, plan) == first
        assert await flow.length(motion) == length


async def test_a_repeated_completion_is_told_what_the_first_was_told_while_halted() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.PLANNING)
        routed = await flow.routing(motion)
        plan = success(motion, B.PRESIDENT, routed.purpose, routing_id=routed.routing_id)
        await flow.halt()
        first = await flow.orchestrator.handle_completion(motion, plan)
        await flow.resume()
        await flow.orchestrator.process_motion(motion)
        again = await flow.orchestrator.handle_completion(motion, plan)
        assert again == first
        assert again.status == "recorded"


async def test_a_repeated_failure_escalates_once() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        routed = await flow.routing(motion)
        first = await flow.fails(motion, "system_error")
        assert (first.status, first.strategy) == ("escalated", "halt_and_alert")
        before = await flow.length(motion)
        again = await flow.fails_as(motion, routed, "system_error")
        assert again == first
        assert await flow.length(motion) == before


# -- Stale, foreign and forged ---------------------------------------------------------------------


async def test_a_completion_of_a_superseded_routing_is_refused(clock: ManualClock) -> None:
    async with opened(clock=clock) as flow:
        motion = await flow.reach(S.EXECUTING)
        late = await flow.routing(motion)
        clock.advance(hours=168)
        await flow.orchestrator.process_motion(motion)
        assert (await flow.routing(motion)).attempt == 2
        before = await flow.length(motion)
        result = success(motion, B.DUKE, late.purpose, routing_id=late.routing_id)
        with pytest.raises(CompletionRefused, match="was superseded; fetch the assignment"):
            await flow.orchestrator.handle_completion(motion, result)
        assert await flow.length(motion) == before


@pytest.mark.parametrize("state", [S.ACKNOWLEDGED, S.REJECTED, S.WITHDRAWN])
async def test_a_terminal_motion_takes_no_completion(state: S) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        before = await flow.length(motion)
        for branch in B:
            for result in (
                BranchResult(motion, branch, success=True, output={"x": 1}, next_state=S.RATIFIED),
                renamed(
                    BranchResult(motion, branch, success=True, output={}, next_state=None),
                    routing_id=uuid4(),
                ),
            ):
                with pytest.raises(CompletionRefused, match=f"it has ended in {state}"):
                    await flow.orchestrator.handle_completion(motion, result)
        assert await flow.length(motion) == before


async def test_a_completion_for_a_withdrawn_motion_is_refused() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.DELIBERATING)
        routed = await flow.routing(motion)
        await flow.orchestrator.withdraw_motion(motion, INTRODUCER)
        vote = success(motion, B.CONCLAVE, routed.purpose, routing_id=routed.routing_id)
        with pytest.raises(CompletionRefused, match="it has ended in WITHDRAWN"):
            await flow.orchestrator.handle_completion(motion, vote)
        assert await flow.state(motion) is S.WITHDRAWN


async def test_a_completion_while_nothing_is_open_is_refused() -> None:
    async with opened() as flow:
        motion = await flow.introduce()
        result = BranchResult(motion, B.CONCLAVE, success=True, output={}, next_state=None)
        with pytest.raises(CompletionRefused, match="no routing is open"):
            await flow.orchestrator.handle_completion(motion, result)
        assert await flow.length(motion) == 1


@pytest.mark.parametrize("branch", [b for b in B if b is not B.DUKE])
async def test_a_completion_by_the_wrong_branch_is_refused(branch: B) -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        routed = await flow.routing(motion)
        before = await flow.length(motion)
        for routing_id in (None, routed.routing_id):
            result = BranchResult(
                motion, branch, success=True, output={"odd": 1}, next_state=None,
                routing_id=routing_id,
            )  # fmt: skip
            with pytest.raises(CompletionRefused, match=r"is duke_service's|no routing|not one of"):
                await flow.orchestrator.handle_completion(motion, result)
        assert await flow.length(motion) == before
        assert (await flow.routing(motion)).routing_id == routed.routing_id


async def test_a_completion_with_an_invented_routing_is_refused() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        invented = uuid4()
        result = success(motion, B.DUKE, OWNER_PURPOSE[S.EXECUTING], routing_id=invented)
        with pytest.raises(CompletionRefused, match=f"it has no routing {invented}"):
            await flow.orchestrator.handle_completion(motion, result)


async def test_nobody_is_refused_because_of_what_a_process_has_not_seen_yet(
    sqlite_address: str, clock: ManualClock
) -> None:
    async with (
        opened(sqlite_address, clock=clock) as one,
        opened(sqlite_address, clock=clock) as two,
    ):
        motion = await one.reach(S.PLANNING)
        await two.status(motion)
        await one.succeeds(motion)
        # The other process remembers the motion as it was before this routing.
        assert (await two.succeeds(motion)).state is S.JUDGING


async def test_a_race_that_is_lost_too_often_is_an_error_and_records_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(settings={"limits": {"max_append_conflicts": 3}}) as flow:
        motion = await flow.reach(S.EXECUTING)
        before = await flow.length(motion)
        races = []

        async def lose(append: Append) -> None:
            races.append(append)
            raise ConcurrencyConflict("somebody was quicker", stream_id=append.stream_id)

        with monkeypatch.context() as losing:
            losing.setattr(flow.flow.store, "append", lose)
            with pytest.raises(ConcurrencyConflict, match="moved 3 times in a row; try again"):
                await flow.succeeds(motion)
        assert len(races) == 3
        assert await flow.length(motion) == before
        assert (await flow.succeeds(motion)).state is S.JUDGING


EXTERNAL_DUKE = {"branches": {"duke_service": {"kind": "external"}}}


def without_duke() -> dict[str, Any]:
    return {name: service for name, service in cast().items() if name != "duke_service"}


async def _fetched(flow: PlayedFlow, lease_seconds: float = 60, by: str = "dora") -> Any:
    [assignment] = await flow.flow.external.fetch(
        ["duke_service"], by=by, limit=10, lease_seconds=lease_seconds
    )
    return assignment


async def test_a_completion_needs_the_token_of_the_lease(store_address: str) -> None:
    async with opened(store_address, branches=without_duke(), settings=EXTERNAL_DUKE) as flow:
        motion = await flow.reach(S.EXECUTING)
        assignment = await _fetched(flow)
        assert assignment.lease_token is not None
        before = await flow.length(motion)
        for forged in (None, 0, assignment.lease_token - 1, assignment.lease_token + 1, -(2**70)):
            with pytest.raises(CompletionRefused, match="lease"):
                await flow.succeeds(motion, lease_token=forged)
        assert await flow.length(motion) == before
        outcome = await flow.succeeds(motion, lease_token=assignment.lease_token)
        assert outcome.state is S.JUDGING


async def test_a_lease_that_was_taken_over_is_fenced_off(
    store_address: str, clock: ManualClock
) -> None:
    async with opened(
        store_address, clock=clock, branches=without_duke(), settings=EXTERNAL_DUKE
    ) as flow:
        motion = await flow.reach(S.EXECUTING)
        first = await _fetched(flow)
        clock.advance(60)
        second = await _fetched(flow, by="emil")
        assert second.routing_id == first.routing_id
        with pytest.raises(CompletionRefused, match="superseded; claim it again"):
            await flow.succeeds(motion, lease_token=first.lease_token)
        with pytest.raises(CompletionRefused):
            await flow.flow.external.extend(first.routing_id, first.lease_token, 60)
        assert (await flow.succeeds(motion, lease_token=second.lease_token)).accepted


async def test_a_lease_that_ran_out_still_counts_if_nobody_took_over(clock: ManualClock) -> None:
    async with opened(clock=clock, branches=without_duke(), settings=EXTERNAL_DUKE) as flow:
        motion = await flow.reach(S.EXECUTING)
        assignment = await _fetched(flow)
        clock.advance(61)
        assert (await flow.succeeds(motion, lease_token=assignment.lease_token)).accepted


# -- Steps that would be skipped -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "proposed"),
    [
        (S.DELIBERATING, S.PLANNING),
        (S.DELIBERATING, S.ACKNOWLEDGED),
        (S.PLANNING, S.WITNESSING),
        (S.PLANNING, S.DELIBERATING),
        (S.EXECUTING, S.ACKNOWLEDGED),
        (S.JUDGING, S.REJECTED),
        (S.JUDGING, S.ACKNOWLEDGED),
    ],
)
async def test_a_proposal_that_skips_a_step_is_refused_witnessed_and_reviewed(
    state: S, proposed: S
) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        routed = await flow.routing(motion)
        before = await flow.length(motion)
        outcome = await flow.succeeds(motion, next_state=proposed)
        assert (outcome.accepted, outcome.status, outcome.state) == (False, "refused", state)
        assert "would skip a step" in (outcome.reason or "")
        story = await flow.story(motion, before)
        assert story[0] == f"violation: skipped_step by holder {routed.service}"
        if state is S.DELIBERATING:  # the Conclave does not review itself
            assert story[1:] == ["error: compliance_error, halt_and_alert"]
        else:
            assert story[1:] == [
                "error: compliance_error, conclave_review",
                "routed: review to conclave_service",
            ]
        assert not any(
            isinstance(event, TransitionWitnessed) for event in (await flow.events(motion))[before:]
        )


async def test_a_strangers_proposal_is_refused_counted_once_and_blocks_nothing() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        routed = await flow.routing(motion)
        before = await flow.length(motion)
        forged = BranchResult(
            motion, B.DUKE, success=True, output={}, next_state=S.ACKNOWLEDGED,
            actor="mallory", routing_id=uuid4(),
        )  # fmt: skip
        for _ in range(3):
            with pytest.raises(ViolationRefused, match="refused, and witnessed"):
                await flow.orchestrator.handle_completion(motion, forged)
        assert await flow.story(motion, before) == ["violation: skipped_step by stranger mallory"]
        assert (await flow.routing(motion)).routing_id == routed.routing_id
        assert (await flow.status(motion)).blocking_issues == ()
        assert (await flow.succeeds(motion)).state is S.JUDGING
