"""Retries and deadlines are events: they come true after a restart, and can stand still."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from governance_flow.application.ports.flow_orchestrator import GovernanceState
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.events import MotionRouted, OrchestratorError
from tests.support.clock import START, ManualClock
from tests.support.flows import ZOE, PlayedFlow, Postbox, cast, failing, opened
from tests.support.motions import INTRODUCER, failing_knight

S = GovernanceState

HOURS = {S.DELIBERATING: 168, S.PLANNING: 72, S.EXECUTING: 168, S.JUDGING: 48, S.WITNESSING: 24}
NOBODY: dict[str, Any] = {"branches": {name: {"kind": "external"} for name in SERVICE_BRANCH}}
"""No service runs in the worker, so nothing happens but what time brings."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def lasting(request: pytest.FixtureRequest) -> str:
    """Return the address of a store that outlives the process."""
    name = {"sqlite": "sqlite_address", "postgresql": "postgres_database"}[request.param]
    return str(request.getfixturevalue(name))


# -- Retries -----------------------------------------------------------------------------------


async def test_a_timeout_is_tried_again_after_5_30_and_300_seconds_and_then_halts(
    lasting: str, clock: ManualClock
) -> None:
    late = failing("timeout_error", "the ferry is late")
    postbox = Postbox()
    motion = None
    for wait_seconds in (5, 30, 300, None):
        branches = cast(duke=[late])
        async with opened(lasting, clock=clock, branches=branches, sinks=[postbox]) as flow:
            motion = motion or await flow.introduce()
            await flow.idle()
            assert branches["duke_service"].purposes == ["execute"]
            error = await flow.last(motion, OrchestratorError)
            if wait_seconds is None:
                break
            assert error.strategy == "retry_with_backoff"
            assert error.retry_at == clock.now() + timedelta(seconds=wait_seconds)
            routed = await flow.routing(motion)
            assert (routed.not_before, routed.attempt) == (error.retry_at, error.attempt + 1)
            assert (await flow.status(motion)).attempt == error.attempt + 1
            # One moment before its time nothing is tried, however often the worker looks.
            clock.advance(wait_seconds - 0.001)
        async with opened(lasting, clock=clock, branches=branches, sinks=[postbox]) as flow:
            await flow.idle()
            assert branches["duke_service"].purposes == ["execute"]
        clock.advance(0.001)
    async with opened(lasting, clock=clock, sinks=[postbox]) as flow:
        assert motion is not None
        errors = [e for e in await flow.events(motion) if isinstance(e, OrchestratorError)]
        assert [(error.attempt, error.strategy) for error in errors] == [
            (1, "retry_with_backoff"),
            (2, "retry_with_backoff"),
            (3, "retry_with_backoff"),
            (4, "halt_and_alert"),
        ]
        assert [error.action for error in errors][::3] == [
            "retry 1 of 3 after 5 s",
            "gave up after 4 attempts; blocked until a named person resolves it",
        ]
        await flow.idle()
        assert [alert.kind for alert in postbox.alerts] == ["motion_halted"]
        assert (await flow.status(motion)).current_state is S.EXECUTING
        # A person begins a new series of attempts.
        await flow.orchestrator.retry_motion(motion, ZOE)
        assert (await flow.routing(motion)).attempt == 1
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_a_success_ends_the_series_of_attempts(clock: ManualClock) -> None:
    late = failing("timeout_error")
    branches = cast(duke=[late, late], prince=[late])
    async with opened(clock=clock, branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        for seconds in (5, 30):
            clock.advance(seconds)
            await flow.idle()
        # The Prince's first failure is the first of its own series.
        assert (await flow.routing(motion)).not_before == clock.now() + timedelta(seconds=5)
        assert [call.attempt for call in branches["duke_service"].calls] == [1, 2, 3]


async def test_a_retry_is_told_what_the_first_attempt_was_told(clock: ManualClock) -> None:
    async with opened(clock=clock) as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "validation_error", "no dates")
        await flow.fails(motion, "timeout_error")
        routed = await flow.routing(motion)
        assert (routed.attempt, routed.findings) == (2, ("no dates",))


