"""Errors: about something that happened, answered as configured, and by whom they are resolved."""

from __future__ import annotations

from datetime import timedelta

from governance_flow.conformance.canon import (
    ASK_CONCLAVE,
    INTRODUCED,
    PLACED,
    RETURNS,
    SAYS_RESUME,
    SELF_JUDGES,
    STOP,
    STRATEGY_WORDS,
    TABLE,
    TABLED,
    TRY_AGAIN,
    TURN_BACK,
    WITHDRAW,
    WITHDRAWN,
    strategy_of,
    words_of,
)
from governance_flow.conformance.case import (
    CONCLAVE,
    PERSON,
    Around,
    Case,
    Promise,
    calls_for_error,
)
from governance_flow.conformance.deadlines import limits_of
from governance_flow.conformance.entries import Entry, instant_or_none
from governance_flow.conformance.routings import TOLERANCE, same_moment
from governance_flow.conformance.rules import Findings, Rule
from governance_flow.conformance.standstill import stood_still
from governance_flow.conformance.terms import Terms

VALIDATION = "validation_error"


def failed(case: Case, entry: Entry, around: Around) -> None:
    """Judge an ORCHESTRATOR_ERROR, and note what it says will be done."""
    say, data = around.findings, entry.data
    say.hold(
        Rule.HALT_RESPECTED,
        not around.halted,
        "an error ({}) was dealt with while the whole pipeline was halted",
        data["error_type"],
    )
    say.hold(
        Rule.VIOLATION_HARMLESS,
        case.refused.get(data["causation_id"] or "", True),
        "an act that was refused led to an error, although it was not of the one asked to act",
    )
    say.hold(
        Rule.BLOCKED_MOTION_RESTS,
        case.blocked_by != PERSON or _is_of_withdrawal(case, entry),
        "an error ({}) was dealt with while the motion was blocked until {} decides",
        data["error_type"],
        PERSON,
    )
    if data["routing_id"] is None:
        _require_knight(entry, say)
    elif _require_ground(case, entry, around):
        _require_strategy(case, entry, around)
    asks_again = data["purpose"] == "review" and data["error_type"] == VALIDATION
    case.unusable_answers += asks_again
    case.resolution = None
    if data["strategy"] in (STOP, ASK_CONCLAVE):
        case.block(entry, PERSON if data["strategy"] == STOP else CONCLAVE)
    if data["routing_id"] is not None:
        case.pending = None
        case.close_routing("superseded")
    case.promise = _promise(entry, asks_again=asks_again)
    case.overdue = None


def _is_of_withdrawal(case: Case, entry: Entry) -> bool:
    """Return whether the Knight may have failed to witness that the introducer withdraws it."""
    return entry.data["routing_id"] is None and (case.state, WITHDRAWN, WITHDRAW) in TABLE


def _require_knight(entry: Entry, say: Findings) -> None:
    data = entry.data
    said = (data["branch"], data["error_type"], data["strategy"])
    say.hold(
        Rule.ERROR_GROUNDED,
        said == ("knight", "system_error", STOP),
        "an error about no routing says {} of the {}: without one there is only a Knight who could "
        "not witness, and that halts the motion",
        data["error_type"],
        data["branch"],
    )


def _require_ground(case: Case, entry: Entry, around: Around) -> bool:
    """Require that the error is about the latest routing, and is what has gone wrong there."""
    say, data, asked = around.findings, entry.data, case.last
    names = ("purpose", "branch", "attempt")
    known = say.hold(
        Rule.ERROR_GROUNDED,
        asked is not None
        and asked.event_id == data["routing_id"]
        and all(asked.data[name] == data[name] for name in names),
        "an error is said to be about routing {} ({}, attempt {}), which was not the latest",
        data["routing_id"],
        data["purpose"],
        data["attempt"],
    )
    if not known or asked is None:
        return False
    if case.routing is not None:
        timed_out = say.hold(
            Rule.ERROR_GROUNDED,
            data["error_type"] == "timeout_error",
            "{} is said to have failed ({}) before anybody had answered",
            words_of(asked.data["purpose"]),
            data["error_type"],
        )
        if timed_out:
            _require_late(case, entry, asked, around)
        return timed_out
    right = _right_type(case)
    return say.hold(
        Rule.ERROR_GROUNDED,
        data["error_type"] in right,
        "an error is recorded as {}, but what was reported makes it {}",
        data["error_type"],
        " or ".join(right) or "no error at all",
    )


def _right_type(case: Case) -> tuple[str, ...]:
    """Return what the error may be, from what was reported."""
    pending = case.pending
    if pending is None or calls_for_error(pending, case.state) is False:
        return ()
    if pending.refused:
        skipped = pending.data["kind"] == "skipped_step"
        return ("compliance_error",) if skipped else ("permission_error",)
    if pending.data["success"]:
        return (VALIDATION,)
    return (pending.data["error_type"] or "system_error",)


def _require_late(case: Case, entry: Entry, asked: Entry, around: Around) -> None:
    limits = limits_of(asked, around)
    paused = stood_still(case.stood_since(asked.at, around), asked.at, entry.at)
    standing = case.blocked_by is not None or around.halted
    around.findings.hold(
        Rule.TIMED_OUT_WHEN_DUE,
        not standing and any(limit + paused <= entry.at + TOLERANCE for limit in limits),
        "{} was given up as too late at {}; its time was not up: {}",
        words_of(asked.data["purpose"]),
        entry.at,
        "time stood still" if standing else " and ".join(str(t + paused) for t in limits) or "none",
    )


