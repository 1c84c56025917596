"""The error table: what each type of error leads to, and how often."""

from __future__ import annotations

from datetime import timedelta

import pytest

from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.escalation import (
    ERROR_TYPE_MAP,
    ErrorEscalationStrategy,
    Resolution,
    strategy_for,
)
from governance_flow.domain.events import OrchestratorError
from governance_flow.domain.states import GovernanceState
from tests.support.motions import NOON, Scenario, configured

S = GovernanceState
B = GovernanceBranch

RETURNS = [
    (S.DELIBERATING, S.INTRODUCED, "revise", "king_service"),
    (S.PLANNING, S.DELIBERATING, "deliberate", "conclave_service"),
    (S.EXECUTING, S.PLANNING, "plan", "president_service"),
    (S.JUDGING, S.EXECUTING, "execute", "duke_service"),
    (S.WITNESSING, S.JUDGING, "judge", "prince_service"),
]
WORKING = [S.DELIBERATING, S.PLANNING, S.EXECUTING, S.JUDGING, S.WITNESSING]


def third_time(state: S, flow: Scenario | None = None) -> Scenario:
    """Return a motion that was returned out of ``state`` twice and has come back to it."""
    flow = flow or Scenario()
    for _ in range(2):
        flow.reaching(state)
        flow.fails("validation_error")
    if flow.state is S.INTRODUCED:
        flow.succeeds()
    return flow.reaching(state)


def test_the_error_table() -> None:
    assert ERROR_TYPE_MAP == {
        "validation_error": "return_to_previous",
        "permission_error": "conclave_review",
        "compliance_error": "conclave_review",
        "system_error": "halt_and_alert",
        "timeout_error": "retry_with_backoff",
    }


@pytest.mark.parametrize("unlisted", ["", None, "VALIDATION_ERROR", "timeout", "disk_full"])
def test_every_type_that_is_not_listed_halts(unlisted: str | None) -> None:
    assert strategy_for(unlisted) is ErrorEscalationStrategy.HALT_AND_ALERT


# -- Return to previous ------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "previous", "purpose", "service"), RETURNS)
def test_a_validation_error_returns_the_motion_with_the_findings(
    state: S, previous: S, purpose: str, service: str
) -> None:
    flow = Scenario().reaching(state).wait(hours=1)
    failed = flow.fails("validation_error", "no dates are given")
    owner = failed.record.actor.id
    asked = {
        S.DELIBERATING: "deliberate",
        S.PLANNING: "plan",
        S.EXECUTING: "execute",
        S.JUDGING: "judge",
        S.WITNESSING: "record",
    }[state]
    assert flow.story == [
        f"failed: {asked} by {owner}, validation_error",
        "error: validation_error, return_to_previous",
        f"moved: {state} > {previous} (return)",
        f"routed: {purpose} to {service}",
    ]
    assert flow.routing.findings == ("no dates are given",)
    assert flow.motion.entered_state_at == flow.now
    hours = {
        S.INTRODUCED: None,
        S.DELIBERATING: 168,
        S.PLANNING: 72,
        S.EXECUTING: 168,
        S.JUDGING: 48,
    }
    anew = hours[previous]
    assert flow.routing.deadline == (None if anew is None else flow.now + timedelta(hours=anew))
    error = flow.last(OrchestratorError)
    assert (error.message, error.action) == ("no dates are given", f"returned to {previous}")
    assert (error.attempt, error.purpose, error.retry_at) == (1, asked, None)
    assert flow.motion.block is None


def test_what_was_undone_is_no_longer_handed_on() -> None:
    flow = Scenario().reaching(S.WITNESSING)
    flow.succeeds()
    flow.fails("validation_error")
    assert set(flow.motion.outputs) == {"deliberate", "plan", "execute"}
    flow.fails("validation_error")
    flow.fails("validation_error")
    assert set(flow.motion.outputs) == {"deliberate"}
    flow.fails("validation_error")
    assert flow.state is S.DELIBERATING
    assert flow.motion.outputs == {}


