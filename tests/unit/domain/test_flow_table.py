"""A motion that nothing befalls: every row of the flow table, both routing tables."""

from __future__ import annotations

from datetime import timedelta

import pytest

from governance_flow.domain.branches import Purpose
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import TransitionWitnessed
from governance_flow.domain.motion import AnswerStatus
from governance_flow.domain.states import HAND_OFF_MAP, STATE_SERVICE_MAP, GovernanceState
from tests.support.motions import NOON, Scenario, failing_knight

S = GovernanceState

OWNERS = [
    (S.DELIBERATING, "conclave_service", Purpose.DELIBERATE, 168),
    (S.PLANNING, "president_service", Purpose.PLAN, 72),
    (S.EXECUTING, "duke_service", Purpose.EXECUTE, 168),
    (S.JUDGING, "prince_service", Purpose.JUDGE, 48),
    (S.WITNESSING, "knight_witness_service", Purpose.RECORD, 24),
]
HAND_OFFS = [
    (S.PLANNING, S.EXECUTING, "duke_service", Purpose.EXECUTE),
    (S.EXECUTING, S.JUDGING, "prince_service", Purpose.JUDGE),
    (S.JUDGING, S.WITNESSING, "knight_witness_service", Purpose.RECORD),
    (S.WITNESSING, S.WITNESSING, "conclave_service", Purpose.ACKNOWLEDGE),
]


def test_the_seven_steps_from_introduction_to_acknowledgement() -> None:
    flow = Scenario()
    assert flow.story == ["introduced by ada"]
    flow.proceed()
    assert flow.story == [
        "moved: INTRODUCED > DELIBERATING (advance)",
        "routed: deliberate to conclave_service",
    ]
    flow.succeeds(next_state=S.RATIFIED)
    assert flow.story == [
        "completed: deliberate by conclave_service",
        "moved: DELIBERATING > RATIFIED (advance)",
        "moved: RATIFIED > PLANNING (advance)",
        "routed: plan to president_service",
    ]
    flow.succeeds()
    assert flow.story == [
        "completed: plan by president_service",
        "moved: PLANNING > EXECUTING (advance)",
        "routed: execute to duke_service",
    ]
    flow.succeeds()
    assert flow.story == [
        "completed: execute by duke_service",
        "moved: EXECUTING > JUDGING (advance)",
        "routed: judge to prince_service",
    ]
    flow.succeeds()
    assert flow.story == [
        "completed: judge by prince_service",
        "moved: JUDGING > WITNESSING (advance)",
        "routed: record to knight_witness_service",
    ]
    flow.succeeds()
    assert flow.story == [
        "completed: record by knight_witness_service",
        "routed: acknowledge to conclave_service",
    ]
    flow.succeeds()
    assert flow.story == [
        "completed: acknowledge by conclave_service",
        "moved: WITNESSING > ACKNOWLEDGED (advance)",
    ]
    assert flow.motion.terminal
    assert flow.proceed() == []


@pytest.mark.parametrize("state", [S.REJECTED, S.TABLED])
def test_the_vote_decides_what_follows_the_deliberation(state: S) -> None:
    flow = Scenario().reaching(S.DELIBERATING)
    flow.succeeds(next_state=state)
    assert flow.story == [
        "completed: deliberate by conclave_service",
        f"moved: DELIBERATING > {state} (advance)",
    ]
    assert flow.last(TransitionWitnessed).cause.event_id == flow.news[0].event_id
    assert flow.motion.routing is None
    assert flow.proceed() == []


@pytest.mark.parametrize(("state", "service", "purpose", "hours"), OWNERS)
def test_the_owner_of_a_state_gets_the_motion_when_it_enters(
    state: S, service: str, purpose: Purpose, hours: int
) -> None:
    flow = Scenario().reaching(state)
    routed = flow.routing
    assert routed.service == service == STATE_SERVICE_MAP[state]
    assert (routed.purpose, routed.state, routed.attempt) == (purpose, state, 1)
    assert routed.deadline == NOON + timedelta(hours=hours)
    assert routed.not_before is None
    assert routed.configuration == flow.rules.digest()
    assert routed.actor.id == "orchestrator"


@pytest.mark.parametrize(("state", "service", "purpose", "hours"), OWNERS)
def test_the_owner_gets_it_again_while_the_work_is_open(
    state: S, service: str, purpose: Purpose, hours: int
) -> None:
    flow = Scenario().reaching(state)
    flow.fails("system_error")
    assert not flow.motion.work_complete
    flow.resolve(Resolution.RETRY)
    assert (flow.routing.service, flow.routing.purpose) == (service, purpose)
    assert flow.routing.from_state is flow.routing.state is state


