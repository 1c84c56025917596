"""How the pipeline is doing, read from the store in one go, for whoever watches it from outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from governance_flow.application.ports.assignments import AssignmentCounts, AssignmentStore
    from governance_flow.application.ports.backlog import Backlog
    from governance_flow.application.ports.clock import Clock
    from governance_flow.application.ports.event_store import EventStore, Head
    from governance_flow.application.ports.read_model import (
        ActivityTotals,
        PipelineCounts,
        ReadModel,
    )

RECENT = timedelta(hours=24)
PARKED_MAX = 1000
"""Parked motions are counted up to here: beyond, the number tells nothing new."""


@dataclass(frozen=True, slots=True)
class HealthSnapshot:
    """What is worth watching. ``places`` is how many motions may be admitted at once.

    The head may be a moment newer than the counters, which say how far they are behind it.
    """

    head: Head
    places: int
    counts: PipelineCounts
    totals: ActivityTotals
    assignments: AssignmentCounts
    parked: int
    oldest_motion_age_seconds: float
    backlog: Backlog


class Health:
    """Takes snapshots. It never makes the read model catch up: a lag must be seen."""

    def __init__(
        self,
        store: EventStore,
        read_model: ReadModel,
        assignments: AssignmentStore,
        clock: Clock,
        places: int,
    ) -> None:
        self._store = store
        self._read_model = read_model
        self._assignments = assignments
        self._clock = clock
        self._places = places

    async def snapshot(self) -> HealthSnapshot:
        """Return how things stand now; raises StoreError if the store cannot be read."""
        now = self._clock.now()
        counts = await self._read_model.counts(since=now - RECENT)
        totals = await self._read_model.totals()
        parked = await self._read_model.parked(limit=PARKED_MAX)
        assignments = await self._assignments.counts()
        backlog = await self._assignments.backlog()
        oldest = counts.oldest_introduced_at
        age = now - oldest if oldest is not None else timedelta()
        return HealthSnapshot(
            head=await self._store.head(),
            places=self._places,
            counts=counts,
            totals=totals,
            assignments=assignments,
            parked=len(parked),
            oldest_motion_age_seconds=max(0.0, age.total_seconds()),
            backlog=backlog,
        )