async def test_how_often_and_when_is_configured_and_kept_by_the_routing(
    lasting: str, clock: ManualClock
) -> None:
    patient = {"retry": {"max_attempts": 2, "backoff_seconds": [60]}}
    late = failing("timeout_error")
    async with opened(lasting, clock=clock, branches=cast(duke=[late]), settings=patient) as flow:
        motion = await flow.introduce()
        await flow.idle()
        assert (await flow.routing(motion)).not_before == clock.now() + timedelta(seconds=60)
    clock.advance(60)
    # This process would have it tried again three times; the routing was made under other rules.
    async with opened(lasting, clock=clock, branches=cast(duke=[late, late])) as flow:
        await flow.idle()
        assert (await flow.routing(motion)).not_before == clock.now() + timedelta(seconds=60)
        clock.advance(60)
        await flow.idle()
        assert (await flow.routing(motion)).attempt == 4


async def test_the_rules_of_another_process_hold_for_what_it_routed(
    sqlite_address: str, clock: ManualClock
) -> None:
    patient = {"retry": {"backoff_seconds": [60]}}
    async with (
        opened(sqlite_address, clock=clock) as other,
        opened(sqlite_address, clock=clock, settings=patient) as flow,
    ):
        # It has seen the pipeline's stream before the routing's configuration was in it.
        await other.reach(S.DELIBERATING)
        motion = await flow.reach(S.EXECUTING)
        await other.fails(motion, "timeout_error")
        assert (await flow.routing(motion)).not_before == clock.now() + timedelta(seconds=60)


# -- Deadlines ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", HOURS)
async def test_a_deadline_counts_from_the_entry_into_a_state(state: S, clock: ManualClock) -> None:
    async with opened(clock=clock, settings=NOBODY, branches={}) as flow:
        motion = await flow.reach(S.DELIBERATING)
        clock.advance(hours=1)
        await flow.reach(state, motion)
        entered = START if state is S.DELIBERATING else clock.now()
        due = entered + timedelta(hours=HOURS[state])
        assert (await flow.routing(motion)).deadline == due
        assert (await flow.status(motion)).expected_completion == due
        clock.advance((due - clock.now()).total_seconds() - 1)
        await flow.idle()
        assert (await flow.routing(motion)).attempt == 1
        clock.advance(1)
        await flow.idle()
        error = await flow.last(motion, OrchestratorError)
        assert (error.error_type, error.strategy) == ("timeout_error", "retry_with_backoff")
        routed = await flow.routing(motion)
        assert (routed.attempt, routed.not_before) == (2, clock.now() + timedelta(seconds=5))


async def test_recording_and_acknowledging_share_one_deadline(clock: ManualClock) -> None:
    async with opened(clock=clock) as flow:
        motion = await flow.reach(S.WITNESSING)
        due = clock.now() + timedelta(hours=24)
        clock.advance(hours=20)
        await flow.succeeds(motion)
        routed = await flow.routing(motion)
        assert (routed.purpose, routed.deadline) == ("acknowledge", due)


