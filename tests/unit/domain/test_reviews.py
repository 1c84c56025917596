"""What the Conclave may answer to a review, and what becomes of every other answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from governance_flow.domain.answers import AnswerStatus
from governance_flow.domain.branches import Purpose
from governance_flow.domain.decisions.proceed import proceed
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import OrchestratorError, TransitionWitnessed
from governance_flow.domain.states import GovernanceState
from tests.support.motions import NOON, Scenario

S = GovernanceState


def reviewed(state: S = S.EXECUTING) -> Scenario:
    """Return a motion that the Conclave is asked to review in ``state``."""
    flow = Scenario().returned() if state is S.INTRODUCED else Scenario().reaching(state)
    if state in (S.DELIBERATING, S.WITNESSING):
        flow.fails("system_error", "a flood")
    elif state is not S.RATIFIED:
        flow.fails("compliance_error", "a flood")
        return flow
    flow.resolve(Resolution.REVIEW)
    return flow


REVIEWABLE = {
    S.INTRODUCED: ("revise", "king_service"),
    S.DELIBERATING: ("deliberate", "conclave_service"),
    S.PLANNING: ("plan", "president_service"),
    S.EXECUTING: ("execute", "duke_service"),
    S.JUDGING: ("judge", "prince_service"),
    S.WITNESSING: ("record", "knight_witness_service"),
}


@pytest.mark.parametrize("state", REVIEWABLE)
def test_resume_gives_the_owner_of_the_state_a_new_routing(state: S) -> None:
    purpose, service = REVIEWABLE[state]
    flow = reviewed(state)
    assert flow.routing.purpose is Purpose.REVIEW
    answer = flow.review("resume")
    assert flow.story == [
        "completed: review by conclave_service",
        f"routed: {purpose} to {service}",
    ]
    assert (flow.state, flow.motion.block) == (state, None)
    assert flow.routing.findings == ("a flood",)
    assert answer.status is AnswerStatus.APPLIED


def test_resume_lets_a_ratified_motion_go_on() -> None:
    flow = reviewed(S.RATIFIED)
    flow.review("resume")
    assert flow.story[1:] == [
        "moved: RATIFIED > PLANNING (advance)",
        "routed: plan to president_service",
    ]


def test_resume_after_the_outcome_was_recorded_acknowledges() -> None:
    flow = Scenario().reaching(S.WITNESSING)
    flow.succeeds()
    flow.fails("permission_error")
    flow.resolve(Resolution.REVIEW)
    flow.review("resume")
    assert flow.routing.purpose is Purpose.ACKNOWLEDGE


def test_findings_about_the_record_are_not_handed_on_to_who_acknowledges() -> None:
    flow = reviewed(S.WITNESSING)
    flow.review("resume")
    flow.succeeds()
    assert (flow.routing.purpose, flow.routing.findings) == (Purpose.ACKNOWLEDGE, ())


def test_the_offending_result_is_void_after_resume() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.knight = Scenario.sleeping
    flow.succeeds({"did": "harm"})
    flow.knight = Scenario.honest
    assert flow.motion.outputs[Purpose.EXECUTE] == {"did": "harm"}
    flow.resolve(Resolution.REVIEW)
    flow.review("resume")
    assert Purpose.EXECUTE not in flow.motion.outputs


@pytest.mark.parametrize(
    ("state", "previous", "routed"),
    [
        (S.DELIBERATING, S.INTRODUCED, "revise to king_service"),
        (S.PLANNING, S.DELIBERATING, "deliberate to conclave_service"),
        (S.EXECUTING, S.PLANNING, "plan to president_service"),
        (S.JUDGING, S.EXECUTING, "execute to duke_service"),
        (S.WITNESSING, S.JUDGING, "judge to prince_service"),
    ],
)
def test_return_sends_it_back_with_the_conclaves_reason(state: S, previous: S, routed: str) -> None:
    flow = reviewed(state)
    flow.review("return", reason="do it properly")
    assert flow.story[1:] == [f"moved: {state} > {previous} (return)", f"routed: {routed}"]
    assert flow.routing.findings == ("do it properly",)
    cause = flow.last(TransitionWitnessed).cause
    assert (cause.reason, cause.event_id) == ("do it properly", flow.news[0].event_id)
    assert flow.motion.invalid_answers == 0


@pytest.mark.parametrize("state", [*REVIEWABLE, S.RATIFIED])
def test_table_tables_it(state: S) -> None:
    flow = reviewed(state)
    flow.review("table")
    assert flow.story[1:] == [f"moved: {state} > TABLED (review)"]
    assert (flow.motion.docketed_at, flow.motion.tabled_until) == (None, None)
    cause = flow.last(TransitionWitnessed).cause
    assert (cause.reason, cause.event_id) == (
        "the Conclave's review says table",
        flow.news[0].event_id,
    )
    assert set(flow.motion.outputs) <= {Purpose.REVISE}


def test_table_until_a_date() -> None:
    flow = reviewed()
    flow.review("table", until="2026-04-01T12:00:00+02:00")
    assert flow.motion.tabled_until == datetime(2026, 4, 1, 10, tzinfo=UTC)


def test_an_empty_reason_is_none() -> None:
    flow = reviewed()
    flow.review("return", reason="")
    assert flow.routing.findings == ("the Conclave's review says return",)


@pytest.mark.parametrize("state", [*REVIEWABLE, S.RATIFIED])
def test_reject_ends_it(state: S) -> None:
    flow = reviewed(state)
    flow.review("reject", reason=["no", "text"])
    assert flow.story[1:] == [f"moved: {state} > REJECTED (review)"]
    cause = flow.last(TransitionWitnessed).cause
    assert (cause.reason, cause.event_id) == (
        "the Conclave's review says reject",
        flow.news[0].event_id,
    )
    assert flow.motion.terminal


NO_DECISIONS: list[Any] = [
    None,
    "",
    "RESUME",
    "approve",
    1,
    True,
    ["resume"],
    {"decision": "resume"},
]


@pytest.mark.parametrize("answer", NO_DECISIONS)
def test_an_answer_that_is_no_decision_is_asked_again_twice_and_then_halts(answer: Any) -> None:
    flow = reviewed()
    for left in (2, 1):
        flow.review(answer)
        assert flow.story == [
            "completed: review by conclave_service",
            "error: validation_error, retry_with_backoff",
            "routed: review to conclave_service",
        ]
        error = flow.last(OrchestratorError)
        assert (error.action, error.retry_at) == (f"asked again, {left} left", flow.now)
        assert error.message == (
            f'output["decision"] must be one of resume, return, table, reject, not {answer!r}'
        )
        assert flow.routing.findings == (error.message,)
        assert flow.motion.block is not None
    flow.review(answer)
    assert flow.story[1:] == ["error: validation_error, halt_and_alert"]
    assert flow.motion.block is not None
    assert flow.motion.block.needs_person
    assert flow.last(OrchestratorError).action.startswith("3 answers were no decision")


def test_a_review_that_cannot_return_says_so() -> None:
    flow = reviewed(S.INTRODUCED)
    flow.review("return")
    message = "output[\"decision\"] must be one of resume, table, reject, not 'return'"
    assert flow.routing.findings == (message,)


@pytest.mark.parametrize("until", ["tomorrow", "2026-04-01T12:00:00", [], "2026-13-01"])
def test_a_date_that_is_none_is_an_answer_that_is_none(until: Any) -> None:
    flow = reviewed()
    flow.review("table", until=until)
    assert flow.routing.purpose is Purpose.REVIEW
    assert flow.routing.findings[0].startswith('output["until"] must be a time with its offset')


def test_a_review_that_failed_validation_is_asked_again_as_well() -> None:
    flow = reviewed()
    flow.fails("validation_error", "what was the question?")
    assert flow.routing.purpose is Purpose.REVIEW
    assert flow.routing.findings == ("what was the question?",)
    assert flow.motion.invalid_answers == 1


def test_invalid_answers_are_counted_for_each_review_alone() -> None:
    flow = reviewed()
    for _ in range(3):
        flow.review("maybe")
    flow.resolve(Resolution.REVIEW)
    flow.review("maybe")
    assert flow.last(OrchestratorError).action == "asked again, 2 left"
    flow.review("resume")
    flow.fails("compliance_error")
    flow.review("maybe")
    assert flow.last(OrchestratorError).action == "asked again, 2 left"
    flow.review("table")
    assert flow.motion.invalid_answers == 0


def test_how_often_is_asked_is_what_the_routing_was_made_under() -> None:
    flow = reviewed()
    flow.adopt(Scenario().rules.model_copy(update={"max_review_answers": 1}))
    flow.review("maybe")
    assert flow.routing.purpose is Purpose.REVIEW
    flow.review("maybe")
    assert flow.story[1:] == ["error: validation_error, halt_and_alert"]


@pytest.mark.parametrize("error_type", ["permission_error", "compliance_error", "system_error"])
def test_a_review_that_goes_wrong_waits_for_a_person(error_type: str) -> None:
    flow = reviewed()
    flow.fails(error_type)
    assert flow.story[1:] == [f"error: {error_type}, halt_and_alert"]


def test_a_review_that_is_not_answered_is_retried_with_its_question() -> None:
    flow = reviewed()
    flow.fails("timeout_error")
    assert flow.story[1:] == [
        "error: timeout_error, retry_with_backoff",
        "routed: review to conclave_service, attempt 2",
    ]
    assert flow.routing.not_before == NOON + timedelta(seconds=5)
    assert flow.routing.findings == ("a flood",)
    assert flow.motion.block is not None


def test_only_a_review_that_says_resume_resets_the_count_of_returns() -> None:
    flow = Scenario()
    for _ in range(2):
        flow.reaching(S.EXECUTING)
        flow.fails("validation_error")
    flow.reaching(S.EXECUTING)
    flow.fails("validation_error")
    flow.fails("timeout_error")
    flow.review("return")
    assert flow.motion.returns == {S.EXECUTING: 3}
    flow.succeeds()
    flow.fails("validation_error")
    flow.review("maybe")
    flow.report(
        flow.routing.branch,
        success=False,
        output={"decision": "resume"},
        error_type="system_error",
    )
    flow.resolve(Resolution.RETRY)
    assert flow.motion.returns == {S.EXECUTING: 3}
    flow.fails("validation_error")
    assert flow.routing.purpose is Purpose.REVIEW
    flow.review("resume")
    assert flow.motion.returns == {}
    flow.fails("validation_error")
    assert flow.state is S.PLANNING


def test_resume_resets_the_count_of_that_state_only() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.fails("validation_error")
    flow.succeeds()
    flow.succeeds()
    flow.fails("compliance_error")
    flow.review("resume")
    assert flow.motion.returns == {S.EXECUTING: 1}


@pytest.mark.parametrize("decision", ["resume", "return", "table", "reject"])
def test_a_decision_made_while_the_pipeline_is_halted_is_applied_later(decision: str) -> None:
    flow = reviewed().halt()
    answer = flow.review(decision)
    assert answer.status is AnswerStatus.RECORDED
    assert flow.state is S.EXECUTING
    flow.resume().proceed()
    told = {
        "resume": ["routed: execute to duke_service"],
        "return": ["moved: EXECUTING > PLANNING (return)", "routed: plan to president_service"],
        "table": ["moved: EXECUTING > TABLED (review)"],
        "reject": ["moved: EXECUTING > REJECTED (review)"],
    }
    assert flow.story == told[decision]


def test_a_review_that_nobody_was_asked_for_is_asked_for() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.fails("compliance_error", "a flood")
    before_asking = Scenario()
    before_asking.__dict__.update(flow.__dict__)
    before_asking._motion = None
    for event in flow.events[:-1]:
        before_asking.fold(event)
    (asked,) = proceed(before_asking.motion, before_asking.context())
    assert isinstance(asked, type(flow.routing))
    assert (asked.purpose, asked.findings) == (Purpose.REVIEW, ("a flood",))
