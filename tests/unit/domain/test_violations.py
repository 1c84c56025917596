"""Skipped steps and collapsed roles: refused, witnessed, and harmless from strangers."""

from __future__ import annotations

from itertools import product

import pytest

from governance_flow.domain.answers import AnswerStatus
from governance_flow.domain.branches import SERVICE_BRANCH, GovernanceBranch, Purpose
from governance_flow.domain.errors import CompletionRefused, ViolationRefused
from governance_flow.domain.escalation import ErrorEscalationStrategy, Severity
from governance_flow.domain.events import (
    SYSTEM,
    OrchestratorError,
    TransitionWitnessed,
    ViolationWitnessed,
)
from governance_flow.domain.states import GovernanceState
from tests.support.motions import (
    INTRODUCER,
    MOTION_ID,
    Scenario,
    configured,
    person,
    service,
    with_acts,
)

S = GovernanceState
B = GovernanceBranch

# Who excludes whom, written down as people would tell it.
EXCLUDED = {
    frozenset(pair)
    for pair in [
        (B.KING, B.PRESIDENT), (B.KING, B.DUKE), (B.KING, B.EARL), (B.KING, B.PRINCE),
        (B.PRESIDENT, B.DUKE), (B.PRESIDENT, B.EARL), (B.PRESIDENT, B.PRINCE),
        (B.DUKE, B.PRINCE), (B.EARL, B.PRINCE),
        (B.KNIGHT, B.KING), (B.KNIGHT, B.CONCLAVE), (B.KNIGHT, B.PRESIDENT),
        (B.KNIGHT, B.DUKE), (B.KNIGHT, B.EARL), (B.KNIGHT, B.PRINCE),
    ]
}  # fmt: skip
HOLDING = {
    B.CONCLAVE: S.DELIBERATING,
    B.PRESIDENT: S.PLANNING,
    B.DUKE: S.EXECUTING,
    B.PRINCE: S.JUDGING,
    B.KNIGHT: S.WITNESSING,
}


def holding(branch: B) -> Scenario:
    """Return a motion whose open routing is the branch's."""
    flow = Scenario()
    return flow.returned() if branch is B.KING else flow.reaching(HOLDING[branch])


def possible(flow: Scenario) -> set[S]:
    """Return the next states that the holder of the open routing may propose."""
    allowed = set()
    for target in S:
        attempt = Scenario()
        attempt.__dict__.update(flow.__dict__, events=[], stored=[])
        answer = attempt.report(flow.routing.branch, next_state=target)
        if answer.status is not AnswerStatus.REFUSED:
            allowed.add(target)
    return allowed


# -- Collapsed roles ---------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "now"), list(product(B, SERVICE_BRANCH.values())))
def test_the_holder_may_not_act_for_a_branch_its_other_one_excludes(before: B, now: B) -> None:
    flow = holding(now)
    with_acts(flow, {"max": frozenset({before})})
    answer = flow.succeeds({}, by=person("max"))
    if frozenset({before, now}) in EXCLUDED:
        assert answer.status is AnswerStatus.REFUSED
        assert flow.story[0] == "violation: collapsed_role by holder max"
        violation = flow.last(ViolationWitnessed)
        assert violation.reason == (
            f"max has acted for the {before} on this motion and may not act for the {now}"
        )
        assert (violation.branch, violation.severity) == (now, Severity.MAJOR)
    else:
        assert answer.status is not AnswerStatus.REFUSED
        assert now in flow.motion.acts["max"]


@pytest.mark.parametrize(("before", "now"), list(product(B, B)))
def test_a_stranger_who_collapses_roles_is_witnessed_and_counted(before: B, now: B) -> None:
    flow = holding(B.PRESIDENT if now is not B.PRESIDENT else B.DUKE)
    with_acts(flow, {"max": frozenset({before})})
    count, routed = len(flow.events), flow.routing
    if frozenset({before, now}) in EXCLUDED:
        with pytest.raises(ViolationRefused, match="refused, and witnessed: max has acted"):
            flow.report(now, by=person("max"))
        assert flow.story == ["violation: collapsed_role by stranger max"]
        assert flow.last(ViolationWitnessed).severity is Severity.MINOR
    else:
        with pytest.raises(CompletionRefused):
            flow.report(now, by=person("max"))
        assert len(flow.events) == count
    assert flow.routing == routed


def test_whoever_introduced_a_motion_has_acted_for_the_king() -> None:
    flow = Scenario().reaching(S.PLANNING)
    assert flow.succeeds(by=person(INTRODUCER)).status is AnswerStatus.REFUSED


