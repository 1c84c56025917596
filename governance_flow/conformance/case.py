"""Where one motion stands, as its events so far say, and what everything else around it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from governance_flow.conformance.canon import (
    INTRODUCED,
    RETURNS,
    REVIEW_TARGETS,
    SAYS_RESUME,
    SAYS_RETURN,
    TABLED,
    VOTES,
)
from governance_flow.conformance.entries import Entry, Unreadable, instant
from governance_flow.conformance.rules import Findings
from governance_flow.conformance.standstill import Span, Spans
from governance_flow.conformance.terms import Terms

Json = Mapping[str, Any]

PERSON, CONCLAVE = "a named person", "the Conclave"
"""Who decides about a blocked motion."""


class Promise(NamedTuple):
    """What an event says will be done next, and so must be.

    ``topic`` of the next event; of a routing also its purpose, attempt and when it may begin.
    """

    words: str
    topic: str
    purpose: str | None = None
    attempt: int = 1
    not_before: str | None = None
    with_findings: bool = False


class Pending(NamedTuple):
    """A report, or a refused act of the holder, of which nothing has come yet."""

    entry: Entry
    refused: bool

    @property
    def data(self) -> Json:
        """What was reported."""
        return self.entry.data

    def done(self, purpose: str) -> bool:
        """Whether it reports that this work was done."""
        return not self.refused and self.data["success"] and self.data["purpose"] == purpose

    @property
    def decision(self) -> object:
        """What the Conclave answered to a review, if it is such an answer."""
        return self.data["output"].get("decision") if self.done("review") else None


@dataclass(slots=True)
class Around:
    """What an event may depend on besides its own motion."""

    findings: Findings
    halts: Spans = field(default_factory=Spans)
    terms: dict[str, Terms] = field(default_factory=dict)
    """Every configuration adopted so far, by its digest."""
    in_force: Terms | None = None
    """The configuration adopted last."""
    working_seconds: float = 0.0
    """How long the pipeline has been at work since the beginning of the log."""

    @property
    def halted(self) -> bool:
        """Whether the pipeline is halted."""
        return self.halts.lasts


@dataclass(slots=True)
class Case:
    """One motion that has not ended."""

    motion: str
    introducer: str
    correlation: str
    entered_at: datetime
    waiting_since: datetime | None
    """Since when, or from when on, it may be admitted; None: not as things stand."""
    acts: dict[str, set[str]]
    """For which branches each actor has acted."""
    state: str = INTRODUCED
    version: int = 1
    previous: Entry | None = None
    """The event before this one."""
    routing: Entry | None = None
    """The open routing."""
    last: Entry | None = None
    """The latest routing, open or not."""
    closed: dict[str, str] = field(default_factory=dict)
    """What became of earlier routings."""
    pending: Pending | None = None
    resolution: str | None = None
    """What a person decided and has not been applied."""
    blocked_by: str | None = None
    """Who must decide before it goes on."""
    block_error: str | None = None
    pauses: list[Span] = field(default_factory=list)
    """When it was blocked since it entered its state."""
    returns: Counter[str] = field(default_factory=Counter)
    """How often it was returned out of each state since a review said resume."""
    unusable_answers: int = 0
    steps: set[str] = field(default_factory=set)
    """The steps taken that still stand."""
    promise: Promise | None = None
    refused: dict[str, bool] = field(default_factory=dict)
    """The refused acts, by event id: whether the assignment's holder did them."""
    admitted: tuple[int, int] | None = None
    """Position of its admission and how many held a place then, until that is judged."""
    overdue: tuple[str, float] | None = None
    """What is late (a routing, or a failure), and since when by the pipeline's working time."""

    def stood_since(self, moment: datetime, around: Around) -> list[Span]:
        """Return every stretch after ``moment`` in which its deadlines stood still."""
        return [*self.pauses, *around.halts.since(moment)]

    def block(self, entry: Entry, by: str) -> None:
        """Block it because of an error."""
        if self.blocked_by is None:
            self.pauses.append(Span(entry.at))
        self.blocked_by, self.block_error = by, entry.event_id

    def unblock(self, at: datetime) -> None:
        """Let it go on."""
        self.blocked_by = self.block_error = None
        if self.pauses and self.pauses[-1].end is None:
            self.pauses[-1] = Span(self.pauses[-1].start, at)

    def resume(self, at: datetime) -> None:
        """Let it go on after a review that said so: its returns are forgotten."""
        self.unblock(at)
        self.pending = None
        self.returns.pop(self.state, None)

    def close_routing(self, how: str) -> None:
        """Close the open routing, if there is one."""
        if self.routing is not None:
            self.closed[self.routing.event_id] = how
            self.routing = None

    @property
    def failure(self) -> Pending | None:
        """What was reported and calls for an error, if it does."""
        pending = self.pending
        if pending is not None and calls_for_error(pending, self.state) is True:
            return pending
        return None


def calls_for_error(pending: Pending, state: str) -> bool | None:
    """Return whether a report must become an error; None if that cannot be told from outside.

    A failure must, and a refused act; so must a vote that is none and a review's answer that is no
    decision. How liberally a date is read is the pipeline's own affair.
    """
    data = pending.data
    if pending.refused or not data["success"]:
        return True
    if data["purpose"] == "deliberate":
        if data["next_state"] not in VOTES:
            return True
        return False if data["next_state"] != TABLED else _date_is_bad(data["output"])
    if data["purpose"] != "review":
        return False
    match data["output"].get("decision"):
        case "table":
            return _date_is_bad(data["output"])
        case decision if decision == SAYS_RETURN:
            return state not in RETURNS
        case decision:
            return not (decision == SAYS_RESUME or decision in tuple(REVIEW_TARGETS))


def _date_is_bad(output: Json) -> bool | None:
    if output.get("until") is None:
        return False
    try:
        instant(output["until"])
    except Unreadable:
        return None
    return False
