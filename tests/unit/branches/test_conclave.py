"""The Conclave deliberates, reviews and acknowledges."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from governance_flow.application.ports.flow_orchestrator import (
    BranchResult,
    GovernanceBranch,
    Purpose,
)
from governance_flow.branches.conclave import Conclave
from governance_flow.domain.states import GovernanceState as S
from tests.support.assignments import MOTION_ID, ROUTING_ID, make_assignment
from tests.support.clock import ManualClock


async def deliberate(clock: ManualClock, **changes: Any) -> BranchResult:
    return await Conclave(clock).perform(make_assignment(Purpose.DELIBERATE, **changes))


async def review(**changes: Any) -> BranchResult:
    return await Conclave().perform(make_assignment(Purpose.REVIEW, **changes))


async def test_a_vote_is_reported_with_its_tally(clock: ManualClock) -> None:
    ballots = {"ada": "yes", "ben": "yes", "cyd": "no", "dan": "abstain"}
    result = await deliberate(clock, ballots=ballots)
    assert result == BranchResult(
        MOTION_ID,
        GovernanceBranch.CONCLAVE,
        success=True,
        output={
            "outcome": "RATIFIED",
            "reason": "carried: 2 yes, 1 no, 1 abstained",
            "tally": {"yes": 2, "no": 1, "abstain": 1},
            "quorum": 0,
            "threshold": 0.5,
        },
        next_state=S.RATIFIED,
        routing_id=ROUTING_ID,
        lease_token=7,
    )


async def test_the_policy_of_the_routing_decides(clock: ManualClock) -> None:
    ballots = {"ada": "yes", "ben": "yes", "cyd": "no"}
    strict = await deliberate(clock, ballots=ballots, policy={"quorum": 3, "threshold": 0.7})
    assert strict.next_state is S.REJECTED
    absent = await deliberate(clock, ballots=ballots, policy={"quorum": 4, "threshold": 0.5})
    assert absent.next_state is S.TABLED
    assert absent.output["reason"] == "quorum missed: 3 ballots were cast, 4 are needed"


async def test_without_ballots_a_motion_is_tabled_without_a_date(clock: ManualClock) -> None:
    result = await deliberate(clock)
    assert result.next_state is S.TABLED
    assert result.output["reason"] == "no ballots were cast"
    assert "until" not in result.output


async def test_a_tabled_motion_waits_until_the_date_it_names(clock: ManualClock) -> None:
    result = await deliberate(clock, metadata={"table_until": "2026-03-01T08:00:00+02:00"})
    assert result.next_state is S.TABLED
    assert result.output["until"] == "2026-03-01T08:00:00+02:00"


async def test_a_date_that_has_come_is_not_waited_for_again(clock: ManualClock) -> None:
    until = clock.now() + timedelta(hours=1)
    metadata = {"table_until": until.isoformat()}
    assert (await deliberate(clock, metadata=metadata)).output["until"] == until.isoformat()
    clock.advance(hours=1)
    assert "until" not in (await deliberate(clock, metadata=metadata)).output


async def test_a_date_does_not_table_a_motion_whose_ballots_count(clock: ManualClock) -> None:
    result = await deliberate(
        clock, ballots={"ada": "yes"}, metadata={"table_until": "2061-07-28T00:00:00Z"}
    )
    assert result.next_state is S.RATIFIED
    assert "until" not in result.output


@pytest.mark.parametrize("raw", ["tomorrow", "2061-07-28T00:00:00", 2, ["2061-07-28T00:00:00Z"]])
async def test_a_date_that_is_none_is_a_validation_error(clock: ManualClock, raw: object) -> None:
    result = await deliberate(clock, metadata={"table_until": raw})
    assert (result.success, result.error_type) == (False, "validation_error")
    assert result.error is not None
    assert "table_until" in result.error
    assert repr(raw) in result.error


@pytest.mark.parametrize("answer", ["resume", "return", "table", "reject"])
async def test_a_review_answers_as_the_motion_says(answer: str) -> None:
    result = await review(metadata={"review": answer}, findings=("no permit",))
    assert result.success
    assert result.next_state is None
    assert result.output["decision"] == answer
    assert result.output["reason"] == f"{answer}, as the motion's metadata says; found: no permit"
    assert result.output["findings"] == ["no permit"]


async def test_each_review_takes_the_next_answer_and_the_last_is_to_table() -> None:
    metadata = {"review": ["resume", "return"]}
    answers = [
        (await review(metadata=metadata, earlier_answers=n)).output["decision"] for n in range(4)
    ]
    assert answers == ["resume", "return", "table", "table"]


async def test_a_review_that_nobody_has_answered_tables_the_motion() -> None:
    result = await review()
    assert result.output["decision"] == "table"
    assert "found: nothing in particular" in result.output["reason"]


@pytest.mark.parametrize("answer", ["maybe", 3, {"decision": "resume"}, "RESUME"])
async def test_an_answer_that_is_no_decision_tables_and_says_so(answer: object) -> None:
    result = await review(metadata={"review": answer})
    assert result.output["decision"] == "table"
    assert repr(answer) in result.output["reason"]


async def test_nothing_is_returned_from_where_nothing_comes_before() -> None:
    result = await review(metadata={"review": "return"}, state=S.INTRODUCED)
    assert result.output["decision"] == "table"
    assert "nothing comes before INTRODUCED" in result.output["reason"]


async def test_acknowledging_says_what_is_acknowledged() -> None:
    recorded = {"outcome": {"tasks": 2}, "digest": "abc"}
    result = await Conclave().perform(
        make_assignment(Purpose.ACKNOWLEDGE, outputs={Purpose.RECORD: recorded})
    )
    assert result.success
    assert result.output == {
        "acknowledged": "the outcome of 'Mend the bridge'",
        "outcome": {"tasks": 2},
        "digest": "abc",
    }


async def test_an_outcome_that_was_not_recorded_is_not_acknowledged() -> None:
    result = await Conclave().perform(make_assignment(Purpose.ACKNOWLEDGE))
    assert result.error_type == "validation_error"


async def test_the_conclave_does_nobody_elses_work() -> None:
    result = await Conclave().perform(make_assignment(Purpose.PLAN))
    assert result.error_type == "system_error"