def test_an_acknowledgement_found_wrong_is_undone_when_a_person_returns_it() -> None:
    flow = Scenario().reaching(S.WITNESSING)
    flow.succeeds()
    flow.knight = Scenario.sleeping
    flow.succeeds()
    flow.knight = Scenario.honest
    assert "acknowledge" in flow.motion.outputs
    flow.resolve(Resolution.RETURN)
    assert (flow.state, set(flow.motion.outputs)) == (S.JUDGING, {"deliberate", "plan", "execute"})


@pytest.mark.parametrize("state", [S.PLANNING, S.EXECUTING, S.JUDGING])
def test_the_third_return_out_of_a_state_becomes_a_review(state: S) -> None:
    flow = third_time(state)
    flow.fails("validation_error", "still wrong")
    assert flow.story[1:] == [
        "error: validation_error, conclave_review",
        "routed: review to conclave_service",
    ]
    assert flow.state is state
    assert flow.routing.findings == ("returned 2 times already: still wrong",)


@pytest.mark.parametrize("state", [S.DELIBERATING, S.WITNESSING])
def test_the_third_return_by_conclave_or_knight_waits_for_a_person(state: S) -> None:
    flow = third_time(state)
    flow.fails("validation_error")
    assert flow.story[1:] == ["error: validation_error, halt_and_alert"]
    assert flow.state is state


def test_returns_out_of_different_states_are_counted_apart() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.fails("validation_error")
    flow.fails("validation_error")
    flow.reaching(S.EXECUTING)
    flow.fails("validation_error")
    assert flow.motion.returns == {S.EXECUTING: 2, S.PLANNING: 1}
    flow.fails("validation_error")
    assert flow.story[2] == "moved: PLANNING > DELIBERATING (return)"


def test_how_many_returns_are_allowed_is_what_the_routing_was_made_under() -> None:
    flow = Scenario(configured(max_returns_per_state=0)).reaching(S.PLANNING)
    flow.adopt(configured(max_returns_per_state=9))
    flow.fails("validation_error")
    assert flow.routing.purpose is Purpose.REVIEW


def test_an_acknowledgement_cannot_be_refused_only_sent_back_to_judging() -> None:
    flow = Scenario().reaching(S.WITNESSING)
    flow.succeeds()
    flow.fails("validation_error", "the record names no outcome")
    assert flow.story == [
        "failed: acknowledge by conclave_service, validation_error",
        "error: validation_error, return_to_previous",
        "moved: WITNESSING > JUDGING (return)",
        "routed: judge to prince_service",
    ]
    assert not flow.motion.recorded
    flow.succeeds()
    assert flow.routing.purpose is Purpose.RECORD


def test_a_deliberation_that_proposes_nothing_is_a_validation_error() -> None:
    flow = Scenario().reaching(S.DELIBERATING)
    flow.report(B.CONCLAVE)
    assert flow.story == [
        "completed: deliberate by conclave_service",
        "error: validation_error, return_to_previous",
        "moved: DELIBERATING > INTRODUCED (return)",
        "routed: revise to king_service",
    ]
    assert flow.motion.outputs == {}


# -- Conclave review ---------------------------------------------------------------------------


@pytest.mark.parametrize("error_type", ["permission_error", "compliance_error"])
@pytest.mark.parametrize("state", [S.PLANNING, S.EXECUTING, S.JUDGING])
def test_permission_and_compliance_errors_go_to_the_conclave(error_type: str, state: S) -> None:
    flow = Scenario().reaching(state)
    flow.fails(error_type, "not within the budget")
    assert flow.story[1:] == [
        f"error: {error_type}, conclave_review",
        "routed: review to conclave_service",
    ]
    assert flow.motion.block is not None
    assert not flow.motion.block.needs_person
    assert flow.motion.block.since == flow.now
    assert (flow.routing.state, flow.routing.deadline) == (state, None)
    assert flow.routing.findings == ("not within the budget",)


