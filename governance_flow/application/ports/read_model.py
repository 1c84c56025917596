"""The port to the read model, which answers what no single stream can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

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

    async def motions(
        self,
        *,
        state: GovernanceState | None,
        blocked: bool | None,
        active: bool | None,
        limit: int,
        after: tuple[int, UUID] | None,
    ) -> list[MotionSummary]:
        """Return a page of motions ordered by when they were introduced, then by id.

        ``after`` is the introduction time in microseconds and the id of the last motion seen.
        """
        ...

    async def totals(self) -> ActivityTotals:
        """Return what has happened since the beginning of the log."""
        ...

    async def parked(self, *, limit: int) -> list[ParkedMotion]:
        """Return at most ``limit`` motions that a projection does not follow any more."""
        ...
