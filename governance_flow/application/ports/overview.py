"""What dashboards are shown of many motions at once: the board, the docket, series, findings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict
from pydantic.dataclasses import dataclass

from governance_flow.application.ports.flow_orchestrator import Lag, MotionPipelineState
from governance_flow.domain.states import GovernanceState

_CONFIG = ConfigDict(extra="forbid")

OVERDUE_COUNTED_MAX = 1_000
"""So many overdue motions are counted; of more than that it is only said that there are more."""


@dataclass(frozen=True, config=_CONFIG)
class MotionFilter:
    """Which motions a list shows: those of which everything that is asked for holds.

    They are listed in the order of the docket if ``waiting``, the one longest overdue first if
    ``overdue``, and in the order in which they were introduced otherwise.
    """

    state: GovernanceState | None = None
    blocked: bool | None = None
    active: bool | None = None
    """Those that have not ended, or those that have."""
    waiting: bool = False
    """Those for which only a place is wanting, as soon as there is one."""
    overdue: bool = False
    """Those whose deadline has passed. While the pipeline is halted, no deadline does."""
    waits_for_person: bool = False
    """Those that only a named person can help on: blocked, or to be taken up."""
    introduced_by: str | None = None
    """Those that were introduced under exactly this name."""


@dataclass(frozen=True, config=_CONFIG)
class OldestInState:
    """The motion that has been in a state for the longest."""

    motion_id: UUID
    title: str
    entered_state_at: AwareDatetime
    time_in_state: timedelta


@dataclass(frozen=True, config=_CONFIG)
class StateOnBoard:
    """The motions in one state.

    ``overdue`` counts among the motions that are longest overdue, of which the board counts a
    thousand at most. There is no ``oldest`` in a state in which motions have ended.
    """

    state: GovernanceState
    motions: int
    blocked: int
    overdue: int
    oldest: OldestInState | None


@dataclass(frozen=True, config=_CONFIG)
class Board:
    """Every state at a glance, in the order of the flow.

    If ``overdue_more``, there are more overdue motions than the thousand that were counted.
    """

    states: tuple[StateOnBoard, ...]
    overdue: int
    overdue_more: bool
    waits_for_person: int
    position: int
    lag: Lag
    as_of: datetime


@dataclass(frozen=True, config=_CONFIG)
class DocketPage:
    """Motions that wait for a place, those to be admitted first first; the next page's beginning.

    ``free_places`` says how many can be admitted now, if the pipeline is not ``halted``.
    """

    motions: tuple[MotionPipelineState, ...]
    next_after: str | None
    free_places: int
    halted: bool


@dataclass(frozen=True, config=_CONFIG)
class FoundMotions:
    """Motions that a search has found, the newest first, and where the next page begins.

    A page may hold fewer than were asked for, even none, though there is a next one: what a page
    costs is bounded, however common the words are.
    """

    motions: tuple[MotionPipelineState, ...]
    next_after: str | None
    complete: bool
    """Whether all words that begin with the last one asked for were looked up.

    If not, what was typed is the beginning of very many words: more of it finds the rest.
    """


@dataclass(frozen=True, config=_CONFIG)
class SeriesPoint:
    """What happened in one hour or one day that begins at ``start`` (UTC)."""

    start: AwareDatetime
    introduced: int
    completions: int
    failures: int
    finished: int


@dataclass(frozen=True, config=_CONFIG)
class StayInState:
    """How long motions have stayed in a state, of those that have left it."""

    mean_seconds: float
    left: int


@dataclass(frozen=True, config=_CONFIG)
class Series:
    """What happened over time, for charts; the oldest first, the last one still under way.

    A state that no motion has left in the time is not among those of ``stays`` (since the
    beginning of the log) or ``stays_lately`` (the hours of ``hours``).
    """

    hours: tuple[SeriesPoint, ...]
    days: tuple[SeriesPoint, ...]
    stays: Mapping[GovernanceState, StayInState]
    stays_lately: Mapping[GovernanceState, StayInState]
    as_of: datetime
