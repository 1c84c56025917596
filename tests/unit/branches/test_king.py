"""The King amends, or withdraws; and never the same amendment twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    Purpose,
)
from governance_flow.branches.king import King
from governance_flow.domain.states import GovernanceState as S
from tests.support.assignments import make_assignment


async def revise(**changes: Any) -> BranchResult:
    return await King().perform(make_assignment(Purpose.REVISE, **changes))


def amended_by(assignment: BranchAssignment, output: dict[str, Any]) -> BranchAssignment:
    """Apply the King's output as the domain does: ballots not named are void."""
    return make_assignment(
        Purpose.REVISE,
        title=output.get("title", assignment.title),
        text=output.get("text", assignment.text),
        ballots=output.get("ballots", {}),
        metadata=assignment.metadata,
    )


async def test_what_the_introducer_amended_is_left_as_it_is() -> None:
    result = await revise(amended=True, metadata={"amendments": [{"text": "Another text."}]})
    assert result.success
    assert result.next_state is None
    assert result.output == {"applied": "what the introducer has amended meanwhile"}


async def test_an_amendment_is_applied_with_its_ballots() -> None:
    amendment = {"text": "In April.", "ballots": {"ada": "yes"}, "because": "of the flood"}
    result = await revise(metadata={"amendments": [amendment]})
    assert result.success
    assert result.next_state is None
    assert result.output == {
        "applied": "amendment 1 of 1",
        "text": "In April.",
        "ballots": {"ada": "yes"},
    }


async def test_amendments_are_used_in_order_and_then_the_motion_is_withdrawn() -> None:
    amendments = [
        {"title": "Mend the old bridge"},
        {"text": "In April.", "ballots": {"ada": "yes"}},
        {"ballots": {"ada": "yes", "ben": "no"}},
    ]
    assignment = make_assignment(
        Purpose.REVISE, ballots={"cyd": "no"}, metadata={"amendments": amendments}
    )
    for number in (1, 2, 3):
        result = await King().perform(assignment)
        assert result.output["applied"] == f"amendment {number} of 3"
        assignment = amended_by(assignment, result.output)
    result = await King().perform(assignment)
    assert result.next_state is S.WITHDRAWN
    assert result.output["reason"].startswith("no amendment is left")


async def test_without_amendments_the_motion_is_withdrawn_for_what_was_found() -> None:
    result = await revise(findings=("it contradicts itself",))
    assert result.success
    assert result.next_state is S.WITHDRAWN
    assert result.output == {"reason": "there is no amendment, and: it contradicts itself"}


texts = st.sampled_from(["a", "b", "c"])
votes = st.dictionaries(st.sampled_from("xy"), st.sampled_from(["yes", "no"]), max_size=2)
amendment_lists = st.lists(
    st.fixed_dictionaries({"text": texts}, optional={"title": texts, "ballots": votes}),
    max_size=6,
)


@given(amendment_lists, texts)
async def test_the_king_comes_to_an_end_whatever_the_amendments(
    amendments: list[dict[str, Any]], text: str
) -> None:
    assignment = make_assignment(Purpose.REVISE, text=text, metadata={"amendments": amendments})
    used = []
    while (result := await King().perform(assignment)).next_state is not S.WITHDRAWN:
        used.append(int(result.output["applied"].split()[1]))
        assert len(used) <= len(amendments)
        assignment = amended_by(assignment, result.output)
    assert used == sorted(set(used))


@pytest.mark.parametrize(
    ("amendments", "path"),
    [
        ("a text", "amendments: "),
        ([{}], "amendments.0: "),
        ([{"because": "of the flood"}], "amendments.0: "),
        ([{"text": "fine"}, {"title": "  "}], "amendments.1.title: "),
        ([{"text": 3}], "amendments.0.text: "),
        ([{"ballots": {"ada": "perhaps"}}], "amendments.0.ballots.ada: "),
        ([{"text": "t"}] * 101, "amendments: "),
    ],
)
async def test_amendments_that_are_none_are_named(amendments: object, path: str) -> None:
    result = await revise(metadata={"amendments": amendments})
    assert (result.success, result.error_type) == (False, "validation_error")
    assert result.error is not None
    assert path in result.error


async def test_the_king_does_nobody_elses_work() -> None:
    result = await King().perform(make_assignment(Purpose.JUDGE))
    assert result.error_type == "system_error"
    assert result.error == "the King was asked to judge, which is not its work"
