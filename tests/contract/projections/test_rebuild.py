"""A projection is built anew beside the live one, which is read and moved on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from governance_flow.application.ports.database import Database, Transaction
from governance_flow.application.ports.projection import Batch
from governance_flow.domain.errors import InvalidInput, StoreError, StoreLocked
from governance_flow.domain.states import GovernanceState
from governance_flow.infrastructure.database.base import AnyDatabase
from projections import motions, registry
from projections.motions import MotionsProjection
from projections.reading import Live, read_live
from projections.rebuild import Progress
from projections.registry import Generation, Registry
from tests.support.assembly import Assembly
from tests.support.followers import (
    Follow,
    Follower,
    Interrupted,
    contents,
    faults_of,
    follower_of,
)

S = GovernanceState


class Killed(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture
def everybody_is_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the live generation wait for none that is more than two events behind."""
    monkeypatch.setattr(registry, "NEAR_EVENTS", 2)


def killed_after(batches: int) -> Callable[[Progress], None]:
    seen = []

    def progress(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) > batches:
            raise Killed

    return progress


async def generations(database: Database, name: str = "motions") -> list[Generation]:
    return await database.read(Registry(database.dialect, [name]).all)


async def tables(database: AnyDatabase) -> set[str]:
    asked = {
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table'",
        "postgres": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
    }
    rows = await database.read(lambda tx: tx.execute(asked[database.dialect]))
    return {name for (name,) in rows if name.startswith(("motions", "activity"))}


async def fill(assembly: Assembly, follower: Follower) -> None:
    for state in S:
        await assembly.introduce(state)
    await follower.read_model.catch_up(10_000)


@pytest.mark.parametrize("name", ["motions", "activity"])
@pytest.mark.parametrize("limit", [3, 1000])
async def test_rebuilding_gives_the_same_rows_in_new_tables_and_drops_the_old_ones(
    assembly: Assembly, follower: Follower, database: AnyDatabase, name: str, limit: int
) -> None:
    await fill(assembly, follower)
    before = await contents(database)
    seen: list[Progress] = []
    assert await follower.rebuilder.rebuild(name, seen.append, limit=limit) == 2
    head = (await assembly.store.head()).position
    assert (seen[0], seen[-1]) == (Progress(0, head), Progress(head, head))
    assert [progress.position for progress in seen] == sorted(p.position for p in seen)
    [live] = await generations(database, name)
    assert (live.number, live.position, live.live) == (2, head, True)
    assert {table for table in await tables(database) if name in table} == {
        table.replace("_1", "_2") for table in before if table.startswith(name)
    }
    assert await faults_of(database, assembly.store) == []
    # And it goes on from there.
    await assembly.introduce(S.ACKNOWLEDGED)
    await follower.read_model.catch_up(10_000)
    assert len(await follower.everything()) == len(S) + 1
    assert await faults_of(database, assembly.store) == []


async def test_the_live_rows_are_read_and_moved_on_while_the_new_ones_are_built(
    assembly: Assembly,
    follower: Follower,
    elsewhere: Follower,
    database: AnyDatabase,
    everybody_is_far: None,
) -> None:
    await fill(assembly, follower)
    counted = []

    async def live_on() -> None:
        for _ in range(30):
            await assembly.introduce(S.ACKNOWLEDGED)
            position = (await assembly.store.head()).position
            await elsewhere.read_model.catch_up(position)
            counts = await elsewhere.read_model.counts(since=assembly.clock.now())
            assert counts.position == position
            counted.append(counts.by_state[S.ACKNOWLEDGED])

    _, number = await asyncio.gather(live_on(), follower.rebuilder.rebuild("motions", limit=5))
    assert counted == list(range(2, 32))
    await elsewhere.read_model.catch_up(10_000)
    [live] = await generations(database)
    assert (live.number, live.position) == (number, (await assembly.store.head()).position)
    assert await faults_of(database, assembly.store) == []


