"""A motion's summary as a row, and back again, without loss.

The deadline is kept as the routing set it, with the times at which it stood still for the motion
alone. Those at which it stood still for all motions, the halts, are added when the row is read.
Beside it stands when it passes in running time, which no halt moves: motions are found by that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from governance_flow.application.ports.flow_orchestrator import ActionKind
from governance_flow.application.summaries import MotionSummary, time_stood_still
from governance_flow.application.times import from_us, to_us
from governance_flow.domain.pipeline import Interval, time_paused
from governance_flow.domain.states import GovernanceState, is_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from governance_flow.application.ports.database import Row
    from governance_flow.domain.motion import Motion

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
"""Before anything happened."""

Span = tuple[int, int]
"""From when to when, in microseconds."""

COLUMNS = (
    "motion_id",
    "version",
    "introduced_at_us",
    "state",
    "entered_state_at_us",
    "active",
    "blocked",
    "waiting",
    "for_person",
    "docketed_at_us",
    "runs_out_us",
    "introducer",
    "shown",
)
"""What ``row_of`` gives, in the order of the table."""

FOUND_BY = frozenset({"active", "for_person", "docketed_at_us", "runs_out_us", "introducer"})
"""What motions are found by and nothing is shown of: no query selects it as part of a row."""

IN_DOCKET = frozenset({ActionKind.PLACE, ActionKind.DATE})
"""What a motion waits for when it has its turn in the docket, now or once its date has come."""

FOR_PERSON = frozenset({ActionKind.PERSON, ActionKind.TAKING_UP})
"""What a motion waits for when only a named person can help it on."""

INTRODUCER_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class Halts:
    """The halts of the pipeline that can have moved a deadline; the last may be under way."""

    intervals: tuple[Interval, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Halts:
        """Return the halts in rows of (start, end), in order."""
        return cls(tuple(Interval(from_us(start), _moment(end)) for start, end in rows))

    @property
    def under_way_since(self) -> datetime | None:
        """When the present halt began; None while the pipeline runs."""
        last = self.intervals[-1] if self.intervals else None
        return last.start if last is not None and last.end is None else None


def row_of(
    summary: MotionSummary, motion: Motion, halts: Sequence[Interval] = ()
) -> dict[str, Any]:
    """Return the columns of a motion's summary. Whether it is parked stands in the registry.

    ``halts`` are those of the pipeline.
    """
    # JSON, in ASCII: whatever characters a branch reported, every database takes them.
    shown = json.dumps(
        {
            "title": summary.title,
            "reference": summary.reference,
            "introduced_by": summary.introduced_by,
            "owner": summary.owner,
            "attempt": summary.attempt,
            "action_kind": summary.action_kind,
            "action_who": summary.action_who,
            "action_what": summary.action_what,
            "action_by_us": _us(summary.action_by),
            "blocking_issues": summary.blocking_issues,
            "last_error": summary.last_error,
            "routed_at_us": _us(summary.routed_at),
            "deadline_us": _deadline_us(summary, motion),
            "pauses": _pauses(motion),
        }
    )
    return {
        "motion_id": str(summary.motion_id),
        "version": summary.version,
        "introduced_at_us": to_us(summary.introduced_at),
        "state": summary.state.value,
        "entered_state_at_us": to_us(summary.entered_state_at),
        "active": not is_terminal(summary.state),
        "blocked": summary.blocked,
        "waiting": summary.waiting,
        "for_person": summary.action_kind in FOR_PERSON,
        "docketed_at_us": _us(motion.docketed_at) if summary.action_kind in IN_DOCKET else None,
        "runs_out_us": _runs_out_us(summary, motion, halts),
        "introducer": introducer_key(summary.introduced_by),
        "shown": shown,
    }


def introducer_key(name: str) -> str:
    """Return what motions are found by whose introducer has this name.

    In ASCII, like everything that is shown, and bounded: an index takes no text of any length.
    """
    return json.dumps(name[:INTRODUCER_CHARACTERS_MAX])[1:-1]


def running_time_us(halts: Sequence[Interval], moment: datetime) -> int:
    """Return a time by a clock that stands still while the pipeline is halted."""
    return to_us(moment - time_paused(halts, BEGINNING, moment))


def routed_at_us(row: Row) -> int | None:
    """Return when the open routing of a row was made, if it has a deadline."""
    told = json.loads(row[-1])
    routed: int | None = told["routed_at_us"]
    return None if told["deadline_us"] is None else routed


def summary_of(row: Row, halts: Halts, parked: str | None = None) -> MotionSummary:
    """Return the summary in a row as the queries select it."""
    (
        motion_id,
        version,
        introduced_at_us,
        state,
        entered_state_at_us,
        blocked,
        waiting,
        shown,
    ) = row
    told = json.loads(shown)
    return MotionSummary(
        motion_id=UUID(motion_id),
        version=version,
        title=told["title"],
        reference=told["reference"],
        introduced_by=told["introduced_by"],
        introduced_at=from_us(introduced_at_us),
        state=GovernanceState(state),
        entered_state_at=from_us(entered_state_at_us),
        blocked=bool(blocked),
        waiting=bool(waiting),
        owner=told["owner"],
        attempt=told["attempt"],
        routed_at=_moment(told["routed_at_us"]),
        deadline=_deadline(told, halts),
        action_kind=ActionKind(told["action_kind"]),
        action_who=told["action_who"],
        action_what=told["action_what"],
        action_by=_moment(told["action_by_us"]),
        blocking_issues=tuple(told["blocking_issues"]),
        last_error=told["last_error"],
        parked=parked,
    )


def _runs_out_us(summary: MotionSummary, motion: Motion, halts: Sequence[Interval]) -> int | None:
    """Return when the deadline passes, in running time; None if there is none to be shown.

    No later halt changes it: all that counts of the halts lies before the routing, or within times
    at which the deadline stood still for the motion anyway.
    """
    deadline_us = _deadline_us(summary, motion)
    routed = motion.routing
    if deadline_us is None or routed is None:
        return None
    if not halts and not motion.pauses:
        return deadline_us
    since = routed.timestamp
    own = [Interval(from_us(start_us), from_us(end_us)) for start_us, end_us in _pauses(motion)]
    until = max((pause.end for pause in own if pause.end), default=since)
    alone = time_paused((*own, *halts), since, until) - time_paused(halts, since, until)
    lasts_us = deadline_us - to_us(since) + alone // timedelta(microseconds=1)
    return running_time_us(halts, since) + lasts_us


def _deadline_us(summary: MotionSummary, motion: Motion) -> int | None:
    """Return the deadline as it was set, if there is one to be shown."""
    if summary.deadline is None or motion.routing is None:
        return None
    return _us(motion.routing.deadline)


def _pauses(motion: Motion) -> list[Span]:
    """Return when the deadline stood still for the motion alone since it was routed."""
    if motion.routing is None:
        return []
    return [
        (to_us(pause.start), to_us(pause.end))
        for pause in motion.pauses
        if pause.end is not None and pause.end > motion.routing.timestamp
    ]


def _deadline(told: Mapping[str, Any], halts: Halts) -> datetime | None:
    """Return the deadline with all the time for which it stood still."""
    if told["deadline_us"] is None:
        return None
    own = [Interval(from_us(start_us), from_us(end_us)) for start_us, end_us in told["pauses"]]
    since = from_us(told["routed_at_us"])
    paused = time_stood_still((*own, *halts.intervals), since, halts.under_way_since)
    return from_us(told["deadline_us"]) + paused


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def _moment(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)
