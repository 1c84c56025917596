"""The read model follows the log: every row as the events say, each event applied once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from governance_flow.application.ports.flow_orchestrator import Lag
from governance_flow.application.summaries import MotionSummary, summarise
from governance_flow.application.times import to_us
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.states import TERMINAL_STATES, GovernanceState
from governance_flow.infrastructure.database.base import AnyDatabase
from tests.support.assembly import Assembly, motion_id_of
from tests.support.clock import ManualClock
from tests.support.followers import Follow, Follower, Recorder, contents, faults_of
from tests.support.motions import Scenario, failing_knight

S = GovernanceState


async def test_each_row_says_what_the_motion_says(
    assembly: Assembly, follower: Follower, clock: ManualClock
) -> None:
    for state in S:
        await assembly.introduce(state)
        clock.advance(1)
    await follower.read_model.catch_up(10_000)
    rows = await follower.everything()
    assert [row.motion_id for row in rows] == list(assembly.motions)
    for row in rows:
        expected = summarise(assembly.motions[row.motion_id].motion, assembly.pipeline)
        # A scenario knows itself under one id only.
        assert row == replace(expected, motion_id=row.motion_id)


@pytest.mark.parametrize("limit", [1, 3, 500])
async def test_counters_and_rows_equal_a_replay_however_the_log_was_cut_into_batches(
    assembly: Assembly,
    follower: Follower,
    database: AnyDatabase,
    clock: ManualClock,
    limit: int,
) -> None:
    for state in S:
        await assembly.introduce(state)
        clock.advance(hours=1)
    await assembly.halt()
    executing = motion_id_of(list(S).index(S.EXECUTING) + 1)
    await assembly.act(executing, lambda motion: motion.succeeds())
    clock.advance(hours=5)
    await assembly.resume()
    await assembly.act(executing, lambda motion: motion.proceed())
    judged = motion_id_of(list(S).index(S.JUDGING) + 1)
    await assembly.act(judged, lambda motion: motion.fails("system_error"))
    clock.advance(hours=1)
    await assembly.act(judged, lambda motion: motion.resolve(Resolution.RETURN))
    while await follower.runner.run_once(limit):
        pass
    assert await faults_of(database, assembly.store) == []
    counts = await follower.read_model.counts(since=clock.now() - timedelta(days=1))
    rows = await follower.everything()
    assert sum(counts.by_state.values()) == len(rows) == len(S)
    active = [row for row in rows if row.state not in TERMINAL_STATES]
    assert counts.blocked == sum(row.blocked for row in rows) == 1
    assert counts.waiting == sum(row.waiting for row in rows) == 1
    assert counts.oldest_introduced_at == min(row.introduced_at for row in active)
    assert counts.position == (await assembly.store.head()).position


async def test_pages_join_up_in_order_of_introduction_whatever_is_asked_for(
    assembly: Assembly, follower: Follower, clock: ManualClock
) -> None:
    for state in (S.PLANNING, S.REJECTED, S.PLANNING, S.RATIFIED, S.PLANNING, S.INTRODUCED):
        # Two at a time at the same moment, so that the id decides as well.
        await assembly.introduce(state)
        if len(assembly.motions) % 2 == 0:
            clock.advance(1)
    await follower.read_model.catch_up(10_000)
    everything = await follower.everything()

    async def paged(
        state: S | None = None, *, blocked: bool | None = None, active: bool | None = None
    ) -> list[MotionSummary]:
        found: list[MotionSummary] = []
        after = None
        while page := await follower.read_model.motions(
            state=state, blocked=blocked, active=active, limit=1, after=after
        ):
            found += page
            after = (to_us(page[-1].introduced_at), page[-1].motion_id)
        return found

    assert await paged() == everything
    for state in (None, *S):
        for blocked in (None, True, False):
            for active in (None, True, False):
                expected = [
                    row
                    for row in everything
                    if state in (None, row.state)
                    and blocked in (None, row.blocked)
                    and active in (None, row.state not in TERMINAL_STATES)
                ]
                assert await paged(state, blocked=blocked, active=active) == expected
    assert any(row.blocked for row in everything)


async def test_a_batch_that_is_delivered_twice_changes_nothing(
    assembly: Assembly, follower: Follower, elsewhere: Follower, database: AnyDatabase
) -> None:
    # The other one remembers where things stood, and what it read then.
    assert not await elsewhere.runner.run_once()
    await assembly.introduce(S.ACKNOWLEDGED)
    await assembly.introduce(S.PLANNING)
    await follower.read_model.catch_up(10_000)
    before = await contents(database)
    assert await elsewhere.runner.run_once()
    assert await contents(database) == before
    assert not await elsewhere.runner.run_once()


async def test_two_that_race_apply_each_event_once(
    assembly: Assembly, follower: Follower, elsewhere: Follower, database: AnyDatabase
) -> None:
    for state in (*S, *S, *S):
        await assembly.introduce(state)
    head = await assembly.store.head()

    async def run(who: Follower) -> None:
        while await who.runner.run_once(limit=7):
            pass

    await asyncio.gather(run(follower), run(elsewhere), run(follower), run(elsewhere))
    names = ("activity", "motions", "search")
    assert await follower.runner.lag() == dict.fromkeys(names, Lag(0, 0.0))
    assert (await elsewhere.read_model.counts(since=assembly.clock.now())).position == head.position
    assert await faults_of(database, assembly.store) == []


async def test_whoever_asks_first_does_the_work_and_the_others_wait_for_it(
    assembly: Assembly, follower: Follower
) -> None:
    for number in range(1, 21):
        await assembly.introduce(S.PLANNING)
        position = (await assembly.store.head()).position
        await asyncio.gather(*(follower.read_model.catch_up(position) for _ in range(5)))
        counts = await follower.read_model.counts(since=assembly.clock.now())
        assert (counts.position, counts.by_state[S.PLANNING]) == (position, number)


async def test_a_projection_that_was_added_later_catches_up_first(
    assembly: Assembly, follower: Follower, follow: Follow, database: AnyDatabase
) -> None:
    await assembly.introduce(S.ACKNOWLEDGED)
    await follower.read_model.catch_up(10_000)
    meeting_point = (await assembly.store.head()).position
    await assembly.introduce(S.PLANNING)
    added = Recorder()
    both = follow(added)
    await both.runner.prepare()
    assert (await both.runner.lag())["recorder"].events == (await assembly.store.head()).position
    while await both.runner.run_once(limit=6):
        pass
    # It stops where the others stand, so that from there on all share one fold.
    assert meeting_point % 6 != 0
    assert meeting_point in {batch.position for batch in added.batches}
    assert added.positions == list(range(1, (await assembly.store.head()).position + 1))
    assert set((await both.runner.lag()).values()) == {Lag(0, 0.0)}
    assert await faults_of(database, assembly.store) == []


async def test_preparing_again_changes_nothing(
    assembly: Assembly, follower: Follower, elsewhere: Follower, database: AnyDatabase
) -> None:
    await assembly.introduce(S.PLANNING)
    await follower.read_model.catch_up(10_000)
    before = await contents(database)
    await elsewhere.runner.prepare()
    assert await contents(database) == before


async def test_two_may_prepare_at_once(
    follow: Follow, elsewhere: Follower, assembly: Assembly
) -> None:
    here = follow()
    await asyncio.gather(here.runner.prepare(), elsewhere.runner.prepare())
    await assembly.introduce()
    await here.read_model.catch_up(1)
    assert len(await elsewhere.everything()) == 1


async def test_lag_is_measured_against_the_head_while_nobody_applies_anything(
    assembly: Assembly, follower: Follower, clock: ManualClock
) -> None:
    await assembly.introduce()
    assert (await follower.runner.lag())["motions"] == Lag(1, 0.0)
    await follower.read_model.catch_up(1)
    clock.advance(40)
    assert (await follower.runner.lag())["motions"] == Lag(0, 0.0)
    await assembly.introduce()
    clock.advance(50)
    await assembly.introduce()
    assert (await follower.runner.lag())["motions"] == Lag(2, 90.0)
    counts = await follower.read_model.counts(since=clock.now())
    assert (counts.position, counts.behind_events, counts.behind_seconds) == (1, 2, 90.0)
    await follower.read_model.catch_up(3)
    assert set((await follower.runner.lag()).values()) == {Lag(0, 0.0)}


async def test_nothing_has_ever_happened_in_an_empty_store(
    follower: Follower, clock: ManualClock
) -> None:
    await follower.read_model.catch_up(0)
    counts = await follower.read_model.counts(since=clock.now())
    assert set(counts.by_state) == set(S)
    assert not any(counts.by_state.values())
    assert (counts.position, counts.oldest_introduced_at, counts.completions) == (0, None, 0)
    assert await follower.everything() == []
    assert (await follower.read_model.totals()).transitions == {}
    assert set((await follower.runner.lag()).values()) == {Lag(0, 0.0)}


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
async def test_every_halt_of_a_batch_moves_the_open_deadlines(
    assembly: Assembly, follower: Follower, database: AnyDatabase, clock: ManualClock, limit: int
) -> None:
    await assembly.introduce(S.PLANNING)
    introduced = clock.now()
    for hours in (1, 2, 4):
        await assembly.halt()
        clock.advance(hours=hours)
        await assembly.resume()
        clock.advance(hours=10)
    await assembly.halt()
    while await follower.runner.run_once(limit):
        pass
    [row] = await follower.everything()
    assert row.deadline == introduced + timedelta(hours=72 + 7)
    assert await faults_of(database, assembly.store) == []


async def test_a_halt_gives_no_time_that_the_motions_own_block_has_given_already(
    assembly: Assembly, follower: Follower, database: AnyDatabase, clock: ManualClock
) -> None:
    # The Knight cannot witness a withdrawal: the motion is blocked beside its open routing.
    introduced = clock.now()
    both = [await assembly.introduce(S.DELIBERATING) for _ in range(2)]
    free = await assembly.introduce(S.DELIBERATING)

    def cannot_be_withdrawn(motion: Scenario) -> None:
        motion.knight = failing_knight
        motion.withdraw()

    for motion_id in both:
        await assembly.act(motion_id, cannot_be_withdrawn)
    clock.advance(hours=1)
    await assembly.halt()
    clock.advance(hours=2)
    for motion_id in both:
        await assembly.act(motion_id, lambda motion: motion.resolve(Resolution.RETRY))
    await follower.read_model.catch_up(10_000)
    assert await faults_of(database, assembly.store) == []
    clock.advance(hours=4)
    await assembly.resume()
    await follower.read_model.catch_up(10_000)
    given = {row.motion_id: row.deadline for row in await follower.everything()}
    hours = dict.fromkeys(both, 168 + 1 + 6) | {free: 168 + 6}
    assert given == {motion_id: introduced + timedelta(hours=h) for motion_id, h in hours.items()}
    assert await faults_of(database, assembly.store) == []