@pytest.mark.parametrize("error_type", ["permission_error", "compliance_error"])
@pytest.mark.parametrize("step", ["deliberate", "record", "acknowledge"])
def test_the_conclave_and_the_knight_are_not_reviewed_by_the_conclave(
    error_type: str, step: str
) -> None:
    flow = Scenario().reaching(S.DELIBERATING if step == "deliberate" else S.WITNESSING)
    if step == "acknowledge":
        flow.succeeds()
    assert flow.routing.purpose == step
    branch = flow.routing.branch
    flow.fails(error_type)
    assert flow.story[1:] == [f"error: {error_type}, halt_and_alert"]
    assert flow.last(OrchestratorError).action == (
        f"the {branch} cannot review itself; blocked until a named person decides"
    )


# -- Halt and alert ----------------------------------------------------------------------------


@pytest.mark.parametrize("error_type", ["system_error", "disk_full", None])
@pytest.mark.parametrize("state", WORKING)
def test_a_system_error_blocks_until_a_person_resolves_it(error_type: str | None, state: S) -> None:
    flow = Scenario().reaching(state)
    flow.fails(error_type)
    named = error_type or "system_error"
    assert flow.story[1:] == [f"error: {named}, halt_and_alert"]
    assert flow.motion.block is not None
    assert flow.motion.block.needs_person
    assert flow.motion.routing is None
    assert flow.proceed() == []


# -- Retry with backoff ------------------------------------------------------------------------


@pytest.mark.parametrize("state", WORKING)
def test_a_timeout_is_retried_after_5_30_and_300_seconds_and_then_halts(state: S) -> None:
    flow = Scenario().reaching(state)
    asked, service = flow.routing.purpose, flow.routing.service
    for attempt, delay in [(2, 5), (3, 30), (4, 300)]:
        flow.fails("timeout_error")
        assert flow.story[1:] == [
            "error: timeout_error, retry_with_backoff",
            f"routed: {asked} to {service}, attempt {attempt}",
        ]
        assert flow.routing.not_before == flow.now + timedelta(seconds=delay)
        error = flow.last(OrchestratorError)
        assert (error.attempt, error.retry_at) == (attempt - 1, flow.routing.not_before)
        assert error.action == f"retry {attempt - 1} of 3 after {delay} s"
        assert flow.motion.block is None
    flow.fails("timeout_error")
    assert flow.story[1:] == ["error: timeout_error, halt_and_alert"]
    assert flow.last(OrchestratorError).action.startswith("gave up after 4 attempts")


def test_a_retry_has_the_findings_of_the_try_before() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.fails("validation_error", "the plan has no tasks")
    flow.fails("timeout_error")
    assert flow.routing.findings == ("the plan has no tasks",)
    flow.fails("system_error")
    flow.resolve(Resolution.RETRY)
    assert flow.routing.findings == ("the plan has no tasks",)


def test_attempts_are_counted_anew_after_a_success_and_after_a_person_decided() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.fails("timeout_error")
    flow.succeeds()
    assert flow.routing.attempt == 1
    for _ in range(4):
        flow.fails("timeout_error")
    flow.resolve(Resolution.RETRY)
    assert (flow.routing.attempt, flow.routing.not_before) == (1, None)


def test_the_number_of_retries_is_what_the_routing_was_made_under() -> None:
    flow = Scenario(configured(retry={"max_attempts": 0})).reaching(S.PLANNING)
    flow.adopt(configured())
    flow.fails("timeout_error")
    assert flow.story[1:] == ["error: timeout_error, halt_and_alert"]


def test_a_retry_is_made_under_the_configuration_in_force() -> None:
    flow = Scenario().reaching(S.PLANNING)
    rules = configured(state_timeout_hours={"PLANNING": 100})
    flow.adopt(rules)
    flow.fails("timeout_error")
    assert flow.routing.configuration == rules.digest()
    assert flow.routing.deadline == NOON + timedelta(hours=100)
