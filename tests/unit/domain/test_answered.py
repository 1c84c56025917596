"""A motion knows how often each of its purposes has been answered."""

from __future__ import annotations

from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.states import GovernanceState as S
from tests.support.motions import Scenario, service


def counts(flow: Scenario) -> dict[Purpose, int]:
    return {purpose: n for purpose in Purpose if (n := flow.motion.answered(purpose))}


def test_nothing_is_answered_at_first() -> None:
    assert counts(Scenario().reaching(S.DELIBERATING)) == {}


def test_successes_and_failures_count_under_their_own_purpose() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.fails("permission_error")
    flow.review("resume")
    assert counts(flow) == {
        Purpose.DELIBERATE: 1,
        Purpose.PLAN: 1,
        Purpose.EXECUTE: 1,
        Purpose.REVIEW: 1,
    }
    flow.succeeds()
    assert flow.motion.answered(Purpose.EXECUTE) == 2


def test_a_repeated_report_counts_once() -> None:
    flow = Scenario().reaching(S.PLANNING)
    routing_id = flow.routing.routing_id
    flow.succeeds({"did": "plan"})
    flow.report(GovernanceBranch.PRESIDENT, output={"did": "plan"}, routing_id=routing_id)
    assert flow.motion.answered(Purpose.PLAN) == 1


def test_a_refused_act_of_the_holder_counts_for_its_branch() -> None:
    flow = Scenario().reaching(S.JUDGING)
    flow.succeeds(by=service("duke_service"))
    assert flow.motion.violations == 1
    assert flow.motion.answered(Purpose.JUDGE) == 1
    assert flow.motion.answered(Purpose.EXECUTE) == 1
