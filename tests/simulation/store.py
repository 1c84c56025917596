"""One store in memory that several simulated processes share, and the lines that lead to it.

The database is the product's own (SQLite, inline). A ``Line`` is one process's connection: slow,
interrupted at will before a transaction or after its commit, and silent once the process is dead.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

from governance_flow.application.ports.clock import Clock
from governance_flow.bootstrap import opening
from governance_flow.domain.errors import StoreUnavailable
from governance_flow.infrastructure.database.base import StoreTransaction
from governance_flow.infrastructure.database.hints import Channel, Hints
from governance_flow.infrastructure.database.migrations import migrate, migrations
from governance_flow.infrastructure.database.sqlite import SqliteDatabase
from tests.support.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Iterator


T = TypeVar("T")

SLOW_SECONDS_MAX = 0.2


class WatchedDatabase(SqliteDatabase):
    """Memory, with somebody looking at it after every commit."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(None, clock=clock)
        self.on_commit: Callable[[], None] = lambda: None
        self._connection: sqlite3.Connection
        self._changes = 0
        self.read_once_now(lambda tx: tx.execute("SELECT 1"))
        self._connection.deserialize(_empty_store())

    def write_now(self, work: Callable[[StoreTransaction], T]) -> T:
        """Commit what ``work`` does, and let the watcher look before anybody else can go on."""
        result = super().write_now(work)
        changes = self._connection.total_changes
        if changes != self._changes:
            self._changes = changes
            self.on_commit()
        return result

    def look_at(self, query: str, params: Mapping[str, object] | None = None) -> list[Any]:
        """Return rows as last committed, without the product's own way of reading them."""
        return self._connection.execute(query, params or {}).fetchall()

    def _connect(self, *, writing: bool, busy_seconds: float | None = None) -> sqlite3.Connection:
        # There is only one: what is in memory is gone with its connection.
        self._connection = super()._connect(writing=writing, busy_seconds=busy_seconds)
        return self._connection


@cache
def _empty_store() -> bytes:
    """Return a store nobody has used yet: its schema is made once, and not for every seed."""
    database = SqliteDatabase(None, clock=ManualClock())
    migrate(database, migrations(database.dialect))
    with database._writers.borrow() as connection:
        return bytes(connection.serialize())


class LossyHints(Hints):
    """Wake-up signals, some of which are lost: they are only ever hints."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self.loss = 0.0

    def publish(self, channel: Channel, number: int | None = None) -> None:
        """Wake whoever listens, or nobody."""
        if self.loss and self._random.random() < self.loss:
            return
        super().publish(channel, number)


@dataclass
class Faults:
    """How often things go wrong on the way to the store; all are chances between 0 and 1."""

    yields: float = 0.3
    """A call lets other tasks come in between, before it and after it."""
    slow: float = 0.0
    """A call takes some time as well."""
    cut_before: float = 0.0
    """The connection is lost before the transaction begins."""
    cut_after: float = 0.0
    """The connection is lost after the commit: its answer never comes."""


class Line:
    """A process's connection to the shared database: all of it that the product calls."""

    def __init__(self, database: WatchedDatabase, random: Random, faults: Faults) -> None:
        self._database = database
        self._random = random
        self.faults = faults
        self.dead = False
        self.die_at_call: int | None = None
        """The process dies at this one of its calls, counted down; None: not for now."""
        self.on_death: Callable[[], None] = lambda: None
        self.held_up_until = 0.0
        """By the loop's time: a process that does not run for a while does not call either."""

    def __getattr__(self, name: str) -> Any:
        """Return what is no call: the dialect, the hints, and so on."""
        return getattr(self._database, name)

    async def write(self, work: Callable[[StoreTransaction], T]) -> T:
        """Commit what ``work`` does."""
        return await self._call(lambda: self._database.write_now(work))

    async def read(self, work: Callable[[StoreTransaction], T]) -> T:
        """Run ``work`` on one snapshot."""
        return await self._call(lambda: self._database.read_now(work))

    async def read_briefly(self, work: Callable[[StoreTransaction], T]) -> T:
        """Run ``work``, which does not take long, on one snapshot."""
        return await self.read(work)

    async def read_once(self, work: Callable[[StoreTransaction], T]) -> T:
        """Run ``work``, which executes a single statement."""
        return await self._call(lambda: self._database.read_once_now(work))

    async def read_row(self, work: Callable[[StoreTransaction], T]) -> T:
        """Look up a row by its key."""
        return await self.read_once(work)

    async def in_write_thread(self, call: Callable[[], T]) -> T:
        """Call something that writes."""
        return await self._call(call)

    async def close(self) -> None:
        """Leave the database open: others use it."""

    async def _call(self, call: Callable[[], T]) -> T:
        await self._travel()
        die_before = die_after = False
        if self.die_at_call is not None:
            self.die_at_call -= 1
            if self.die_at_call <= 0:
                die_before = self._random.random() < 0.5
                die_after = not die_before
        if die_before:
            self.on_death()
        self._require_alive()
        if self._happens(self.faults.cut_before):
            raise StoreUnavailable("the connection was lost before the transaction began")
        result = call()
        if die_after:
            self.on_death()
        if self._happens(self.faults.cut_after):
            raise StoreUnavailable("the answer was lost", outcome_unknown=True)
        await self._travel()
        return result

    async def _travel(self) -> None:
        """Let others come in between, and time pass."""
        self._require_alive()
        loop = asyncio.get_running_loop()
        if self.held_up_until > loop.time():
            await asyncio.sleep(self.held_up_until - loop.time())
        elif self._happens(self.faults.slow):
            await asyncio.sleep(self._random.random() * SLOW_SECONDS_MAX)
        elif self._happens(self.faults.yields):
            await asyncio.sleep(0)
        else:
            return
        self._require_alive()

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance

    def _require_alive(self) -> None:
        if self.dead:
            raise StoreUnavailable("this process is dead", outcome_unknown=True)


LINE: ContextVar[Line] = ContextVar("line")
"""The line of the process that opens a pipeline now."""


@contextmanager
def shared_store() -> Iterator[None]:
    """Let ``open_flow`` find the shared database, whatever address it is given."""

    def open_database(_address: str, **_named: object) -> Line:
        return LINE.get()

    with mock.patch.object(opening, "open_database", open_database):
        yield
