"""Ways to break what holds for the record as a whole, for streams, and for the pipeline."""

from __future__ import annotations

from datetime import timedelta
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
    motion,
    pipelines,
    replaced,
    saying,
    without,
)
from tests.unit.conformance.exported import Event, topic
from tests.unit.conformance.mutators import Register

RECORD = Register()
breaks = RECORD.breaks

WITHOUT_PLACE = ("INTRODUCED", "TABLED", "ACKNOWLEDGED", "REJECTED", "WITHDRAWN")
ELSEWHERE = "00000000-0000-4000-8000-00000000cafe"


def is_motions(event: Event) -> bool:
    return motion(event) is not None


# -- The record ------------------------------------------------------------------------------------


def spoilt(log: Log, index: int, event: Event) -> list[Event] | None:
    """Put an unreadable event where nothing follows on it."""
    return cut(replaced(log, index, event), index) if is_motions(log[index]) else None


@breaks(Rule.RECORD_READABLE, Rule.ESCALATION_CARRIED_OUT)
def an_unknown_kind(log: Log, index: int) -> list[Event] | None:
    return spoilt(log, index, {**log[index], "type": "governance-flow.MOTION_FORGOTTEN"})


@breaks(Rule.RECORD_READABLE, Rule.ESCALATION_CARRIED_OUT)
def a_kind_of_the_pipelines_in_a_motion(log: Log, index: int) -> list[Event] | None:
    return spoilt(log, index, {**log[index], "type": "governance-flow.PIPELINE_HALTED"})


@breaks(Rule.RECORD_READABLE, Rule.ESCALATION_CARRIED_OUT)
def nobody_says_who(log: Log, index: int) -> list[Event] | None:
    inside = {key: value for key, value in data(log[index]).items() if key != "actor"}
    return spoilt(log, index, {**log[index], "data": inside})


@breaks(Rule.RECORD_READABLE, Rule.ESCALATION_CARRIED_OUT)
def a_time_without_offset(log: Log, index: int) -> list[Event] | None:
    return spoilt(log, index, saying(log[index], timestamp="2026-01-01T12:00:00"))


@breaks(Rule.RECORD_READABLE, Rule.ESCALATION_CARRIED_OUT)
def no_matter(log: Log, index: int) -> list[Event] | None:
    field = {
        "MOTION_ROUTED": "purpose",
        "BRANCH_COMPLETED": "success",
        "TRANSITION_WITNESSED": "statement",
        "ORCHESTRATOR_ERROR": "strategy",
        "ESCALATION_RESOLVED": "decision",
        "VIOLATION_WITNESSED": "by_holder",
    }.get(topic(log[index]))
    if field is None:
        return None
    inside = {**data(log[index]), field: 17}
    return spoilt(log, index, {**log[index], "data": inside})


def outside(**changes: Any) -> Any:
    def mutate(log: Log, index: int) -> list[Event]:
        return replaced(log, index, {**log[index], **changes})

    mutate.__name__ = f"outside_says_another_{'_'.join(changes)}"
    return mutate


breaks(Rule.ENVELOPE_AGREES)(outside(id=ELSEWHERE))
breaks(Rule.ENVELOPE_AGREES)(outside(time="2020-02-02T02:02:02Z"))
breaks(Rule.ENVELOPE_AGREES)(outside(causationid=ELSEWHERE))
breaks(Rule.ENVELOPE_AGREES)(outside(correlationid=ELSEWHERE))


@breaks(Rule.POSITIONS_DENSE, renumbers=False)
def a_position_is_skipped(log: Log, index: int) -> list[Event]:
    moved = ({**e, "position": str(int(e["position"]) + 1)} for e in log[index:])
    return [*log[:index], *moved]


@breaks(Rule.POSITIONS_DENSE, renumbers=False)
def a_position_comes_twice(log: Log, index: int) -> list[Event] | None:
    if index == 0:
        return None
    moved = ({**e, "position": str(int(e["position"]) - 1)} for e in log[index:])
    return [*log[:index], *moved]


@breaks(Rule.COMMIT_TIMES_ORDERED)
def it_was_stored_before_what_stands_in_front(log: Log, index: int) -> list[Event] | None:
    if index == 0:
        return None
    at = later(log[index - 1]["committedat"], -timedelta(seconds=1))
    return replaced(log, index, {**log[index], "committedat": at})


# -- Streams ---------------------------------------------------------------------------------------


