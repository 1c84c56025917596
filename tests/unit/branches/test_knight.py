"""The Knight witnesses what can be right, and records what is whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from governance_flow.application.ports.flow_orchestrator import BranchResult, Purpose
from governance_flow.branches.knight import KnightService, KnightWitness
from governance_flow.domain.errors import WitnessFailed
from governance_flow.domain.events import SYSTEM, Cause, ProposedTransition
from governance_flow.domain.states import EdgeKind
from governance_flow.domain.states import GovernanceState as S
from governance_flow.domain.witness import CoveredEvent, WitnessRequest
from tests.support.assignments import MOTION_ID, make_assignment

OUTPUTS: dict[Purpose, dict[str, Any]] = {
    Purpose.DELIBERATE: {"outcome": "RATIFIED", "tally": {"yes": 2, "no": 1, "abstain": 0}},
    Purpose.PLAN: {"tasks": [{"id": "task-1", "description": "Cut the beams"}]},
    Purpose.EXECUTE: {"results": {"task-1": {"done": True}}},
    Purpose.JUDGE: {"verdict": "met", "judged": {"task-1": []}},
}


def request_at(version: int, covered: Sequence[int], **changes: Any) -> WitnessRequest:
    proposed = ProposedTransition(
        event_id=UUID(int=5),
        correlation_id=UUID(int=6),
        causation_id=None,
        actor=SYSTEM,
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        from_state=changes.get("from_state", S.INTRODUCED),
        to_state=changes.get("to_state", S.DELIBERATING),
        cause=Cause(kind=changes.get("kind", EdgeKind.ADVANCE), reason="admitted"),
    )
    events = tuple(CoveredEvent(n, "00" * 32) for n in covered)
    return WitnessRequest(MOTION_ID, version, proposed, changes.get("previous"), events)


@pytest.mark.parametrize(
    "request_",
    [request_at(2, [1]), request_at(4, [1, 2, 3]), request_at(9, [6, 7, 8], previous="digest")],
)
async def test_a_transition_is_witnessed_in_the_knights_name(request_: WitnessRequest) -> None:
    statement = await KnightWitness("sir kay").witness(request_)
    statement.require_binding(request_)
    assert statement.body()["witness"] == "sir kay"


async def test_the_knight_is_named_after_its_service_unless_told_otherwise() -> None:
    statement = await KnightWitness().witness(request_at(2, [1]))
    assert statement.body()["witness"] == "knight_witness_service"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"to_state": S.WITNESSING}, "INTRODUCED to WITNESSING"),
        ({"kind": EdgeKind.RETURN}, "INTRODUCED to DELIBERATING"),
        ({"from_state": S.REJECTED}, "REJECTED to DELIBERATING"),
    ],
)
async def test_a_skipped_step_is_not_witnessed(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(WitnessFailed, match=said):
        await KnightWitness().witness(request_at(2, [1], **changes))


@pytest.mark.parametrize(
    "request_",
    [
        request_at(1, []),
        request_at(2, []),
        request_at(3, [1]),
        request_at(3, [2]),
        request_at(4, [1, 3]),
        request_at(2, [1, 2]),
        request_at(9, [6, 7], previous="digest"),
        request_at(9, [], previous="digest"),
    ],
)
async def test_a_statement_that_would_leave_a_gap_is_not_made(request_: WitnessRequest) -> None:
    with pytest.raises(WitnessFailed, match="would not cover every event"):
        await KnightWitness().witness(request_)


async def record(outputs: object = None, **changes: Any) -> BranchResult:
    assignment = make_assignment(
        Purpose.RECORD, outputs=OUTPUTS if outputs is None else outputs, **changes
    )
    return await KnightService().perform(assignment)


async def test_a_whole_record_is_summed_up() -> None:
    result = await record()
    assert result.success
    assert result.output["outcome"] == {
        "motion_id": str(MOTION_ID),
        "title": "Mend the bridge",
        "reference": "B/1",
        "introduced_by": "ada",
        "tally": {"yes": 2, "no": 1, "abstain": 0},
        "tasks": 1,
        "verdict": "met",
    }
    assert len(result.output["digest"]) == 64


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Mend the ferry"},
        {"text": "Later."},
        {"introduced_by": "ben"},
        {"reference": None},
        {"ballots": {"ada": "yes"}},
        {"outputs": OUTPUTS | {Purpose.JUDGE: {"verdict": "met", "judged": {"task-1": ["x"]}}}},
    ],
)
async def test_the_digest_depends_on_everything_that_led_to_the_outcome(
    changes: dict[str, Any],
) -> None:
    assert (await record()).output["digest"] == (await record()).output["digest"]
    assert (await record()).output["digest"] != (await record(**changes)).output["digest"]


@pytest.mark.parametrize(
    "missing", [Purpose.DELIBERATE, Purpose.PLAN, Purpose.EXECUTE, Purpose.JUDGE]
)
async def test_a_step_without_output_is_named(missing: Purpose) -> None:
    result = await record({purpose: out for purpose, out in OUTPUTS.items() if purpose != missing})
    assert (result.success, result.error_type) == (False, "validation_error")
    assert result.error == f"the record has no output of the step to {missing}"


@pytest.mark.parametrize(
    ("step", "output", "finding"),
    [
        (Purpose.DELIBERATE, {"outcome": "REJECTED"}, "the vote says REJECTED"),
        (Purpose.EXECUTE, {"results": {}}, "task-1 was planned but not executed"),
        (
            Purpose.EXECUTE,
            {"results": {"task-1": {}, "task-2": {}}},
            "task-2 was executed but not planned",
        ),
        (Purpose.JUDGE, {"judged": {}}, "task-1 was planned but not judged"),
        (Purpose.JUDGE, {"judged": {"task-1": [], "x": []}}, "x was judged but not planned"),
    ],
)
async def test_steps_that_contradict_each_other_are_not_recorded(
    step: Purpose, output: dict[str, Any], finding: str
) -> None:
    result = await record(OUTPUTS | {step: output})
    assert (result.success, result.error_type) == (False, "validation_error")
    assert finding in str(result.error)
    assert len(result.output["findings"]) == 1


@pytest.mark.parametrize(
    "outputs",
    [
        {Purpose.DELIBERATE: {}, Purpose.PLAN: {}, Purpose.EXECUTE: {}, Purpose.JUDGE: {}},
        OUTPUTS | {Purpose.EXECUTE: {"report": "all well"}, Purpose.JUDGE: {"grade": 1}},
        OUTPUTS | {Purpose.PLAN: {"tasks": "see attached"}},
    ],
)
async def test_what_other_peoples_services_say_in_their_own_way_is_recorded(
    outputs: dict[Purpose, dict[str, Any]],
) -> None:
    assert (await record(outputs)).success


async def test_a_stored_record_that_is_not_sound_halts_the_motion() -> None:
    asked: list[UUID] = []

    async def read_record(motion_id: UUID) -> Sequence[str] | None:
        asked.append(motion_id)
        return ["version 3 was changed", "version 4 is gone"]

    service = KnightService(read_record)
    result = await service.perform(make_assignment(Purpose.RECORD, outputs=OUTPUTS))
    assert asked == [MOTION_ID]
    assert (result.success, result.error_type) == (False, "system_error")
    assert result.error == (
        "the stored record is not sound: version 3 was changed; version 4 is gone"
    )
    assert result.output == {"problems": ["version 3 was changed", "version 4 is gone"]}


@pytest.mark.parametrize("problems", [None, []])
async def test_a_sound_record_is_recorded(problems: list[str] | None) -> None:
    async def read_record(_: UUID) -> Sequence[str] | None:
        return problems

    service = KnightService(read_record)
    assert (await service.perform(make_assignment(Purpose.RECORD, outputs=OUTPUTS))).success


async def test_the_knight_does_nobody_elses_work() -> None:
    result = await KnightService().perform(make_assignment(Purpose.JUDGE))
    assert result.error_type == "system_error"
