"""Transactions, snapshots, retries, and the end of a database."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Iterator

import psycopg
import pytest

from governance_flow.application.ports.database import Database, Transaction
from governance_flow.application.times import to_us
from governance_flow.domain.errors import StoreError, StoreUnavailable
from governance_flow.infrastructure.database.base import (
    ATTEMPTS_MAX,
    AnyDatabase,
    StoreTransaction,
)
from governance_flow.infrastructure.database.errors import (
    ConnectionLost,
    ConstraintViolated,
    TransactionContended,
)
from governance_flow.infrastructure.database.hints import Channel
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.database.server_clock import TOLERANCE_US
from tests.support.clock import ManualClock

SET = "INSERT INTO checkpoints (name, position) VALUES (:name, :position)"
SET_POSTGRES = "INSERT INTO checkpoints (name, position) VALUES (%(name)s, %(position)s)"
ALL = "SELECT name, position FROM checkpoints ORDER BY name"


def put(tx: Transaction, name: str, position: int = 1) -> None:
    sql = SET if tx.dialect == "sqlite" else SET_POSTGRES
    tx.execute(sql, {"name": name, "position": position})


def put_and_fail(tx: Transaction, name: str) -> None:
    put(tx, name)
    raise LookupError(name)


def names(database: AnyDatabase) -> list[str]:
    return [name for name, _ in database.read_now(lambda tx: tx.execute(ALL))]


def test_the_adapter_fulfils_the_port(database: AnyDatabase) -> None:
    port: Database = database  # checked by mypy
    assert port.dialect in ("sqlite", "postgres")


async def test_a_write_commits_and_returns_what_its_work_returned(database: AnyDatabase) -> None:
    def work(tx: Transaction) -> str:
        put(tx, "a", 2**53 + 1)
        return tx.dialect

    assert await database.write(work) == database.dialect
    assert await database.read(lambda tx: tx.execute(ALL)) == [("a", 2**53 + 1)]


async def test_a_write_that_fails_leaves_nothing(database: AnyDatabase) -> None:
    def work(tx: Transaction) -> None:
        put(tx, "a")
        raise LookupError("no")

    with pytest.raises(LookupError):
        await database.write(work)
    assert names(database) == []


async def test_a_savepoint_undoes_its_block_and_nothing_else(database: AnyDatabase) -> None:
    def work(tx: Transaction) -> None:
        put(tx, "before")
        for name in ("poison", "poison too"):
            with pytest.raises(LookupError), tx.savepoint():
                put_and_fail(tx, name)
        with pytest.raises(ConstraintViolated), tx.savepoint():
            put(tx, "before")
        with tx.savepoint(), tx.savepoint():
            put(tx, "nested")
        put(tx, "after")

    await database.write(work)
    assert names(database) == ["after", "before", "nested"]


async def test_the_clock_is_the_store_s_and_stands_still_in_a_transaction(
    database: AnyDatabase, clock: ManualClock
) -> None:
    def work(tx: Transaction) -> tuple[int, int]:
        first = tx.now_us()
        clock.advance(5)
        return first, tx.now_us()

    before = to_us(clock.now())
    assert await database.read(work) == (before, before)
    assert await database.read(lambda tx: tx.now_us()) == before + 5_000_000


@pytest.mark.postgres
def test_without_a_test_s_clock_postgresql_goes_by_the_server_s(postgres_database: str) -> None:
    database = open_database(postgres_database)
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        [before] = connection.execute(clock).fetchone() or ()
        now = database.write_now(lambda tx: tx.now_us())
        [after] = connection.execute(clock).fetchone() or ()
    assert before - TOLERANCE_US <= now <= after + TOLERANCE_US
    database.close_now()


async def test_a_read_cannot_write(database: AnyDatabase) -> None:
    with contextlib.suppress(StoreError):  # in memory it is undone rather than refused
        await database.read(lambda tx: put(tx, "a"))
    assert names(database) == []


async def test_a_single_statement_read_refuses_a_second(database: AnyDatabase) -> None:
    def work(tx: Transaction) -> None:
        tx.execute(ALL)
        tx.execute(ALL)

    with pytest.raises(RuntimeError, match="two snapshots"):
        await database.read_once(work)
    assert await database.read_once(lambda tx: tx.execute(ALL)) == []


async def test_a_row_that_was_committed_is_looked_up(database: AnyDatabase) -> None:
    await database.write(lambda tx: put(tx, "a"))
    assert await database.read_row(lambda tx: tx.execute(ALL)) == [("a", 1)]


async def test_what_is_read_briefly_is_one_snapshot_and_writes_nothing(
    database: AnyDatabase,
) -> None:
    await database.write(lambda tx: put(tx, "a"))

    def work(tx: Transaction) -> tuple[object, object]:
        return tx.execute(ALL), tx.execute(ALL)

    assert await database.read_briefly(work) == ([("a", 1)], [("a", 1)])
    with contextlib.suppress(StoreError):  # in memory it is undone rather than refused
        await database.read_briefly(lambda tx: put(tx, "b"))
    assert names(database) == ["a"]


async def test_a_statement_that_is_wrong_is_a_mistake_of_the_program(
    database: AnyDatabase,
) -> None:
    with pytest.raises(StoreError, match="mistake in the program"):
        await database.read(lambda tx: tx.execute("SELEKT 1"))


def test_many_rows_at_once(database: AnyDatabase) -> None:
    def work(tx: Transaction) -> None:
        sql = SET if tx.dialect == "sqlite" else SET_POSTGRES
        tx.execute_many(sql, [{"name": f"n{n}", "position": n} for n in range(3)])

    database.write_now(work)
    assert names(database) == ["n0", "n1", "n2"]
    with pytest.raises(ConstraintViolated):
        database.write_now(work)


def test_hints_are_published_after_the_commit_and_not_without(database: AnyDatabase) -> None:
    def announce(tx: StoreTransaction) -> None:
        tx.announce(Channel.EVENTS, 7)
        assert database.hints.latest(Channel.EVENTS) == 0

    def fail(tx: StoreTransaction) -> None:
        tx.announce(Channel.EVENTS, 9)
        raise LookupError

    database.write_now(announce)
    assert database.hints.latest(Channel.EVENTS) == 7
    with pytest.raises(LookupError):
        database.write_now(fail)
    assert database.hints.latest(Channel.EVENTS) == 7


async def test_a_closed_database_says_so_and_may_be_closed_again(database: AnyDatabase) -> None:
    await database.close()
    for use in (database.read, database.write):
        with pytest.raises(StoreUnavailable, match="closed"):
            await use(lambda tx: tx.execute(ALL))
    await database.close()


# --- what only a shared store shows


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def shared(request: pytest.FixtureRequest) -> Iterator[AnyDatabase]:
    fixtures = {"sqlite": "sqlite_address", "postgresql": "postgres_database"}
    database = open_database(str(request.getfixturevalue(fixtures[request.param])))
    yield database
    database.close_now()


def test_a_read_sees_one_snapshot_whatever_is_committed_meanwhile(shared: AnyDatabase) -> None:
    def work(tx: Transaction) -> tuple[int, int]:
        before = len(tx.execute(ALL))
        shared.write_now(lambda inner: put(inner, "meanwhile"))
        return before, len(tx.execute(ALL))

    assert shared.read_now(work) == (0, 0)
    assert names(shared) == ["meanwhile"]


async def test_a_reader_is_not_kept_waiting_by_a_writer(shared: AnyDatabase) -> None:
    writing, read = threading.Event(), threading.Event()

    def work(tx: Transaction) -> bool:
        put(tx, "slow")
        writing.set()
        return read.wait(10)

    slow = asyncio.create_task(shared.write(work))
    assert await asyncio.to_thread(writing.wait, 10)
    assert await shared.read(lambda tx: tx.execute(ALL)) == []
    read.set()
    assert await slow


async def test_closing_waits_for_the_transaction_under_way(shared: AnyDatabase) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def work(tx: Transaction) -> None:
        put(tx, "late")
        writing.set()
        assert go_on.wait(10)

    slow = asyncio.create_task(shared.write(work))
    assert await asyncio.to_thread(writing.wait, 10)
    closing = asyncio.create_task(shared.close())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(slow, closing)


@pytest.mark.parametrize("error", [ConnectionLost, TransactionContended])
def test_what_certainly_did_not_commit_is_tried_again_a_bounded_number_of_times(
    shared: AnyDatabase, error: type[StoreError]
) -> None:
    tries = 0

    def fail_until(last: int) -> None:
        nonlocal tries
        tries = 0

        def work(tx: Transaction) -> None:
            nonlocal tries
            tries += 1
            put(tx, f"try {tries} of {last}")
            if tries < last:
                raise error("again")

        shared.write_now(work)

    fail_until(ATTEMPTS_MAX)
    assert names(shared) == [f"try {ATTEMPTS_MAX} of {ATTEMPTS_MAX}"]
    with pytest.raises(error):
        fail_until(ATTEMPTS_MAX + 1)
    assert tries == ATTEMPTS_MAX


@pytest.mark.postgres
async def test_a_deadlock_is_tried_again_until_both_get_through(postgres_database: str) -> None:
    database = open_database(postgres_database)
    for name in ("a", "b"):
        database.write_now(functools.partial(put, name=name))
    both_hold_one = threading.Barrier(2)
    done = {"a": threading.Event(), "b": threading.Event()}
    tries: list[str] = []

    def lock(first: str, second: str) -> None:
        def work(tx: Transaction) -> None:
            if first in tries:  # the one that was rolled back lets the other one pass
                assert done[second].wait(30)
            update = "UPDATE checkpoints SET position = position + 1 WHERE name = %(name)s"
            tx.execute(update, {"name": first})
            if first not in tries:
                tries.append(first)
                both_hold_one.wait(30)
            else:
                tries.append(first)
            tx.execute(update, {"name": second})

        database.write_now(work)
        done[first].set()

    await asyncio.gather(asyncio.to_thread(lock, "a", "b"), asyncio.to_thread(lock, "b", "a"))
    assert len(tries) == 3
    assert database.read_now(lambda tx: tx.execute(ALL)) == [("a", 3), ("b", 3)]
    database.close_now()
