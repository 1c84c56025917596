"""A motion's events as a story: what happened, who did it, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, assert_never, cast

from governance_flow.application.times import from_us
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.events import (
    SYSTEM,
    Authentication,
    BranchCompleted,
    EscalationResolved,
    MotionAmended,
    MotionEvent,
    MotionIntroduced,
    MotionRouted,
    OrchestratorError,
    TransitionWitnessed,
    ViolationWitnessed,
)

if TYPE_CHECKING:
    from governance_flow.application.ports.event_store import CommittedEvent
    from governance_flow.application.ports.mapper import EventMapper


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a motion, and its place in the log."""

    position: int
    version: int
    committed_at: datetime
    event: MotionEvent

    @property
    def who(self) -> str:
        """Who did it, and how we know; of the orchestrator and the services nobody wonders."""
        actor = self.event.actor
        itself = actor == SYSTEM or (
            actor.id in SERVICE_BRANCH and actor.authenticated_by is Authentication.SERVICE
        )
        return actor.id if itself else f"{actor.id} ({actor.authenticated_by})"


def read_timeline(stored: Iterable[CommittedEvent], mapper: EventMapper) -> list[Entry]:
    """Return the entries of a stream; raises CorruptStream for one that cannot be read."""
    return [
        Entry(
            position=item.id,
            version=item.originator_version,
            committed_at=from_us(item.committed_at_us),
            event=cast("MotionEvent", mapper.to_event(item)),
        )
        for item in stored
    ]


def what_and_why(event: MotionEvent) -> tuple[str, str]:
    """Return what happened, in a few words, and the reason, which may be empty."""
    match event:
        case MotionIntroduced():
            return "introduced", _ballots(len(event.ballots))
        case MotionAmended():
            return "amended", f"it is now {event.title!r}"
        case MotionRouted():
            return f"routed to {event.service}", _routed(event)
        case BranchCompleted(success=True):
            proposed = f"proposes {event.next_state}" if event.next_state else ""
            said = event.output.get("reason")
            return f"{event.branch} completed {event.purpose}", _both(proposed, said)
        case BranchCompleted():
            kind = event.error_type or "no error type given"
            return f"{event.branch} failed {event.purpose}", _both(kind, _first_line(event.error))
        case TransitionWitnessed():
            until = f"until {event.until:%Y-%m-%d %H:%M} UTC" if event.until else ""
            return f"{event.from_state} → {event.to_state}", _both(event.cause.reason, until)
        case OrchestratorError():
            retry = f"again at {event.retry_at:%Y-%m-%d %H:%M:%S} UTC" if event.retry_at else ""
            why = _both(_first_line(event.message), event.action, retry)
            return f"{event.error_type}: {event.strategy}", why
        case EscalationResolved():
            return f"decided: {event.decision}", event.notes
        case ViolationWitnessed():
            return f"violation refused: {event.kind}", event.reason
        case _:
            assert_never(event)


def _ballots(count: int) -> str:
    return {0: "", 1: "1 ballot"}.get(count, f"{count:,} ballots")


def _routed(event: MotionRouted) -> str:
    since = f"not before {event.not_before:%Y-%m-%d %H:%M:%S} UTC" if event.not_before else ""
    until = f"by {event.deadline:%Y-%m-%d %H:%M} UTC" if event.deadline else ""
    findings = "; ".join(event.findings)
    return _both(f"to {event.purpose}, attempt {event.attempt}", since, until, findings)


def _first_line(text: str | None) -> str:
    """Return an error without the traceback below it."""
    return (text or "").partition("\n")[0]


def _both(*parts: object) -> str:
    return "; ".join(str(part) for part in parts if part)