async def test_a_missed_deadline_counts_after_a_restart(lasting: str, clock: ManualClock) -> None:
    async with opened(lasting, clock=clock, settings=NOBODY, branches={}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.idle()
    clock.advance(hours=168)
    async with opened(lasting, clock=clock, settings=NOBODY, branches={}) as flow:
        await flow.idle()
        assert (await flow.story(motion))[-2:] == [
            "error: timeout_error, retry_with_backoff",
            "routed: execute to duke_service, attempt 2",
        ]
        error = await flow.last(motion, OrchestratorError)
        assert error.message.startswith("duke_service did not execute by 2026-01-08T12:00:00")
    # Each retry has a grace; when all are used up, a person is asked.
    for wait_seconds in (5, 30, 300):
        clock.advance(wait_seconds + 300)
        async with opened(lasting, clock=clock, settings=NOBODY, branches={}) as flow:
            await flow.idle()
    async with opened(lasting, clock=clock, settings=NOBODY, branches={}) as flow:
        assert (await flow.story(motion))[-1] == "error: timeout_error, halt_and_alert"


async def test_a_deadline_begins_anew_with_every_entry(clock: ManualClock) -> None:
    async with opened(clock=clock) as flow:
        motion = await flow.reach(S.EXECUTING)
        clock.advance(hours=100)
        await flow.fails(motion, "validation_error")
        clock.advance(hours=10)
        await flow.succeeds(motion)
        assert (await flow.routing(motion)).deadline == clock.now() + timedelta(hours=168)


async def test_a_retry_does_not_put_a_deadline_off(clock: ManualClock) -> None:
    async with opened(clock=clock) as flow:
        motion = await flow.reach(S.EXECUTING)
        due = (await flow.routing(motion)).deadline
        clock.advance(hours=100)
        await flow.fails(motion, "timeout_error")
        assert (await flow.routing(motion)).deadline == due


async def test_states_without_a_deadline_wait_for_ever(clock: ManualClock) -> None:
    settings = {**NOBODY, "state_timeout_hours": {"EXECUTING": None}}
    async with opened(clock=clock, settings=settings, branches={}) as flow:
        introduced = await flow.reach(S.DELIBERATING)
        await flow.fails(introduced, "validation_error")
        executing = await flow.reach(S.EXECUTING)
        clock.advance(hours=100_000)
        await flow.idle()
        for motion in (introduced, executing):
            status = await flow.status(motion)
            assert (status.expected_completion, status.attempt) == (None, 1)


# -- Deadlines that stand still ------------------------------------------------------------------


async def _due(flow: PlayedFlow, motion: UUID, hours: float) -> None:
    """Check that the motion's deadline passes so many hours from now, and not a second before."""
    due = flow.clock.now() + timedelta(hours=hours)
    assert (await flow.status(motion)).expected_completion == due
    flow.clock.advance(-1, hours=hours)
    await flow.idle()
    assert (await flow.routing(motion)).attempt == 1
    flow.clock.advance(1)
    await flow.idle()
    assert (await flow.routing(motion)).attempt == 2


async def test_a_deadline_stands_still_while_a_motion_waits_for_a_person(
    clock: ManualClock,
) -> None:
    async with opened(clock=clock, settings=NOBODY, branches={}) as flow:
        motion = await flow.reach(S.EXECUTING)
        clock.advance(hours=100)
        await flow.fails(motion, "system_error")
        clock.advance(hours=500)
        await flow.idle()
        assert (await flow.status(motion)).expected_completion is None
        await flow.orchestrator.retry_motion(motion, ZOE)
        await _due(flow, motion, 68)


async def test_a_deadline_stands_still_during_a_review(clock: ManualClock) -> None:
    async with opened(clock=clock, settings=NOBODY, branches={}) as flow:
        motion = await flow.reach(S.EXECUTING)
        clock.advance(hours=100)
        await flow.fails(motion, "permission_error")
        clock.advance(hours=500)
        await flow.idle()
        assert (await flow.status(motion)).expected_completion is None
        await flow.succeeds(motion, {"decision": "resume"})
        await _due(flow, motion, 68)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_deadline_stands_still_while_the_pipeline_is_halted(
    restarted: bool, lasting: str, clock: ManualClock
) -> None:
    async with opened(lasting, clock=clock, settings=NOBODY, branches={}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.idle()
        clock.advance(hours=100)
        await flow.halt()
        await flow.idle()
        clock.advance(hours=500)
        await flow.idle()
        assert (await flow.routing(motion)).attempt == 1
        expected = clock.now() + timedelta(hours=68)
        assert (await flow.status(motion)).expected_completion == expected
        if not restarted:
            await flow.resume()
            await flow.idle()
            await _due(flow, motion, 68)
            return
    async with opened(lasting, clock=clock, settings=NOBODY, branches={}) as flow:
        await flow.resume()
        await _due(flow, motion, 68)


async def test_halts_and_blocks_that_overlap_are_not_counted_twice(clock: ManualClock) -> None:
    async with opened(clock=clock, settings=NOBODY, branches={}) as flow:
        motion = await flow.reach(S.EXECUTING)
        clock.advance(hours=10)
        await flow.fails(motion, "system_error")
        clock.advance(hours=10)
        await flow.halt()
        clock.advance(hours=10)
        await flow.orchestrator.retry_motion(motion, ZOE)
        clock.advance(hours=10)
        await flow.resume()
        await flow.idle()
        await _due(flow, motion, 158)


async def test_several_halts_add_up(clock: ManualClock) -> None:
    async with opened(clock=clock, settings=NOBODY, branches={}) as flow:
        motion = await flow.reach(S.EXECUTING)
        for _ in range(3):
            await flow.idle()
            clock.advance(hours=10)
            await flow.halt()
            clock.advance(hours=100)
            await flow.resume()
        await _due(flow, motion, 138)


async def test_a_withdrawal_that_failed_does_not_cost_the_branch_its_time(
    clock: ManualClock,
) -> None:
    async with opened(clock=clock, settings=NOBODY, branches={}) as flow:
        motion = await flow.reach(S.DELIBERATING)
        clock.advance(hours=100)
        flow.knight.then(failing_knight)
        await flow.orchestrator.withdraw_motion(motion, INTRODUCER)
        clock.advance(hours=500)
        await flow.idle()
        assert (await flow.motion(motion)).last_routing is not None
        await flow.orchestrator.retry_motion(motion, ZOE)
        await _due(flow, motion, 68)


async def test_such_a_pause_that_runs_into_a_halt_is_not_counted_twice(
    clock: ManualClock,
) -> None:
    async with opened(clock=clock, settings=NOBODY, branches={}) as flow:
        motion = await flow.reach(S.DELIBERATING)
        clock.advance(hours=100)
        flow.knight.then(failing_knight)
        await flow.orchestrator.withdraw_motion(motion, INTRODUCER)
        clock.advance(hours=10)
        await flow.halt()
        clock.advance(hours=10)
        await flow.orchestrator.retry_motion(motion, ZOE)
        await flow.idle()
        expected = clock.now() + timedelta(hours=68)
        [shown] = (await flow.orchestrator.list_motions()).motions
        assert (await flow.status(motion)).expected_completion == expected
        assert shown.expected_completion == expected
        clock.advance(hours=10)
        await flow.resume()
        [shown] = (await flow.orchestrator.list_motions()).motions
        assert shown.expected_completion == expected + timedelta(hours=10)
        await _due(flow, motion, 68)


async def test_a_blocked_motion_misses_no_deadline_of_the_attempt_before(
    clock: ManualClock,
) -> None:
    async with opened(clock=clock, settings=NOBODY, branches={}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "system_error")
        before = await flow.length(motion)
        clock.advance(hours=10_000)
        await flow.idle()
        await flow.orchestrator.process_motion(motion)
        assert await flow.length(motion) == before


async def test_a_routing_made_while_another_process_slept_has_its_own_deadline(
    lasting: str, clock: ManualClock
) -> None:
    short = {**NOBODY, "state_timeout_hours": {"EXECUTING": 1}}
    async with opened(lasting, clock=clock, settings=short, branches={}) as flow:
        motion = await flow.reach(S.EXECUTING)
    async with opened(lasting, clock=clock, settings=NOBODY, branches={}) as flow:
        await _due(flow, motion, 1)
        routed = await flow.last(motion, MotionRouted)
        assert routed.deadline == clock.now() + timedelta(hours=167)
