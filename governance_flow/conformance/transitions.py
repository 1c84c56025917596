"""Transitions: out of the current state, along the flow, for a reason, and truly witnessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from types import NoneType
from typing import Any

from governance_flow.conformance.canon import (
    ACKNOWLEDGED,
    FINISHING,
    OWNED,
    RETURN,
    REVIEW,
    REVIEW_TARGETS,
    SAYS_RETURN,
    STEPS,
    TABLE,
    TABLED,
    WITHDRAW,
    WITHDRAWN,
    undone_by,
    words_of,
)
from governance_flow.conformance.case import CONCLAVE, PERSON, Around, Case, Promise
from governance_flow.conformance.entries import Entry, Unreadable, instant, instant_or_none
from governance_flow.conformance.rules import Findings, Rule

STATEMENT_HEADER = "governance-flow/witness-statement/v1"


def moved(case: Case, entry: Entry, around: Around) -> None:
    """Judge a TRANSITION_WITNESSED, and let it move the motion."""
    say, data = around.findings, entry.data
    source, target, kind = data["from_state"], data["to_state"], data["cause"]["kind"]
    say.hold(
        Rule.HALT_RESPECTED,
        not around.halted,
        "it moved from {} to {} while the whole pipeline was halted",
        source,
        target,
    )
    stands = say.hold(
        Rule.LEAVES_CURRENT_STATE,
        source == case.state,
        "it is said to have moved from {} to {}, but it was in {}",
        source,
        target,
        case.state,
    )
    exists = say.hold(
        Rule.TRANSITION_IN_TABLE,
        (source, target, kind) in TABLE,
        "it moved from {} to {} ({}): the flow has no such step",
        source,
        target,
        kind,
    )
    if stands and exists:
        _require_reason(case, entry, kind, around)
        _require_date(case, entry, say)
    _require_statement(entry, say)
    if target == ACKNOWLEDGED:
        missing = [words_of(step) for step in STEPS if step not in case.steps]
        say.hold(
            Rule.ALL_SEVEN_STEPS,
            not missing,
            "it was acknowledged, but this is missing: {}",
            ", ".join(missing),
        )
    _move(case, entry, kind)


def _require_reason(case: Case, entry: Entry, kind: str, around: Around) -> None:
    say, data = around.findings, entry.data
    for event_id in (entry.data["causation_id"], data["cause"]["event_id"]):
        say.hold(
            Rule.VIOLATION_HARMLESS,
            event_id not in case.refused,
            "it moved to {} because of an act that was refused",
            data["to_state"],
        )
    if kind != WITHDRAW:
        say.hold(
            Rule.FAILURE_ESCALATED,
            case.failure is None or case.resolution == SAYS_RETURN,
            "it moved to {} although {} had failed, and no error was recorded for that",
            data["to_state"],
            _worked(case),
        )
        if kind != RETURN or case.blocked_by == PERSON:
            _require_unblocked(case, entry, kind, say)
    match kind:
        case "withdraw":
            _require_withdrawal(case, entry, say)
        case "return":
            _require_order(case, say)
        case "review":
            decision = case.pending.decision if case.pending else None
            wanted = REVIEW_TARGETS.get(decision) if isinstance(decision, str) else None
            say.hold(
                Rule.REVIEW_DECIDES,
                wanted == data["to_state"],
                "a review moved it to {}, but the Conclave's answer was {}",
                data["to_state"],
                decision,
            )
        case _:
            _require_work(case, entry, say)


def _require_date(case: Case, entry: Entry, say: Findings) -> None:
    """Require that a date goes with tabling alone, and is the one that was decided."""
    until, decided = instant_or_none(entry.data["until"]), None
    if entry.data["to_state"] == TABLED and case.pending is not None:
        decided = _moment(case.pending.data.get("output", {}).get("until"))
    # A date in a form of its own was read by whoever tabled the motion; it cannot be compared.
    say.hold(
        Rule.TABLED_UNTIL_DUE,
        until == decided or (until is not None and not isinstance(decided, datetime | NoneType)),
        "it moved to {} until {}, but the date that was decided is {}",
        entry.data["to_state"],
        until,
        decided,
    )


def _require_unblocked(case: Case, entry: Entry, kind: str, say: Findings) -> None:
    reviewed = kind == REVIEW and case.blocked_by == CONCLAVE
    say.hold(
        Rule.BLOCKED_MOTION_RESTS,
        case.blocked_by is None or reviewed,
        "it moved to {} while it was blocked until {} decides",
        entry.data["to_state"],
        case.blocked_by,
    )


def _require_withdrawal(case: Case, entry: Entry, say: Findings) -> None:
    pending = case.pending
    by_king = (
        pending is not None and pending.done("revise") and pending.data["next_state"] == WITHDRAWN
    )
    say.hold(
        Rule.WITHDRAWN_BY_INTRODUCER,
        by_king or entry.actor == case.introducer,
        "{} withdrew it, but {} had introduced it",
        entry.actor,
        case.introducer,
    )


def _require_order(case: Case, say: Findings) -> None:
    """Require that an error, a review or a person sent the motion back."""
    reviewed = case.pending is not None and case.pending.decision == SAYS_RETURN
    found = case.previous is not None and case.previous.topic == "ORCHESTRATOR_ERROR"
    by_error = (
        found
        and case.previous is not None
        and (case.previous.data["strategy"] == "return_to_previous")
    )
    say.hold(
        Rule.RETURN_ORDERED,
        reviewed or by_error or case.resolution == SAYS_RETURN,
        "it was returned out of {}, but no findings, no review and no person had said so",
        case.state,
    )


def _require_work(case: Case, entry: Entry, say: Findings) -> None:
    """Require that what a motion must wait for in its state has come."""
    target, pending = entry.data["to_state"], case.pending
    if case.state == TABLED:
        say.hold(
            Rule.TABLED_UNTIL_DUE,
            case.waiting_since is not None and case.waiting_since <= entry.at,
            "it was tabled, and deliberated again at {}: neither had its date come ({}) nor had "
            "anybody taken it up",
            entry.at,
            case.waiting_since,
        )
        return
    match case.state:
        case "INTRODUCED":
            done, work = case.waiting_since is not None, "revise"
        case "RATIFIED":
            return
        case "DELIBERATING":
            work = "deliberate"
            done = (
                pending is not None
                and pending.done(work)
                and (pending.data["next_state"] == target)
            )
        case state:
            work = FINISHING[state]
            done = pending is not None and pending.done(work)
    say.hold(
        Rule.STEP_REPORTED_DONE,
        done and case.routing is None,
        "it advanced from {} to {}, but {} had not been reported done to that effect",
        case.state,
        target,
        words_of(work),
    )


def _require_statement(entry: Entry, say: Findings) -> None:
    """Require that the statement says what the event says; whether it is authentic, others see."""
    said = _said(entry.data["statement"])
    cause, actor = entry.data["cause"], entry.data["actor"]
    until = instant_or_none(entry.data["until"])
    differing = []
    for name, value in (
        ("motion_id", entry.motion),
        ("version", entry.version),
        ("from", entry.data["from_state"]),
        ("to", entry.data["to_state"]),
        ("cause", cause),
        ("actor", actor),
    ):
        if said is None or name not in said or said[name] != value:
            differing.append(name)
    for name, moment in (("timestamp", entry.at), ("until", until)):
        if said is None or name not in said or _moment(said[name]) != moment:
            differing.append(name)
    say.hold(
        Rule.STATEMENT_AGREES,
        not differing,
        "the Knight's statement about its move to {} says something else than the event about: {}",
        entry.data["to_state"],
        ", ".join(differing) if said is not None else "everything, as it is no statement",
    )


def _said(statement: str) -> Mapping[str, Any] | None:
    header, _, rest = statement.partition("\n")
    if header != STATEMENT_HEADER:
        return None
    try:
        body = json.loads(rest.partition("\n")[0])
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _moment(text: object) -> object:
    try:
        return None if text is None else instant(text)
    except Unreadable:
        return text


def _worked(case: Case) -> str:
    return words_of(case.last.data["purpose"]) if case.last else "some work"


def _move(case: Case, entry: Entry, kind: str) -> None:
    source, target = entry.data["from_state"], entry.data["to_state"]
    until = instant_or_none(entry.data["until"])
    if kind == RETURN:
        case.returns[source] += 1
        if target in OWNED:
            words = "that it was returned, and its owner asked to mend what was found"
            purpose = OWNED[target][0]
            case.promise = Promise(words, "MOTION_ROUTED", purpose, with_findings=True)
    if target == TABLED or (kind == RETURN and target in OWNED):
        case.steps -= undone_by(target)
    case.close_routing("superseded")
    case.state, case.entered_at = target, entry.at
    case.waiting_since = None if until is None else max(until, entry.at)
    case.pending = case.resolution = case.blocked_by = case.block_error = None
    case.pauses = []
    case.unusable_answers = 0
    case.overdue = None
