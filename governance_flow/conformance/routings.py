"""Routings: the right work, asked of its owner, one at a time, as configured."""

from __future__ import annotations

from datetime import datetime, timedelta

from governance_flow.conformance.canon import INTRODUCED, OWNED, WORK, words_of
from governance_flow.conformance.case import CONCLAVE, Around, Case
from governance_flow.conformance.entries import Entry, instant_or_none
from governance_flow.conformance.rules import Findings, Rule
from governance_flow.conformance.standstill import stood_still
from governance_flow.conformance.terms import Terms

TOLERANCE = timedelta(milliseconds=1)
"""Two ways to add the same times may differ by a rounding."""


def routed(case: Case, entry: Entry, around: Around) -> None:
    """Judge a MOTION_ROUTED, and open the routing."""
    say, data, purpose = around.findings, entry.data, entry.data["purpose"]
    say.hold(
        Rule.HALT_RESPECTED,
        not around.halted,
        "{} was asked of {} while the whole pipeline was halted",
        words_of(purpose),
        data["service"],
    )
    say.hold(
        Rule.ROUTED_WHERE_IT_STANDS,
        (data["from_state"], data["state"]) == (_came_from(case), case.state),
        "it was routed in {}, coming from {}; but it was in {}, coming from {}",
        data["state"],
        data["from_state"],
        case.state,
        _came_from(case),
    )
    say.hold(
        Rule.VIOLATION_HARMLESS,
        case.refused.get(data["causation_id"] or "", True),
        "{} was asked for because of an act that was refused, and not of the one asked to act",
        words_of(purpose),
    )
    _require_owner(case, entry, say)
    _require_reason(case, entry, say)
    _require_attempt(case, entry, say)
    terms = around.terms.get(data["configuration"])
    say.hold(
        Rule.CONFIGURATION_KNOWN,
        terms is not None,
        "it was routed under a configuration ({}) that had not been adopted",
        data["configuration"],
    )
    if terms is not None:
        _require_deadline(case, entry, terms, around)
    _require_place(case, terms, say)
    _open(case, entry)


def _open(case: Case, entry: Entry) -> None:
    purpose = entry.data["purpose"]
    case.close_routing("superseded")
    case.routing = case.last = entry
    case.pending = case.resolution = None
    case.overdue = None
    case.steps.discard(purpose)
    if purpose != "review":
        case.unusable_answers = 0


def _came_from(case: Case) -> str:
    """Return the state that a routing now must say the motion comes from."""
    before = case.previous
    if before is not None and before.topic == "TRANSITION_WITNESSED":
        return str(before.data["from_state"])
    return case.state


def _require_owner(case: Case, entry: Entry, say: Findings) -> None:
    data, purpose = entry.data, entry.data["purpose"]
    work = WORK.get(purpose)
    addressed = work is not None and (data["service"], data["branch"]) == work[:2]
    owned = purpose in OWNED.get(case.state, ()) or purpose == "review"
    if case.state == INTRODUCED and purpose == "revise":
        # Until it is returned, an introduced motion waits for a place and for nobody's work.
        owned = case.waiting_since is None
    if "record" in case.steps and purpose == "record":
        owned = False
    say.hold(
        Rule.ROUTED_TO_OWNER,
        addressed and owned,
        "in {} {} was asked of {} (for the {}): that is not whose work it is now",
        case.state,
        words_of(purpose),
        data["service"],
        data["branch"],
    )
    if purpose == "acknowledge":
        say.hold(
            Rule.ALL_SEVEN_STEPS,
            "record" in case.steps,
            "the Conclave was asked to acknowledge what the Knight has not recorded",
        )


def _require_reason(case: Case, entry: Entry, say: Findings) -> None:
    purpose, pending = entry.data["purpose"], case.pending
    say.hold(
        Rule.ONE_ROUTING_OPEN,
        case.routing is None or case.resolution == "review",
        "{} was asked of {} while {} was still open",
        words_of(purpose),
        entry.data["service"],
        words_of(case.routing.data["purpose"]) if case.routing else "",
    )
    say.hold(
        Rule.FAILURE_ESCALATED,
        case.failure is None or case.resolution == "review",
        "it went on to {} although {} had failed, and no error was recorded for that",
        words_of(purpose),
        words_of(case.last.data["purpose"]) if case.last else "some work",
    )
    if purpose == "review":
        say.hold(
            Rule.REVIEW_CALLED_FOR,
            case.blocked_by == CONCLAVE,
            "the Conclave was asked to review it, but nothing had blocked it for a review",
        )
        return
    say.hold(
        Rule.BLOCKED_MOTION_RESTS,
        case.blocked_by is None,
        "{} was asked for while the motion was blocked until {} decides",
        words_of(purpose),
        case.blocked_by,
    )
    handed_on = purpose == "acknowledge" and pending is not None and pending.done("record")
    if case.blocked_by is None and case.failure is None:
        say.hold(
            Rule.WORK_NEVER_REDONE,
            pending is None or handed_on,
            "{} was asked for although {} had been reported done and waited to be applied",
            words_of(purpose),
            words_of(pending.data["purpose"]) if pending and not pending.refused else "other work",
        )


def _require_deadline(case: Case, entry: Entry, terms: Terms, around: Around) -> None:
    hours, deadline = terms.hours(case.state), instant_or_none(entry.data["deadline"])
    due = None
    if hours is not None and entry.data["purpose"] != "review":
        paused = stood_still(case.stood_since(case.entered_at, around), case.entered_at, entry.at)
        due = case.entered_at + timedelta(hours=hours) + paused
        begins = instant_or_none(entry.data["not_before"]) or entry.at
        if due <= begins:
            due = begins + timedelta(seconds=terms.grace_seconds)
    around.findings.hold(
        Rule.DEADLINE_AS_CONFIGURED,
        same_moment(due, deadline),
        "{} was asked for by {}; as configured, its deadline is {}",
        words_of(entry.data["purpose"]),
        deadline,
        due,
    )


def _require_attempt(case: Case, entry: Entry, say: Findings) -> None:
    """Require a first attempt, or the one that an error has just announced."""
    data, promise = entry.data, case.promise
    attempt, begins = (promise.attempt, promise.not_before) if promise else (1, None)
    say.hold(
        Rule.ATTEMPTS_COUNTED,
        data["attempt"] == attempt
        and instant_or_none(data["not_before"]) == instant_or_none(begins),
        "{} was asked for as attempt {}, not before {}; what was announced is attempt {}, not "
        "before {}",
        words_of(data["purpose"]),
        data["attempt"],
        data["not_before"],
        attempt,
        begins,
    )


def _require_place(case: Case, terms: Terms | None, say: Findings) -> None:
    """Judge the admission that this routing follows on, by the configuration it names."""
    if case.admitted is None:
        return
    position, holding = case.admitted
    case.admitted = None
    require_place(position, holding, terms, say)


def require_place(position: int, holding: int, terms: Terms | None, say: Findings) -> None:
    """Require that there was a place for a motion when it was admitted at ``position``."""
    if terms is None:
        return
    here = say.position
    say.position = position
    say.hold(
        Rule.CAPACITY_KEPT,
        holding <= terms.places,
        "it was admitted as number {} when there were {} places",
        holding,
        terms.places,
    )
    say.position = here


def same_moment(one: datetime | None, other: datetime | None) -> bool:
    """Return whether two times are the same, or both are none."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= TOLERANCE
