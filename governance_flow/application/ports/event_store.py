"""The port to the append-only event store: streams by version, everything by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol
from uuid import UUID

from eventsourcing.persistence import Notification, StoredEvent

from governance_flow.application.ports.assignments import WorkChange

if TYPE_CHECKING:
    from governance_flow.domain.events import MotionEvent
    from governance_flow.domain.motion import Motion


class Made(NamedTuple):
    """What an event of a motion was encoded from, and what is known of it besides.

    ``sha256`` is of the stored bytes, in hexadecimal: the chain of statements needed it first.
    ``motion`` is what the motion came to; only the last event of an append has it, because what is
    kept for long costs most, and whoever follows needs no more.
    """

    event: MotionEvent
    sha256: str
    motion: Motion | None = None


@dataclass(frozen=True)
class CommittedEvent(Notification):
    """A stored event with its global position (``id``) and the commit time the store stamped.

    ``committed_at_us`` is in microseconds UTC and never decreases with position.
    """

    committed_at_us: int
    made: Made | None = field(default=None, compare=False, repr=False)
    """Spares whoever follows in this process decoding and folding what was just written here.

    None for what was read from the store.
    """


@dataclass(frozen=True, slots=True)
class Head:
    """The one row every append locks: where the log ends and what the pipeline allows."""

    position: int
    committed_at_us: int
    halt_epoch: int
    halted: bool
    admitted: int


class HaltSwitch(StrEnum):
    """What an append to the pipeline's own stream does to the head's halt flag and epoch."""

    HALT = "halt"
    RESUME = "resume"
    RENEW = "renew"
    """Halted or not as before; but whatever was decided until now must be decided again."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A completion's claim on an assignment.

    With a token, the assignment must not have been leased under another one since. Without,
    it must not be leased at all. An assignment that is not there any more fences nothing: the
    stream itself says whether its routing is open.
    """

    routing_id: UUID
    lease_token: int | None


@dataclass(frozen=True, slots=True)
class Append:
    """One atomic append to one stream, with everything that must hold when it commits.

    ``expected_version`` is the stream's version the decision was made on (0: a new stream);
    ``events`` continue it without a gap. ``halt_epoch`` (if given) must still be the head's.
    A positive ``admitted_delta`` needs ``capacity``, the number of places there are; ``in_turn``
    says that besides nobody may wait in the docket for one. ``fence`` (if given) must still be
    allowed to complete its routing. ``work`` is what changes in the operational rows with it;
    ``made``, one for each event or none, is what the events were made from, for whoever follows in
    this process.
    """

    stream_id: UUID
    expected_version: int
    events: tuple[StoredEvent, ...]
    halt_epoch: int | None = None
    admitted_delta: int = 0
    capacity: int | None = None
    in_turn: bool = False
    halt_switch: HaltSwitch | None = None
    fence: Fence | None = None
    work: WorkChange | None = None
    made: tuple[Made, ...] = ()


class EventStore(Protocol):
    """Appends are durable when they return; reads see a gap-free order of positions."""

    async def append(self, append: Append) -> tuple[CommittedEvent, ...]:
        """Commit ``append`` or raise and leave no trace.

        Raises ConcurrencyConflict, HaltEpochMoved, CapacityReached or LeaseLost if a condition
        failed, StoreBusy if the queue stayed full, another StoreError if the store cannot be used.
        """
        ...

    async def read_stream(
        self, stream_id: UUID, *, after_version: int = 0, up_to_version: int | None = None
    ) -> list[CommittedEvent]:
        """Return the stream's events in order of version; empty for an unknown stream."""
        ...

    async def read_streams(self, stream_ids: Sequence[UUID]) -> list[CommittedEvent]:
        """Return the events of several streams, of each in order of version."""
        ...

    async def read_all(
        self,
        *,
        after_position: int,
        limit: int,
        up_to_position: int | None = None,
        topics: Sequence[str] = (),
    ) -> list[CommittedEvent]:
        """Return at most ``limit`` events of all streams in order of position.

        Fewer do not mean that there are no more; none at all does.
        """
        ...

    async def read_latest(
        self, topic: str, *, limit: int, before_position: int | None = None
    ) -> list[CommittedEvent]:
        """Return the newest events of one topic, newest first."""
        ...

    async def head(self) -> Head:
        """Return the head row as last committed."""
        ...

    async def wait_for_append(self, *, after_position: int, timeout_seconds: float) -> None:
        """Return once something may stand after the position, or the time is up: only a hint."""
        ...


__all__ = [
    "Append",
    "CommittedEvent",
    "EventStore",
    "Fence",
    "HaltSwitch",
    "Head",
    "StoredEvent",
]
