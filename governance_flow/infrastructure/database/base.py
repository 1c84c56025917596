"""What both databases share: transactions in threads, and retries that can do no harm."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from governance_flow.application.ports.clock import Clock
from governance_flow.application.ports.database import Dialect, Row, Transaction
from governance_flow.domain.errors import StoreUnavailable
from governance_flow.infrastructure.database.errors import ConnectionLost, TransactionContended
from governance_flow.infrastructure.database.hints import Channel, Hints
from governance_flow.infrastructure.database.pool import Pool

T = TypeVar("T")
C = TypeVar("C")

Params = Mapping[str, object]
Statement = tuple[str, Params]

ATTEMPTS_MAX = 4
"""How often a transaction that certainly did not commit is tried before its error is raised."""


class Mode(Enum):
    """What a transaction is for."""

    WRITE = auto()
    """Everything it does is committed, or nothing."""
    READ = auto()
    """All of it sees one snapshot; it can write nothing."""
    STATEMENT = auto()
    """It reads with a single statement, which is a snapshot of its own: no BEGIN is needed."""


class StoreTransaction(ABC, Transaction):
    """One transaction on one connection, with what storage code needs beyond the port."""

    def __init__(self, mode: Mode) -> None:
        self.announced: dict[Channel, int | None] = {}
        self._mode = mode
        self._statements = 0
        self._savepoints = 0

    def announce(self, channel: Channel, number: int | None = None) -> None:
        """Publish a hint, here and to other processes, once this is committed."""
        self.announced[channel] = number

    @abstractmethod
    def execute_batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run the statements in order, in as few round trips as the database allows."""

    @abstractmethod
    def at_commit(self, sql: str, params: Params) -> None:
        """Run a statement whose result nobody needs, no later than with COMMIT."""

    @abstractmethod
    def commit(self) -> None:
        """Make everything durable. Raises CommitOutcomeUnknown if the answer was lost."""

    @abstractmethod
    def rollback(self) -> None:
        """Undo everything. Never raises: a connection it fails on is not used again."""

    def _count_statement(self) -> None:
        """Note that a statement is run; each subclass does so before it runs one."""
        self._statements += 1
        if self._mode is Mode.STATEMENT and self._statements > 1:
            raise RuntimeError("two statements see two snapshots; use read, not read_once")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo everything done inside the block if it raises, and let the error through."""
        self._savepoints += 1
        name = f"savepoint_{self._savepoints}"
        self.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            self.execute(f"ROLLBACK TO SAVEPOINT {name}")
            self.execute(f"RELEASE SAVEPOINT {name}")
            raise
        self.execute(f"RELEASE SAVEPOINT {name}")


class SqlDatabase(ABC, Generic[C]):
    """A database, its connections, and the threads in which its synchronous code runs.

    ``threads`` is how many transactions may run at once for asynchronous callers, (writing,
    reading); None runs everything in the caller's place, so that nothing is concurrent.
    ``where`` names the database to a person; it holds no password.
    """

    dialect: Dialect
    clock: Clock
    """The store's time, by which everything is decided."""

    def __init__(
        self, *, where: str, writers: Pool[C], readers: Pool[C], threads: tuple[int, int] | None
    ) -> None:
        self.where = where
        self.hints = Hints()
        self._writers = writers
        self._readers = readers
        self._write_threads = threads and ThreadPoolExecutor(threads[0], "store-write")
        self._read_threads = threads and ThreadPoolExecutor(threads[1], "store-read")

    @property
    def inline(self) -> bool:
        """Whether work runs in the caller's place, without threads."""
        return self._write_threads is None

    async def write(self, work: Callable[[StoreTransaction], T]) -> T:
        """Commit what ``work`` does, or roll it all back and raise.

        ``work`` is called again when the first try provably did not commit. Cancelling the
        caller does not cancel a transaction that has begun.
        """
        return await self.in_write_thread(lambda: self.write_now(work))

    async def read(self, work: Callable[[StoreTransaction], T]) -> T:
        """Run ``work`` on one snapshot of the database."""
        return await self._run(self._read_threads, lambda: self.read_now(work))

    async def read_briefly(self, work: Callable[[StoreTransaction], T]) -> T:
        """Run ``work``, which is over within a millisecond or two, on one snapshot."""
        return await self.read(work)

    async def read_once(self, work: Callable[[StoreTransaction], T]) -> T:
        """Run ``work``, which executes a single statement: one round trip instead of three."""
        return await self._run(self._read_threads, lambda: self.read_once_now(work))

    async def read_row(self, work: Callable[[StoreTransaction], T]) -> T:
        """Run ``work``, which looks up a row by its key with a single statement: nothing larger."""
        return await self.read_once(work)

    async def in_write_thread(self, call: Callable[[], T]) -> T:
        """Call something that writes with ``write_now`` where it does not block the event loop."""
        return await self._run(self._write_threads, call)

    async def close(self) -> None:
        """Finish the transactions under way, then close every connection. May be repeated."""
        if self.inline:
            self.close_now()
        else:
            await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """Do as ``close`` does, in the calling thread."""
        for threads in (self._write_threads, self._read_threads):
            if threads is not None:
                threads.shutdown()
        self._writers.close()
        self._readers.close()

    def write_now(self, work: Callable[[StoreTransaction], T]) -> T:
        """Do as ``write`` does, in the calling thread."""
        return self._retried(self._writers, lambda: self._write(work))

    def read_now(self, work: Callable[[StoreTransaction], T]) -> T:
        """Do as ``read`` does, in the calling thread."""
        return self._retried(self._readers, lambda: self._read(self._readers, work, Mode.READ))

    def read_once_now(self, work: Callable[[StoreTransaction], T]) -> T:
        """Do as ``read_once`` does, in the calling thread."""
        return self._retried(self._readers, lambda: self._read(self._readers, work, Mode.STATEMENT))

    @abstractmethod
    def _begin(self, connection: C, mode: Mode) -> StoreTransaction:
        """Begin a transaction."""

    def start_listening(self) -> None:
        """Feed ``hints`` from other processes too, if the database can. May be repeated."""

    def _write(self, work: Callable[[StoreTransaction], T]) -> T:
        with self._writers.borrow() as connection:
            transaction = self._begin(connection, Mode.WRITE)
            try:
                result = work(transaction)
                transaction.commit()
            except BaseException:
                transaction.rollback()
                raise
        for channel, number in transaction.announced.items():
            self.hints.publish(channel, number)
        return result

    def _read(self, pool: Pool[C], work: Callable[[StoreTransaction], T], mode: Mode) -> T:
        with pool.borrow() as connection:
            transaction = self._begin(connection, mode)
            try:
                return work(transaction)
            finally:
                transaction.rollback()

    def _retried(self, pool: Pool[C], attempt: Callable[[], T]) -> T:
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return attempt()
            except ConnectionLost:
                pool.discard_idle()
            except TransactionContended:
                pass
        return attempt()

    def _start_writing(self, call: Callable[[], None]) -> None:
        """Start a call in a write thread; whoever starts it sees to it that it tells somebody."""
        if self._write_threads is None:  # pragma: no cover - inline, nothing is started
            raise AssertionError(call)
        with _closing_is_told():
            self._write_threads.submit(call)

    @staticmethod
    async def _run(threads: ThreadPoolExecutor | None, call: Callable[[], T]) -> T:
        if threads is None:
            return call()
        with _closing_is_told():
            result = asyncio.get_running_loop().run_in_executor(threads, call)
        return await result


@contextmanager
def _closing_is_told() -> Iterator[None]:
    """Say what it means that a pool of threads takes no more calls."""
    try:
        yield
    except RuntimeError as error:
        raise StoreUnavailable("the store was closed; open it again to use it") from error


AnyDatabase = SqlDatabase[Any]
