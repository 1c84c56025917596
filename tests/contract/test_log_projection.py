"""The projection "log" on every store: a leaf for every event, and tiles that follow from them."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from governance_flow.application.audit.leaves import leaf_hash_of
from governance_flow.application.ports.database import Transaction
from governance_flow.application.ports.event_store import Append, CommittedEvent, StoredEvent
from governance_flow.application.ports.projection import Batch
from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.states import GovernanceState
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from projections import log as log_projection
from projections import registry
from projections.isolation import ProjectionFailed
from projections.log import LogProjection
from projections.rebuild import Progress
from projections.registry import Registry
from tests.support.assembly import Assembly
from tests.support.clock import ManualClock
from tests.support.flows import PlayedFlow, opened
from tests.support.followers import Follower, follower_of
from tests.support.naive_log import Tiles, leaves_of, naive_tiles, tiles_in

S = GovernanceState
MANY = 14
"""So many motions fill the first tile, and begin one of the second level."""


@pytest.fixture
def assembly(store: GroupCommitEventStore, clock: ManualClock) -> Assembly:
    """Return motions to be driven, recorded in the store."""
    return Assembly(store, clock)


@pytest.fixture
async def follower(database: AnyDatabase, store: GroupCommitEventStore) -> Follower:
    """Return a follower that keeps the log."""
    follower = follower_of(database, store, LogProjection())
    await follower.runner.prepare()
    return follower


async def expected(store: Any) -> Tiles:
    return naive_tiles(await leaves_of(store))


async def work_off(flow: PlayedFlow, motions: int) -> None:
    for number in range(motions):
        await flow.introduce(f"motion {number} é😀")
    await flow.idle()


async def test_an_empty_log_has_one_leaf(follower: Follower, database: AnyDatabase) -> None:
    assert await tiles_in(database) == naive_tiles([b'governance-flow/leaf/v1\n{"position":0}\n'])
    await follower.runner.prepare()
    assert len(await tiles_in(database)) == 1


async def test_tiles_come_out_the_same_from_memory_from_the_store_and_anew(
    store_address: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    inner = leaf_hash_of

    def noting(row: Any) -> bytes:
        read.append(row.topic)
        return inner(row)

    monkeypatch.setattr(log_projection, "leaf_hash_of", noting)
    async with opened(store_address, clock=clock) as flow:
        await work_off(flow, MANY)
        store: Any = flow.flow.store
        database: Any = flow.flow.database
        # What was made here was not decoded again.
        assert "TRANSITION_WITNESSED" not in read
        live = await tiles_in(database)
        assert live == await expected(store)
        assert set(live) == {(0, 0), (0, 1), (1, 0)}
        before = (await store.head()).position
        forgetful = GroupCommitEventStore(database)
        from_store = follower_of(database, forgetful, LogProjection()).rebuilder
        for limit in (1000, 7):
            await flow.flow.rebuilder.rebuild("log", limit=limit)
            assert await tiles_in(database) == live
            assert "TRANSITION_WITNESSED" not in read
        for limit in (1000, 7):
            read.clear()
            await from_store.rebuild("log", limit=limit)
            assert await tiles_in(database) == live
            assert len(read) == before
        read.clear()
        await forgetful.close()
        # And it goes on from there.
        await work_off(flow, 2)
        assert await tiles_in(database) == await expected(store)
        report = await flow.flow.audit.auditor.verify()
        assert [str(fault) for fault in report.faults] == []


@pytest.mark.parametrize("limit", [1, 2, 100, 256, 257, 5000])
async def test_tiles_do_not_depend_on_how_events_come_in_batches(
    assembly: Assembly, follower: Follower, database: AnyDatabase, limit: int
) -> None:
    for _ in range(3):
        for state in S:
            await assembly.introduce(state)
    while await follower.runner.run_once(limit):
        pass
    assert await tiles_in(database) == await expected(assembly.store)


async def test_two_processes_that_follow_at_once_add_every_leaf_once(
    assembly: Assembly,
    follower: Follower,
    database: AnyDatabase,
    store_address: str,
    clock: ManualClock,
) -> None:
    for state in S:
        await assembly.introduce(state)
    other_database = database if database.inline else open_database(store_address, clock=clock)
    other_store = GroupCommitEventStore(other_database)
    other = follower_of(other_database, other_store, LogProjection())

    async def follow(one: Follower, limit: int) -> None:
        while await one.runner.run_once(limit):
            pass

    try:
        await asyncio.gather(follow(follower, 3), follow(other, 5), follow(other, 2))
        assert await tiles_in(database) == await expected(assembly.store)
    finally:
        await other_store.close()
        if other_database is not database:
            other_database.close_now()


async def test_the_live_log_grows_while_it_is_built_anew(
    assembly: Assembly,
    follower: Follower,
    database: AnyDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "NEAR_EVENTS", 2)
    for state in S:
        await assembly.introduce(state)
    await follower.runner.catch_up(10_000)
    seen: list[Progress] = []

    async def grow() -> None:
        for _ in range(10):
            await assembly.introduce(S.ACKNOWLEDGED)
            await follower.runner.catch_up((await assembly.store.head()).position)

    await asyncio.gather(grow(), follower.rebuilder.rebuild("log", seen.append, limit=5))
    await follower.runner.catch_up((await assembly.store.head()).position)
    assert await tiles_in(database) == await expected(assembly.store)
    generations = await database.read(Registry(database.dialect, ["log"]).all)
    assert [(g.number, g.live) for g in generations] == [(2, True)]


async def test_an_event_that_nobody_can_read_has_a_leaf_like_any_other(
    assembly: Assembly, follower: Follower, database: AnyDatabase
) -> None:
    spoiled = await assembly.introduce(S.PLANNING)
    await assembly.spoil(spoiled)
    other = await assembly.introduce(S.EXECUTING)
    await assembly.spoil(other, "TRANSITION_WITNESSED")
    await assembly.spoil(spoiled, "no topic of ours")
    await assembly.introduce(S.ACKNOWLEDGED)
    await follower.runner.catch_up(10_000)
    log = await assembly.store.read_all(after_position=0, limit=1000)
    assert sum(event.state == b"no event at all" for event in log) == 3
    assert await tiles_in(database) == await expected(assembly.store)
    # The other projections leave these motions out; the log leaves nothing out.
    parked = await follower.read_model.parked(limit=10)
    assert {item.projection for item in parked} == {"motions", "activity", "search"}
    assert {item.motion_id for item in parked} == {spoiled, other}


class Broken(LogProjection):
    """Fails at a position."""

    def __init__(self, at: int) -> None:
        self.at = at

    def apply(self, tx: Transaction, batch: Batch, generation: int) -> None:
        super().apply(tx, batch, generation)
        if batch.position >= self.at:
            raise ZeroDivisionError("the projection is broken")


async def positions(database: AnyDatabase) -> dict[str, int]:
    generations = await database.read(
        Registry(database.dialect, ["activity", "log", "motions", "search"]).all
    )
    return {generation.name: generation.position for generation in generations}


async def test_a_log_that_cannot_go_on_stops_and_leaves_no_motion_out(
    assembly: Assembly, follower: Follower, database: AnyDatabase
) -> None:
    await assembly.introduce(S.ACKNOWLEDGED)
    head = (await assembly.store.head()).position
    broken = follower_of(database, assembly.store, Broken(at=head - 3))
    stopped = (head - 4) // 4 * 4
    for _ in range(stopped // 4):
        assert await broken.runner.run_once(4)
    before = await tiles_in(database)
    for _ in range(2):
        with pytest.raises(ProjectionFailed, match=r"'log' cannot apply .* is broken"):
            await broken.runner.run_once(4)
        assert await tiles_in(database) == before
        assert await positions(database) == dict.fromkeys(
            ("activity", "log", "motions", "search"), stopped
        )
        assert await follower.read_model.parked(limit=10) == []
    # Mended, it goes on where it stopped.
    await follower.runner.catch_up(head)
    assert await tiles_in(database) == await expected(assembly.store)
    assert await positions(database) == dict.fromkeys(
        ("activity", "log", "motions", "search"), head
    )


DAMAGE = {
    "missing": "DELETE FROM log_tiles_1 WHERE level = 0",
    "too short": "UPDATE log_tiles_1 SET hashes = substr(hashes, 1, 31)",
    "one leaf short": "UPDATE log_tiles_1 SET hashes = substr(hashes, 33)",
    "empty": "UPDATE log_tiles_1 SET hashes = substr(hashes, 1, 0)",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_damaged_tiles_are_not_built_upon_and_built_anew_they_are_right(
    assembly: Assembly, follower: Follower, database: AnyDatabase, damage: str
) -> None:
    await assembly.introduce(S.ACKNOWLEDGED)
    await follower.runner.catch_up(10_000)
    await assembly.introduce(S.REJECTED)
    await database.write(lambda tx: tx.execute(damage))
    with pytest.raises(ProjectionFailed, match=r"'log'.*(rebuild log|build the tiles anew)"):
        await follower.runner.catch_up(10_000)
    assert await follower.read_model.parked(limit=10) == []
    await follower.rebuilder.rebuild("log")
    await follower.runner.catch_up(10_000)
    assert await tiles_in(database) == await expected(assembly.store)


async def test_a_gap_in_the_events_is_not_passed_over(
    assembly: Assembly, follower: Follower, database: AnyDatabase
) -> None:
    """Position is index: whoever hands on a run with a gap must not be believed."""
    await assembly.introduce(S.ACKNOWLEDGED)
    log = await assembly.store.read_all(after_position=0, limit=1000)
    before = await tiles_in(database)

    class Gappy:
        def __getattr__(self, name: str) -> Any:
            return getattr(assembly.store, name)

        async def read_all(self, **conditions: Any) -> list[CommittedEvent]:
            return [event for event in log if event.id != 3]

    with pytest.raises(Exception, match="3"):
        await follower_of(database, Gappy(), LogProjection()).runner.run_once()
    assert await tiles_in(database) == before


async def test_the_pipelines_own_events_are_leaves_among_the_others(
    assembly: Assembly, follower: Follower, database: AnyDatabase
) -> None:
    await assembly.introduce(S.PLANNING)
    await assembly.halt()
    await assembly.resume()
    await assembly.introduce(S.PLANNING)
    log = await assembly.store.read_all(after_position=0, limit=1000)
    assert sum(event.originator_id == PIPELINE_ID for event in log) == 2
    assert all(later.id == event.id + 1 for event, later in pairwise(log))
    await follower.runner.catch_up(10_000)
    assert await tiles_in(database) == await expected(assembly.store)


async def test_a_statement_too_long_for_a_leaf_is_there_by_its_digest(
    assembly: Assembly, follower: Follower, database: AnyDatabase
) -> None:
    motion = await assembly.introduce(S.INTRODUCED)
    state = b'{"statement":"' + b"x" * 70_000 + b'"}'
    await assembly.store.append(
        Append(motion, 1, (StoredEvent(motion, 2, "TRANSITION_WITNESSED", state),))
    )
    await follower.runner.catch_up(10_000)
    leaves = await leaves_of(assembly.store)
    assert b'"statement_sha256":' in leaves[2]
    assert await tiles_in(database) == naive_tiles(leaves)
