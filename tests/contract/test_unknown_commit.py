"""The answer to COMMIT is lost: what was committed is acknowledged, what was not is not."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent

from governance_flow.application.ports.clock import SystemClock
from governance_flow.domain.errors import ConcurrencyConflict, StoreFull, StoreUnavailable
from governance_flow.infrastructure.database.base import AnyDatabase, Mode, StoreTransaction
from governance_flow.infrastructure.database.errors import CommitOutcomeUnknown
from governance_flow.infrastructure.database.hints import Channel
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.database.postgres_connection import Timeouts
from governance_flow.infrastructure.database.sqlite import SqliteTransaction
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from governance_flow.infrastructure.recorder import COMMITS_MAX, SqlRecorder
from tests.support.appends import an_append
from tests.support.proxy import Fault, Proxy


@pytest.fixture
def proxy(postgres_database: str) -> Iterator[Proxy]:
    with Proxy(postgres_database) as proxy:
        yield proxy


@pytest.fixture
def through_proxy(proxy: Proxy) -> Iterator[AnyDatabase]:
    database = open_database(proxy.url)
    yield database
    database.close_now()


@pytest.mark.postgres
@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.LOSE_REPLY])
async def test_a_group_is_recorded_once_and_each_append_hears_what_became_of_it(
    proxy: Proxy, through_proxy: AnyDatabase, fault: Fault
) -> None:
    await check_that_a_group_is_recorded_once(proxy, through_proxy, fault)


@pytest.mark.postgres
async def test_a_connection_that_freezes_in_commit_is_given_up_by_both_sides(
    proxy: Proxy, postgres_database: str
) -> None:
    open_database(postgres_database).close_now()
    # Nobody closes anything: we stop waiting, and the server ends the transaction by itself.
    impatient = Timeouts(lock=0.5, transaction=1, answer=1)
    database = open_database(proxy.url, timeouts=impatient)
    await check_that_a_group_is_recorded_once(proxy, database, Fault.FREEZE)
    await database.close()


async def check_that_a_group_is_recorded_once(
    proxy: Proxy, through_proxy: AnyDatabase, fault: Fault
) -> None:
    recorder = SqlRecorder(through_proxy)
    stream = uuid4()
    recorder.commit_group([an_append(stream)])
    proxy.arm(fault)
    appends = [an_append(events=2), an_append(stream), an_append(stream, after=1)]
    first, conflict, second = await asyncio.to_thread(recorder.commit_group, appends)
    assert proxy.struck.wait(10)
    assert isinstance(first, tuple)
    assert [event.id for event in first] == [2, 3]
    assert isinstance(conflict, ConcurrencyConflict)
    assert isinstance(second, tuple)
    log = recorder.select_notifications(None, 100)
    assert log[1:] == [*first, *second]


@pytest.mark.postgres
def test_a_lost_answer_about_nothing_needs_no_settling(
    proxy: Proxy, through_proxy: AnyDatabase
) -> None:
    recorder = SqlRecorder(through_proxy)
    assert recorder.max_notification_id() is None
    proxy.arm(Fault.LOSE_REPLY)
    [outcome] = recorder.commit_group([an_append(after=5)])
    assert isinstance(outcome, ConcurrencyConflict)
    assert proxy.struck.wait(10)


@pytest.mark.postgres
async def test_a_commit_that_is_still_on_its_way_is_waited_for(
    proxy: Proxy, postgres_database: str
) -> None:
    # The client is cut off; the server hears of COMMIT only after the client has begun to look.
    database = open_database(proxy.url)
    recorder = SqlRecorder(database)
    proxy.arm(Fault.DELAY_REQUEST)
    append = an_append()
    committing = asyncio.create_task(asyncio.to_thread(recorder.commit_group, [append]))
    assert await asyncio.to_thread(proxy.struck.wait, 10)
    with psycopg.connect(postgres_database, autocommit=True) as observer:
        waits_for_head = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND query LIKE '%FROM head FOR UPDATE%'"
        )
        while observer.execute(waits_for_head).fetchone() == (0,):
            await asyncio.sleep(0)
            assert not committing.done()
    proxy.let_pass.set()
    [outcome] = await asyncio.wait_for(committing, 10)
    assert isinstance(outcome, tuple)
    assert recorder.select_notifications(None, 100) == list(outcome)
    await database.close()


@pytest.mark.postgres
@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.LOSE_REPLY])
def test_the_library_s_interface_is_told_the_truth_too(
    proxy: Proxy, through_proxy: AnyDatabase, fault: Fault
) -> None:
    recorder = SqlRecorder(through_proxy)
    assert recorder.max_notification_id() is None
    proxy.arm(fault)
    stream = uuid4()
    events = [StoredEvent(stream, version, "T", b"x") for version in (1, 2)]
    assert recorder.insert_events(events) == [1, 2]
    assert recorder.select_events(stream) == events


@pytest.mark.postgres
async def test_if_the_database_stays_away_the_waiter_is_told_that_nobody_knows(
    proxy: Proxy, postgres_database: str
) -> None:
    database = open_database(proxy.url)
    store = GroupCommitEventStore(database, recorder=SqlRecorder(database, settle_seconds=0.1))
    append = an_append()
    proxy.arm(Fault.DIE)
    with pytest.raises(StoreUnavailable, match="could not be learnt") as caught:
        await asyncio.wait_for(store.append(append), 30)
    assert caught.value.outcome_unknown
    await store.close()
    await database.close()
    # It did take place: whoever reads the stream before trying again finds it.
    with psycopg.connect(postgres_database) as connection:
        rows = connection.execute("SELECT state FROM events").fetchall()
    assert rows == [(append.events[0].state,)]


class LossyCommits:
    """Makes commits of SQLite end without an answer, after or instead of taking place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.losses: list[bool] = []
        """For each commit of events to come, whether it takes place; later ones are answered."""
        commit = SqliteTransaction.commit

        def lossy(transaction: SqliteTransaction) -> None:
            if not self.losses or Channel.EVENTS not in transaction.announced:
                commit(transaction)
                return
            if self.losses.pop(0):
                commit(transaction)
            else:
                transaction.rollback()
            raise CommitOutcomeUnknown("the answer was lost")

        monkeypatch.setattr(SqliteTransaction, "commit", lossy)


