"""The ports of the audit: the log as it is stored, and the rows derived from it.

An auditor trusts nothing, so these ports hand out what stands in the store without interpreting
it: a row that the rest of the program could not read must come through here unharmed.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

from governance_flow.application.ports.event_store import Head
from governance_flow.application.ports.projection import MotionChange

Progress = Callable[[int, int], None]
"""Told how much is done, and of how much, as often as something was."""


class StoredRow(NamedTuple):
    """A row of the log, read as it is. Text that is no UTF-8 holds its bytes as surrogates."""

    position: int
    stream_id: str
    version: int
    topic: str
    state: bytes
    committed_at_us: int


@dataclass(frozen=True, slots=True)
class LogEnds:
    """Where the log ends: by the head row (None if it is gone) and by its rows themselves."""

    head: Head | None
    last_position: int


class StreamCursor(NamedTuple):
    """Where a page of streams ended: the next one starts behind it."""

    stream_id: str
    version: int


class AuditLog(Protocol):
    """Reads the log in pages. Raises StoreError if the store cannot be read at all."""

    async def ends(self) -> LogEnds:
        """Return both ends of the log as of one moment."""
        ...

    async def by_position(
        self, *, after: int | None, up_to_position: int, limit: int
    ) -> list[StoredRow]:
        """Return a page in order of position; from the very first row if ``after`` is None."""
        ...

    async def by_stream(
        self, *, after: StreamCursor | None, up_to_position: int, limit: int
    ) -> list[StoredRow]:
        """Return a page in order of stream and version, of the rows up to a position."""
        ...

    async def position_at(self, committed_at_us: int) -> int:
        """Return the last position committed no later than that; 0 if none was."""
        ...

    async def committed_at_us(self, position: int) -> int | None:
        """Return when an event was committed; None if there is none at the position."""
        ...


class ReadModelFault(Protocol):
    """Where the read model differs from a replay. ``str`` of it says how."""

    @property
    def motion_id(self) -> UUID | None:
        """The motion; None for a counter."""
        ...


class ReadModelSnapshot(Protocol):
    """Counters of the read model, of one moment."""

    @property
    def position(self) -> int:
        """The position at which they stood."""
        ...


S = TypeVar("S", bound=ReadModelSnapshot)


class ReadModelCheck(Protocol[S]):
    """Compares the read model with a replay of the log."""

    async def snapshot(self) -> S:
        """Return where the read model stands now: the replay must end at that position.

        Raises StoreError while its parts stand at different positions: catch up first.
        """
        ...

    def verify(
        self, snapshot: S, replay: AsyncIterable[MotionChange]
    ) -> AsyncIterator[ReadModelFault]:
        """Yield every fault. ``replay`` gives each motion once, in order of id, from its start.

        One that cannot be read to its end has its ``poison`` set and ends before it.
        """
        ...


class OperationalRows(Protocol):
    """The rows that workers live on."""

    async def missing(self, motion_ids: Sequence[UUID]) -> list[UUID]:
        """Return those of the motions that have no assignment and no item on the agenda."""
        ...
