"""The rules of the flow, written down a second time, from their description and not from the code.

Plain strings, as they stand in the stored events. Nothing here is imported from the product: what
the product gets wrong must not be wrong here for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

TERMINAL = {"ACKNOWLEDGED", "REJECTED", "WITHDRAWN"}
ADMITTED = {"DELIBERATING", "RATIFIED", "PLANNING", "EXECUTING", "JUDGING", "WITNESSING"}
AMENDABLE = {"INTRODUCED", "TABLED"}
WITHDRAWABLE = {"INTRODUCED", "DELIBERATING", "TABLED"}

ADVANCES = {
    ("INTRODUCED", "DELIBERATING"),
    ("DELIBERATING", "RATIFIED"),
    ("DELIBERATING", "REJECTED"),
    ("DELIBERATING", "TABLED"),
    ("RATIFIED", "PLANNING"),
    ("PLANNING", "EXECUTING"),
    ("EXECUTING", "JUDGING"),
    ("JUDGING", "WITNESSING"),
    ("WITNESSING", "ACKNOWLEDGED"),
    ("TABLED", "DELIBERATING"),
}
RETURNS = {
    "DELIBERATING": "INTRODUCED",
    "PLANNING": "DELIBERATING",
    "EXECUTING": "PLANNING",
    "JUDGING": "EXECUTING",
    "WITNESSING": "JUDGING",
}
REVIEWABLE = ADMITTED | {"INTRODUCED"}

EDGES = (
    {(source, target, "advance") for source, target in ADVANCES}
    | {(source, target, "return") for source, target in RETURNS.items()}
    | {(source, target, "review") for source in REVIEWABLE for target in ("TABLED", "REJECTED")}
    | {(source, "WITHDRAWN", "withdraw") for source in WITHDRAWABLE}
)
"""Every transition there is, and why."""

COMPLETES = {
    "PLANNING": ("plan", "EXECUTING"),
    "EXECUTING": ("execute", "JUDGING"),
    "JUDGING": ("judge", "WITNESSING"),
    "WITNESSING": ("acknowledge", "ACKNOWLEDGED"),
}
"""Which finished work takes a motion out of a state, and where to."""

OWNER_WORK = {
    "INTRODUCED": "revise",
    "DELIBERATING": "deliberate",
    "PLANNING": "plan",
    "EXECUTING": "execute",
    "JUDGING": "judge",
    "WITNESSING": "record",
}
"""What is asked of whoever owns a state that a motion comes to rest in."""

WORK = {
    "revise": ("king_service", "king"),
    "deliberate": ("conclave_service", "conclave"),
    "plan": ("president_service", "president"),
    "execute": ("duke_service", "duke"),
    "judge": ("prince_service", "prince"),
    "record": ("knight_witness_service", "knight"),
    "acknowledge": ("conclave_service", "conclave"),
    "review": ("conclave_service", "conclave"),
}
"""The service and the branch that do each kind of work."""

STRATEGIES = {
    "validation_error": "return_to_previous",
    "permission_error": "conclave_review",
    "compliance_error": "conclave_review",
    "timeout_error": "retry_with_backoff",
}
HALT = "halt_and_alert"

RETRY_SECONDS = (5, 30, 300)
RETURNS_MAX = 2
REVIEW_ANSWERS_MAX = 3

_EXCLUDED = {
    "king": {"president", "duke", "earl", "prince"},
    "president": {"king", "duke", "earl", "prince"},
    "duke": {"king", "president", "prince"},
    "earl": {"king", "president", "prince"},
    "prince": {"king", "president", "duke", "earl"},
    "conclave": set[str](),
}


def excludes(one: str, other: str) -> bool:
    """Return whether who has acted for one branch may not act for the other."""
    if one == other:
        return False
    return "knight" in (one, other) or other in _EXCLUDED[one]


def strategy_of(error_type: str | None) -> str:
    """Return what an error of this type asks for, before anything else is looked at."""
    return STRATEGIES.get(error_type or "", HALT)


Span = tuple[datetime, datetime | None]
"""A stretch of time in which deadlines stand still; open while it lasts."""


def stood_still(spans: Iterable[Span], since: datetime, until: datetime) -> timedelta:
    """Return how much of the time between the two lies in any of the spans."""
    total, reached = timedelta(), since
    for start, end in sorted(spans, key=lambda span: span[0]):
        begin, finish = max(start, reached), min(end or until, until)
        if finish > begin:
            total, reached = total + (finish - begin), finish
    return total
