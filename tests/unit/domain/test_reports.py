"""Who reports what: once, twice, too late, for another, or for somebody else's routing."""

from __future__ import annotations

from uuid import UUID

import pytest

from governance_flow.domain.answers import Answer, AnswerStatus
from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.decisions.reports import Completion, report
from governance_flow.domain.errors import CompletionRefused, CorruptStream
from governance_flow.domain.escalation import ErrorEscalationStrategy, Resolution
from governance_flow.domain.events import SYSTEM, BranchCompleted, OrchestratorError
from governance_flow.domain.states import GovernanceState
from tests.support.motions import Scenario, failing_knight, service

S = GovernanceState
B = GovernanceBranch


def test_a_completion_says_what_was_reported_and_by_whom() -> None:
    flow = Scenario().reaching(S.PLANNING)
    routed = flow.routing
    flow.succeeds({"tasks": ["dig"]}, by=service("planner"))
    done = flow.last(BranchCompleted)
    assert done.routing_id == done.causation_id == routed.routing_id
    assert (done.service, done.branch, done.purpose) == ("president_service", B.PRESIDENT, "plan")
    assert (done.success, done.output, done.next_state) == (True, {"tasks": ["dig"]}, None)
    assert (done.actor, done.correlation_id) == (service("planner"), flow.motion.correlation_id)
    assert {e.causation_id for e in flow.news[1:]} == {done.event_id}


@pytest.mark.parametrize("next_state", [S.EXECUTING, S.JUDGING])
def test_whoever_reports_is_the_actor_whoever_hands_it_in(next_state: S) -> None:
    flow = Scenario().reaching(S.PLANNING)
    done = Completion(
        branch=B.PRESIDENT,
        success=True,
        output={},
        next_state=next_state,
        error=None,
        error_type=None,
        actor=service("planner"),
        routing_id=flow.routing.routing_id,
    )
    (record,) = report(flow.motion, done, flow.context(SYSTEM)).record
    assert record.actor == service("planner")
    assert record.causation_id == flow.routing.event_id


def test_the_outcome_of_a_completion_tells_all_that_followed_in_its_append() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    answer = flow.fails("validation_error", "the plan has no tasks")
    assert answer == Answer(
        flow.last(BranchCompleted),
        AnswerStatus.ESCALATED,
        S.PLANNING,
        next_service="president_service",
        next_routing_id=flow.routing.routing_id,
        strategy=ErrorEscalationStrategy.RETURN_TO_PREVIOUS,
        reason="the plan has no tasks",
    )
    assert answer.routing_id == flow.last(BranchCompleted).routing_id


def test_an_answer_tells_of_nothing_else_than_what_was_done_about_the_completion() -> None:
    flow = Scenario().reaching(S.TABLED)
    answer = flow.motion.latest_answer
    (amended,) = flow.amend(title="Build a ferry")
    caused = amended.model_copy(update={"causation_id": answer.record.event_id})
    assert answer.after(caused) is answer
    assert flow.motion.latest_answer is answer


def test_an_answer_without_a_routing_is_corrupt() -> None:
    flow = Scenario().reaching(S.PLANNING)
    refused = flow.report(B.PRESIDENT, next_state=S.JUDGING)
    record = refused.record.model_copy(update={"routing_id": None})
    with pytest.raises(CorruptStream):
        _ = Answer(record, AnswerStatus.REFUSED, S.PLANNING).routing_id


@pytest.mark.parametrize("named", [True, False])
def test_a_completion_reported_twice_changes_nothing_and_gets_the_first_answer(
    named: bool,
) -> None:
    flow = Scenario().reaching(S.PLANNING)
    routing_id = flow.routing.routing_id if named else None
    first = flow.report(B.PRESIDENT, output={"n": 1}, routing_id=routing_id)
    before, motion = len(flow.events), flow.motion
    again = flow.report(B.PRESIDENT, output={"n": 1}, routing_id=routing_id)
    assert again == first
    assert (len(flow.events), flow.motion) == (before, motion)


def test_in_process_a_branch_repeats_its_own_report_and_not_another_branchs() -> None:
    flow = Scenario().reaching(S.PLANNING)
    first = flow.report(B.PRESIDENT, output={"n": 1})
    flow.report(B.DUKE, output={"n": 2})
    assert flow.report(B.PRESIDENT, output={"n": 1}) == first
    assert flow.news == []


def test_the_first_answer_stands_whatever_happens_later() -> None:
    flow = Scenario().reaching(S.PLANNING)
    routing_id = flow.routing.routing_id
    first = flow.succeeds()
    flow.fails("validation_error")
    flow.succeeds()
    flow.reaching(S.ACKNOWLEDGED)
    assert first.state is S.EXECUTING
    assert flow.report(B.PRESIDENT, routing_id=routing_id) == first


def test_what_is_applied_later_does_not_change_the_answer_given_at_first() -> None:
    flow = Scenario().reaching(S.PLANNING).halt()
    routing_id = flow.routing.routing_id
    first = flow.succeeds()
    assert (first.status, first.state) == (AnswerStatus.RECORDED, S.PLANNING)
    flow.resume().proceed()
    assert flow.state is S.EXECUTING
    assert flow.report(B.PRESIDENT, routing_id=routing_id) == first


def test_a_completion_the_knight_could_not_witness_is_answered_as_escalated() -> None:
    flow = Scenario().reaching(S.PLANNING)
    routing_id = flow.routing.routing_id
    flow.knight = failing_knight
    first = flow.succeeds()
    assert (first.status, first.state) == (AnswerStatus.ESCALATED, S.PLANNING)
    assert first.strategy is ErrorEscalationStrategy.HALT_AND_ALERT
    assert first.reason == "the Knight sleeps"
    flow.knight = Scenario().knight
    flow.resolve(Resolution.RETRY)
    assert flow.report(B.PRESIDENT, routing_id=routing_id) == first