@pytest.mark.parametrize(("state", "target", "service", "purpose"), HAND_OFFS)
def test_completed_work_is_handed_off(state: S, target: S, service: str, purpose: Purpose) -> None:
    flow = Scenario().reaching(state)
    answer = flow.succeeds()
    assert flow.state is target
    assert flow.routing.service == service == HAND_OFF_MAP[state]
    assert (flow.routing.purpose, flow.routing.from_state) == (purpose, state)
    assert answer.status is AnswerStatus.APPLIED
    assert (answer.state, answer.next_service) == (target, service)
    if target is not state:
        assert flow.last(TransitionWitnessed).cause.event_id == flow.news[0].event_id
    assert answer.next_routing_id == flow.routing.routing_id


@pytest.mark.parametrize(("state", "target", "service", "purpose"), HAND_OFFS)
def test_a_motion_that_rests_with_its_work_complete_is_handed_off_and_never_redone(
    state: S, target: S, service: str, purpose: Purpose
) -> None:
    flow = Scenario().reaching(state).halt()
    flow.succeeds()
    assert (flow.state, flow.motion.routing) == (state, None)
    assert flow.motion.work_complete
    flow.resume().proceed()
    assert (flow.state, flow.routing.service, flow.routing.purpose) == (target, service, purpose)


@pytest.mark.parametrize("state", [S.INTRODUCED, S.TABLED])
def test_the_docket_hands_off_to_the_conclave(state: S) -> None:
    flow = Scenario().reaching(state)
    if state is S.TABLED:
        flow.halt().resolve(Resolution.TAKE_UP)
        flow.resume()
    assert flow.motion.work_complete
    flow.proceed()
    assert flow.story == [
        f"moved: {state} > DELIBERATING (advance)",
        "routed: deliberate to conclave_service",
    ]
    assert HAND_OFF_MAP[state] == flow.routing.service
    assert STATE_SERVICE_MAP.get(state, flow.routing.service) == flow.routing.service


def test_a_motion_that_rests_ratified_goes_on_to_the_president() -> None:
    flow = Scenario().reaching(S.RATIFIED)
    assert flow.motion.work_complete
    flow.resolve(Resolution.RETRY)
    assert flow.story == [
        "resolved: retry by zoe",
        "moved: RATIFIED > PLANNING (advance)",
        "routed: plan to president_service",
    ]
    assert flow.routing.service == HAND_OFF_MAP[S.RATIFIED] == STATE_SERVICE_MAP[S.RATIFIED]


@pytest.mark.parametrize("next_state", [S.RATIFIED, S.REJECTED, S.TABLED])
def test_a_vote_that_rests_is_applied_by_its_result(next_state: S) -> None:
    flow = Scenario().reaching(S.DELIBERATING).halt()
    flow.succeeds(next_state=next_state)
    assert flow.motion.work_complete
    flow.resume().proceed()
    assert flow.state is (S.PLANNING if next_state is S.RATIFIED else next_state)


@pytest.mark.parametrize("state", [row[0] for row in OWNERS] + [S.TABLED])
def test_the_work_of_a_state_is_open_when_a_motion_enters_it(state: S) -> None:
    assert not Scenario().reaching(state).motion.work_complete


@pytest.mark.parametrize("state", [row[0] for row in OWNERS])
def test_work_that_failed_is_not_complete(state: S) -> None:
    flow = Scenario().reaching(state).halt()
    flow.fails("timeout_error")
    assert not flow.motion.work_complete


def test_the_work_is_not_complete_while_a_vote_is_only_reviewed() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.fails("compliance_error")
    flow.halt().review("reject")
    assert not flow.motion.work_complete


def test_acknowledging_has_the_time_that_recording_left() -> None:
    flow = Scenario().reaching(S.WITNESSING).wait(hours=10)
    flow.succeeds()
    assert flow.routing.deadline == NOON + timedelta(hours=24)


def test_every_step_hands_on_what_the_steps_before_produced() -> None:
    flow = Scenario().reaching(S.WITNESSING)
    flow.succeeds()
    assert flow.motion.outputs == {
        purpose: {"did": purpose}
        for purpose in ("deliberate", "plan", "execute", "judge", "record")
    }


@pytest.mark.parametrize("state", [S.ACKNOWLEDGED, S.REJECTED, S.WITHDRAWN])
def test_nothing_follows_the_end(state: S) -> None:
    flow = Scenario().reaching(state)
    assert flow.proceed() == []
    assert not flow.motion.work_complete
    flow.knight = failing_knight
    assert flow.proceed() == []
