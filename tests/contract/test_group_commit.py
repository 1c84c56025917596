"""The committer: what shares a transaction, who hears of what, and how it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest

from governance_flow.application.ports.event_store import Append
from governance_flow.domain.errors import (
    ConcurrencyConflict,
    StoreBusy,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from governance_flow.infrastructure.append_queue import Limits
from governance_flow.infrastructure.append_rules import Outcome
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from governance_flow.infrastructure.recorder import SqlRecorder
from tests.support.appends import an_append


class GatedRecorder(SqlRecorder):
    """Commits when the test says so, and remembers the groups."""

    def __init__(self, database: AnyDatabase) -> None:
        super().__init__(database)
        self._held = False
        self._permits = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)
        self.groups: list[int] = []
        self.failures: list[BaseException] = []

    def hold(self) -> None:
        self._held = True

    def let_one_pass(self) -> None:
        self._permits.release()

    def let_all_pass(self) -> None:
        self._held = False
        self._permits.release()

    def commit_group(self, appends: Sequence[Append]) -> list[Outcome]:
        self.groups.append(len(appends))
        self.entered.release()
        assert not self._held or self._permits.acquire(timeout=30)
        if self.failures:
            raise self.failures.pop(0)
        return super().commit_group(appends)


@pytest.fixture
async def database(sqlite_address: str) -> AsyncIterator[AnyDatabase]:
    database = open_database(sqlite_address)
    yield database
    await database.close()


@pytest.fixture
def recorder(database: AnyDatabase) -> GatedRecorder:
    return GatedRecorder(database)


@pytest.fixture
async def opened(
    database: AnyDatabase, recorder: GatedRecorder
) -> AsyncIterator[Callable[..., GroupCommitEventStore]]:
    """Return what makes a store on the gated recorder."""
    stores: list[GroupCommitEventStore] = []

    def make(**options: Any) -> GroupCommitEventStore:
        stores.append(GroupCommitEventStore(database, recorder=recorder, **options))
        return stores[-1]

    yield make
    recorder.let_all_pass()
    for store in stores:
        await store.close()


async def begin(store: GroupCommitEventStore, appends: Sequence[Append]) -> list[asyncio.Task[Any]]:
    """Start the appends and let each of them get as far as it can."""
    tasks = [asyncio.create_task(store.append(append)) for append in appends]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def hold_a_group(store: GroupCommitEventStore, recorder: GatedRecorder) -> asyncio.Task[Any]:
    """Let one append be under way, in a group of its own, until the test lets it pass."""
    recorder.hold()
    [task] = await begin(store, [an_append()])
    assert await asyncio.to_thread(recorder.entered.acquire, timeout=10)
    return task


async def test_what_is_appended_during_a_commit_shares_the_next_one(
    opened: Callable[..., GroupCommitEventStore], recorder: GatedRecorder
) -> None:
    seen: list[tuple[int, int]] = []
    store = opened(on_group=lambda size, events, seconds: seen.append((size, events)))
    first = await hold_a_group(store, recorder)
    stream = uuid4()
    rest = await begin(store, [an_append(stream, events=2), an_append(stream), an_append()])
    recorder.let_all_pass()
    results: list[Any] = await asyncio.gather(first, *rest, return_exceptions=True)
    assert recorder.groups == [1, 3]
    assert seen == [(1, 1), (3, 3)]
    assert isinstance(results[2], ConcurrencyConflict)
    assert [event.id for event in results[1]] == [2, 3]


async def test_a_group_is_bounded_by_number(
    opened: Callable[..., GroupCommitEventStore], recorder: GatedRecorder
) -> None:
    store = opened(limits=Limits(group_appends=4))
    first = await hold_a_group(store, recorder)
    rest = await begin(store, [an_append() for _ in range(10)])
    recorder.let_all_pass()
    await asyncio.gather(first, *rest)
    assert recorder.groups == [1, 4, 4, 2]


async def test_a_group_is_bounded_by_bytes_and_a_large_append_goes_alone(
    opened: Callable[..., GroupCommitEventStore], recorder: GatedRecorder
) -> None:
    store = opened(limits=Limits(group_bytes=100))
    first = await hold_a_group(store, recorder)
    sizes = (60, 40, 1, 500, 99)
    rest = await begin(store, [an_append(state=b"x" * size) for size in sizes])
    recorder.let_all_pass()
    await asyncio.gather(first, *rest)
    assert recorder.groups == [1, 2, 1, 1, 1]


async def test_a_full_queue_makes_appends_wait_and_then_fails_them(
    opened: Callable[..., GroupCommitEventStore], recorder: GatedRecorder
) -> None:
    store = opened(limits=Limits(queue_appends=2, wait_seconds=0.05))
    first = await hold_a_group(store, recorder)
    queued = await begin(store, [an_append(), an_append()])
    refused = an_append()
    with pytest.raises(StoreBusy) as caught:
        await store.append(refused)
    assert caught.value.stream_id == refused.stream_id
    recorder.let_all_pass()
    await asyncio.gather(first, *queued)
    await store.append(an_append())
    assert (await store.head()).position == 4


async def test_the_queue_is_bounded_by_bytes_too(
    opened: Callable[..., GroupCommitEventStore], recorder: GatedRecorder
) -> None:
    store = opened(limits=Limits(queue_bytes=100, wait_seconds=0.05))
    first = await hold_a_group(store, recorder)
    queued = await begin(store, [an_append(state=b"x" * 90)])
    with pytest.raises(StoreBusy):
        await store.append(an_append(state=b"x" * 11))
    fits = await begin(store, [an_append(state=b"x" * 10)])
    recorder.let_all_pass()
    await asyncio.gather(first, *queued, *fits)


async def test_an_append_that_waited_for_room_is_committed_in_the_end(
    opened: Callable[..., GroupCommitEventStore], recorder: GatedRecorder
) -> None:
    store = opened(limits=Limits(queue_appends=1, group_appends=1, wait_seconds=30))
    first = await hold_a_group(store, recorder)
    waiting = await begin(store, [an_append() for _ in range(5)])
    recorder.let_all_pass()
    await asyncio.gather(first, *waiting)
    assert (await store.head()).position == 6


async def test_a_waiter_cancelled_in_the_queue_leaves_nothing_behind(
    opened: Callable[..., GroupCommitEventStore], recorder: GatedRecorder
) -> None:
    store = opened()
    first = await hold_a_group(store, recorder)
    neighbour, cancelled, other = await begin(store, [an_append() for _ in range(3)])
    cancelled.cancel()
    await asyncio.wait({cancelled})
    recorder.let_all_pass()
    await asyncio.gather(first, neighbour, other)
    assert cancelled.cancelled()
    assert recorder.groups == [1, 2]
    assert (await store.head()).position == 3


async def test_a_waiter_cancelled_during_its_commit_harms_no_neighbour(
    opened: Callable[..., GroupCommitEventStore], recorder: GatedRecorder
) -> None:
    store = opened()
    first = await hold_a_group(store, recorder)
    cancelled, neighbour = await begin(store, [an_append(), an_append()])
    recorder.let_one_pass()
    await first
    assert await asyncio.to_thread(recorder.entered.acquire, timeout=10)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    recorder.let_all_pass()
    await neighbour
    await store.append(an_append())
    assert cancelled.cancelled()
    assert (await store.head()).position == 4  # what was under way is recorded


async def test_only_cancelled_waiters_make_no_group(
    opened: Callable[..., GroupCommitEventStore], recorder: GatedRecorder
) -> None:
    store = opened()
    first = await hold_a_group(store, recorder)
    tasks = await begin(store, [an_append(), an_append()])
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    recorder.let_all_pass()
    await first
    await store.append(an_append())
    assert recorder.groups == [1, 1]


async def test_a_dead_database_is_an_error_to_every_waiter_at_once(
    opened: Callable[..., GroupCommitEventStore], recorder: GatedRecorder
) -> None:
    store = opened(limits=Limits(group_appends=2))
    first = await hold_a_group(store, recorder)
    queued = await begin(store, [an_append() for _ in range(20)])
    recorder.failures.append(StoreUnavailable("gone", where="here", outcome_unknown=True))
    recorder.let_all_pass()
    results: list[Any] = await asyncio.gather(first, *queued, return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailable}
    assert len({id(result) for result in results}) == 21
    assert all(result.where == "here" for result in results)
    assert recorder.groups == [1]
    await store.append(an_append())  # and it goes on once the database is back


async def test_another_failure_fails_its_own_group_only(
    opened: Callable[..., GroupCommitEventStore], recorder: GatedRecorder
) -> None:
    store = opened()
    first = await hold_a_group(store, recorder)
    [second] = await begin(store, [an_append()])
    recorder.failures.append(StoreFull("no space"))
    recorder.let_all_pass()
    with pytest.raises(StoreFull):
        await first
    await second


async def test_the_committer_survives_what_nobody_foresaw(
    opened: Callable[..., GroupCommitEventStore],
    recorder: GatedRecorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = opened()
    recorder.failures.append(ZeroDivisionError("surprise"))
    with pytest.raises(StoreError, match="surprise"):
        await store.append(an_append())
    assert "ZeroDivisionError" in caplog.text
    await store.append(an_append())


async def test_a_failing_metrics_hook_costs_no_commit(
    opened: Callable[..., GroupCommitEventStore], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(size: int, events: int, seconds: float) -> None:
        raise LookupError("no such metric")

    store = opened(on_group=fail)
    await store.append(an_append())
    await store.append(an_append())
    assert "no such metric" in caplog.text


async def test_closing_finishes_the_group_under_way_and_fails_the_rest(
    opened: Callable[..., GroupCommitEventStore], recorder: GatedRecorder
) -> None:
    store = opened(limits=Limits(queue_appends=2))
    first = await hold_a_group(store, recorder)
    queued = await begin(store, [an_append() for _ in range(4)])  # two of them wait for room
    closing = asyncio.create_task(store.close())
    results = await asyncio.gather(*queued, return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailable}
    recorder.let_all_pass()
    assert [event.id for event in await first] == [1]
    await closing
    with pytest.raises(StoreUnavailable, match="being closed"):
        await store.append(an_append())
    await store.close()
    assert (await store.head()).position == 1


async def test_ending_the_program_in_a_commit_tells_the_waiters(
    opened: Callable[..., GroupCommitEventStore], recorder: GatedRecorder
) -> None:
    store = opened()
    first = await hold_a_group(store, recorder)
    [queued] = await begin(store, [an_append()])
    committer = store._committer
    assert committer is not None
    committer.cancel()
    results: Any = await asyncio.gather(first, queued, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable, StoreUnavailable]
    assert results[0].outcome_unknown
    recorder.let_all_pass()
    await store.append(an_append())  # a new committer takes over


async def test_a_closed_database_is_unavailable(database: AnyDatabase) -> None:
    store = GroupCommitEventStore(database)
    await store.append(an_append())
    await database.close()
    with pytest.raises(StoreUnavailable):
        await store.append(an_append())
    with pytest.raises(StoreUnavailable):
        await store.head()
    await store.close()


async def test_in_memory_an_append_is_committed_in_place_without_a_task() -> None:
    database = open_database("memory:")
    sizes: list[int] = []
    store = GroupCommitEventStore(
        database, on_group=lambda size, events, seconds: sizes.append(size)
    )
    appending = store.append(an_append(events=2))
    with pytest.raises(StopIteration) as returned:
        appending.send(None)  # runs to its end without giving way once
    assert [event.id for event in returned.value.value] == [1, 2]
    assert store._committer is None
    assert sizes == [1]
    await store.close()
    database.close_now()
