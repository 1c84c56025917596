"""What rests and goes on later: a halted pipeline, a Knight who could not witness."""

from __future__ import annotations

from dataclasses import replace

import pytest

from governance_flow.domain.answers import AnswerStatus
from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.decisions.escalations import witness_failure
from governance_flow.domain.decisions.proceed import proceed
from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import (
    BranchCompleted,
    EscalationResolved,
    OrchestratorError,
    TransitionWitnessed,
)
from governance_flow.domain.next_action import (
    AwaitBranch,
    AwaitOrchestrator,
    AwaitPerson,
    next_action,
)
from governance_flow.domain.states import GovernanceState
from tests.support.motions import Scenario, honest_knight

S = GovernanceState
B = GovernanceBranch

SUCCESSES = [S.DELIBERATING, S.PLANNING, S.EXECUTING, S.JUDGING]


@pytest.mark.parametrize("state", [*SUCCESSES, S.WITNESSING])
@pytest.mark.parametrize(
    "error_type", ["validation_error", "compliance_error", "system_error", "timeout_error"]
)
def test_a_failure_reported_to_a_halted_pipeline_is_escalated_later(
    state: S, error_type: str
) -> None:
    flow, running = Scenario().reaching(state), Scenario().reaching(state)
    flow.halt()
    answer = flow.fails(error_type)
    assert len(flow.news) == 1
    assert (answer.status, answer.strategy) == (AnswerStatus.RECORDED, None)
    flow.resume().proceed()
    running.fails(error_type)
    assert flow.story == running.story[1:]


# -- The Knight fails --------------------------------------------------------------------------


@pytest.mark.parametrize("state", SUCCESSES)
def test_if_the_knight_fails_what_was_reported_is_recorded_alone_and_the_error_escalates(
    state: S,
) -> None:
    flow = Scenario().reaching(state)
    flow.knight = Scenario.sleeping
    flow.succeeds()
    assert flow.story[1:] == ["error: system_error, halt_and_alert"]
    assert isinstance(flow.news[0], BranchCompleted)
    assert (flow.motion.pending, flow.state) == (flow.news[0], state)
    assert isinstance(next_action(flow.motion), AwaitPerson)
    assert flow.proceed() == []
    error = flow.last(OrchestratorError)
    assert (error.message, error.branch, error.purpose) == ("the Knight sleeps", B.KNIGHT, None)
    assert (error.routing_id, error.actor.id, error.attempt) == (None, "orchestrator", 1)
    assert error.action == "no transition was made; blocked until a named person resolves it"


@pytest.mark.parametrize("state", SUCCESSES)
def test_what_was_reported_is_applied_when_a_person_says_retry(state: S) -> None:
    flow, undisturbed = Scenario().reaching(state), Scenario().reaching(state)
    flow.knight = Scenario.sleeping
    flow.succeeds()
    flow.resolve(Resolution.RETRY)
    assert flow.story == ["resolved: retry by zoe", "error: system_error, halt_and_alert"]
    flow.knight = Scenario.honest
    flow.resolve(Resolution.RETRY)
    undisturbed.succeeds()
    assert flow.story[1:] == undisturbed.story[1:]
    assert flow.motion.outputs == undisturbed.motion.outputs
    assert flow.last(TransitionWitnessed).causation_id == flow.last(EscalationResolved).event_id


def test_a_return_that_was_not_witnessed_is_made_when_a_person_says_retry() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.knight = Scenario.sleeping
    flow.fails("validation_error", "no tasks")
    assert flow.story == [
        "failed: execute by duke_service, validation_error",
        "error: system_error, halt_and_alert",
    ]
    flow.knight = Scenario.honest
    flow.resolve(Resolution.RETRY)
    assert flow.story[1:] == [
        "error: validation_error, return_to_previous",
        "moved: EXECUTING > PLANNING (return)",
        "routed: plan to president_service",
    ]
    assert flow.routing.findings == ("no tasks",)


def test_a_reviews_decision_that_was_not_witnessed_is_carried_out_on_retry() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.fails("compliance_error")
    flow.knight = Scenario.sleeping
    flow.review("reject")
    flow.knight = Scenario.honest
    flow.resolve(Resolution.RETRY)
    assert flow.state is S.REJECTED


def test_a_persons_return_that_was_not_witnessed_is_to_be_decided_again() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.fails("system_error")
    flow.knight = Scenario.sleeping
    flow.resolve(Resolution.RETURN)
    assert flow.story == ["resolved: return by zoe", "error: system_error, halt_and_alert"]
    assert isinstance(next_action(flow.motion), AwaitPerson)
    flow.knight = Scenario.honest
    flow.resolve(Resolution.RETURN)
    assert flow.state is S.PLANNING