def test_a_failure_is_an_act_as_well() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.fails("timeout_error", by=person("max"))
    flow.succeeds()
    assert flow.succeeds(by=person("max")).status is AnswerStatus.REFUSED


def test_a_refused_act_is_none() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.report(B.PRESIDENT, next_state=S.JUDGING, by=person("max"))
    assert "max" not in flow.motion.acts


def test_the_orchestrator_acts_for_no_branch() -> None:
    flow = Scenario().reaching(S.PLANNING)
    for _ in range(2):
        flow.fails("timeout_error", by=SYSTEM)
    flow.succeeds()
    assert flow.fails("timeout_error", by=SYSTEM).status is AnswerStatus.ESCALATED
    assert SYSTEM.id not in flow.motion.acts


def test_the_matrix_is_the_one_the_routing_was_made_under() -> None:
    flow = Scenario().reaching(S.PLANNING)
    with_acts(flow, {"max": frozenset({B.KING})})
    flow.adopt(configured(separation_of_powers={"excludes": {}}))
    assert flow.succeeds(by=person("max")).status is AnswerStatus.REFUSED
    flow.review("resume")
    assert flow.succeeds(by=person("max")).status is AnswerStatus.APPLIED


# -- Skipped steps -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("purpose", "state", "allowed"),
    [
        (Purpose.REVISE, S.INTRODUCED, {S.DELIBERATING, S.WITHDRAWN}),
        (Purpose.DELIBERATE, S.DELIBERATING, {S.RATIFIED, S.REJECTED, S.TABLED}),
        (Purpose.PLAN, S.PLANNING, {S.EXECUTING}),
        (Purpose.EXECUTE, S.EXECUTING, {S.JUDGING}),
        (Purpose.JUDGE, S.JUDGING, {S.WITNESSING}),
        (Purpose.RECORD, S.WITNESSING, {S.WITNESSING, S.ACKNOWLEDGED}),
        (Purpose.ACKNOWLEDGE, S.WITNESSING, {S.ACKNOWLEDGED}),
    ],
)
def test_a_holder_may_propose_the_next_step_only(
    purpose: Purpose, state: S, allowed: set[S]
) -> None:
    flow = Scenario()
    flow = flow.returned() if purpose is Purpose.REVISE else flow.reaching(state)
    if purpose is Purpose.ACKNOWLEDGE:
        flow.succeeds()
    assert flow.routing.purpose is purpose
    assert possible(flow) == allowed


@pytest.mark.parametrize(
    ("state", "allowed"),
    [
        (S.INTRODUCED, {S.INTRODUCED, S.TABLED, S.REJECTED}),
        (S.PLANNING, {S.PLANNING, S.DELIBERATING, S.TABLED, S.REJECTED}),
        (S.EXECUTING, {S.EXECUTING, S.PLANNING, S.TABLED, S.REJECTED}),
        (S.JUDGING, {S.JUDGING, S.EXECUTING, S.TABLED, S.REJECTED}),
    ],
)
def test_a_review_may_propose_what_it_can_decide(state: S, allowed: set[S]) -> None:
    flow = Scenario().returned() if state is S.INTRODUCED else Scenario().reaching(state)
    flow.fails("compliance_error")
    assert flow.routing.purpose is Purpose.REVIEW
    assert possible(flow) == allowed


@pytest.mark.parametrize("branch", [B.KING, B.PRESIDENT, B.DUKE, B.PRINCE])
def test_a_holder_who_skips_a_step_is_refused_witnessed_and_sent_to_review(branch: B) -> None:
    flow = holding(branch)
    state, service_name = flow.state, flow.routing.service
    answer = flow.succeeds(next_state=S.ACKNOWLEDGED)
    assert flow.story == [
        f"violation: skipped_step by holder {service_name}",
        "error: compliance_error, conclave_review",
        "routed: review to conclave_service",
    ]
    violation = flow.last(ViolationWitnessed)
    assert violation.reason == f"{state} to ACKNOWLEDGED would skip a step of the flow"
    assert violation.attempted == (f"completed for the {branch} in {state}, proposing ACKNOWLEDGED")
    assert (answer.status, answer.state) == (AnswerStatus.REFUSED, state)
    assert answer.reason == violation.reason
    assert answer.strategy is ErrorEscalationStrategy.CONCLAVE_REVIEW
    assert flow.routing.findings == (violation.reason,)
    assert flow.state is state


@pytest.mark.parametrize("branch", [B.CONCLAVE, B.KNIGHT])
def test_where_conclave_or_knight_offends_a_person_decides(branch: B) -> None:
    flow = holding(branch)
    flow.succeeds(next_state=S.EXECUTING)
    assert flow.story[1:] == ["error: compliance_error, halt_and_alert"]
    assert flow.motion.block is not None
    assert flow.motion.block.needs_person