def _require_strategy(case: Case, entry: Entry, around: Around) -> None:
    asked = case.last
    terms = around.terms.get(asked.data["configuration"]) if asked else None
    if terms is None:
        return
    say, data = around.findings, entry.data
    right, rule = _right_strategy(case, entry, terms)
    fits = say.hold(
        rule,
        data["strategy"] == right,
        "{} of {} (attempt {}; returned {} times out of {} before; {} unusable answers to the "
        "review before) was answered with {}; as configured, it is {}",
        data["error_type"],
        words_of(data["purpose"]),
        data["attempt"],
        case.returns[case.state],
        case.state,
        case.unusable_answers,
        STRATEGY_WORDS.get(data["strategy"], data["strategy"]),
        STRATEGY_WORDS[right],
    )
    if not fits:
        return
    retry_at = instant_or_none(data["retry_at"])
    if right != TRY_AGAIN:
        wanted = None
    elif data["error_type"] == VALIDATION:
        wanted = entry.at
    else:
        wanted = entry.at + timedelta(seconds=terms.backoff_of(data["attempt"]))
    say.hold(
        Rule.BACKOFF_AS_CONFIGURED,
        same_moment(wanted, retry_at),
        "the next try after attempt {} was set for {}; as configured, it is {}",
        data["attempt"],
        retry_at,
        wanted,
    )


def _right_strategy(case: Case, entry: Entry, terms: Terms) -> tuple[str, Rule]:
    """Return what must be done about an error, and the rule that decides it."""
    data = entry.data
    if data["purpose"] == "review" and data["error_type"] == VALIDATION:
        last = case.unusable_answers + 1 >= terms.review_answers_max
        return (STOP if last else TRY_AGAIN), Rule.REVIEW_ANSWERS_BOUNDED
    right, rule = strategy_of(data["error_type"]), Rule.STRATEGY_AS_CONFIGURED
    if right == TRY_AGAIN:
        given_up = data["attempt"] > terms.retries_max
        expected = (STOP, TRY_AGAIN)
        rule = Rule.RETRIES_BOUNDED if data["strategy"] in expected else rule
        return (STOP if given_up else TRY_AGAIN), rule
    if right == TURN_BACK:
        may_return = case.state in RETURNS and case.returns[case.state] < terms.returns_max
        right = TURN_BACK if may_return else ASK_CONCLAVE
        if case.state in RETURNS and data["strategy"] in (TURN_BACK, ASK_CONCLAVE):
            rule = Rule.RETURNS_BOUNDED
    if right == ASK_CONCLAVE and data["branch"] in SELF_JUDGES:
        right = STOP
    return right, rule


def _promise(entry: Entry, *, asks_again: bool) -> Promise | None:
    """Return what must be the motion's next event, as the error says what is done about it."""
    data = entry.data
    match data["strategy"]:
        case "retry_with_backoff" if asks_again:
            return Promise("that the review is asked for again", "MOTION_ROUTED", "review")
        case "retry_with_backoff":
            words = "that it is tried again"
            attempt, begins = data["attempt"] + 1, data["retry_at"]
            return Promise(words, "MOTION_ROUTED", data["purpose"], attempt, begins)
        case "return_to_previous":
            return Promise("that the motion is returned", "TRANSITION_WITNESSED")
        case "conclave_review":
            return Promise("that the Conclave reviews it", "MOTION_ROUTED", "review")
    return None


def resolved(case: Case, entry: Entry, around: Around) -> None:
    """Judge an ESCALATION_RESOLVED, and let it unblock the motion, or take it up."""
    say, decision = around.findings, entry.data["decision"]
    acted = sorted(case.acts.get(entry.actor, ())) if decision != "take_up" else []
    say.hold(
        Rule.RESOLVED_BY_UNINVOLVED_PERSON,
        entry.is_by_a_person and not acted,
        "{} decided about it ({}), who is {}",
        entry.actor,
        decision,
        f"involved: acted for the {' and the '.join(acted)}" if acted else "no named person",
    )
    say.hold(
        Rule.RESOLUTION_CALLED_FOR,
        _is_called_for(case, entry),
        "{} decided “{}” about it in {}, but it did not wait for that decision",
        entry.actor,
        decision,
        case.state,
    )
    case.overdue = None
    if decision == "take_up":
        case.waiting_since = entry.at
        return
    if decision == "review":
        case.resolution, case.unusable_answers = decision, 0
        case.blocked_by = CONCLAVE if case.blocked_by else None
        return
    if decision == "retry" and case.routing and case.routing.data["purpose"] == "review":
        # The review that was under way goes on.
        case.blocked_by, case.resolution = CONCLAVE, None
        return
    case.unblock(entry.at)
    case.resolution = None if decision == "retry" and case.routing else decision
    if decision == "retry" and case.pending and case.pending.decision == SAYS_RESUME:
        case.resume(entry.at)


def _is_called_for(case: Case, entry: Entry) -> bool:
    decision = entry.data["decision"]
    if decision == "take_up":
        rests = case.waiting_since is None or case.waiting_since > entry.at
        return case.state == TABLED and rests
    if case.blocked_by != PERSON or case.resolution is not None:
        return False
    if entry.data["error_id"] != case.block_error:
        return False
    match decision:
        case "return":
            return case.state in RETURNS
        case "review":
            return case.state in PLACED or case.state == INTRODUCED
        case _:
            return bool(decision == "retry")
