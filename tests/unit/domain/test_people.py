"""What named people may do to a motion: amend, withdraw, take up, resolve."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.errors import CompletionRefused, CorruptStream, NotAllowed, Refused
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import (
    SYSTEM,
    Ballot,
    EscalationResolved,
    MotionAmended,
    TransitionWitnessed,
)
from governance_flow.domain.evolve import evolve
from governance_flow.domain.states import GovernanceState
from tests.support.motions import INTRODUCER, NOON, Scenario, person, service

S = GovernanceState
B = GovernanceBranch


def halted_in(state: S) -> Scenario:
    """Return a motion that waits for a person in ``state``."""
    if state in (S.INTRODUCED, S.TABLED):
        flow = Scenario().reaching(state)
        flow.knight = Scenario.sleeping
        if state is S.TABLED:
            flow.resolve(Resolution.TAKE_UP)
        else:
            flow.proceed()
        flow.knight = Scenario.honest
        return flow
    flow = Scenario().reaching(state)
    if state is not S.RATIFIED:
        flow.fails("system_error", "the lights went out")
    return flow


BLOCKABLE = [s for s in S if s not in {S.ACKNOWLEDGED, S.REJECTED, S.WITHDRAWN}]

# -- Amending ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [S.INTRODUCED, S.TABLED])
def test_the_introducer_amends_a_motion_and_the_ballots_cast_before_are_void(state: S) -> None:
    flow = Scenario().reaching(state)
    entered = flow.motion.entered_state_at
    flow.wait(hours=1).amend(title="Build a ferry")
    assert flow.story == ["amended by ada"]
    motion = flow.motion
    assert (motion.title, motion.text, motion.ballots) == ("Build a ferry", "Over the river.", {})
    assert (motion.state, motion.entered_state_at, motion.amended) == (state, entered, True)
    flow.amend(text="At the ford.", ballots={"cy": Ballot.NO})
    assert (flow.motion.title, flow.motion.text) == ("Build a ferry", "At the ford.")
    assert flow.motion.ballots == {"cy": Ballot.NO}


@pytest.mark.parametrize("state", [s for s in S if s not in {S.INTRODUCED, S.TABLED}])
def test_a_motion_cannot_be_amended_elsewhere(state: S) -> None:
    flow = Scenario().reaching(state)
    allowed = "INTRODUCED, TABLED"
    with pytest.raises(
        Refused, match=f"in {state}; it can be amended only in {allowed}"
    ) as refused:
        flow.amend(title="Build a ferry")
    assert (refused.value.motion_id, refused.value.state) == (flow.motion.id, state)
    amended = MotionAmended(
        event_id=flow.new_id(),
        correlation_id=flow.motion.correlation_id,
        actor=person(INTRODUCER),
        timestamp=flow.now,
        title="",
        text="",
    )
    with pytest.raises(CorruptStream):
        evolve(flow.motion, amended, flow.motion.id)


@pytest.mark.parametrize("act", ["amend", "withdraw"])
def test_nobody_but_the_introducer_amends_or_withdraws(act: str) -> None:
    flow = Scenario()
    with pytest.raises(NotAllowed, match=f"only ada, who introduced .* may {act} it"):
        getattr(flow, act)(by="bo")


def test_an_amendment_is_forgotten_when_the_motion_moves_on() -> None:
    flow = Scenario()
    flow.amend(title="Build a ferry")
    flow.proceed()
    assert not flow.motion.amended
    assert flow.motion.title == "Build a ferry"


# -- Withdrawing -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [S.INTRODUCED, S.DELIBERATING, S.TABLED])
def test_the_introducer_withdraws_a_motion(state: S) -> None:
    flow = Scenario().reaching(state)
    flow.withdraw()
    assert flow.story == [f"moved: {state} > WITHDRAWN (withdraw)"]
    moved = flow.last(TransitionWitnessed)
    assert (moved.actor, moved.cause.reason) == (person(INTRODUCER), "withdrawn by ada")
    assert flow.motion.terminal


@pytest.mark.parametrize(
    "state", [s for s in S if s not in {S.INTRODUCED, S.DELIBERATING, S.TABLED}]
)
def test_a_ratified_motion_cannot_be_withdrawn(state: S) -> None:
    flow = Scenario().reaching(state)
    allowed = "DELIBERATING, INTRODUCED, TABLED"
    with pytest.raises(Refused, match=f"is in {state}; it can be withdrawn only in {allowed}"):
        flow.withdraw()


def test_withdrawing_supersedes_the_open_routing() -> None:
    flow = Scenario().reaching(S.DELIBERATING)
    routing_id = flow.routing.routing_id
    flow.withdraw(reason="no money")
    assert flow.motion.routing is None
    assert flow.motion.superseded == {routing_id}
    assert flow.last(TransitionWitnessed).cause.reason == "no money"
    with pytest.raises(CompletionRefused):
        flow.report(B.CONCLAVE, next_state=S.RATIFIED, routing_id=routing_id)


# -- Taking up ---------------------------------------------------------------------------------


def test_a_tabled_motion_is_taken_up_at_the_dockets_end() -> None:
    flow = Scenario().reaching(S.TABLED).halt().wait(hours=5)
    flow.resolve(Resolution.TAKE_UP, by=INTRODUCER, notes="now is the time")
    assert flow.story == ["resolved: take_up by ada"]
    assert (flow.motion.docketed_at, flow.motion.tabled_until) == (flow.now, None)
    flow.resume().proceed()
    assert flow.state is S.DELIBERATING


def test_a_motion_tabled_until_a_date_comes_back_by_itself_on_that_date() -> None:
    flow = Scenario().reaching(S.DELIBERATING)
    flow.succeeds({"until": "2026-03-03T12:00:00Z"}, next_state=S.TABLED)
    assert flow.motion.tabled_until == NOON + timedelta(days=2)
    assert flow.wait(days=2, microseconds=-1).proceed() == []
    flow.wait(microseconds=1).proceed()
    assert flow.story == [
        "moved: TABLED > DELIBERATING (advance)",
        "routed: deliberate to conclave_service",
    ]
    assert flow.motion.tabled_until is None


def test_a_date_in_the_past_gives_no_place_before_others() -> None:
    flow = Scenario().reaching(S.DELIBERATING).wait(hours=1)
    flow.succeeds({"until": "1999-01-01T00:00:00Z"}, next_state=S.TABLED)
    assert flow.motion.docketed_at == flow.now
    assert flow.motion.tabled_until == datetime(1999, 1, 1, tzinfo=UTC)


def test_a_date_that_is_none_is_a_validation_error_of_the_deliberation() -> None:
    flow = Scenario().reaching(S.DELIBERATING)
    flow.succeeds({"until": "some day"}, next_state=S.TABLED)
    assert flow.story[1] == "error: validation_error, return_to_previous"
    assert flow.routing.findings == (
        "output[\"until\"] must be a time with its offset (ISO 8601), not 'some day'",
    )


def test_tabled_with_a_reason() -> None:
    flow = Scenario().reaching(S.DELIBERATING)
    flow.succeeds({"reason": "no quorum"}, next_state=S.TABLED)
    assert flow.last(TransitionWitnessed).cause.reason == "no quorum"
    untold = Scenario().reaching(S.TABLED)
    assert untold.last(TransitionWitnessed).cause.reason == "tabled by the Conclave"


def test_a_motion_tabled_until_a_date_can_be_taken_up_before_and_only_once() -> None:
    flow = Scenario().reaching(S.DELIBERATING)
    flow.succeeds({"until": "2026-03-03T12:00:00Z"}, next_state=S.TABLED)
    flow.halt().wait(hours=1).resolve(Resolution.TAKE_UP)
    assert (flow.motion.docketed_at, flow.motion.tabled_until) == (flow.now, None)
    with pytest.raises(Refused, match="taken up already"):
        flow.resolve(Resolution.TAKE_UP)


@pytest.mark.parametrize("state", [s for s in S if s is not S.TABLED])
def test_only_a_tabled_motion_can_be_taken_up(state: S) -> None:
    with pytest.raises(Refused, match="it can be taken up only in TABLED"):
        Scenario().reaching(state).resolve(Resolution.TAKE_UP)


@pytest.mark.parametrize("actor", [SYSTEM, service("duke_service")])
@pytest.mark.parametrize("decision", [Resolution.TAKE_UP, Resolution.RETRY])
def test_only_a_person_decides(actor: object, decision: Resolution) -> None:
    taking_up = decision is Resolution.TAKE_UP
    flow = Scenario().reaching(S.TABLED) if taking_up else halted_in(S.PLANNING)
    assert actor in (SYSTEM, service("duke_service"))
    with pytest.raises(NotAllowed, match="is not a named person"):
        flow.resolve_as(decision, SYSTEM if actor == SYSTEM else service("duke_service"))


# -- Resolving ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", BLOCKABLE)
def test_retry_does_what_was_to_be_done(state: S) -> None:
    flow = halted_in(state)
    flow.resolve(Resolution.RETRY, notes="the lights are on again")
    resolved = flow.last(EscalationResolved)
    errors = [e.event_id for e in flow.events if e.topic == "ORCHESTRATOR_ERROR"]
    assert resolved.error_id == resolved.causation_id == errors[-1]
    assert (resolved.actor, resolved.notes) == (person("zoe"), "the lights are on again")
    then = {
        S.INTRODUCED: S.DELIBERATING,
        S.TABLED: S.DELIBERATING,
        S.RATIFIED: S.PLANNING,
    }.get(state, state)
    assert (flow.state, flow.motion.block) == (then, None)
    assert flow.routing.state is then


@pytest.mark.parametrize(
    "state", [S.DELIBERATING, S.PLANNING, S.EXECUTING, S.JUDGING, S.WITNESSING]
)
def test_return_sends_it_back_in_the_persons_name(state: S) -> None:
    flow = halted_in(state)
    flow.resolve(Resolution.RETURN, notes="plan it again")
    assert flow.story[1].startswith(f"moved: {state} > ")
    moved = flow.last(TransitionWitnessed)
    assert (moved.cause.kind, moved.cause.reason) == ("return", "plan it again")
    assert moved.cause.event_id == moved.causation_id == flow.last(EscalationResolved).event_id
    assert moved.actor == person("zoe")
    assert flow.routing.findings == ("plan it again",)


def test_return_without_notes_says_by_whom() -> None:
    flow = halted_in(S.PLANNING)
    flow.resolve(Resolution.RETURN)
    assert flow.routing.findings == ("returned by zoe",)


@pytest.mark.parametrize("state", [S.INTRODUCED, S.RATIFIED, S.TABLED])
def test_what_has_no_state_before_it_cannot_be_returned(state: S) -> None:
    with pytest.raises(Refused, match=f"cannot be returned from {state}"):
        halted_in(state).resolve(Resolution.RETURN)


@pytest.mark.parametrize("state", [s for s in BLOCKABLE if s is not S.TABLED])
def test_review_asks_the_conclave(state: S) -> None:
    flow = halted_in(state)
    message = flow.motion.block.error.message if flow.motion.block else ""
    flow.resolve(Resolution.REVIEW)
    assert flow.story == ["resolved: review by zoe", "routed: review to conclave_service"]
    assert flow.routing.findings == (message,)
    assert flow.motion.block is not None
    assert not flow.motion.block.needs_person


def test_a_tabled_motion_cannot_be_reviewed_because_no_answer_could_be_carried_out() -> None:
    with pytest.raises(Refused, match="cannot be reviewed in TABLED; decide retry"):
        halted_in(S.TABLED).resolve(Resolution.REVIEW)


def test_nobody_who_acted_on_the_motion_resolves_it() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.succeeds(by=person("max"))
    flow.fails("system_error")
    for name, branch in [("max", "president"), (INTRODUCER, "king")]:
        with pytest.raises(NotAllowed, match=f"{name} has acted on motion .* for the {branch}"):
            flow.resolve(Resolution.RETRY, by=name)
    flow.resolve(Resolution.RETRY, by="zoe")


@pytest.mark.parametrize("decision", [Resolution.RETRY, Resolution.RETURN, Resolution.REVIEW])
@pytest.mark.parametrize("state", [s for s in S if s is not S.RATIFIED])
def test_what_is_not_blocked_cannot_be_resolved(state: S, decision: Resolution) -> None:
    with pytest.raises(Refused, match="not blocked"):
        Scenario().reaching(state).resolve(decision)


@pytest.mark.parametrize("decision", [Resolution.RETRY, Resolution.RETURN, Resolution.REVIEW])
def test_a_motion_is_resolved_once(decision: Resolution) -> None:
    flow = halted_in(S.PLANNING).halt()
    flow.resolve(decision)
    with pytest.raises(Refused, match="is not blocked"):
        flow.resolve(Resolution.RETRY, by="yan")


def test_while_the_conclave_reviews_nobody_else_decides() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.fails("compliance_error")
    with pytest.raises(Refused, match="under review by the Conclave"):
        flow.resolve(Resolution.RETRY)


@pytest.mark.parametrize(
    ("decision", "story"),
    [
        (Resolution.RETRY, ["routed: plan to president_service"]),
        (
            Resolution.RETURN,
            ["moved: PLANNING > DELIBERATING (return)", "routed: deliberate to conclave_service"],
        ),
        (Resolution.REVIEW, ["routed: review to conclave_service"]),
    ],
)
def test_what_is_decided_while_the_pipeline_is_halted_is_done_later(
    decision: Resolution, story: list[str]
) -> None:
    flow = halted_in(S.PLANNING).halt()
    flow.resolve(decision)
    assert flow.story == [f"resolved: {decision} by zoe"]
    flow.resume().proceed()
    assert flow.story == story
    if decision is Resolution.RETURN:
        assert flow.last(TransitionWitnessed).actor == person("zoe")
    assert flow.motion.resolution is None


def test_a_person_may_decide_in_the_conclaves_stead_when_it_gave_no_decision() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.fails("compliance_error")
    for _ in range(3):
        flow.review("maybe")
    flow.resolve(Resolution.RETRY)
    assert flow.routing.purpose is Purpose.PLAN
