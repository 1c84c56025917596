"""What happened in the last 24 hours, exactly, and what has happened altogether."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from governance_flow.application.ports.read_model import PipelineCounts, TimeInState
from governance_flow.application.services.status import RECENT
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.errors import GovernanceFlowError
from governance_flow.domain.events import OrchestratorError
from governance_flow.domain.states import GovernanceState
from governance_flow.infrastructure.database.base import AnyDatabase
from projections.activity import KEPT_DAYS_SECONDS, KEPT_SECONDS, WIDTHS_SECONDS
from tests.support.assembly import Assembly
from tests.support.clock import ManualClock
from tests.support.followers import Follower, faults_of
from tests.support.motions import Scenario, person

S = GovernanceState


async def recent(assembly: Assembly, follower: Follower) -> PipelineCounts:
    await follower.read_model.catch_up((await assembly.store.head()).position)
    return await follower.read_model.counts(since=assembly.clock.now() - RECENT)


async def rows(database: AnyDatabase, table: str) -> int:
    [(there,)] = await database.read(lambda tx: tx.execute(f"SELECT count(*) FROM {table}"))
    return int(there)


async def buckets(database: AnyDatabase) -> int:
    return await rows(database, "activity_1_buckets")


@pytest.mark.parametrize(
    ("what", "counted"),
    [
        (lambda motion: motion.succeeds(), (1, 0, 0)),
        (lambda motion: motion.fails("timeout_error"), (0, 1, 0)),
        (lambda motion: motion.fails("system_error"), (0, 1, 0)),
        (lambda motion: motion.succeeds(next_state=S.REJECTED), (1, 0, 1)),
        (lambda motion: motion.succeeds(next_state=S.TABLED), (1, 0, 0)),
        (lambda motion: motion.withdraw(), (0, 0, 1)),
    ],
)
async def test_completions_failures_and_finished_motions_are_counted(
    assembly: Assembly,
    follower: Follower,
    what: Callable[[Scenario], object],
    counted: tuple[int, int, int],
) -> None:
    motion_id = await assembly.introduce(S.DELIBERATING)
    await assembly.act(motion_id, what)
    counts = await recent(assembly, follower)
    assert (counts.completions, counts.failures, counts.finished) == counted


@pytest.mark.parametrize("start", ["00:00:00", "12:59:59", "13:00:00", "23:30:01", "07:07:30"])
async def test_the_24_hours_begin_exactly_24_hours_ago(
    assembly: Assembly, follower: Follower, clock: ManualClock, start: str
) -> None:
    hours, minutes, seconds = map(int, start.split(":"))
    clock.advance((hours - 12) % 24 * 3600 + minutes * 60 + seconds)
    motion_id = await assembly.introduce(S.DELIBERATING)
    await assembly.act(motion_id, lambda motion: motion.succeeds())
    clock.advance(hours=24)
    assert (await recent(assembly, follower)).completions == 1
    clock.advance(1)
    assert (await recent(assembly, follower)).completions == 0


async def test_everything_inside_the_window_is_counted_once(
    assembly: Assembly, follower: Follower, clock: ManualClock
) -> None:
    motion_id = await assembly.introduce(S.DELIBERATING)
    await assembly.act(motion_id, lambda motion: motion.succeeds())
    happened = []
    # Uneven steps, so that every width of bucket begins and ends inside and outside the window.
    for step in (0, 1, 59, 61, 3599, 3601, 7200, 40_000, 80_000, 20_000, 5, 3_000):
        clock.advance(step)
        happened.append(clock.now())
        await assembly.act(motion_id, lambda motion: motion.fails("validation_error"))
        if assembly.motions[motion_id].motion.block is not None:
            motion_id = await assembly.introduce(S.PLANNING)
    for step in (0, 7, 3_593, 20_001, 30_000):
        clock.advance(step)
        counts = await recent(assembly, follower)
        assert counts.failures == sum(moment >= clock.now() - RECENT for moment in happened)


async def test_buckets_that_nobody_asks_for_any_more_are_dropped(
    assembly: Assembly, follower: Follower, clock: ManualClock, database: AnyDatabase
) -> None:
    for _ in range(3):
        motion_id = await assembly.introduce(S.DELIBERATING)
        await assembly.act(motion_id, lambda motion: motion.succeeds(next_state=S.TABLED))
        await recent(assembly, follower)
        clock.advance(KEPT_SECONDS + 3600)
    # Of completions every width and the three days, of introductions an hour and the days.
    assert await buckets(database) == (len(WIDTHS_SECONDS) + 3) + (1 + 3)
    assert await rows(database, "activity_1_stays") == 2
    clock.advance(KEPT_DAYS_SECONDS)
    await assembly.introduce()
    await recent(assembly, follower)
    assert await buckets(database) == 2
    assert await rows(database, "activity_1_stays") == 0


async def test_a_clock_that_runs_ahead_does_not_make_the_others_count_for_nothing(
    assembly: Assembly, follower: Follower, clock: ManualClock
) -> None:
    motion_id = await assembly.introduce(S.DELIBERATING)
    await assembly.act(motion_id, lambda motion: motion.succeeds())
    other = await assembly.introduce(S.DELIBERATING)
    ahead = assembly.motions[other]

    def a_year_ahead(motion: Scenario) -> None:
        motion.now = clock.now() + timedelta(days=365)
        motion.succeeds()

    await assembly.act(other, a_year_ahead)
    assert ahead.motion.state is S.PLANNING
    assert (await recent(assembly, follower)).completions == 2


async def test_a_process_whose_clock_stands_in_the_past_still_sees_what_it_did(
    assembly: Assembly, follower: Follower, clock: ManualClock
) -> None:
    # As with a frozen process beside a database whose own clock goes on.
    motion_id = await assembly.introduce(S.DELIBERATING)
    process_now = clock.now()
    clock.advance(hours=24 * 300)

    def in_the_past(motion: Scenario) -> None:
        motion.now = process_now
        motion.succeeds()

    await assembly.act(motion_id, in_the_past)
    await follower.read_model.catch_up(10_000)
    counts = await follower.read_model.counts(since=process_now - RECENT)
    assert counts.completions == 1


async def test_totals_tell_what_has_happened_since_the_beginning(
    assembly: Assembly, follower: Follower, clock: ManualClock, database: AnyDatabase
) -> None:
    motion_id = await assembly.introduce()

    async def later(what: Callable[[Scenario], object], seconds: float) -> None:
        clock.advance(seconds)
        await assembly.act(motion_id, what)

    await later(lambda motion: motion.proceed(), 10)
    await later(lambda motion: motion.succeeds(), 100.25)
    await later(lambda motion: motion.fails("timeout_error"), 1)
    await later(lambda motion: motion.fails("timeout_error"), 1)
    await later(lambda motion: motion.fails("a type of our own"), 1)

    def collapse(motion: Scenario) -> None:
        with pytest.raises(GovernanceFlowError):
            motion.report(GovernanceBranch.PRINCE, by=person("ada"))

    await later(collapse, 1)
    await follower.read_model.catch_up(10_000)
    totals = await follower.read_model.totals()
    assert totals.transitions == {
        (S.INTRODUCED, S.DELIBERATING): 1,
        (S.DELIBERATING, S.RATIFIED): 1,
        (S.RATIFIED, S.PLANNING): 1,
    }
    assert totals.time_in_state == {
        S.INTRODUCED: TimeInState(10.0, 1),
        S.DELIBERATING: TimeInState(100.25, 1),
        S.RATIFIED: TimeInState(0.0, 1),
    }
    assert totals.errors == {
        ("timeout_error", "retry_with_backoff"): 2,
        ("other", "halt_and_alert"): 1,
    }
    assert totals.retries == {"president_service": 2}
    assert totals.violations == {"collapsed_role": 1}
    assert await faults_of(database, assembly.store) == []


async def test_a_state_that_was_left_before_it_was_entered_took_no_time(
    assembly: Assembly, follower: Follower, clock: ManualClock
) -> None:
    motion_id = await assembly.introduce(S.DELIBERATING)

    def from_a_slow_machine(motion: Scenario) -> None:
        motion.now = clock.now() - timedelta(seconds=5)
        motion.succeeds(next_state=S.REJECTED)

    await assembly.act(motion_id, from_a_slow_machine)
    await follower.read_model.catch_up(10_000)
    totals = await follower.read_model.totals()
    assert totals.time_in_state == {
        S.INTRODUCED: TimeInState(0.0, 1),
        S.DELIBERATING: TimeInState(0.0, 1),
    }


async def test_error_types_cannot_make_the_totals_grow_without_bound(
    assembly: Assembly, follower: Follower
) -> None:
    motion_id = await assembly.introduce(S.PLANNING)
    scenario = assembly.motions[motion_id]
    await assembly.act(motion_id, lambda motion: motion.fails("system_error"))
    failed = scenario.last(OrchestratorError)
    for number in range(20):
        event = failed.model_copy(
            update={"event_id": UUID(int=number), "error_type": f"type {number}"}
        )
        scenario.append([event])
        await assembly.act(motion_id, lambda _: None)
    await follower.read_model.catch_up(10_000)
    errors = (await follower.read_model.totals()).errors
    assert errors == {("system_error", "halt_and_alert"): 1, ("other", "halt_and_alert"): 20}
