"""Who must act next: every live motion has an answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from governance_flow.domain.branches import Purpose
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import OrchestratorError
from governance_flow.domain.next_action import (
    AwaitBranch,
    AwaitOrchestrator,
    AwaitPerson,
    AwaitPlace,
    AwaitTakingUp,
    Finished,
    next_action,
)
from governance_flow.domain.states import GovernanceState
from tests.support.motions import NOON, Scenario

S = GovernanceState
WORKING = [S.DELIBERATING, S.PLANNING, S.EXECUTING, S.JUDGING, S.WITNESSING]


def test_a_new_motion_waits_for_a_place_since_it_was_introduced() -> None:
    assert next_action(Scenario().motion) == AwaitPlace(NOON)


@pytest.mark.parametrize("state", WORKING)
def test_a_motion_that_is_worked_on_waits_for_the_branch(state: S) -> None:
    flow = Scenario().reaching(state)
    assert next_action(flow.motion) == AwaitBranch(flow.routing)


@pytest.mark.parametrize("state", [S.ACKNOWLEDGED, S.REJECTED, S.WITHDRAWN])
def test_a_motion_that_has_ended_waits_for_nothing(state: S) -> None:
    assert next_action(Scenario().reaching(state).motion) == Finished()


def test_a_tabled_motion_waits_to_be_taken_up_or_for_its_date() -> None:
    assert next_action(Scenario().reaching(S.TABLED).motion) == AwaitTakingUp()
    flow = Scenario().reaching(S.DELIBERATING)
    flow.succeeds({"until": "2026-03-03T12:00:00Z"}, next_state=S.TABLED)
    assert next_action(flow.motion) == AwaitPlace(NOON + timedelta(days=2))
    flow.halt().wait(hours=1).resolve(Resolution.TAKE_UP)
    assert next_action(flow.motion) == AwaitPlace(NOON + timedelta(hours=1))


def test_a_returned_motion_waits_for_the_king_and_then_for_a_place() -> None:
    flow = Scenario().returned()
    assert next_action(flow.motion) == AwaitBranch(flow.routing)
    flow.wait(hours=1).halt().succeeds({})
    assert next_action(flow.motion) == AwaitPlace(flow.now)


@pytest.mark.parametrize("state", WORKING)
def test_a_halted_motion_waits_for_a_person(state: S) -> None:
    flow = Scenario().reaching(state)
    flow.fails("system_error")
    assert next_action(flow.motion) == AwaitPerson(flow.last(OrchestratorError))


def test_a_motion_under_review_waits_for_the_conclave() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.fails("compliance_error")
    assert flow.routing.purpose is Purpose.REVIEW
    assert next_action(flow.motion) == AwaitBranch(flow.routing)


@pytest.mark.parametrize("state", WORKING)
@pytest.mark.parametrize("success", [True, False])
def test_what_is_recorded_while_the_pipeline_is_halted_is_to_be_applied(
    state: S, success: bool
) -> None:
    flow = Scenario().reaching(state).halt()
    if success:
        flow.succeeds()
    else:
        flow.fails("validation_error")
    assert next_action(flow.motion) == AwaitOrchestrator()


@pytest.mark.parametrize("decision", [Resolution.RETRY, Resolution.RETURN, Resolution.REVIEW])
def test_what_a_person_decided_is_to_be_applied(decision: Resolution) -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.fails("system_error")
    flow.halt().resolve(decision)
    assert next_action(flow.motion) == AwaitOrchestrator()


def test_a_reviews_decision_is_to_be_applied() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.fails("compliance_error")
    flow.halt().review("resume")
    assert next_action(flow.motion) == AwaitOrchestrator()


def test_a_motion_the_king_is_to_revise_again_does_not_wait_for_a_place() -> None:
    flow = Scenario().returned()
    flow.fails("system_error")
    flow.halt().resolve(Resolution.RETRY)
    assert next_action(flow.motion) == AwaitOrchestrator()


def unwitnessed_in(state: S) -> Scenario:
    flow = Scenario().reaching(state)
    flow.knight = Scenario.sleeping
    if state is S.TABLED:
        flow.withdraw()
    else:
        flow.proceed()
    flow.knight = Scenario.honest
    return flow.halt()


def test_after_a_retry_it_waits_for_what_it_waited_for_before() -> None:
    flow = unwitnessed_in(S.INTRODUCED)
    flow.resolve(Resolution.RETRY)
    assert next_action(flow.motion) == AwaitPlace(NOON)
    flow = unwitnessed_in(S.TABLED)
    flow.resolve(Resolution.RETRY)
    assert next_action(flow.motion) == AwaitTakingUp()


@pytest.mark.parametrize("decision", ["resume", "reject"])
def test_after_the_review_of_a_motion_in_the_docket(decision: str) -> None:
    flow = unwitnessed_in(S.INTRODUCED).resume()
    flow.resolve(Resolution.REVIEW)
    flow.halt().review(decision)
    applied = AwaitOrchestrator()
    assert next_action(flow.motion) == (AwaitPlace(NOON) if decision == "resume" else applied)


def test_a_motion_that_is_to_be_reviewed_does_not_wait_for_a_place() -> None:
    flow = unwitnessed_in(S.INTRODUCED)
    flow.resolve(Resolution.REVIEW)
    assert next_action(flow.motion) == AwaitOrchestrator()


def test_a_motion_the_king_withdraws_is_to_be_moved() -> None:
    flow = Scenario().returned().halt()
    flow.succeeds({}, next_state=S.WITHDRAWN)
    assert next_action(flow.motion) == AwaitOrchestrator()


def test_a_motion_that_rests_ratified_waits_for_the_person_and_then_goes_on() -> None:
    flow = Scenario().reaching(S.RATIFIED)
    assert next_action(flow.motion) == AwaitPerson(flow.last(OrchestratorError))
    flow.halt().resolve(Resolution.RETRY)
    assert next_action(flow.motion) == AwaitOrchestrator()
