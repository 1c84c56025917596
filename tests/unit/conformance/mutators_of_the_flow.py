"""Ways to break what holds for transitions and routings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

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
    later,
    replaced,
    saying,
    stating,
    without,
)
from tests.unit.conformance.exported import Event, topic
from tests.unit.conformance.mutators import Register

FLOW = Register()
breaks = FLOW.breaks

ELSEWHERE = "00000000-0000-4000-8000-00000000cafe"
NEXT = {"PLANNING": "EXECUTING", "EXECUTING": "JUDGING", "JUDGING": "WITNESSING"}
WORK = {"PLANNING": "plan", "EXECUTING": "execute", "JUDGING": "judge"}
SERVICES = {"plan": "president_service", "execute": "duke_service", "judge": "prince_service"}
HOURS = {"PLANNING": 72, "EXECUTING": 168, "JUDGING": 48}


def moves(event: Event, kind: str | None = None) -> bool:
    if topic(event) != "TRANSITION_WITNESSED":
        return False
    return kind in (None, data(event)["cause"]["kind"])


def routes(event: Event, purpose: str | None = None) -> bool:
    return topic(event) == "MOTION_ROUTED" and purpose in (None, data(event)["purpose"])


def is_announced(log: Log, index: int) -> bool:
    """Return whether an error or a return has said that this event would follow."""
    at = before(log, index)
    return at is not None and (topic(log[at]) == "ORCHESTRATOR_ERROR" or moves(log[at], "return"))


# -- Transitions -----------------------------------------------------------------------------------


@breaks(Rule.LEAVES_CURRENT_STATE, Rule.TRANSITION_IN_TABLE)
def out_of_another_state(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if not moves(event, "advance") or data(event)["to_state"] == "ACKNOWLEDGED":
        return None
    source = "RATIFIED" if data(event)["from_state"] != "RATIFIED" else "PLANNING"
    return cut(replaced(log, index, saying(event, from_state=source)), index)


@breaks(Rule.TRANSITION_IN_TABLE)
def a_state_is_skipped(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    beyond = NEXT.get(data(event).get("to_state", ""))
    if not moves(event, "advance") or beyond is None:
        return None
    return cut(replaced(log, index, saying(event, to_state=beyond)), index)


@breaks(Rule.TRANSITION_IN_TABLE, Rule.ESCALATION_CARRIED_OUT)
def for_another_reason(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if not moves(event) or is_announced(log, index) or data(event)["to_state"] == "ACKNOWLEDGED":
        return None
    kind = "return" if data(event)["cause"]["kind"] != "return" else "advance"
    cause = {**data(event)["cause"], "kind": kind}
    return cut(replaced(log, index, saying(event, cause=cause)), index)


@breaks(Rule.STEP_REPORTED_DONE, Rule.TABLED_UNTIL_DUE)
def nobody_did_the_work(log: Log, index: int) -> list[Event] | None:
    event, after = log[index], following(log, index)
    if topic(event) != "BRANCH_COMPLETED" or after is None or not moves(log[after], "advance"):
        return None
    if data(log[after])["to_state"] == "ACKNOWLEDGED":
        return None
    # Nothing of the causes of what follows matters but that they are not this event.
    return without(cut(log, after), index)


@breaks(Rule.STEP_REPORTED_DONE)
def the_vote_was_another(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    voted = topic(event) == "BRANCH_COMPLETED" and data(event)["purpose"] == "deliberate"
    after = following(log, index)
    if not voted or data(event)["next_state"] not in ("RATIFIED", "REJECTED"):
        return None
    if after is None or not moves(log[after]):
        return None
    other = "REJECTED" if data(event)["next_state"] == "RATIFIED" else "RATIFIED"
    return replaced(log, index, saying(event, next_state=other))


@breaks(Rule.STEP_REPORTED_DONE)
def the_king_has_not_revised(log: Log, index: int) -> list[Event] | None:
    event, after = log[index], following(log, index)
    revised = topic(event) == "BRANCH_COMPLETED" and data(event)["purpose"] == "revise"
    if not revised or after is None or topic(log[after]) != "MOTION_AMENDED":
        return None
    moved = following(log, after)
    return None if moved is None else without(cut(log, moved), index, after)


def unrecorded(log: Log, index: int) -> tuple[int, int, Event] | None:
    """Return where the Knight's report and what follows stand, and that as if it came first."""
    if not routes(log[index], "record"):
        return None
    done = following(log, index)
    asked = None if done is None else following(log, done)
    if done is None or asked is None or not routes(log[asked], "acknowledge"):
        return None
    return done, asked, saying(log[asked], from_state=data(log[index])["from_state"])


@breaks(Rule.ALL_SEVEN_STEPS)
def nobody_recorded_the_outcome(log: Log, index: int) -> list[Event] | None:
    found = unrecorded(log, index)
    if found is None:
        return None
    done, asked, moved = found
    return without(replaced(log, asked, moved), index, done)


@breaks(Rule.ALL_SEVEN_STEPS)
def the_conclave_is_to_acknowledge_what_nobody_recorded(log: Log, index: int) -> list[Event] | None:
    found = unrecorded(log, index)
    if found is None:
        return None
    done, asked, moved = found
    return without(cut(replaced(log, asked, moved), asked), index, done)


