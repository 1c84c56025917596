"""A motion's summary as a row, and back again, without loss."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from governance_flow.application.ports.flow_orchestrator import ActionKind
from governance_flow.application.summaries import MotionSummary
from governance_flow.application.times import from_us, to_us
from governance_flow.domain.states import GovernanceState, is_terminal

if TYPE_CHECKING:
    from datetime import datetime

    from governance_flow.application.ports.database import Row

COLUMNS = (
    "motion_id",
    "version",
    "introduced_at_us",
    "state",
    "entered_state_at_us",
    "active",
    "blocked",
    "waiting",
    "routed_at_us",
    "deadline_us",
    "shown",
)
"""What ``row_of`` gives, in the order of the table."""


def row_of(summary: MotionSummary) -> dict[str, Any]:
    """Return the columns of a summary. Whether it is parked stands in the registry."""
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
        "routed_at_us": _us(summary.routed_at),
        "deadline_us": _us(summary.deadline),
        "shown": shown,
    }


def summary_of(row: Row, parked: str | None = None) -> MotionSummary:
    """Return the summary in a row as the queries select it."""
    (
        motion_id,
        version,
        introduced_at_us,
        state,
        entered_state_at_us,
        blocked,
        waiting,
        routed_at_us,
        deadline_us,
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
        routed_at=_moment(routed_at_us),
        deadline=_moment(deadline_us),
        action_kind=ActionKind(told["action_kind"]),
        action_who=told["action_who"],
        action_what=told["action_what"],
        action_by=_moment(told["action_by_us"]),
        blocking_issues=tuple(told["blocking_issues"]),
        last_error=told["last_error"],
        parked=parked,
    )


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def _moment(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)
