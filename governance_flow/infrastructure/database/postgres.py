"""PostgreSQL: the production store, for any number of processes on any number of machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from governance_flow.application.ports.clock import Clock
from governance_flow.application.ports.database import Dialect, Row
from governance_flow.application.queries import load_queries
from governance_flow.application.times import to_us
from governance_flow.domain.errors import StoreError
from governance_flow.infrastructure.database.base import (
    Mode,
    Params,
    SqlDatabase,
    Statement,
    StoreTransaction,
)
from governance_flow.infrastructure.database.errors import CommitOutcomeUnknown
from governance_flow.infrastructure.database.pool import Pool
from governance_flow.infrastructure.database.postgres_connection import (
    Connection,
    Server,
    Timeouts,
)
from governance_flow.infrastructure.database.postgres_errors import postgres_errors, store_error
from governance_flow.infrastructure.database.postgres_listener import PostgresListener
from governance_flow.infrastructure.database.server_clock import ServerClock

WRITERS = 4
READERS = 4

_SQL = load_queries("governance_flow.infrastructure", "sql/session.sql", "postgres")

_ISOLATION = {
    Mode.WRITE: IsolationLevel.READ_COMMITTED,
    Mode.READ: IsolationLevel.REPEATABLE_READ,
    Mode.STATEMENT: None,
}


class PostgresTransaction(StoreTransaction):
    """One transaction on one connection; psycopg says BEGIN with the first statement.

    A writing one is READ COMMITTED: each statement sees what was committed before it started, so
    that what is read after a lock was taken is true as long as the lock is held.
    """

    dialect: Dialect = "postgres"

    def __init__(self, connection: Connection, clock: Clock, where: str, mode: Mode) -> None:
        super().__init__(mode)
        self._connection = connection
        self._where = where
        self._server_clock = clock if isinstance(clock, ServerClock) else None
        self._now_us = self._server_clock.fresh_us() if self._server_clock else to_us(clock.now())
        self._last: list[Statement] = []
        self._committed = False
        with postgres_errors(where):
            _set(connection, "autocommit", mode is Mode.STATEMENT)
            _set(connection, "isolation_level", _ISOLATION[mode])
            # None leaves it to the server, which may have been told to take no writes.
            _set(connection, "read_only", None if mode is Mode.WRITE else True)

    def now_us(self) -> int:
        """Return the store's clock in microseconds UTC, the same for the whole transaction."""
        if self._now_us is None:
            # No statement of the caller's: time is no part of any snapshot.
            with postgres_errors(self._where), self._by_itself():
                return self._heard(_rows(self._connection.execute(_SQL.read_clock)))
        return self._now_us

    def execute(self, sql: str, params: Params | None = None) -> list[Row]:
        """Run one statement and return its rows (empty if it returns none)."""
        self._count_statement()
        with postgres_errors(self._where):
            return _rows(self._connection.execute(sql, params or {}))

    def execute_many(self, sql: str, rows: Sequence[Params]) -> None:
        """Run one statement once for each mapping of parameters."""
        self._count_statement()
        with postgres_errors(self._where), self._connection.cursor() as cursor:
            cursor.executemany(sql, rows)

    def execute_batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run the statements in order, in one round trip; the clock rides along."""
        self._count_statement()
        asks_clock = self._now_us is None
        asked = [*statements, (_SQL.read_clock, {})] if asks_clock else statements
        with postgres_errors(self._where):
            with self._connection.pipeline():
                cursors = [self._connection.execute(sql, params) for sql, params in asked]
            results = [_rows(cursor) for cursor in cursors]
        if asks_clock:
            self._heard(results.pop())
        return results

    def _heard(self, answer: list[Row]) -> int:
        """Note what the server says the time is."""
        [(now_us,)] = answer
        self._now_us = int(now_us)
        if self._server_clock is not None:
            self._server_clock.observe(self._now_us)
        return self._now_us

    def at_commit(self, sql: str, params: Params) -> None:
        """Keep the statement, to send it in one round trip with COMMIT."""
        self._last.append((sql, params))

    def commit_at_once(self, sql: str, params: Params) -> list[Row]:
        """Commit what one statement does, in one round trip, and return its rows.

        The statement is the whole transaction, and is to announce what it is given as ``:hints``;
        if it returns no row it has done nothing, and another way may be gone. Raises
        CommitOutcomeUnknown if the answer was lost.
        """
        with self._at_once():
            rows = _rows(self._connection.execute(sql, {**params, "hints": self._payloads()}))
        self._committed = bool(rows)
        if not rows:
            self.announced.clear()
        return rows

    def commit_batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Commit what the statements do in order, in one round trip, and return their rows.

        They are the whole transaction, and announce nothing. Raises CommitOutcomeUnknown if the
        answer was lost.
        """
        with self._at_once():
            # Without BEGIN, what is sent in one go is one transaction.
            with self._connection.pipeline():
                cursors = [self._connection.execute(sql, params) for sql, params in statements]
            rows = [_rows(cursor) for cursor in cursors]
        self._committed = True
        return rows

    def commit(self) -> None:
        """Make everything durable. Raises CommitOutcomeUnknown if the answer was lost."""
        if self._committed:
            return
        if self.announced:
            self.at_commit(_SQL.notify, {"payloads": self._payloads()})
        try:
            if self._last and self._status is TransactionStatus.INTRANS:
                with self._connection.pipeline():
                    self._run_last()
                    self._connection.commit()
            else:
                self._run_last()
                self._connection.commit()
        except psycopg.Error as error:
            raise self._meaning_at_commit(error) from error

    def rollback(self) -> None:
        """Undo everything; what cannot say ROLLBACK is closed, which does the same."""
        try:
            self._connection.rollback()
        except psycopg.Error:
            with suppress(psycopg.Error):
                self._connection.close()

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Let what is done in the block be a transaction, whose answer may be lost."""
        if self._last or self._status is not TransactionStatus.IDLE:
            raise RuntimeError("a transaction that has begun cannot be committed at once")
        try:
            with self._by_itself():
                yield
        except psycopg.Error as error:
            raise self._meaning_at_commit(error) from error

    @contextmanager
    def _by_itself(self) -> Iterator[None]:
        """Let a statement before the first one be a transaction of its own, without BEGIN."""
        begun = self._status is not TransactionStatus.IDLE or self._connection.autocommit
        if not begun:
            self._connection.autocommit = True
        yield
        if not begun:
            self._connection.autocommit = False

    def _payloads(self) -> list[str]:
        return [
            channel.value if number is None else f"{channel.value} {number}"
            for channel, number in self.announced.items()
        ]

    def _meaning_at_commit(self, error: psycopg.Error) -> StoreError:
        meaning = store_error(error, self._where)
        if self._status is TransactionStatus.UNKNOWN:
            return CommitOutcomeUnknown(meaning.message, where=self._where)
        return meaning

    @property
    def _status(self) -> TransactionStatus:
        return self._connection.info.transaction_status

    def _run_last(self) -> None:
        for sql, params in self._last:
            self._connection.execute(sql, params)


class PostgresDatabase(SqlDatabase[Connection]):
    """A PostgreSQL database, at an address that libpq understands.

    Its store clock is the server's, unless a ``clock`` is given (as tests do). Nothing is
    connected before it is needed; a connection that was lost is replaced.
    """

    dialect: Dialect = "postgres"

    def __init__(
        self, address: str, *, clock: Clock | None = None, timeouts: Timeouts | None = None
    ) -> None:
        self.server = Server.at(address, timeouts or Timeouts())
        self.clock: Clock = clock or ServerClock()
        self._own: set[int] = set()
        self._listener: PostgresListener | None = None
        self._listener_guard = Lock()
        super().__init__(
            where=self.server.where,
            writers=self._pool(WRITERS),
            readers=self._pool(READERS),
            threads=(WRITERS, READERS),
        )

    def start_listening(self) -> None:
        """Feed ``hints`` with what other processes commit, from a connection of its own."""
        with self._listener_guard:
            if self._listener is None:
                self._listener = PostgresListener(self.server, self.hints, self._own)

    def close_now(self) -> None:
        """Close every connection and end the listener."""
        with self._listener_guard:
            if self._listener is not None:
                self._listener.close()
        super().close_now()

    def _begin(self, connection: Connection, mode: Mode) -> PostgresTransaction:
        return PostgresTransaction(connection, self.clock, self.where, mode)

    def _pool(self, size: int) -> Pool[Connection]:
        return Pool(
            self._connect,
            size=size,
            wait_seconds=self.server.timeouts.answer,
            usable=lambda c: c.info.transaction_status is TransactionStatus.IDLE,
            dispose=self._dispose,
        )

    def _connect(self) -> Connection:
        connection = self.server.connect()
        self._own.add(connection.server_process)
        return connection

    def _dispose(self, connection: Connection) -> None:
        # The server may give that number to somebody else's process next.
        self._own.discard(connection.server_process)
        connection.close()


def _set(connection: Connection, name: str, wanted: object) -> None:
    """Set an attribute of a connection, if it is not so already: it takes a while."""
    if getattr(connection, name) != wanted:
        setattr(connection, name, wanted)


def _rows(cursor: psycopg.Cursor[Row]) -> list[Row]:
    return cursor.fetchall() if cursor.description else []
