"""Trouble is rehearsed as often as asked, and then the work is done."""

from __future__ import annotations

from typing import Any

import pytest

from governance_flow.application.ports.branch_services import CompletesLater
from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    Purpose,
)
from governance_flow.branches.rehearsal import Rehearsal
from governance_flow.branches.results import done
from governance_flow.domain.states import GovernanceState as S
from tests.support.assignments import make_assignment


class Working:
    """Does its work, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        self.calls += 1
        return done(assignment, {"work": "done"})


async def rehearse(
    wanted: object, purpose: Purpose = Purpose.EXECUTE, **changes: Any
) -> BranchResult:
    assignment = make_assignment(purpose, metadata={"rehearse": wanted}, **changes)
    result = await Rehearsal(Working()).perform(assignment)
    assert isinstance(result, BranchResult)
    return result


async def test_without_a_rehearsal_the_work_is_done() -> None:
    working = Working()
    assignment = make_assignment(Purpose.PLAN)
    assert await Rehearsal(working).perform(assignment) == done(assignment, {"work": "done"})
    assert working.calls == 1


async def test_a_rehearsed_failure_says_that_it_is_one_and_does_no_work() -> None:
    working = Working()
    wanted = {"execute": {"fail": "timeout_error", "message": "the ferry is late"}}
    assignment = make_assignment(Purpose.EXECUTE, metadata={"rehearse": wanted})
    result = await Rehearsal(working).perform(assignment)
    assert isinstance(result, BranchResult)
    assert (result.success, result.error_type) == (False, "timeout_error")
    assert result.error == "rehearsed: the ferry is late"
    assert working.calls == 0


async def test_only_the_purpose_named_is_spoilt() -> None:
    wanted = {"execute": {"fail": "timeout_error"}}
    assert (await rehearse(wanted, Purpose.PLAN)).success
    assert not (await rehearse(wanted, Purpose.EXECUTE)).success


async def test_it_is_spoilt_as_often_as_said() -> None:
    wanted = {"execute": {"fail": "timeout_error", "times": 2}}
    worked = [(await rehearse(wanted, earlier_answers=n)).success for n in range(4)]
    assert worked == [False, False, True, True]


async def test_once_is_the_rule() -> None:
    wanted = {"execute": {"fail": "cosmic_ray"}}
    assert (await rehearse(wanted)).error_type == "cosmic_ray"
    assert (await rehearse(wanted, earlier_answers=1)).success


async def test_the_work_is_done_under_anothers_name() -> None:
    result = await rehearse({"judge": {"act_as": "duke_service"}}, Purpose.JUDGE)
    assert result.success
    assert result.actor == "duke_service"
    assert result.output == {"work": "done", "rehearsed": "this failure was asked for"}


async def test_a_step_is_skipped() -> None:
    result = await rehearse({"plan": {"propose": "WITNESSING", "message": "hurry"}}, Purpose.PLAN)
    assert result.success
    assert result.next_state is S.WITNESSING
    assert result.actor is None
    assert result.output["rehearsed"] == "hurry"


BAD = [
    "fail",
    {"execut": {"fail": "timeout_error"}},
    {"execute": {}},
    {"execute": {"fail": "timeout_error", "act_as": "duke_service"}},
    {"execute": {"fail": "timeout_error", "times": 0}},
    {"execute": {"fail": "timeout_error", "times": 11}},
    {"execute": {"fail": "timeout_error", "times": "2"}},
    {"execute": {"act_as": "Ada Brandt"}},
    {"execute": {"propose": "HEAVEN"}},
    {"execute": {"fail": ""}},
    {"execute": {"fail": "timeout_error", "often": 2}},
]


@pytest.mark.parametrize("wanted", BAD)
async def test_a_rehearsal_that_cannot_be_read_is_an_error(wanted: object) -> None:
    result = await rehearse(wanted, Purpose.DELIBERATE)
    assert (result.success, result.error_type) == (False, "validation_error")
    assert str(result.error).startswith("nothing can be rehearsed: rehearse")


@pytest.mark.parametrize("purpose", [Purpose.REVISE, Purpose.REVIEW])
async def test_king_and_review_can_still_deal_with_it(purpose: Purpose) -> None:
    assert (await rehearse({"execute": {}}, purpose)).success


async def test_what_completes_later_is_left_alone() -> None:
    class Later:
        async def perform(self, assignment: BranchAssignment) -> CompletesLater:
            return CompletesLater()

    metadata = {"rehearse": {"judge": {"act_as": "duke_service"}}}
    assignment = make_assignment(Purpose.JUDGE, metadata=metadata)
    assert isinstance(await Rehearsal(Later()).perform(assignment), CompletesLater)
