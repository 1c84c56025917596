"""The port that projections implement: rows derived from events, in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from governance_flow.application.ports.database import Transaction
from governance_flow.application.ports.event_store import CommittedEvent
from governance_flow.domain.events import MotionEvent, PipelineEvent
from governance_flow.domain.motion import Motion
from governance_flow.domain.pipeline import Pipeline

E = TypeVar("E")


class Recorded(NamedTuple, Generic[E]):
    """A decoded event and where it stands in the log."""

    event: E
    stored: CommittedEvent


@dataclass(frozen=True, slots=True)
class MotionChange:
    """What a batch did to one motion: the motion before and after, and its new events.

    ``poison`` names the event that could not be read or folded; ``after`` is the motion as it
    stood before that event (None if it was the first), and what follows it is left out.
    """

    motion_id: UUID
    before: Motion | None
    after: Motion | None
    events: tuple[Recorded[MotionEvent], ...]
    poison: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A run of events, folded once for every projection. Ends at ``position``."""

    position: int
    committed_at_us: int
    motions: Sequence[MotionChange]
    pipeline_events: Sequence[Recorded[PipelineEvent]]
    pipeline: Pipeline
    """The pipeline as it stands after the batch."""
    log: Sequence[CommittedEvent] = ()
    """All the events of the batch as they are stored, in order of position."""


class Projection(Protocol):
    """Turns events into rows. ``generation`` tells apart the live rows and those of a rebuild."""

    @property
    def name(self) -> str:
        """The projection's name, under which its position is kept."""
        ...

    @property
    def by_motion(self) -> bool:
        """Whether it can go on without a motion that went wrong.

        If not, no motion is ever left out for it: it stops where it fails.
        """
        ...

    @property
    def layout(self) -> int:
        """The number of what its rows look like and mean, raised by one with every change.

        A store whose rows are of an older one has them built anew when it is opened.
        """
        ...

    def create(self, tx: Transaction, generation: int) -> None:
        """Make the tables of a generation if they are not there."""
        ...

    def drop(self, tx: Transaction, generation: int) -> None:
        """Drop the tables of a generation."""
        ...

    def apply(self, tx: Transaction, batch: Batch, generation: int) -> None:
        """Write what the batch changes. The runner keeps the position in the same transaction."""
        ...


class Follower(Protocol):
    """Applies the store's events, in order and in batches, to every projection."""

    @property
    def position(self) -> int:
        """Up to where every projection has applied the events, as far as is known here."""
        ...

    async def run_once(self, limit: int = 500) -> bool:
        """Apply at most ``limit`` events; returns whether there were any to apply."""
        ...

    async def catch_up(self, position: int) -> None:
        """Return once every projection has applied all events up to ``position``."""
        ...