@pytest.mark.parametrize("address", ["memory:", "file"])
@pytest.mark.parametrize("losses", [[True], [False], [False, True], [False, False]])
def test_sqlite_settles_a_lost_answer_in_the_same_way(
    address: str, losses: list[bool], sqlite_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(sqlite_address if address == "file" else address)
    recorder = SqlRecorder(database)
    recorder.commit_group([an_append()])
    LossyCommits(monkeypatch).losses += losses
    [outcome] = recorder.commit_group([an_append(events=2)])
    assert isinstance(outcome, tuple)
    assert [event.id for event in outcome] == [2, 3]
    assert recorder.select_notifications(2, 100) == list(outcome)
    database.close_now()


def test_commits_that_never_take_place_end_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database("memory:")
    LossyCommits(monkeypatch).losses += [False] * COMMITS_MAX
    with pytest.raises(StoreUnavailable, match="nothing was recorded"):
        SqlRecorder(database).commit_group([an_append()])
    assert SqlRecorder(database).max_notification_id() is None
    database.close_now()


def test_somebody_else_s_event_at_the_same_version_is_not_taken_for_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = open_database("memory:")
    recorder = SqlRecorder(database)
    stream = uuid4()
    LossyCommits(monkeypatch).losses.append(False)
    look: Callable[..., bool] = recorder._took_place

    def rival_first(*args: Any) -> bool:
        SqlRecorder(database).commit_group([an_append(stream)])
        return look(*args)

    monkeypatch.setattr(recorder, "_took_place", rival_first)
    [outcome] = recorder.commit_group([an_append(stream)])
    assert isinstance(outcome, ConcurrencyConflict)
    assert len(recorder.select_events(stream)) == 1
    database.close_now()


class FailingDisk:
    """A connection whose COMMIT fails; SQLite may or may not have rolled back by itself."""

    def __init__(self, code: int, *, in_transaction: bool) -> None:
        self.in_transaction = in_transaction
        self._code = code

    def execute(self, sql: str, *_: object) -> sqlite3.Cursor:
        if sql == "COMMIT":
            error = sqlite3.OperationalError("the disk")
            error.sqlite_errorcode = self._code
            raise error
        return sqlite3.connect(":memory:").execute("SELECT 1")


@pytest.mark.parametrize(
    ("code", "in_transaction", "meaning"),
    [
        (sqlite3.SQLITE_IOERR, False, CommitOutcomeUnknown),
        (sqlite3.SQLITE_IOERR, True, StoreUnavailable),
        (sqlite3.SQLITE_FULL, False, StoreFull),
        (sqlite3.SQLITE_FULL, True, StoreFull),
    ],
)
def test_only_a_disk_that_fails_in_the_middle_of_commit_leaves_the_outcome_open(
    code: int, in_transaction: bool, meaning: type[StoreUnavailable]
) -> None:
    connection: Any = FailingDisk(code, in_transaction=in_transaction)
    transaction = SqliteTransaction(connection, SystemClock(), "here", Mode.WRITE)
    with pytest.raises(meaning) as caught:
        transaction.commit()
    assert caught.type is meaning


@pytest.mark.postgres
async def test_a_dead_server_is_an_error_to_every_waiter(proxy: Proxy) -> None:
    database = open_database(proxy.url)
    store = GroupCommitEventStore(database, recorder=SqlRecorder(database, settle_seconds=0.1))
    await store.append(an_append())
    proxy.kill()
    results = await asyncio.wait_for(
        asyncio.gather(*(store.append(an_append()) for _ in range(50)), return_exceptions=True), 30
    )
    assert {type(result) for result in results} == {StoreUnavailable}
    await store.close()
    await database.close()


@pytest.mark.postgres
async def test_lost_connections_are_replaced_without_anybody_noticing(
    proxy: Proxy, through_proxy: AnyDatabase
) -> None:
    store = GroupCommitEventStore(through_proxy)
    for _ in range(3):
        await store.append(an_append())
        await asyncio.gather(*(store.head() for _ in range(8)))
        proxy.cut_all()
    assert (await store.head()).position == 3
    await store.close()


@pytest.mark.postgres
async def test_a_server_that_stops_answering_is_unavailable(
    proxy: Proxy, postgres_database: str
) -> None:
    database = open_database(proxy.url, timeouts=Timeouts(answer=0.3))
    blocked = threading.Event()

    def sleep(tx: StoreTransaction) -> None:
        blocked.set()
        tx.execute("SELECT pg_sleep(60)")

    with pytest.raises(StoreUnavailable, match="does not answer"):
        await asyncio.wait_for(database.write(sleep), 10)
    assert blocked.is_set()
    await database.close()