@breaks(Rule.TABLED_UNTIL_DUE)
def before_its_date(log: Log, index: int) -> list[Event] | None:
    event, tabled = log[index], before(log, index)
    if not moves(event, "advance") or data(event)["from_state"] != "TABLED" or tabled is None:
        return None
    decided = before(log, tabled)
    if data(log[tabled]).get("until") is None or decided is None:
        return None
    until = later(data(log[tabled])["until"], timedelta(days=30))
    voted = saying(log[decided], output={**data(log[decided])["output"], "until": until})
    return replaced(replaced(log, decided, voted), tabled, saying(log[tabled], until=until))


@breaks(Rule.TABLED_UNTIL_DUE)
def nobody_took_it_up(log: Log, index: int) -> list[Event] | None:
    if data(log[index]).get("decision") != "take_up":
        return None
    return without(log, index)


@breaks(Rule.TABLED_UNTIL_DUE)
def until_another_date(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if not moves(event) or moves(event, "return"):
        return None
    until = data(event)["until"] or data(event)["timestamp"]
    other = saying(event, until=later(until, timedelta(days=-1)))
    return cut(replaced(log, index, other), index)


@breaks(Rule.RETURN_ORDERED)
def returned_without_findings(log: Log, index: int) -> list[Event] | None:
    event, after = log[index], following(log, index)
    source = data(event).get("from_state")
    if not moves(event, "advance") or after is None or source not in ("EXECUTING", "JUDGING"):
        return None
    target = {"EXECUTING": "PLANNING", "JUDGING": "EXECUTING"}[source]
    back = saying(event, to_state=target, cause={**data(event)["cause"], "kind": "return"})
    hours = timedelta(hours=HOURS[target])
    asked = saying(
        log[after],
        state=target,
        purpose=WORK[target],
        service=SERVICES[WORK[target]],
        branch=SERVICES[WORK[target]].removesuffix("_service"),
        findings=["so it is said"],
        deadline=later(data(event)["timestamp"], hours),
    )
    return cut(replaced(replaced(log, index, back), after, asked), after)


@breaks(Rule.RETURN_ORDERED)
def the_review_said_resume(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if topic(event) != "BRANCH_COMPLETED" or data(event)["output"].get("decision") != "return":
        return None
    after = following(log, index)
    if after is None or not moves(log[after], "return"):
        return None
    return replaced(log, index, saying(event, output={"decision": "resume"}))


@breaks(Rule.REVIEW_DECIDES)
def the_review_answered_otherwise(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    decision = data(event).get("output", {}).get("decision")
    if topic(event) != "BRANCH_COMPLETED" or decision not in ("table", "reject"):
        return None
    other = {"table": "reject", "reject": "table"}[decision]
    return replaced(log, index, saying(event, output={"decision": other}))


@breaks(Rule.WITHDRAWN_BY_INTRODUCER)
def withdrawn_by_somebody_else(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if not moves(event, "withdraw") or data(event)["cause"]["event_id"] is not None:
        return None
    return replaced(log, index, saying(event, actor=by(SOMEBODY)))


@breaks(Rule.WITHDRAWN_BY_INTRODUCER)
def the_king_had_not_withdrawn_it(log: Log, index: int) -> list[Event] | None:
    event, done = log[index], before(log, index)
    if not moves(event, "withdraw") or done is None:
        return None
    if topic(log[done]) != "BRANCH_COMPLETED" or data(log[done])["purpose"] != "revise":
        return None
    return replaced(log, done, saying(log[done], next_state=None))


@breaks(Rule.BLOCKED_MOTION_RESTS, Rule.ESCALATION_CARRIED_OUT)
def nobody_has_unblocked_it(log: Log, index: int) -> list[Event] | None:
    event, after = log[index], following(log, index)
    if data(event).get("decision") != "retry" or after is None:
        return None
    if topic(log[after]) not in ("MOTION_ROUTED", "TRANSITION_WITNESSED", "ORCHESTRATOR_ERROR"):
        return None
    if data(log[after]).get("purpose") == "review":
        return None
    return without(cut(log, after), index)


@breaks(Rule.BLOCKED_MOTION_RESTS)
def the_review_did_not_say_resume(log: Log, index: int) -> list[Event] | None:
    event, after = log[index], following(log, index)
    if data(event).get("output", {}).get("decision") != "resume" or after is None:
        return None
    if not routes(log[after]):
        return None
    return cut(replaced(log, index, saying(event, output={"decision": "reject"})), after)


def statement_saying(**changes: Any) -> Any:
    def mutate(log: Log, index: int) -> list[Event] | None:
        if not moves(log[index]):
            return None
        return replaced(log, index, stating(log[index], **changes))

    mutate.__name__ = f"the_statement_says_another_{'_'.join(changes)}"
    return mutate


for forged in (
    {"motion_id": ELSEWHERE},
    {"from": "TABLED "},
    {"to": "INTRODUCED "},
    {"cause": {"kind": "advance", "reason": "because", "event_id": None}},
    {"actor": by(SOMEBODY)},
    {"timestamp": "2020-02-02T02:02:02+00:00"},
    {"until": "2020-02-02T02:02:02+00:00"},
):
    breaks(Rule.STATEMENT_AGREES)(statement_saying(**forged))
breaks(Rule.STATEMENT_AGREES, renumbers=False)(statement_saying(version=7_000))


@breaks(Rule.STATEMENT_AGREES)
def no_statement_at_all(log: Log, index: int) -> list[Event] | None:
    if not moves(log[index]):
        return None
    event = log[index]
    return replaced(log, index, {**event, "data": {**event["data"], "statement": "I saw it\n"}})


# -- Routings --------------------------------------------------------------------------------------


@breaks(Rule.ROUTED_WHERE_IT_STANDS)
def routed_in_another_state(log: Log, index: int) -> list[Event] | None:
    if not routes(log[index]):
        return None
    return replaced(log, index, saying(log[index], state="TABLED"))


@breaks(Rule.ROUTED_WHERE_IT_STANDS)
def routed_out_of_another_state(log: Log, index: int) -> list[Event] | None:
    if not routes(log[index]):
        return None
    return replaced(log, index, saying(log[index], from_state="TABLED "))


@breaks(Rule.ROUTED_TO_OWNER)
def routed_to_another_service(log: Log, index: int) -> list[Event] | None:
    if not routes(log[index]):
        return None
    return cut(replaced(log, index, saying(log[index], service="earl_service")), index)


@breaks(Rule.ROUTED_TO_OWNER)
def routed_to_another_branch(log: Log, index: int) -> list[Event] | None:
    if not routes(log[index]):
        return None
    return cut(replaced(log, index, saying(log[index], branch="earl")), index)


@breaks(Rule.ROUTED_TO_OWNER)
def asked_for_work_of_another_state(log: Log, index: int) -> list[Event] | None:
    if not routes(log[index], "plan") or is_announced(log, index):
        return None
    other = saying(log[index], purpose="judge", service="prince_service", branch="prince")
    return cut(replaced(log, index, other), index)


@breaks(Rule.REVIEW_CALLED_FOR)
def a_review_of_what_is_not_blocked(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if not routes(event) or routes(event, "review") or is_announced(log, index):
        return None
    asked = {"purpose": "review", "service": "conclave_service", "branch": "conclave"}
    return cut(replaced(log, index, saying(event, **asked, deadline=None)), index)


@breaks(Rule.ONE_ROUTING_OPEN)
def two_are_asked_at_once(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if not routes(event) or data(event)["attempt"] > 1:
        return None
    second = another(event, from_state=data(event)["state"])
    return replaced(cut(log, index), index, event, second)


@breaks(Rule.WORK_NEVER_REDONE)
def work_that_was_done_is_asked_for_again(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    done = topic(event) == "BRANCH_COMPLETED" and data(event)["success"]
    if not done or data(event)["purpose"] not in ("plan", "execute", "judge"):
        return None
    asked = before(log, index)
    if asked is None or not routes(log[asked]) or data(log[asked])["attempt"] > 1:
        return None
    if following(log, index) != index + 1:
        return None
    again = another(log[asked], from_state=data(log[asked])["state"])
    return replaced(cut(log, index), index, event, again)


@breaks(Rule.CONFIGURATION_KNOWN)
def under_a_configuration_nobody_adopted(log: Log, index: int) -> list[Event] | None:
    if not routes(log[index]):
        return None
    return cut(replaced(log, index, saying(log[index], configuration="0" * 64)), index)


@breaks(Rule.DEADLINE_AS_CONFIGURED)
def another_deadline(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if not routes(event):
        return None
    deadline = data(event)["deadline"] or data(event)["timestamp"]
    moved = saying(event, deadline=later(deadline, timedelta(hours=1)))
    return cut(replaced(log, index, moved), index)


@breaks(Rule.DEADLINE_AS_CONFIGURED)
def no_deadline(log: Log, index: int) -> list[Event] | None:
    if not routes(log[index]) or data(log[index])["deadline"] is None:
        return None
    return cut(replaced(log, index, saying(log[index], deadline=None)), index)


@breaks(Rule.DEADLINE_AS_CONFIGURED)
def fewer_hours_configured(log: Log, index: int) -> list[Event] | None:
    if topic(log[index]) != "CONFIGURATION_ADOPTED":
        return None
    return configured(log, state_timeout_hours={"DELIBERATING": 167.0})


@breaks(Rule.ATTEMPTS_COUNTED)
def an_attempt_too_many(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if not routes(event):
        return None
    counted = saying(event, attempt=data(event)["attempt"] + 1)
    return cut(replaced(log, index, counted), index)


@breaks(Rule.ATTEMPTS_COUNTED, Rule.DEADLINE_AS_CONFIGURED)
def begun_too_soon(log: Log, index: int) -> list[Event] | None:
    event = log[index]
    if not routes(event) or data(event)["not_before"] is None:
        return None
    return cut(replaced(log, index, saying(event, not_before=None)), index)