def test_an_admission_that_was_not_witnessed_leaves_the_motion_in_the_docket() -> None:
    flow = Scenario()
    flow.knight = Scenario.sleeping
    flow.proceed()
    assert flow.story == ["error: system_error, halt_and_alert"]
    assert flow.state is S.INTRODUCED
    assert flow.proceed() == []


def test_what_was_witnessed_before_the_knight_failed_stands() -> None:
    flow = Scenario().reaching(S.DELIBERATING)
    flow.knight = lambda r: (
        honest_knight(r) if r.transition.to_state is S.RATIFIED else Scenario.sleeping(r)
    )
    answer = flow.succeeds()
    assert flow.story == [
        "completed: deliberate by conclave_service",
        "moved: DELIBERATING > RATIFIED (advance)",
        "error: system_error, halt_and_alert",
    ]
    assert (answer.state, answer.status) == (S.RATIFIED, AnswerStatus.ESCALATED)


# -- A withdrawal the Knight did not witness, while a branch works -----------------------------


def unwitnessed_withdrawal() -> Scenario:
    flow = Scenario().reaching(S.DELIBERATING)
    flow.knight = Scenario.sleeping
    flow.withdraw()
    flow.knight = Scenario.honest
    return flow


def test_the_branch_works_on_but_its_report_waits_for_the_person() -> None:
    flow = unwitnessed_withdrawal()
    assert isinstance(next_action(flow.motion), AwaitPerson)
    assert flow.motion.routing is not None
    flow.succeeds()
    assert flow.story == ["completed: deliberate by conclave_service"]
    flow.resolve(Resolution.RETRY)
    assert flow.state is S.PLANNING


def test_retry_lets_the_branch_go_on_with_what_it_works_on() -> None:
    flow = unwitnessed_withdrawal()
    routed = flow.routing
    flow.resolve(Resolution.RETRY)
    assert flow.story == ["resolved: retry by zoe"]
    assert next_action(flow.motion) == AwaitBranch(routed)
    answer = flow.succeeds()
    assert (answer.status, answer.state) == (AnswerStatus.APPLIED, S.PLANNING)


def test_a_return_supersedes_what_the_branch_works_on() -> None:
    flow = unwitnessed_withdrawal()
    routed = flow.routing
    flow.resolve(Resolution.RETURN)
    assert flow.routing.purpose is Purpose.REVISE
    assert routed.routing_id in flow.motion.superseded


def test_a_review_supersedes_what_the_branch_works_on() -> None:
    flow = unwitnessed_withdrawal()
    routed = flow.routing
    flow.resolve(Resolution.REVIEW)
    assert flow.routing.purpose is Purpose.REVIEW
    assert routed.routing_id in flow.motion.superseded


@pytest.mark.parametrize(
    ("decision", "purpose"),
    [(Resolution.RETURN, Purpose.REVISE), (Resolution.REVIEW, Purpose.REVIEW)],
)
@pytest.mark.parametrize("answered", [True, False])
def test_what_the_person_decided_counts_and_not_what_the_branch_works_on(
    decision: Resolution, purpose: Purpose, answered: bool
) -> None:
    flow = unwitnessed_withdrawal().halt()
    flow.resolve(decision)
    assert next_action(flow.motion) == AwaitOrchestrator()
    if answered:
        flow.succeeds()
        assert next_action(flow.motion) == AwaitOrchestrator()
    flow.resume().proceed()
    assert flow.routing.purpose is purpose


def test_a_violation_meanwhile_is_reviewed_once_the_person_has_decided() -> None:
    flow = unwitnessed_withdrawal()
    flow.succeeds(next_state=S.EXECUTING)
    assert flow.story == ["violation: skipped_step by holder conclave_service"]
    flow.resolve(Resolution.RETRY)
    assert flow.story[1:] == ["error: compliance_error, halt_and_alert"]


def test_the_withdrawal_can_be_repeated() -> None:
    flow = unwitnessed_withdrawal()
    flow.withdraw()
    assert flow.state is S.WITHDRAWN


def test_what_was_reported_of_another_routing_than_the_latest_is_corrupt() -> None:
    flow = Scenario().reaching(S.PLANNING).halt()
    flow.fails("system_error")
    stray = replace(flow.motion, last_routing=None)
    with pytest.raises(CorruptStream, match="BRANCH_COMPLETED of a routing that is not its latest"):
        proceed(stray, flow.context())


def test_the_error_of_a_failing_knight_blocks_a_motion_that_was_not_blocked() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.append([witness_failure(flow.motion, flow.context(), "asleep")])
    assert flow.motion.block is not None
    assert flow.motion.last_error is flow.news[0]
    assert flow.motion.routing is not None
