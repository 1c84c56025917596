"""Ways to break what holds for errors, deadlines, and what people decide."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from governance_flow.conformance.rules import Rule
from tests.unit.conformance.doctoring import (
    Log,
    another,
    beating,
    before,
    by,
    configured,
    cut,
    data,
    end_of,
    following,
    later,
    pipelines,
    replaced,
    saying,
    without,
)
from tests.unit.conformance.exported import Event, topic
from tests.unit.conformance.mutators import Register
from tests.unit.conformance.mutators_of_reports import errs

ERRORS = Register()
breaks = ERRORS.breaks

ELSEWHERE = "00000000-0000-4000-8000-00000000cafe"
STOP = "halt_and_alert"


def answers_failure(log: Log, index: int) -> bool:
    """Return whether an error is about a failure that was reported just before."""
    reported = before(log, index)
    return (
        errs(log[index])
        and reported is not None
        and topic(log[reported]) == "BRANCH_COMPLETED"
        and not data(log[reported])["success"]
    )


# -- Errors ----------------------------------------------------------------------------------------


@breaks(Rule.FAILURE_ESCALATED)
def a_failure_is_passed_over(log: Log, index: int) -> list[Event] | None:
    after = following(log, index)
    if not answers_failure(log, index) or after is None:
        return None
    if not errs(log[index], "retry_with_backoff") or data(log[after])["purpose"] == "review":
        return None
    first = saying(log[after], attempt=1, not_before=None)
    return without(replaced(cut(log, after), after, first), index)


@breaks(Rule.FAILURE_ESCALATED, Rule.RETURN_ORDERED)
def a_failure_is_sent_back_in_silence(log: Log, index: int) -> list[Event] | None:
    if not answers_failure(log, index) or not errs(log[index], "return_to_previous"):
        return None
    return without(log, index)


@breaks(Rule.FAILURE_ESCALATED)
def nothing_ever_came_of_a_failure(log: Log, index: int) -> list[Event] | None:
    reported = before(log, index)
    if reported is None or not errs(log[index]) or topic(log[reported]) == "MOTION_ROUTED":
        return None
    silent = cut(log, reported)
    return beating(silent, end_of(silent))


@breaks(Rule.ERROR_GROUNDED)
def the_error_is_another_than_was_reported(log: Log, index: int) -> list[Event] | None:
    if not answers_failure(log, index):
        return None
    other = saying(log[index], error_type="unheard_of_error")
    return replaced(log, index, other)


@breaks(Rule.ERROR_GROUNDED)
def the_error_is_about_another_routing(log: Log, index: int) -> list[Event] | None:
    if not errs(log[index]):
        return None
    return replaced(log, index, saying(log[index], routing_id=ELSEWHERE))


@breaks(Rule.ERROR_GROUNDED)
def an_error_before_anybody_answered(log: Log, index: int) -> list[Event] | None:
    asked = before(log, index)
    if not errs(log[index]) or asked is None or topic(log[asked]) != "MOTION_ROUTED":
        return None
    return replaced(log, index, saying(log[index], error_type="system_error"))


@breaks(Rule.ERROR_GROUNDED)
def the_error_counts_another_attempt(log: Log, index: int) -> list[Event] | None:
    if not errs(log[index], STOP):
        return None
    return replaced(log, index, saying(log[index], attempt=data(log[index])["attempt"] + 1))


@breaks(Rule.ERROR_GROUNDED)
def an_error_although_it_went_well(log: Log, index: int) -> list[Event] | None:
    reported = before(log, index)
    if not errs(log[index], STOP) or reported is None or not answers_failure(log, index):
        return None
    well = saying(log[reported], success=True)
    if data(well)["purpose"] not in ("plan", "execute", "judge"):
        return None
    return replaced(log, reported, well)


@breaks(Rule.ERROR_GROUNDED)
def an_error_of_nobodys(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if topic(event) != "ORCHESTRATOR_ERROR" or data(event)["routing_id"] is not None:
        return None
    return replaced(log, index, saying(event, branch="duke"))


@breaks(Rule.STRATEGY_AS_CONFIGURED)
def halted_although_it_calls_for_a_review(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if not errs(event, "conclave_review") or data(event)["error_type"] == "validation_error":
        return None
    return cut(replaced(log, index, saying(event, strategy=STOP)), index)


@breaks(Rule.STRATEGY_AS_CONFIGURED)
def reviewed_although_it_calls_for_a_person(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if not errs(event, STOP) or data(event)["error_type"] != "system_error":
        return None
    asked = before(log, index, lambda e: topic(e) == "MOTION_ROUTED")
    assert asked is not None
    moved = saying(event, strategy="conclave_review")
    return replaced(cut(log, index), index, moved, _review(log[asked], event))


@breaks(Rule.STRATEGY_AS_CONFIGURED)
def the_conclave_reviews_itself(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    offended = data(event).get("branch") == "conclave" and errs(event, STOP)
    if not offended or data(event)["error_type"] != "compliance_error":
        return None
    asked = before(log, index, lambda e: topic(e) == "MOTION_ROUTED")
    assert asked is not None
    moved = saying(event, strategy="conclave_review")
    return replaced(cut(log, index), index, moved, _review(log[asked], event))


def _review(like: Event, at: Event) -> Event:
    """Return a routing for a review, at the time of an error."""
    asked: dict[str, Any] = {
        "purpose": "review",
        "service": "conclave_service",
        "branch": "conclave",
        "from_state": data(like)["state"],
        "timestamp": data(at)["timestamp"],
        "attempt": 1,
        "not_before": None,
        "deadline": None,
    }
    return another({**like, "committedat": at["committedat"]}, **asked)


@breaks(Rule.RETRIES_BOUNDED)
def given_up_too_early(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if not errs(event, "retry_with_backoff") or data(event)["error_type"] != "timeout_error":
        return None
    return cut(replaced(log, index, saying(event, strategy=STOP, retry_at=None)), index)


def timed_out(log: Log, strategy: str, attempt: int) -> bool:
    """Return whether an attempt timed out, this one or a later one, and what was done about it."""
    return any(
        errs(event, strategy)
        and data(event)["error_type"] == "timeout_error"
        and data(event)["attempt"] >= attempt
        for event in log
    )


def retrying(log: Log, index: int, **changes: Any) -> list[Event] | None:
    """Change how often and how soon things are tried again."""
    if topic(log[index]) != "CONFIGURATION_ADOPTED":
        return None
    return configured(log, retry={**data(log[index])["configuration"]["retry"], **changes})


@breaks(Rule.RETRIES_BOUNDED)
def tried_more_often_than_configured(log: Log, index: int) -> list[Event] | None:
    tried = timed_out(log, "retry_with_backoff", 3)
    return retrying(log, index, max_attempts=2) if tried else None


@breaks(Rule.RETRIES_BOUNDED)
def given_up_earlier_than_configured(log: Log, index: int) -> list[Event] | None:
    return retrying(log, index, max_attempts=9) if timed_out(log, STOP, 4) else None


@breaks(Rule.BACKOFF_AS_CONFIGURED)
def tried_sooner_than_configured(log: Log, index: int) -> list[Event] | None:
    tried = timed_out(log, "retry_with_backoff", 1)
    return retrying(log, index, backoff_seconds=[7, 31, 301]) if tried else None


# Near the end of its time, when a retry begins decides about its deadline as well.
@breaks(Rule.BACKOFF_AS_CONFIGURED, Rule.DEADLINE_AS_CONFIGURED)
def put_off_for_another_time(log: Log, index: int) -> list[Event] | None:
    event, after = log[index], following(log, index)
    if not errs(event, "retry_with_backoff") or after is None:
        return None
    if data(event)["error_type"] != "timeout_error":
        return None
    at = later(data(event)["retry_at"], timedelta(seconds=1))
    again = saying(log[after], not_before=at)
    return cut(replaced(replaced(log, index, saying(event, retry_at=at)), after, again), after)


@breaks(Rule.RETURNS_BOUNDED)
def returned_more_often_than_configured(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "CONFIGURATION_ADOPTED":
        return None
    if not any(errs(event, "return_to_previous") for event in log):
        return None
    return configured(log, max_returns_per_state=0)


@breaks(Rule.RETURNS_BOUNDED)
def reviewed_before_it_was_returned_that_often(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "CONFIGURATION_ADOPTED":
        return None
    reviewed = (
        errs(event, "conclave_review")
        and data(event)["error_type"] == "validation_error"
        and data(event)["purpose"] in ("deliberate", "plan", "execute", "judge", "record")
        for event in log
    )
    return configured(log, max_returns_per_state=3) if any(reviewed) else None


@breaks(Rule.REVIEW_ANSWERS_BOUNDED)
def asked_less_often_than_configured(log: Log, index: int) -> list[Event] | None:
    return _review_answers(log, index, STOP, 4)


@breaks(Rule.REVIEW_ANSWERS_BOUNDED)
def asked_more_often_than_configured(log: Log, index: int) -> list[Event] | None:
    return _review_answers(log, index, "retry_with_backoff", 1)


def _review_answers(log: Log, index: int, strategy: str, allowed: int) -> list[Event] | None:
    if topic(log[index]) != "CONFIGURATION_ADOPTED":
        return None
    unusable = (
        errs(event, strategy)
        and (data(event)["purpose"], data(event)["error_type"]) == ("review", "validation_error")
        for event in log
    )
    return configured(log, max_review_answers=allowed) if any(unusable) else None


@breaks(Rule.ESCALATION_CARRIED_OUT)
def announced_and_not_done(log: Log, index: int) -> list[Event] | None:
    if not errs(log[index]) or errs(log[index], STOP):
        return None
    return cut(log, index)


@breaks(Rule.ESCALATION_CARRIED_OUT)
def returned_without_saying_what_was_found(log: Log, index: int) -> list[Event] | None:
    event, moved = log[index], before(log, index)
    if topic(event) != "MOTION_ROUTED" or moved is None:
        return None
    if data(log[moved]).get("cause", {}).get("kind") != "return":
        return None
    return replaced(log, index, saying(event, findings=[]))


# -- Deadlines and people --------------------------------------------------------------------------


@breaks(Rule.TIMED_OUT_WHEN_DUE)
def given_up_before_its_time(log: Log, index: int) -> list[Event] | None:
    event, asked, again = log[index], before(log, index), following(log, index)
    if not errs(event) or asked is None or again is None or topic(log[asked]) != "MOTION_ROUTED":
        return None
    at = later(data(log[asked])["timestamp"], timedelta(seconds=1))
    begins = later(at, timedelta(seconds=5))
    early = saying(event, timestamp=at, retry_at=begins)
    changed = replaced(log, index, early)
    changed = replaced(changed, again, saying(log[again], timestamp=at, not_before=begins))
    return cut(_of_first_deadline(changed, asked, again), again)


def _of_first_deadline(log: list[Event], asked: int, again: int) -> list[Event]:
    """Give the second of two routings the deadline of the first: no time has passed since."""
    deadline = data(log[asked])["deadline"]
    return replaced(log, again, saying(log[again], deadline=deadline))


@breaks(Rule.TIMED_OUT_WHEN_DUE, Rule.DEADLINE_AS_CONFIGURED)
def the_pipeline_was_halted_all_the_time(log: Log, index: int) -> list[Event] | None:
    event, asked = log[index], before(log, index)
    if not errs(event) or asked is None or topic(log[asked]) != "MOTION_ROUTED":
        return None
    chair = by("the chair")
    halted = pipelines(log[asked], "PIPELINE_HALTED", 1, chair)
    resumed = pipelines(event, "PIPELINE_RESUMED", 2, chair)
    return replaced(log, index, halted, resumed, event)


@breaks(Rule.DEADLINE_ACTED_UPON)
def nobody_noticed_the_deadline(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if topic(event) != "MOTION_ROUTED" or data(event)["deadline"] is None:
        return None
    due = datetime.fromisoformat(data(event)["deadline"]) + timedelta(days=30)
    return beating(cut(log, index), max(due, end_of(log)), 30)


@breaks(Rule.RESOLVED_BY_UNINVOLVED_PERSON)
def resolved_by_who_acted_on_it(log: Log, index: int) -> list[Event] | None:
    event, first = log[index], before(log, index, lambda e: topic(e) == "MOTION_INTRODUCED")
    if topic(event) != "ESCALATION_RESOLVED" or data(event)["decision"] == "take_up":
        return None
    assert first is not None
    return replaced(log, index, saying(event, actor=by(data(log[first])["introduced_by"])))


@breaks(Rule.RESOLVED_BY_UNINVOLVED_PERSON)
def resolved_by_nobody(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "ESCALATION_RESOLVED":
        return None
    return replaced(log, index, saying(log[index], actor=by("orchestrator", "system")))


@breaks(Rule.RESOLVED_BY_UNINVOLVED_PERSON)
def resolved_by_a_service(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "ESCALATION_RESOLVED":
        return None
    return replaced(log, index, saying(log[index], actor=by("clerk", "service")))


@breaks(Rule.RESOLUTION_CALLED_FOR)
def another_error_is_resolved(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if topic(event) != "ESCALATION_RESOLVED" or data(event)["error_id"] is None:
        return None
    return replaced(log, index, saying(event, error_id=ELSEWHERE))


@breaks(Rule.RESOLUTION_CALLED_FOR)
def resolved_twice(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if topic(event) != "ESCALATION_RESOLVED":
        return None
    return replaced(cut(log, index), index, event, another(event))


@breaks(Rule.RESOLUTION_CALLED_FOR)
def taken_up_although_it_was_not_tabled(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if topic(event) != "ESCALATION_RESOLVED" or data(event)["decision"] == "take_up":
        return None
    return cut(replaced(log, index, saying(event, decision="take_up")), index)