def test_a_holder_who_collapses_roles_is_sent_to_review_as_a_permission_error() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.succeeds(by=person(INTRODUCER))
    assert flow.story[1:] == [
        "error: permission_error, conclave_review",
        "routed: review to conclave_service",
    ]
    assert flow.last(OrchestratorError).routing_id == flow.last(ViolationWitnessed).routing_id


def test_a_failure_proposes_nothing() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.report(B.PRESIDENT, success=False, error_type="timeout_error", next_state=S.WITNESSING)
    assert flow.motion.violations == 0


def test_the_violation_is_not_lost_while_the_pipeline_is_halted() -> None:
    flow = Scenario().reaching(S.PLANNING).halt()
    answer = flow.succeeds(next_state=S.JUDGING)
    assert flow.story == ["violation: skipped_step by holder president_service"]
    assert answer.status is AnswerStatus.REFUSED
    assert answer.reason == "PLANNING to JUDGING would skip a step of the flow"
    flow.resume().proceed()
    assert flow.story == [
        "error: compliance_error, conclave_review",
        "routed: review to conclave_service",
    ]


# -- Strangers ---------------------------------------------------------------------------------


def test_a_stranger_is_witnessed_once_for_each_rule_it_breaks_and_refused_each_time() -> None:
    flow = Scenario().reaching(S.PLANNING)
    for _ in range(3):
        with pytest.raises(ViolationRefused, match="PLANNING to WITNESSING would skip"):
            flow.report(B.PRINCE, next_state=S.WITNESSING, by=person("mallory"))
    assert flow.story == []
    assert flow.motion.violations == 1
    with pytest.raises(ViolationRefused):
        flow.report(B.PRINCE, next_state=S.WITNESSING, by=person("eve"))
    with_acts(flow, {"mallory": frozenset({B.KING})})
    with pytest.raises(ViolationRefused):
        flow.report(B.PRINCE, next_state=S.WITNESSING, by=person("mallory"))
    assert flow.story == ["violation: collapsed_role by stranger mallory"]
    assert flow.motion.violations == 3


@pytest.mark.parametrize("state", [S.INTRODUCED, S.PLANNING, S.TABLED])
def test_a_stranger_cannot_block_a_motion_or_change_its_course(state: S) -> None:
    flow, undisturbed = Scenario().reaching(state), Scenario().reaching(state)
    with pytest.raises(ViolationRefused):
        flow.report(B.DUKE, next_state=S.ACKNOWLEDGED, by=person("mallory"))
    motion = flow.motion
    assert (motion.state, motion.block, motion.pending) == (state, None, None)
    assert motion.routing == undisturbed.motion.routing
    assert motion.acts == undisturbed.motion.acts
    flow.proceed()
    undisturbed.proceed()
    assert flow.story == undisturbed.story


def test_a_stranger_who_names_the_open_routing_does_not_close_it() -> None:
    flow = Scenario().reaching(S.PLANNING)
    routed = flow.routing
    with pytest.raises(ViolationRefused):
        flow.report(
            B.PRINCE,
            next_state=S.WITNESSING,
            by=person("mallory"),
            routing_id=routed.routing_id,
        )
    assert flow.last(ViolationWitnessed).routing_id == routed.routing_id
    assert flow.routing == routed
    assert flow.succeeds().status is AnswerStatus.APPLIED


def test_the_refusal_carries_the_ids_a_person_needs() -> None:
    flow = Scenario().reaching(S.PLANNING)
    with pytest.raises(ViolationRefused) as refused:
        flow.report(B.PRINCE, next_state=S.WITNESSING, by=person("mallory"))
    error = refused.value
    assert (error.motion_id, error.actor, error.kind) == (MOTION_ID, "mallory", "skipped_step")


def test_what_a_stranger_may_propose_is_not_what_a_holder_may() -> None:
    flow = Scenario().returned()
    with pytest.raises(ViolationRefused, match="INTRODUCED to WITHDRAWN would skip"):
        flow.report(B.CONCLAVE, next_state=S.WITHDRAWN, by=service("elsewhere"))


def test_the_next_statement_covers_the_violation() -> None:
    flow = Scenario().reaching(S.PLANNING)
    with pytest.raises(ViolationRefused):
        flow.report(B.PRINCE, next_state=S.REJECTED, by=person("mallory"))
    version = flow.motion.version
    flow.succeeds()
    assert f'"version":{version}' in flow.last(TransitionWitnessed).statement
