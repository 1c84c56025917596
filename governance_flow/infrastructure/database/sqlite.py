"""SQLite: a file of its own for one machine, or memory for tests and simulation."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar, assert_never
from urllib.parse import quote

from governance_flow.application.ports.clock import Clock
from governance_flow.application.ports.database import Dialect, Row
from governance_flow.application.times import to_us
from governance_flow.domain.errors import StoreLocked, StoreUnavailable
from governance_flow.infrastructure.database.base import (
    Mode,
    Params,
    SqlDatabase,
    Statement,
    StoreTransaction,
)
from governance_flow.infrastructure.database.errors import CommitOutcomeUnknown
from governance_flow.infrastructure.database.pool import Pool
from governance_flow.infrastructure.database.shared_commits import SharedCommits
from governance_flow.infrastructure.database.sqlite_errors import sqlite_errors, store_error
from governance_flow.infrastructure.database.sqlite_insert import Insert, in_runs

T = TypeVar("T")

VERSION_MIN = (3, 37, 0)
"""The first SQLite with STRICT tables (and, a little older, RETURNING)."""

READERS = 4


class SqliteTransaction(StoreTransaction):
    """One transaction on one SQLite connection."""

    dialect: Dialect = "sqlite"

    def __init__(
        self, connection: sqlite3.Connection, clock: Clock, where: str, mode: Mode
    ) -> None:
        super().__init__(mode)
        self._connection = connection
        self._clock = clock
        self._where = where
        self._now_us: int | None = None
        # IMMEDIATE takes the write lock now, where the busy timeout applies; a transaction that
        # began by reading would fail at once if another one wrote in between.
        match mode:
            case Mode.WRITE:
                self.execute("BEGIN IMMEDIATE")
            case Mode.READ:
                self.execute("BEGIN DEFERRED")
            case Mode.STATEMENT:
                pass
            case _:
                assert_never(mode)

    def now_us(self) -> int:
        """Return the store's clock in microseconds UTC, the same for the whole transaction."""
        if self._now_us is None:
            self._now_us = to_us(self._clock.now())
        return self._now_us

    def execute(self, sql: str, params: Params | None = None) -> list[Row]:
        """Run one statement and return its rows. Lists are passed as JSON, for ``json_each``."""
        self._count_statement()
        with sqlite_errors(self._where):
            return self._connection.execute(sql, _adapted(params or {})).fetchall()

    def execute_many(self, sql: str, rows: Sequence[Params]) -> None:
        """Run one statement once for each mapping of parameters.

        Rows to insert go many to a statement: between two steps of a statement Python lets another
        thread run, and a busy one does not give way for milliseconds.
        """
        self._count_statement()
        insert = Insert.of(sql)
        with sqlite_errors(self._where):
            if insert is None:
                self._connection.executemany(sql, rows)
                return
            for some in in_runs(rows):
                self._connection.execute(insert.statement(len(some)), insert.values(some))

    def execute_batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run the statements in order."""
        return [self.execute(sql, params) for sql, params in statements]

    def at_commit(self, sql: str, params: Params) -> None:
        """Run the statement now: there are no round trips to save."""
        self.execute(sql, params)

    def commit(self) -> None:
        """Make everything durable. Raises CommitOutcomeUnknown if the disk failed meanwhile."""
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            meaning = store_error(error, self._where)
            if self._connection.in_transaction or type(meaning) is not StoreUnavailable:
                raise meaning from error
            raise CommitOutcomeUnknown(meaning.message, where=self._where) from error

    def rollback(self) -> None:
        """Undo everything, if SQLite has not done so itself already."""
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


class SqliteDatabase(SqlDatabase[sqlite3.Connection]):
    """An SQLite database. Its store clock is the ``clock`` it is given.

    ``path`` None keeps it in memory, on one connection, run inline. ``read_only`` opens the file
    without writing to it, for instance to audit a copy. Raises StoreUnavailable for a file that
    cannot be there; what is in the file is looked at when it is first used.
    """

    dialect: Dialect = "sqlite"

    def __init__(
        self,
        path: Path | None,
        *,
        clock: Clock,
        busy_seconds: float = 10.0,
        read_only: bool = False,
    ) -> None:
        if sqlite3.sqlite_version_info < VERSION_MIN:
            needed = ".".join(map(str, VERSION_MIN))
            raise StoreUnavailable(
                f"SQLite {sqlite3.sqlite_version} is too old; {needed} or newer is needed"
            )
        self._path = path
        self.clock = clock
        self._busy_seconds = busy_seconds
        self.read_only = read_only
        self._shared = SharedCommits(self.write_now, self._start_writing)
        if path is None:
            only = self._pool(lambda: self._connect(writing=True), size=1)
            super().__init__(where="memory:", writers=only, readers=only, threads=None)
            return
        _check_path(path, read_only=read_only)
        super().__init__(
            where=str(path),
            writers=self._pool(lambda: self._connect(writing=not read_only), size=1),
            readers=self._pool(lambda: self._connect(writing=False), size=READERS),
            threads=(1, READERS),
        )
        self._reader_here = self._pool(lambda: self._connect(writing=False, busy_seconds=0), size=1)

    async def write(self, work: Callable[[StoreTransaction], T]) -> T:
        """Commit what ``work`` does, or roll it all back and raise; others may share the commit."""
        if self.inline:
            return self.write_now(work)
        return await self._shared.write(work)

    async def read_row(self, work: Callable[[StoreTransaction], T]) -> T:
        """Look up a row by its key, in the caller's place."""
        try:
            return self._read_here(work, Mode.STATEMENT)
        except StoreLocked:
            return await self.read_once(work)

    async def read_briefly(self, work: Callable[[StoreTransaction], T]) -> T:
        """Run ``work`` on one snapshot, in the caller's place."""
        try:
            return self._read_here(work, Mode.READ)
        except StoreLocked:
            return await self.read(work)

    def _read_here(self, work: Callable[[StoreTransaction], T], mode: Mode) -> T:
        """Read in the calling thread: sooner done than another thread is woken.

        That one would wait for the interpreter's lock at each statement. With a write-ahead log
        nobody is in a reader's way, but for the moment of a recovery: then this raises
        StoreLocked, and a thread may wait for its end.
        """
        return self._read(self._readers if self.inline else self._reader_here, work, mode)

    def close_now(self) -> None:
        """Close every connection."""
        super().close_now()
        if not self.inline:
            self._reader_here.close()

    def use_write_ahead_log(self) -> None:
        """Let readers and the writer work side by side. Lasting: written into the file."""
        deadline = monotonic() + self._busy_seconds
        mode = None
        while mode is None:
            try:
                with self._writers.borrow() as connection, sqlite_errors(self.where):
                    [(mode,)] = connection.execute("PRAGMA journal_mode = WAL").fetchall()
            except StoreLocked:
                # Changing the mode does not wait for its lock, whatever the busy timeout says.
                if monotonic() > deadline:
                    raise
                sleep(0.01)
        if mode not in ("wal", "memory"):
            raise StoreUnavailable(
                f"{self.where}: the file system does not support SQLite's write-ahead log; "
                "put the store on a local disk",
                where=self.where,
            )

    def _begin(self, connection: sqlite3.Connection, mode: Mode) -> SqliteTransaction:
        return SqliteTransaction(connection, self.clock, self.where, mode)

    def _pool(
        self, connect: Callable[[], sqlite3.Connection], *, size: int
    ) -> Pool[sqlite3.Connection]:
        return Pool(
            connect,
            size=size,
            wait_seconds=self._busy_seconds,
            # What is in memory is gone with its connection.
            usable=lambda connection: self._path is None or not connection.in_transaction,
            dispose=lambda connection: connection.close(),
        )

    def _connect(self, *, writing: bool, busy_seconds: float | None = None) -> sqlite3.Connection:
        where = "memory:" if self._path is None else str(self._path)
        with sqlite_errors(where):
            connection = sqlite3.connect(
                ":memory:" if self._path is None else self._uri(self._path),
                uri=self._path is not None,
                timeout=self._busy_seconds if busy_seconds is None else busy_seconds,
                # We say BEGIN ourselves, and lend a connection to one thread at a time.
                isolation_level=None,
                check_same_thread=False,
            )
            # FULL: a commit that was acknowledged survives a power cut.
            # trusted_schema: a hostile file must not run functions through its views and triggers.
            # recursive_triggers: REPLACE must not delete rows behind the guards against deletion.
            for pragma in (
                *("synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF"),
                "recursive_triggers = ON",
            ):
                connection.execute(f"PRAGMA {pragma}")
            if not writing:
                connection.execute("PRAGMA query_only = ON")
        return connection

    def _uri(self, path: Path) -> str:
        return f"file:{quote(str(path))}?mode={'ro' if self.read_only else 'rwc'}"


def _check_path(path: Path, *, read_only: bool) -> None:
    if path.is_dir():
        raise StoreUnavailable(f"{path} is a folder; name a file in it", where=str(path))
    if not path.parent.is_dir():
        raise StoreUnavailable(
            f"{path}: the folder {path.parent} does not exist; create it first", where=str(path)
        )
    if read_only and not path.exists():
        raise StoreUnavailable(f"{path}: no such file, and mode=ro makes none", where=str(path))


def _adapted(params: Params) -> Mapping[str, object]:
    if any(isinstance(value, list | tuple) for value in params.values()):
        return {
            name: json.dumps(value) if isinstance(value, list | tuple) else value
            for name, value in params.items()
        }
    return params
