"""Ways to break what holds for reports, refused acts and amendments."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from governance_flow.conformance.rules import Rule
from tests.unit.conformance.doctoring import (
    SOMEBODY,
    Log,
    another,
    before,
    by,
    configured,
    cut,
    data,
    following,
    motion,
    replaced,
    saying,
)
from tests.unit.conformance.exported import Event, topic
from tests.unit.conformance.mutators import Register

REPORTS = Register()
breaks = REPORTS.breaks

ELSEWHERE = "00000000-0000-4000-8000-00000000cafe"


def done(event: Event, *purposes: str) -> bool:
    """Return whether the event reports that work was done, of one of these purposes if given."""
    if topic(event) != "BRANCH_COMPLETED" or not data(event)["success"]:
        return False
    return not purposes or data(event)["purpose"] in purposes


def errs(event: Event, *strategies: str) -> bool:
    if topic(event) != "ORCHESTRATOR_ERROR" or data(event)["routing_id"] is None:
        return False
    return not strategies or data(event)["strategy"] in strategies


# -- Reports ---------------------------------------------------------------------------------------


@breaks(Rule.ANSWERS_OPEN_ROUTING)
def an_answer_to_what_nobody_asked(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "BRANCH_COMPLETED":
        return None
    return cut(replaced(log, index, saying(log[index], routing_id=ELSEWHERE)), index)


@breaks(Rule.ANSWERS_OPEN_ROUTING)
def the_same_answer_twice(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "BRANCH_COMPLETED":
        return None
    return replaced(cut(log, index), index, log[index], another(log[index]))


@breaks(Rule.ANSWERS_OPEN_ROUTING)
def an_answer_that_came_too_late(log: Log, index: int) -> list[Event] | None:
    """Let a routing be answered that was given up, or superseded by a withdrawal, before."""
    if not errs(log[index], "retry_with_backoff"):
        return None
    reported, again = before(log, index), following(log, index)
    if reported is None or again is None or topic(log[reported]) != "BRANCH_COMPLETED":
        return None
    late = another(log[reported])
    return replaced(cut(log, again), again, log[again], late)


@breaks(Rule.ANSWERED_BY_ITS_BRANCH)
def another_service_answers(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "BRANCH_COMPLETED":
        return None
    return replaced(log, index, saying(log[index], service="earl_service"))


@breaks(Rule.ANSWERED_BY_ITS_BRANCH)
def it_answers_another_question(log: Log, index: int) -> list[Event] | None:
    if not done(log[index], "plan", "execute", "judge"):
        return None
    return cut(replaced(log, index, saying(log[index], purpose="record")), index)


@breaks(Rule.SEPARATION_OF_POWERS)
def the_introducer_does_the_work(log: Log, index: int) -> list[Event] | None:
    event, first = log[index], before(log, index, lambda e: topic(e) == "MOTION_INTRODUCED")
    if not done(event, "plan", "execute", "judge") or first is None or _lenient(log):
        return None
    name = data(log[first])["introduced_by"]
    return cut(replaced(log, index, saying(event, actor=by(name))), index)


@breaks(Rule.SEPARATION_OF_POWERS)
def the_knight_did_other_work_before(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    voted = before(log, index, lambda e: done(e, "deliberate", "execute"))
    if not done(event, "record") or voted is None or _lenient(log):
        return None
    return cut(replaced(log, index, saying(event, actor=data(log[voted])["actor"])), index)


@breaks(Rule.SEPARATION_OF_POWERS)
def the_powers_were_configured_apart(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "CONFIGURATION_ADOPTED" or not _lenient(log):
        return None
    return configured(log, separation_of_powers={"excludes": {"king": ["president"]}})


def _lenient(log: Log) -> bool:
    """Return whether somebody acts for two branches here because the configuration allows it."""
    adopted = next(event for event in log if topic(event) == "CONFIGURATION_ADOPTED")
    return "knight" not in data(adopted)["configuration"]["separation_of_powers"]["excludes"] or (
        not data(adopted)["configuration"]["separation_of_powers"]["excludes"]["knight"]
    )


@breaks(Rule.PROPOSES_NEXT_STEP)
def the_report_skips_a_step(log: Log, index: int) -> list[Event] | None:
    if not done(log[index], "plan", "execute", "judge"):
        return None
    return replaced(log, index, saying(log[index], next_state="ACKNOWLEDGED"))


def violation(like: Event, number: int, **changes: Any) -> Event:
    """Return a refusal that stands behind another event of a motion."""
    inside = {
        "schema_version": 1,
        "event_id": str(UUID(int=UUID(like["id"]).int ^ number)),
        "correlation_id": data(like)["correlation_id"],
        "causation_id": None,
        "actor": by(SOMEBODY),
        "timestamp": data(like)["timestamp"],
        "kind": "skipped_step",
        "branch": "duke",
        "routing_id": None,
        "by_holder": False,
        "attempted": "something",
        "reason": "because",
        "severity": "minor",
        **changes,
    }
    event = {**like, "type": "governance-flow.VIOLATION_WITNESSED", "data": inside}
    return saying(event)


def settled(log: Log, index: int) -> bool:
    """Return whether something may stand behind this event: nothing must follow at once."""
    event, after = log[index], following(log, index)
    if motion(event) is None or after is None:
        return False
    return not errs(event) and topic(log[after]) in ("BRANCH_COMPLETED", "ESCALATION_RESOLVED")


@breaks(Rule.VIOLATION_GROUNDED)
def two_roles_of_one_who_had_none(log: Log, index: int) -> list[Event] | None:
    if not settled(log, index):
        return None
    return replaced(log, index, log[index], violation(log[index], 1, kind="collapsed_role"))


@breaks(Rule.VIOLATION_GROUNDED)
def refused_for_no_rule(log: Log, index: int) -> list[Event] | None:
    if not settled(log, index):
        return None
    return replaced(log, index, log[index], violation(log[index], 1, kind="impolite"))


@breaks(Rule.VIOLATION_GROUNDED)
def refused_as_one_who_was_not_asked(log: Log, index: int) -> list[Event] | None:
    if not settled(log, index):
        return None
    forged = violation(log[index], 1, by_holder=True, routing_id=ELSEWHERE, severity="major")
    return replaced(cut(log, index), index, log[index], forged)


def is_strangers(event: Event) -> bool:
    """Return whether an act was refused of one who had not been asked."""
    return topic(event) == "VIOLATION_WITNESSED" and not data(event)["by_holder"]


@breaks(Rule.VIOLATION_HARMLESS)
def a_strangers_act_makes_a_difference(log: Log, index: int) -> list[Event] | None:
    event, refused = log[index], before(log, index, is_strangers)
    if refused is None:
        return None
    if topic(event) not in ("MOTION_ROUTED", "TRANSITION_WITNESSED", "ORCHESTRATOR_ERROR"):
        return None
    return replaced(log, index, saying(event, causation_id=log[refused]["id"]))


@breaks(Rule.VIOLATION_HARMLESS)
def a_refused_act_moves_the_motion(log: Log, index: int) -> list[Event] | None:
    event, refused = log[index], before(log, index, lambda e: topic(e) == "VIOLATION_WITNESSED")
    if refused is None or topic(event) != "TRANSITION_WITNESSED":
        return None
    cause = {**data(event)["cause"], "event_id": log[refused]["id"]}
    return replaced(log, index, saying(event, cause=cause))


@breaks(Rule.AMENDED_BY_INTRODUCER)
def amended_by_somebody_else(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "MOTION_AMENDED":
        return None
    return replaced(log, index, saying(log[index], actor=by(SOMEBODY)))


@breaks(Rule.AMENDED_BY_INTRODUCER)
def amended_while_it_is_worked_on(log: Log, index: int) -> list[Event] | None:
    event, first = log[index], before(log, index, lambda e: topic(e) == "MOTION_INTRODUCED")
    if topic(event) != "MOTION_ROUTED" or first is None or not settled(log, index):
        return None
    if data(event)["state"] in ("INTRODUCED", "TABLED"):
        return None
    actor = by(data(log[first])["introduced_by"])
    amended = another(event, title="Another", text="Entirely.", actor=actor)
    amended["type"] = "governance-flow.MOTION_AMENDED"
    return replaced(log, index, event, amended)
