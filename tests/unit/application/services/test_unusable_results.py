"""Results that cannot be stored: refused whole, and a failure of the assignment in a worker."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from governance_flow.application.ports.flow_orchestrator import (
    BranchResult,
    GovernanceBranch,
    GovernanceState,
)
from governance_flow.domain.errors import InvalidInput, UnknownMotion
from governance_flow.domain.states import OWNER_PURPOSE
from tests.support.flows import ZOE, cast, opened, success

S = GovernanceState
B = GovernanceBranch


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    return value


def circular() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


UNUSABLE: dict[str, dict[str, Any]] = {
    "a set": {"output": {"x": {1, 2}}},
    "bytes": {"output": {"x": b"bytes"}},
    "an object": {"output": {"x": object()}},
    "not a number": {"output": {"x": float("nan")}},
    "infinity": {"output": {"x": float("inf")}},
    "a key that is a tuple": {"output": {"x": {(1, 2): 3}}},
    "circular": {"output": circular()},
    "too deep": {"output": {"x": nested(5000)}},
    "rather deep": {"output": {"x": nested(300)}},
    "a huge number": {"output": {"x": 10**5000}},
    "a lone surrogate": {"output": {"x": "\ud800"}},
    "a lone surrogate in a key": {"output": {"\udfff": 1}},
    "NUL": {"output": {"x": "a\x00b"}},
    "NUL in a key": {"output": {"a\x00b": 1}},
    "too large": {"output": {"x": "y" * 1_000_000}},
    "NUL in the error": {"error": "a\x00b"},
    "a surrogate in the error": {"error": "\ud800"},
    "an endless error": {"error": "y" * 1_000_001},
    "NUL in the error type": {"error_type": "a\x00b"},
    "a surrogate in the error type": {"error_type": "\ud800"},
    "an endless error type": {"error_type": "y" * 1_000},
    "NUL in the actor": {"actor": "a\x00b"},
    "a blank actor": {"actor": "  "},
}


@pytest.mark.parametrize("changes", UNUSABLE.values(), ids=UNUSABLE)
async def test_a_result_that_cannot_be_stored_is_refused_and_leaves_no_trace(
    changes: dict[str, Any],
) -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        before = (await flow.flow.store.head()).position
        with pytest.raises(InvalidInput) as refusal:
            await flow.orchestrator.handle_completion(motion, unusable(motion, changes))
        [field] = changes
        assert refusal.value.field == field
        assert field in str(refusal.value)
        assert (await flow.flow.store.head()).position == before
        assert (await flow.succeeds(motion)).state is S.JUDGING


@pytest.mark.parametrize("changes", UNUSABLE.values(), ids=UNUSABLE)
async def test_a_service_that_answers_so_fails_its_assignment_and_nothing_else(
    changes: dict[str, Any],
) -> None:
    branches = cast(duke=[lambda assigned: unusable(assigned.motion_id, changes)])
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        [failed] = [done for done in await flow.completions(motion) if not done.success]
        assert "unusable result" in (failed.error or "")
        if "error" in changes or "error_type" in changes:
            # It was a failure, and not known to be a harmless one.
            assert failed.error_type == "system_error"
            assert (await flow.status(motion)).blocking_issues
            await flow.orchestrator.retry_motion(motion, ZOE)
            await flow.idle()
        else:
            # It is returned to be planned anew.
            assert failed.error_type == "validation_error"
        assert await flow.state(motion) is S.ACKNOWLEDGED
        assert branches["duke_service"].purposes == ["execute", "execute"]


def unusable(motion: UUID, changes: dict[str, Any]) -> BranchResult:
    """Return a result with something in it that cannot be stored."""
    plain: dict[str, Any] = {"output": {}, "error": None, "error_type": None, "actor": None}
    given = plain | changes
    return BranchResult(
        motion,
        B.DUKE,
        "error" not in changes and "error_type" not in changes,
        given["output"],
        None,
        given["error"],
        error_type=given["error_type"],
        actor=given["actor"],
    )


async def test_a_result_about_another_motion_is_refused() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        other = await flow.reach(S.EXECUTING)
        result = success(other, B.DUKE, OWNER_PURPOSE[S.EXECUTING])
        with pytest.raises(InvalidInput, match=f"about motion {other}, not about {motion}"):
            await flow.orchestrator.handle_completion(motion, result)
        assert await flow.state(motion) is await flow.state(other) is S.EXECUTING


async def test_a_completion_of_an_unknown_motion_is_refused() -> None:
    async with opened() as flow:
        unknown = uuid4()
        with pytest.raises(UnknownMotion):
            await flow.orchestrator.handle_completion(
                unknown, success(unknown, B.DUKE, OWNER_PURPOSE[S.EXECUTING])
            )


async def test_the_largest_output_there_may_be_is_taken() -> None:
    async with opened(settings={"limits": {"max_output_bytes": 30}}) as flow:
        motion = await flow.reach(S.EXECUTING)
        with pytest.raises(InvalidInput, match="the output takes 31 bytes; at most 30"):
            await flow.succeeds(motion, {"x": "y" * 22})
        assert (await flow.succeeds(motion, {"x": "y" * 21})).accepted
