"""What the design's tables say of a motion, and its words, written down a second time.

Nothing here comes from the program: states, services and purposes are words, times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Line = tuple[Any, ...]
"""One thing that was recorded, or that must be: its kind, and what matters of it."""

HOUR = 3600.0
INTRODUCER = "ada"

WORK = {
    "DELIBERATING": ("deliberate", 168 * HOUR),
    "PLANNING": ("plan", 72 * HOUR),
    "EXECUTING": ("execute", 168 * HOUR),
    "JUDGING": ("judge", 48 * HOUR),
    "WITNESSING": ("record", 24 * HOUR),
}
"""What the owner of a state does there, and for how long it may."""

WORKER = {
    "revise": ("king", "king_service"),
    "deliberate": ("conclave", "conclave_service"),
    "plan": ("president", "president_service"),
    "execute": ("duke", "duke_service"),
    "judge": ("prince", "prince_service"),
    "record": ("knight", "knight_witness_service"),
    "acknowledge": ("conclave", "conclave_service"),
    "review": ("conclave", "conclave_service"),
}

ONWARD = {
    "INTRODUCED": {"DELIBERATING"},
    "DELIBERATING": {"RATIFIED", "REJECTED", "TABLED"},
    "RATIFIED": {"PLANNING"},
    "PLANNING": {"EXECUTING"},
    "EXECUTING": {"JUDGING"},
    "JUDGING": {"WITNESSING"},
    "WITNESSING": {"ACKNOWLEDGED"},
    "TABLED": {"DELIBERATING"},
}
DONE = {"plan": "EXECUTING", "execute": "JUDGING", "judge": "WITNESSING"}
"""Where a motion goes once that is done."""

BACK = {
    "DELIBERATING": "INTRODUCED",
    "PLANNING": "DELIBERATING",
    "EXECUTING": "PLANNING",
    "JUDGING": "EXECUTING",
    "WITNESSING": "JUDGING",
}
STEPS = ["revise", "deliberate", "plan", "execute", "judge", "record", "acknowledge"]
TERMINAL = {"ACKNOWLEDGED", "REJECTED", "WITHDRAWN"}
ADMITTED = {"DELIBERATING", "RATIFIED", "PLANNING", "EXECUTING", "JUDGING", "WITNESSING"}

STRATEGIES = {
    "validation_error": "return_to_previous",
    "permission_error": "conclave_review",
    "compliance_error": "conclave_review",
    "timeout_error": "retry_with_backoff",
}
HALT = "halt_and_alert"
BACKOFF = (5.0, 30.0, 300.0)
GRACE = 300.0
"""What a retry gets whose deadline has passed already."""

RETURNS = 2
"""How often a motion is returned out of one state before that becomes a review."""

ASKED_AGAIN = 2
"""How often a review that was answered with no decision is asked again."""

BREAKER = (5, 600.0)
"""So many system errors within so many seconds halt the pipeline."""

CAPACITY = 1

RESUME = {"decision": "resume"}
NO_TITLE = {"title": ""}
NEVER = -1.0
"""A date that is none."""

RULERS = {"king", "president", "duke", "earl", "prince"}


def excludes(one: str, other: str) -> bool:
    """Whether nobody may act for both branches on one motion."""
    if one == other or {one, other} == {"duke", "earl"}:
        return False
    return "knight" in (one, other) or {one, other} <= RULERS


class Refusal(Exception):
    """What was asked is not allowed; ``kind`` says in which way."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass
class Glass:
    """Time that runs down; None: it never does."""

    left: float | None


@dataclass(frozen=True)
class Routing:
    """Who was asked, for what, for which time, and by when."""

    number: int
    purpose: str
    attempt: int
    not_before: float | None
    deadline: float | None
    glass: Glass

    @property
    def branch(self) -> str:
        return WORKER[self.purpose][0]

    @property
    def service(self) -> str:
        return WORKER[self.purpose][1]


@dataclass(frozen=True)
class Report:
    """What somebody reports of a routing, by its number (None: one that never was)."""

    number: int | None
    branch: str
    success: bool = True
    next_state: str | None = None
    output: dict[str, Any] = field(default_factory=dict)
    error_type: str | None = None
    actor: str | None = None


@dataclass(frozen=True)
class Unapplied:
    """What was recorded and has not been applied: a report, or a violation by the holder."""

    routing: Routing
    report: Report
    violation: str | None = None


class Interrupted(Exception):
    """The Knight did not witness: nothing that should have followed does."""