@breaks(Rule.BEGINS_WITH_INTRODUCTION)
def introduced_twice(log: Log, index: int) -> list[Event] | None:
    first = before(log, index, lambda event: topic(event) == "MOTION_INTRODUCED")
    if first is None or data(log[index]).get("to_state") in ("ACKNOWLEDGED", "REJECTED"):
        return None
    after = following(log, index)
    if after is None:
        return None
    return replaced(log, index, log[index], another(log[first]))


@breaks(Rule.BEGINS_WITH_INTRODUCTION)
def never_introduced(log: Log, index: int) -> list[Event] | None:
    after = following(log, index)
    if topic(log[index]) != "MOTION_INTRODUCED" or after is None:
        return None
    return without(cut(log, after), index)


@breaks(Rule.VERSIONS_DENSE, renumbers=False)
def a_version_is_skipped(log: Log, index: int) -> list[Event]:
    whose = motion(log[index])
    return [
        saying({**event, "streamversion": event["streamversion"] + 1})
        if at >= index and motion(event) == whose
        else event
        for at, event in enumerate(log)
    ]


@breaks(Rule.CORRELATION_KEPT)
def of_another_request(log: Log, index: int) -> list[Event] | None:
    if not is_motions(log[index]) or topic(log[index]) == "MOTION_INTRODUCED":
        return None
    return replaced(log, index, saying(log[index], correlation_id=ELSEWHERE))


@breaks(Rule.NOTHING_AFTER_THE_END)
def something_after_the_end(log: Log, index: int) -> list[Event] | None:
    if data(log[index]).get("to_state") not in ("ACKNOWLEDGED", "REJECTED", "WITHDRAWN"):
        return None
    routed = before(log, index)
    assert routed is not None
    return replaced(log, index, log[index], another(log[routed]))


@breaks(Rule.NOTHING_AFTER_THE_END)
def revived_after_the_end(log: Log, index: int) -> list[Event] | None:
    if data(log[index]).get("to_state") not in ("ACKNOWLEDGED", "REJECTED", "WITHDRAWN"):
        return None
    said = saying(log[index], from_state=data(log[index])["to_state"], to_state="DELIBERATING")
    return replaced(log, index, log[index], another(said))


# -- The pipeline ----------------------------------------------------------------------------------


@breaks(Rule.CONFIGURATION_DIGEST)
def another_configuration_than_the_digest_says(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "CONFIGURATION_ADOPTED":
        return None
    changed = {**data(log[index])["configuration"], "worker": {}}
    return replaced(log, index, saying(log[index], configuration=changed))


@breaks(Rule.HALT_RESPECTED, Rule.TIMED_OUT_WHEN_DUE)
def moved_or_routed_while_halted(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if topic(event) not in ("MOTION_ROUTED", "TRANSITION_WITNESSED", "ORCHESTRATOR_ERROR"):
        return None
    halted = pipelines(event, "PIPELINE_HALTED", 1, by("the chair"))
    resumed = pipelines(event, "PIPELINE_RESUMED", 2, by("the chair"))
    return replaced(log, index, halted, event, resumed)


@breaks(Rule.HALTS_PAIRED)
def halted_twice(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "PIPELINE_HALTED":
        return None
    return replaced(log, index, log[index], another(log[index]))


@breaks(Rule.HALTS_PAIRED)
def resumed_without_a_halt(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "PIPELINE_RESUMED":
        return None
    return replaced(log, index, log[index], another(log[index]))


@breaks(Rule.RESUMED_BY_A_PERSON)
def resumed_by_nobody(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "PIPELINE_RESUMED":
        return None
    return replaced(log, index, saying(log[index], actor=by("orchestrator", "system")))


@breaks(Rule.RESUMED_BY_A_PERSON)
def resumed_by_a_service(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "PIPELINE_RESUMED":
        return None
    return replaced(log, index, saying(log[index], actor=by("duke_service", "service")))


@breaks(Rule.BREAKER_HALTS)
def the_breaker_did_not_trip(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if topic(event) != "PIPELINE_HALTED" or data(event)["actor"]["id"] != "orchestrator":
        return None
    return beating(log[:index], end_of(log[:index]))


@breaks(Rule.CAPACITY_KEPT)
def fewer_places_than_were_taken(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "CONFIGURATION_ADOPTED" or _most_placed(log) < 2:
        return None
    return configured(log, max_concurrent_motions=_most_placed(log) - 1)


def _most_placed(log: Log) -> int:
    """Return how many motions held a place at most, all at once."""
    placed, most = set[str | None](), 0
    for event in log:
        if topic(event) == "TRANSITION_WITNESSED":
            placed.add(motion(event))
            if data(event)["to_state"] in WITHOUT_PLACE:
                placed.discard(motion(event))
            most = max(most, len(placed))
    return most
