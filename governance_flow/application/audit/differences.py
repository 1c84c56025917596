"""What a comparison of two moments comes to: the pipeline's news, the counters, the motions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from governance_flow.application.audit.tally import Standing
from governance_flow.domain.states import ADMITTED_STATES, TERMINAL_STATES, GovernanceState

if TYPE_CHECKING:
    from datetime import datetime

    from governance_flow.application.audit.replay import Moment
    from governance_flow.application.summaries import MotionSummary
    from governance_flow.domain.events import Actor, PipelineEvent


@dataclass(frozen=True, slots=True)
class MotionDiff:
    """What happened to one motion in between; ``then`` is None if it was not there yet.

    ``path`` is every state it stood in, the first one then, in order. ``actors`` are those who
    acted, in order of their first act, the orchestrator left out.
    """

    motion_id: UUID
    first_position: int
    events: int
    then: MotionSummary | None
    now: MotionSummary
    path: tuple[GovernanceState, ...]
    actors: tuple[Actor, ...]
    completions: int
    failures: int
    errors: int
    violations: int
    amended: bool

    @property
    def is_new(self) -> bool:
        """Whether it was introduced in between."""
        return self.then is None

    @property
    def finished(self) -> bool:
        """Whether it came to its end in between."""
        return self.now.state in TERMINAL_STATES


@dataclass(frozen=True, slots=True)
class PipelineNews:
    """An event of the pipeline's own, and its place in the log."""

    position: int
    committed_at: datetime
    event: PipelineEvent


@dataclass(slots=True)
class Diff:
    """What changed from one moment to another.

    ``standing_then`` and ``standing_now`` count every motion if ``complete``, otherwise only those
    that were touched: their difference is the same. ``motions`` are the first that changed, in
    the order in which they did, out of ``changed``.
    """

    then: Moment
    now: Moment
    complete: bool
    standing_then: Standing = field(default_factory=Standing)
    standing_now: Standing = field(default_factory=Standing)
    topics: Counter[str] = field(default_factory=Counter)
    completions: int = 0
    failures: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    violations: int = 0
    changed: int = 0
    introduced: int = 0
    finished: int = 0
    motions: list[MotionDiff] = field(default_factory=list)
    pipeline_events: list[PipelineNews] = field(default_factory=list)

    @property
    def events(self) -> int:
        """How many events lie in between."""
        return self.now.position - self.then.position

    def counters(self) -> dict[str, tuple[int, int]]:
        """Return each counter of a status, then and now, in the status's names."""
        then, now = _counters(self.standing_then), _counters(self.standing_now)
        return {name: (then[name], now[name]) for name in now}

    def by_state(self) -> dict[GovernanceState, tuple[int, int]]:
        """Return how many motions were and are in each state."""
        then, now = self.standing_then.by_state, self.standing_now.by_state
        return {state: (then[state], now[state]) for state in GovernanceState}

    def configuration(self) -> list[tuple[str, object, object]]:
        """Return each setting that is not what it was: its path, the value then, the value now.

        A setting that was or is not there is None.
        """
        then, now = (_settings(moment) for moment in (self.then, self.now))
        return [
            (path, then.get(path), now.get(path))
            for path in sorted({*then, *now})
            if then.get(path) != now.get(path)
        ]


def _counters(standing: Standing) -> dict[str, int]:
    by_state = standing.by_state
    return {
        "active_motions": sum(n for s, n in by_state.items() if s not in TERMINAL_STATES),
        "finished_motions": sum(n for s, n in by_state.items() if s in TERMINAL_STATES),
        "blocked_motions": standing.blocked,
        "waiting_motions": standing.waiting,
        "admitted": sum(n for s, n in by_state.items() if s in ADMITTED_STATES),
    }


def _settings(moment: Moment) -> dict[str, object]:
    """Return the settings in force by path: ``branches.duke_service.kind``."""
    pipeline = moment.pipeline
    found: dict[str, object] = {}
    left: list[tuple[str, object]] = [
        ("", (pipeline.configurations or {}).get(pipeline.configuration or "", {}))
    ]
    while left:
        path, value = left.pop()
        if isinstance(value, Mapping):
            left += [(f"{path}.{key}" if path else str(key), each) for key, each in value.items()]
        else:
            found[path] = value
    return found