def test_a_second_report_that_says_otherwise_gets_the_first_answer() -> None:
    flow = Scenario().reaching(S.PLANNING)
    routing_id = flow.routing.routing_id
    first = flow.succeeds()
    again = flow.report(
        B.PRESIDENT, success=False, error_type="system_error", routing_id=routing_id
    )
    assert again == first
    assert flow.news == []


def test_a_refused_violation_reported_again_gets_the_first_refusal() -> None:
    flow = Scenario().reaching(S.PLANNING)
    first = flow.report(B.PRESIDENT, next_state=S.JUDGING)
    assert first.status is AnswerStatus.REFUSED
    before = len(flow.events)
    assert flow.report(B.PRESIDENT, next_state=S.JUDGING) == first
    assert len(flow.events) == before


def test_in_process_a_report_means_the_open_routing_of_its_branch() -> None:
    flow = Scenario().reaching(S.DELIBERATING)
    flow.fails("timeout_error")
    second = flow.routing
    answer = flow.report(B.CONCLAVE, next_state=S.REJECTED)
    assert answer.routing_id == second.routing_id
    assert flow.state is S.REJECTED


@pytest.mark.parametrize(
    "said",
    [
        {"output": {"n": 2}},
        {"output": {"n": 1}, "next_state": S.JUDGING},
        {"output": {"n": 1}, "success": False},
        {"output": {"n": 1}, "error_type": "system_error"},
    ],
)
def test_in_process_something_else_than_was_reported_is_no_repetition(said: object) -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.report(B.PRESIDENT, output={"n": 1})
    assert isinstance(said, dict)
    with pytest.raises(CompletionRefused, match="the open routing is duke_service's"):
        flow.report(B.PRESIDENT, **said)


def test_in_process_a_branch_that_never_had_the_motion_is_refused() -> None:
    flow = Scenario().reaching(S.PLANNING)
    with pytest.raises(CompletionRefused, match="not one of the duke"):
        flow.report(B.DUKE)


def test_a_superseded_routing_is_refused_and_says_what_to_do() -> None:
    flow = Scenario().reaching(S.PLANNING)
    late = flow.routing.routing_id
    flow.wait(hours=73).expire()
    assert flow.routing.routing_id != late
    before = len(flow.events)
    with pytest.raises(CompletionRefused, match="was superseded; fetch the assignment") as refused:
        flow.report(B.PRESIDENT, routing_id=late)
    assert refused.value.routing_id == late
    assert len(flow.events) == before


def test_a_holder_who_is_too_late_skips_no_step() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    late = flow.routing.routing_id
    flow.wait(hours=169).expire()
    flow.fails("validation_error")
    assert flow.state is S.PLANNING
    with pytest.raises(CompletionRefused, match="superseded"):
        flow.report(B.DUKE, next_state=S.JUDGING, routing_id=late)
    assert flow.motion.violations == 0


def test_a_routing_of_another_motion_is_refused() -> None:
    flow = Scenario().reaching(S.PLANNING)
    with pytest.raises(CompletionRefused, match=r"it has no routing 0+-"):
        flow.report(B.PRESIDENT, routing_id=UUID(int=77))


def test_the_right_routing_of_the_wrong_branch_is_refused() -> None:
    flow = Scenario().reaching(S.PLANNING)
    with pytest.raises(CompletionRefused, match="president_service's, not one of the prince"):
        flow.report(B.PRINCE, routing_id=flow.routing.routing_id)
    assert flow.routing.purpose is Purpose.PLAN


def test_another_branch_does_not_get_the_answer_to_a_completion() -> None:
    flow = Scenario().reaching(S.PLANNING)
    routing_id = flow.routing.routing_id
    flow.succeeds()
    with pytest.raises(CompletionRefused, match="was not one of the prince"):
        flow.report(B.PRINCE, routing_id=routing_id)


def test_nothing_can_be_completed_while_nothing_is_open() -> None:
    with pytest.raises(CompletionRefused, match="no routing is open"):
        Scenario().report(B.CONCLAVE, next_state=S.DELIBERATING)


def test_nothing_can_be_completed_after_the_end() -> None:
    flow = Scenario().reaching(S.REJECTED)
    before = len(flow.events)
    with pytest.raises(CompletionRefused, match="it has ended in REJECTED"):
        flow.report(B.PRESIDENT, next_state=S.WITNESSING)
    assert len(flow.events) == before


def test_a_failure_without_reasons_is_recorded_with_words_for_a_person() -> None:
    flow = Scenario().reaching(S.JUDGING)
    flow.fails(None, None)
    assert flow.story == [
        "failed: judge by prince_service, None",
        "error: system_error, halt_and_alert",
    ]
    error = flow.last(OrchestratorError)
    assert error.message == "the prince reported a failure without saying why"


def test_answers_are_counted_by_what_was_asked() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.fails("timeout_error")
    flow.succeeds()
    flow.report(B.PRINCE, next_state=S.EXECUTING)
    flow.review("resume")
    counted = {purpose: flow.motion.answered(purpose) for purpose in Purpose}
    assert counted == {
        Purpose.REVISE: 0,
        Purpose.DELIBERATE: 1,
        Purpose.PLAN: 1,
        Purpose.EXECUTE: 2,
        Purpose.JUDGE: 1,
        Purpose.RECORD: 0,
        Purpose.ACKNOWLEDGE: 0,
        Purpose.REVIEW: 1,
    }
