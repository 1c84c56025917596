"""Counting what a replay shows, to be compared with the counters or shown as a status."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from governance_flow.domain.events import (
    BranchCompleted,
    OrchestratorError,
    TransitionWitnessed,
)
from governance_flow.domain.states import TERMINAL_STATES, GovernanceState

if TYPE_CHECKING:
    from datetime import datetime

    from governance_flow.application.summaries import MotionSummary
    from governance_flow.domain.events import MotionEvent


@dataclass(slots=True)
class Standing:
    """Where motions stand. ``oldest`` is when the oldest of the live ones was introduced."""

    by_state: Counter[GovernanceState] = field(default_factory=Counter)
    blocked: int = 0
    waiting: int = 0
    oldest: datetime | None = None

    def add(self, summary: MotionSummary) -> None:
        """Count a motion."""
        self.by_state[summary.state] += 1
        self.blocked += summary.blocked
        self.waiting += summary.waiting
        if summary.state not in TERMINAL_STATES:
            introduced = summary.introduced_at
            self.oldest = min(self.oldest or introduced, introduced)


@dataclass(slots=True)
class Recent:
    """What happened from a time on, by the timestamps of the events themselves."""

    since: datetime
    completions: int = 0
    failures: int = 0
    finished: int = 0

    def add(self, event: MotionEvent) -> None:
        """Count an event, if it is recent and of a kind that counts."""
        if event.timestamp < self.since:
            return
        match event:
            case BranchCompleted(success=True):
                self.completions += 1
            case OrchestratorError():
                self.failures += 1
            case TransitionWitnessed(to_state=state) if state in TERMINAL_STATES:
                self.finished += 1
            case _:
                pass