@pytest.mark.parametrize("batches", [1, 2, 5])
async def test_a_rebuild_that_was_killed_disturbs_nobody_and_goes_on_where_it_stopped(
    assembly: Assembly,
    follower: Follower,
    elsewhere: Follower,
    everybody_is_far: None,
    batches: int,
) -> None:
    database = elsewhere.database
    await fill(assembly, follower)
    with pytest.raises(Killed):
        await follower.rebuilder.rebuild("motions", killed_after(batches), limit=4)
    [live, building] = await generations(database)
    assert (live.number, live.live) == (1, True)
    assert (building.number, building.live, building.position) == (2, False, 4 * batches)
    await assembly.introduce(S.PLANNING)
    await elsewhere.read_model.catch_up(10_000)
    assert len(await elsewhere.everything()) == len(S) + 1
    assert await faults_of(database, assembly.store) == []
    seen: list[Progress] = []
    assert await elsewhere.rebuilder.rebuild("motions", seen.append, limit=4) == 2
    assert seen[0].position == 4 * batches
    assert [generation.number for generation in await generations(database)] == [2]
    assert await faults_of(database, assembly.store) == []


async def test_one_that_was_killed_when_almost_done_is_finished_by_whoever_follows(
    assembly: Assembly, follower: Follower, database: AnyDatabase
) -> None:
    await fill(assembly, follower)
    with pytest.raises(Killed):
        await follower.rebuilder.rebuild("motions", killed_after(1), limit=4)
    await assembly.introduce(S.PLANNING)
    await follower.read_model.catch_up(10_000)
    assert [(g.number, g.live) for g in await generations(database)] == [(1, False), (2, True)]
    assert await faults_of(database, assembly.store) == []
    # What it left behind goes with the next one.
    assert await follower.rebuilder.rebuild("motions") == 3
    assert [generation.number for generation in await generations(database)] == [3]
    assert "motions_1" not in await tables(database)


async def test_the_live_rows_wait_for_new_ones_that_have_almost_caught_up(
    assembly: Assembly, follower: Follower, elsewhere: Follower, database: AnyDatabase
) -> None:
    await fill(assembly, follower)
    head = (await assembly.store.head()).position
    with pytest.raises(Killed):
        await elsewhere.rebuilder.rebuild("motions", killed_after(0))
    await assembly.introduce(S.ACKNOWLEDGED)
    # The follower remembers a time when there was nothing to wait for.
    waited = 0
    while await follower.runner.run_once(limit=7):
        standing = [g.position for g in await generations(database) if g.live and g.number == 1]
        assert standing in ([], [head])
        waited += len(standing)
        assert len(await follower.everything()) >= len(S)
    assert waited >= head // 7
    live = (await generations(database))[-1]
    assert (live.number, live.live) == (2, True)
    assert live.position == (await assembly.store.head()).position
    assert await faults_of(database, assembly.store) == []


async def test_two_rebuilds_at_once_share_the_work(
    assembly: Assembly,
    follower: Follower,
    elsewhere: Follower,
    database: AnyDatabase,
    everybody_is_far: None,
) -> None:
    await fill(assembly, follower)
    both = await asyncio.gather(
        follower.rebuilder.rebuild("motions", limit=3),
        elsewhere.rebuilder.rebuild("motions", limit=5),
    )
    # One may have begun when the other was done; neither did anything twice to the same rows.
    assert set(both) <= {2, 3}
    assert len(await generations(database)) == 1
    assert await faults_of(database, assembly.store) == []


async def test_starting_anew_throws_away_what_was_begun(
    assembly: Assembly, follower: Follower, database: AnyDatabase, everybody_is_far: None
) -> None:
    await fill(assembly, follower)
    for attempt in (2, 3):
        with pytest.raises(Killed):
            await follower.rebuilder.rebuild("motions", killed_after(2), restart=True, limit=3)
        assert [(g.number, g.position) for g in await generations(database)][1:] == [(attempt, 6)]
    assert "motions_2" not in await tables(database)
    seen: list[Progress] = []
    assert await follower.rebuilder.rebuild("motions", seen.append, restart=True, limit=3) == 4
    assert seen[0].position == 0
    assert await faults_of(database, assembly.store) == []


async def test_a_builder_whose_work_was_thrown_away_stops_and_says_why(
    assembly: Assembly, follower: Follower, database: AnyDatabase, everybody_is_far: None
) -> None:
    await fill(assembly, follower)

    async def start_anew() -> None:
        with pytest.raises(Killed):
            await follower.rebuilder.rebuild("motions", killed_after(0), restart=True)

    slow = follower_of(database, Interrupted(assembly.store, {8: start_anew}))
    with pytest.raises(StoreLocked, match="thrown away by another one"):
        await slow.rebuilder.rebuild("motions", limit=4)
    assert [g.number for g in await generations(database)] == [1, 3]


