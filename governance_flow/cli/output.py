"""The JSON that commands print with ``--json``: names and shapes that programs can rely on.

Times are ISO 8601 in UTC; lengths of time are seconds, and their names end in ``_seconds``. Keys
are only ever added. One value a command, indented; ``audit export`` prints one object a line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    CompletionOutcome,
)
from governance_flow.application.times import from_us

if TYPE_CHECKING:
    from governance_flow.application.ports.assignments import LeasedAssignment
    from governance_flow.application.ports.flow_orchestrator import (
        ActionNeeded,
        MotionPage,
        MotionPipelineState,
        PipelineStatus,
    )
    from governance_flow.cli.timeline import Entry

_ASSIGNMENT = TypeAdapter(BranchAssignment)
_OUTCOME = TypeAdapter(CompletionOutcome)


def print_json(value: object) -> None:
    """Print a value to stdout, in ASCII if stdout cannot show everything."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    text = json.dumps(value, indent=2, ensure_ascii=encoding != "utf8", allow_nan=False)
    sys.stdout.write(text + "\n")


def time_json(moment: datetime | None) -> str | None:
    """Return a time in ISO 8601, UTC."""
    return None if moment is None else moment.astimezone(UTC).isoformat()


def motion_json(motion: MotionPipelineState) -> dict[str, Any]:
    """Return where one motion stands."""
    return {
        "motion_id": str(motion.motion_id),
        "title": motion.title,
        "reference": motion.reference,
        "introduced_by": motion.introduced_by,
        "introduced_at": time_json(motion.introduced_at),
        "current_state": motion.current_state.value,
        "entered_state_at": time_json(motion.entered_state_at),
        "time_in_state_seconds": motion.time_in_state.total_seconds(),
        "expected_completion": time_json(motion.expected_completion),
        "blocking_issues": list(motion.blocking_issues),
        "next_action": _action_json(motion.next_action),
        "owner": motion.owner,
        "attempt": motion.attempt,
        "last_error": motion.last_error,
        "version": motion.version,
        "parked": motion.parked,
    }


def _action_json(action: ActionNeeded | None) -> dict[str, Any] | None:
    if action is None:
        return None
    return {
        "kind": action.kind.value,
        "who": action.who,
        "what": action.what,
        "by": time_json(action.by),
    }


def page_json(page: MotionPage) -> dict[str, Any]:
    """Return a page of motions, and where the next one begins."""
    return {
        "motions": [motion_json(motion) for motion in page.motions],
        "next_after": page.next_after,
    }


def status_json(status: PipelineStatus) -> dict[str, Any]:
    """Return the pipeline at a glance."""
    return {
        "as_of": time_json(status.as_of),
        "halted": status.halted,
        "halt_reason": status.halt_reason,
        "halted_since": time_json(status.halted_since),
        "active_motions": status.active_motions,
        "motions_by_state": {
            state.value: count for state, count in status.motions_by_state.items()
        },
        "blocked_motions": status.blocked_motions,
        "waiting_motions": status.waiting_motions,
        "admitted": status.admitted,
        "free_places": status.free_places,
        "oldest_motion_age_seconds": status.oldest_motion_age.total_seconds(),
        "recent_completions": status.recent_completions,
        "recent_failures": status.recent_failures,
        "finished_recently": status.finished_recently,
        "position": status.position,
        "lag": {"events": status.lag.events, "seconds": status.lag.seconds},
        "active": [motion_json(motion) for motion in status.active],
    }


def timeline_json(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return a motion's events, whole, each with its place in the log."""
    return [
        {
            "position": entry.position,
            "version": entry.version,
            "committed_at": time_json(entry.committed_at),
            "topic": entry.event.topic,
            "event": entry.event.model_dump(mode="json"),
        }
        for entry in entries
    ]


def assignment_json(assignment: BranchAssignment) -> dict[str, Any]:
    """Return an assignment with all that its branch needs to know."""
    return dict(_ASSIGNMENT.dump_python(assignment, mode="json"))


def open_assignment_json(row: LeasedAssignment) -> dict[str, Any]:
    """Return an assignment that is open, and who holds it."""
    lease = row.lease
    return {
        "routing_id": str(row.routing_id),
        "motion_id": str(row.motion_id),
        "service": row.service,
        "state": row.state,
        "purpose": row.purpose,
        "attempt": row.attempt,
        "not_before": time_json(from_us(row.not_before_us)),
        "deadline": None if row.deadline_us is None else time_json(from_us(row.deadline_us)),
        "opened_at": time_json(from_us(row.opened_at_us)),
        "lease": None
        if lease.owner is None
        else {
            "owner": lease.owner,
            "expires_at": None
            if lease.expires_at_us is None
            else time_json(from_us(lease.expires_at_us)),
            "losses": lease.losses,
        },
    }


def outcome_json(outcome: CompletionOutcome) -> dict[str, Any]:
    """Return what became of a completion."""
    return dict(_OUTCOME.dump_python(outcome, mode="json"))


def counted(items: Mapping[str, int]) -> str:
    """Return counts in one line, the zeros left out."""
    return ", ".join(f"{count:,} {name}" for name, count in items.items() if count)
