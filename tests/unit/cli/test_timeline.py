"""Every kind of event is told in words: what happened, who did it, and why."""

from __future__ import annotations

from typing import Any, get_args
from uuid import UUID

import pytest

from governance_flow.application.ports.event_store import CommittedEvent
from governance_flow.cli.timeline import Entry, read_timeline, what_and_why
from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.escalation import (
    ErrorEscalationStrategy,
    Resolution,
    Severity,
    ViolationKind,
)
from governance_flow.domain.events import (
    SYSTEM,
    Actor,
    Authentication,
    Ballot,
    BranchCompleted,
    Cause,
    EscalationResolved,
    MotionAmended,
    MotionEvent,
    MotionIntroduced,
    MotionRouted,
    OrchestratorError,
    TransitionWitnessed,
    ViolationWitnessed,
)
from governance_flow.domain.states import EdgeKind
from governance_flow.domain.states import GovernanceState as S
from governance_flow.infrastructure.mapper import JsonEventMapper
from tests.support.clock import START

ID = UUID("0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b")
ADA = Actor(id="Ada", authenticated_by=Authentication.ASSERTED)
E: dict[str, Any] = {"event_id": ID, "correlation_id": ID, "actor": ADA, "timestamp": START}
DUKE, EXECUTE = GovernanceBranch.DUKE, Purpose.EXECUTE

ROUTED = MotionRouted(
    **E,
    service="duke_service",
    branch=DUKE,
    purpose=EXECUTE,
    from_state=S.PLANNING,
    state=S.EXECUTING,
    attempt=2,
    not_before=START,
    deadline=START,
    findings=("no oak", "no steel"),
    configuration="d",
)
COMPLETED = BranchCompleted(
    **E,
    routing_id=ID,
    service="conclave_service",
    branch=GovernanceBranch.CONCLAVE,
    purpose=Purpose.DELIBERATE,
    success=True,
    output={"reason": "carried: 2 yes, 1 no"},
    next_state=S.RATIFIED,
)
FAILED = BranchCompleted(
    **E,
    routing_id=ID,
    service="duke_service",
    branch=DUKE,
    purpose=EXECUTE,
    success=False,
    error="RuntimeError: odd\n\nTraceback",
)

TOLD: list[tuple[MotionEvent, str, str]] = [
    (
        MotionIntroduced(
            **E, title="a", text="b", introduced_by="Ada", ballots={"Ada": Ballot.YES}
        ),
        "introduced",
        "1 ballot",
    ),
    (MotionAmended(**E, title="B", text="b"), "amended", "it is now 'B'"),
    (
        ROUTED,
        "routed to duke_service",
        (
            "to execute, attempt 2; not before 2026-01-01 12:00:00 UTC; "
            "by 2026-01-01 12:00 UTC; no oak; no steel"
        ),
    ),
    (COMPLETED, "conclave completed deliberate", "proposes RATIFIED; carried: 2 yes, 1 no"),
    (FAILED, "duke failed execute", "no error type given; RuntimeError: odd"),
    (
        TransitionWitnessed(
            **E,
            from_state=S.DELIBERATING,
            to_state=S.TABLED,
            cause=Cause(kind=EdgeKind.ADVANCE, reason="no quorum"),
            until=START,
            statement="{}",
        ),
        "DELIBERATING → TABLED",
        "no quorum; until 2026-01-01 12:00 UTC",
    ),
    (
        OrchestratorError(
            **E,
            error_type="timeout_error",
            message="no answer\nTraceback",
            branch=DUKE,
            purpose=EXECUTE,
            attempt=1,
            strategy=ErrorEscalationStrategy.RETRY_WITH_BACKOFF,
            action="tried again",
            retry_at=START,
        ),
        "timeout_error: retry_with_backoff",
        "no answer; tried again; again at 2026-01-01 12:00:00 UTC",
    ),
    (
        EscalationResolved(**E, error_id=ID, decision=Resolution.RETRY, notes="mended"),
        "decided: retry",
        "mended",
    ),
    (
        ViolationWitnessed(
            **E,
            kind=ViolationKind.COLLAPSED_ROLE,
            branch=DUKE,
            routing_id=ID,
            by_holder=True,
            attempted="completed",
            reason="Ada has acted for the king",
            severity=Severity.MAJOR,
        ),
        "violation refused: collapsed_role",
        "Ada has acted for the king",
    ),
]


@pytest.mark.parametrize(("event", "what", "why"), TOLD)
def test_an_event_is_told(event: MotionEvent, what: str, why: str) -> None:
    assert what_and_why(event) == (what, why)


def test_every_kind_of_event_is_told() -> None:
    assert {type(event) for event, _, _ in TOLD} == set(get_args(MotionEvent))


@pytest.mark.parametrize(
    ("actor", "who"),
    [
        (ADA, "Ada (asserted)"),
        (SYSTEM, "orchestrator"),
        (Actor(id="duke_service", authenticated_by=Authentication.SERVICE), "duke_service"),
        (Actor(id="Bo", authenticated_by=Authentication.SERVICE), "Bo (service)"),
        # A name that somebody typed stays one, whatever the name.
        (
            Actor(id="orchestrator", authenticated_by=Authentication.ASSERTED),
            "orchestrator (asserted)",
        ),
        (
            Actor(id="duke_service", authenticated_by=Authentication.ASSERTED),
            "duke_service (asserted)",
        ),
    ],
)
def test_who_did_it_and_how_we_know(actor: Actor, who: str) -> None:
    event = MotionAmended(**{**E, "actor": actor}, title="B", text="b")
    assert Entry(1, 1, START, event).who == who


def test_a_story_is_read_from_what_is_stored() -> None:
    mapper = JsonEventMapper()
    stored = mapper.to_stored(ID, 3, COMPLETED)
    row = CommittedEvent(ID, 3, stored.topic, stored.state, 17, 1_767_268_800_000_000)
    (entry,) = read_timeline([row], mapper)
    assert (entry.position, entry.version, entry.committed_at) == (17, 3, START)
    assert entry.event == COMPLETED
    damaged = CommittedEvent(ID, 3, stored.topic, b"{", 17, 1_767_268_800_000_000)
    with pytest.raises(CorruptStream):
        read_timeline([damaged], mapper)
