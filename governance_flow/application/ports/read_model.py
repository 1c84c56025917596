"""The port to the read model, which answers what no single stream can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from governance_flow.application.ports.overview import MotionFilter, Series
from governance_flow.application.summaries import MotionSummary
from governance_flow.domain.states import GovernanceState


@dataclass(frozen=True, slots=True)
class PipelineCounts:
    """The maintained counters, and the position up to which they have been maintained."""

    position: int
    behind_events: int
    behind_seconds: float
    by_state: Mapping[GovernanceState, int]
    blocked: int
    waiting: int
    oldest_introduced_at: datetime | None
    completions: int
    failures: int
    finished: int


@dataclass(frozen=True, slots=True)
class PipelineGlance:
    """The counters, the first motions that are not at their end, and the epoch of halts.

    All of one moment, and the epoch is the store's at that moment: a halt that the counters know
    of has changed it.
    """

    counts: PipelineCounts
    active: tuple[MotionSummary, ...]
    halt_epoch: int


@dataclass(frozen=True, slots=True)
class TimeInState:
    """How long motions have stayed in a state, added up over all that have left it."""

    seconds: float
    left: int


@dataclass(frozen=True, slots=True)
class ActivityTotals:
    """What has ever happened, for metrics. Labels come from closed sets.

    ``errors`` counts by error type ("other" for types that are not listed) and strategy,
    ``retries`` by service, ``violations`` by kind.
    """

    transitions: Mapping[tuple[GovernanceState, GovernanceState], int]
    errors: Mapping[tuple[str, str], int]
    retries: Mapping[str, int]
    violations: Mapping[str, int]
    time_in_state: Mapping[GovernanceState, TimeInState]


@dataclass(frozen=True, slots=True)
class ParkedMotion:
    """A motion that a projection has stopped following, at which event, and why."""

    projection: str
    motion_id: UUID
    position: int
    topic: str
    reason: str


Place = tuple[int, UUID]
"""Where a motion stands in a list: the time that is in order of, in microseconds, and its id."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Some motions of a list, and behind which place it goes on (None: it ends here)."""

    motions: tuple[MotionSummary, ...]
    next_after: Place | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Some motions that a search has found, and behind which place it goes on (None: that is all).

    ``complete`` says whether every word that begins with the last one asked for was looked up.
    """

    motions: tuple[MotionSummary, ...]
    next_after: Place | None
    complete: bool


@dataclass(frozen=True, slots=True)
class StateCounts:
    """How many motions are in a state, and which of them has been in it for the longest.

    ``oldest`` is None if nobody is in it, and for a state in which motions have ended.
    """

    motions: int
    blocked: int
    overdue: int
    oldest: MotionSummary | None


@dataclass(frozen=True, slots=True)
class BoardCounts:
    """The states side by side, and how far the rows had come. ``overdue`` may be too few."""

    position: int
    behind_events: int
    behind_seconds: float
    by_state: Mapping[GovernanceState, StateCounts]
    waits_for_person: int
    overdue: int
    overdue_more: bool
    """Whether there are more overdue motions than were counted."""


class ReadModel(Protocol):
    """Rows derived from the events, never ahead of them."""

    async def catch_up(self, position: int) -> None:
        """Return once every projection has applied all events up to ``position``.

        Whoever asks does the work if nobody else is doing it.
        """
        ...

    async def counts(self, *, since: datetime) -> PipelineCounts:
        """Return the counters; completions, failures and finished motions from ``since`` on."""
        ...

    async def glance(self, *, since: datetime, limit: int) -> PipelineGlance:
        """Return the counters, and the first ``limit`` active motions by their introduction."""
        ...

    async def motions(
        self,
        *,
        state: GovernanceState | None,
        blocked: bool | None,
        active: bool | None,
        limit: int,
        after: Place | None,
    ) -> list[MotionSummary]:
        """Return a page of motions ordered by when they were introduced, then by id.

        ``after`` is the introduction time in microseconds and the id of the last motion seen.
        """
        ...

    async def listed(
        self, wanted: MotionFilter, *, now: datetime, limit: int, after: Place | None
    ) -> Listing:
        """Return at most ``limit`` motions of the list that the filter makes.

        They may be fewer though the list goes on: where one condition is looked up and the others
        are common, only so many motions are looked at.
        """
        ...

    async def board(self, *, now: datetime) -> BoardCounts:
        """Return the motions of each state, and which of them are overdue at ``now``."""
        ...

    async def found(self, text: str, *, limit: int, before: Place | None) -> Finding:
        """Return at most ``limit`` motions that have all the words of a text, the newest first.

        The last word may be the beginning of one. The text may also be the id of a motion. They
        may be fewer though there are more: only so many motions are looked at.
        """
        ...

    async def series(self, *, now: datetime) -> Series:
        """Return what happened in the hours and days up to ``now``."""
        ...

    async def totals(self) -> ActivityTotals:
        """Return what has happened since the beginning of the log."""
        ...

    async def parked(self, *, limit: int) -> list[ParkedMotion]:
        """Return at most ``limit`` motions that a projection does not follow any more."""
        ...