async def test_a_builder_that_was_overtaken_by_a_whole_rebuild_is_content(
    assembly: Assembly, follower: Follower, database: AnyDatabase, everybody_is_far: None
) -> None:
    await fill(assembly, follower)

    async def finish() -> None:
        assert await follower.rebuilder.rebuild("motions") == 2

    slow = follower_of(database, Interrupted(assembly.store, {8: finish}))
    assert await slow.rebuilder.rebuild("motions", limit=4) == 2
    assert [g.number for g in await generations(database)] == [2]
    assert await faults_of(database, assembly.store) == []


async def test_parked_motions_are_tried_again(
    assembly: Assembly, follower: Follower, follow: Follow, database: AnyDatabase
) -> None:
    class Broken(MotionsProjection):
        def apply(self, tx: Transaction, batch: Batch, generation: int) -> None:
            raise ZeroDivisionError

    await assembly.introduce(S.PLANNING)
    spoiled = await assembly.introduce(S.PLANNING)
    await assembly.spoil(spoiled)
    await follow(Broken()).runner.run_once()
    assert await follower.everything() == []
    assert len(await follower.read_model.parked(limit=10)) == 4
    await follower.rebuilder.rebuild("motions")
    rows = await follower.everything()
    assert [row.parked is None for row in rows] == [True, False]
    parked = await follower.read_model.parked(limit=10)
    assert {(item.projection, item.motion_id) for item in parked} == {
        (name, spoiled) for name in ("motions", "activity", "search")
    }


async def test_a_name_that_is_not_there_is_refused_with_those_that_are(
    follower: Follower,
) -> None:
    with pytest.raises(InvalidInput, match=r"'status'.*activity, motions"):
        await follower.rebuilder.rebuild("status")


async def test_what_was_never_prepared_cannot_be_rebuilt(follow: Follow) -> None:
    with pytest.raises(StoreError):
        await follow().rebuilder.rebuild("motions")


async def test_rows_that_somebody_still_reads_are_left_for_the_next_rebuild(
    assembly: Assembly, follower: Follower, follow: Follow, database: AnyDatabase
) -> None:
    class InUse(MotionsProjection):
        def drop(self, tx: Transaction, generation: int) -> None:
            raise StoreLocked("somebody reads them")

    await fill(assembly, follower)
    with capture_logs() as logs:
        assert await follow(InUse()).rebuilder.rebuild("motions") == 2
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert [g.number for g in await generations(database)] == [1, 2]
    assert await follower.rebuilder.rebuild("motions") == 3
    assert [g.number for g in await generations(database)] == [3]


# In memory nobody writes while somebody reads.
@pytest.mark.parametrize(
    "store_address",
    ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
    indirect=True,
)
async def test_a_reader_whose_tables_are_dropped_under_it_reads_the_new_ones(
    assembly: Assembly, follower: Follower, elsewhere: Follower, database: AnyDatabase
) -> None:
    await fill(assembly, follower)
    loop = asyncio.get_running_loop()
    rebuilt: list[int] = []

    def read(tx: Transaction, live: Live) -> int:
        if not rebuilt:
            # This transaction knows which generation is live, and has touched none of its tables.
            rebuilding = elsewhere.rebuilder.rebuild("motions")
            rebuilt.append(asyncio.run_coroutine_threadsafe(rebuilding, loop).result(timeout=60))
        counters = tx.execute(motions.queries(tx, live.motions.number).read_counters)
        return sum(amount for name, amount in counters if name in set(S))

    assert await read_live(database, read) == len(S)
    assert rebuilt == [2]
    assert "motions_1" not in await tables(database)


async def test_an_error_that_no_rebuild_explains_is_raised_at_once(
    follower: Follower, database: AnyDatabase
) -> None:
    tried: list[Live] = []

    def read(tx: Transaction, live: Live) -> None:
        tried.append(live)
        raise StoreError("something else")

    with pytest.raises(StoreError, match="something else"):
        await read_live(database, read)
    assert len(tried) == 1
