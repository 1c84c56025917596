"""The port to the database below the event store, for rows that change with the events.

Storage code is synchronous: it runs inside one transaction, in the thread (or, for the memory
store, in the place) that the database chooses. Projections and assignments are written to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, TypeVar

T = TypeVar("T")

Dialect = Literal["sqlite", "postgres"]
Row = tuple[Any, ...]


class Transaction(Protocol):
    """One open transaction. Statements take named parameters; ids are passed as ``str``."""

    @property
    def dialect(self) -> Dialect:
        """Which SQL the statements must be written in."""
        ...

    def now_us(self) -> int:
        """Return the store's clock in microseconds UTC, the same for the whole transaction."""
        ...

    def execute(self, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
        """Run one statement and return its rows (empty if it returns none)."""
        ...

    def execute_many(self, sql: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Run one statement once for each mapping of parameters."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo everything done inside the block if it raises, and let the error through."""
        ...


class Database(Protocol):
    """Runs units of work in transactions. Every method raises StoreError if it cannot."""

    @property
    def dialect(self) -> Dialect:
        """Which SQL this database speaks."""
        ...

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Commit what ``work`` does, or roll it all back and raise.

        ``work`` may be called again when the first try provably did not commit.
        """
        ...

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` on one snapshot of the database."""
        ...

    async def read_briefly(self, work: Callable[[Transaction], T]) -> T:
        """Do as ``read`` does, for ``work`` that is over within a millisecond or two.

        Where that is quicker it runs in the caller's place, and everything else waits meanwhile.
        """
        ...
