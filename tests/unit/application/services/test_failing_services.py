"""Whatever comes out of a branch service is classified, recorded, and never fatal to the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pydantic import TypeAdapter

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    GovernanceBranch,
    GovernanceState,
)
from governance_flow.domain.events import OrchestratorError
from tests.support.flows import cast, opened, renamed, succeeding

S = GovernanceState


async def cancels_itself(_assignment: BranchAssignment) -> BranchResult:
    raise asyncio.CancelledError


async def swallows_everything(_assignment: BranchAssignment) -> BranchResult:
    try:
        await asyncio.Event().wait()
    finally:
        raise KeyError("while it was being stopped")


def validates(_assignment: BranchAssignment) -> Any:
    return TypeAdapter(int).validate_python("many")


def answers_about_another(assignment: BranchAssignment) -> BranchResult:
    result: BranchResult = succeeding()(assignment)
    return renamed(result, motion_id=uuid4())


def answers_as_another(assignment: BranchAssignment) -> BranchResult:
    result: BranchResult = succeeding()(assignment)
    return renamed(result, branch=GovernanceBranch.PRINCE)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("it cannot be said")


def _group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("several things at once", errors)


FAILURES: dict[str, tuple[object, str, str]] = {
    "TimeoutError": (TimeoutError("the ferry is late"), "timeout_error", "the ferry is late"),
    "PermissionError": (PermissionError("no key"), "permission_error", "no key"),
    "ValueError": (ValueError("no dates"), "validation_error", "no dates"),
    "pydantic": (validates, "validation_error", "Input should be a valid integer"),
    "RuntimeError": (RuntimeError("broken"), "system_error", "RuntimeError: broken"),
    "OSError": (OSError(28, "disk full"), "system_error", "disk full"),
    "NotImplementedError": (NotImplementedError(), "system_error", "NotImplementedError"),
    "a group": (_group(TimeoutError("a"), ValueError("b")), "validation_error", "sub-exceptions"),
    "SystemExit": (SystemExit(3), "system_error", "SystemExit: 3"),
    "GeneratorExit": (GeneratorExit(), "system_error", "GeneratorExit"),
    "CancelledError": (cancels_itself, "system_error", "cancelled itself"),
    "what cannot be said": (Unspeakable(), "system_error", "Unspeakable"),
    "what cannot be stored": (RuntimeError("a\x00b\ud800"), "system_error", r"a\x00b\ud800"),
    "at great length": (RuntimeError("y" * 1_000_000), "system_error", "yyyyy"),
    "None": (None, "system_error", "duke_service returned NoneType, not a BranchResult"),
    "a dict": ({"success": True}, "system_error", "returned dict, not a BranchResult"),
    "about another motion": (answers_about_another, "system_error", "was asked about motion"),
    "as another branch": (answers_as_another, "system_error", "answered about"),
}

STRATEGY = {
    "timeout_error": "retry_with_backoff",
    "permission_error": "conclave_review",
    "validation_error": "return_to_previous",
    "system_error": "halt_and_alert",
}


def saying(answer: object) -> Callable[[BranchAssignment], Any] | BaseException:
    """Raise an error, call a function, and return anything else."""
    if isinstance(answer, BaseException) or callable(answer):
        return answer
    return lambda _assignment: answer


@pytest.mark.parametrize(("answer", "error_type", "said"), FAILURES.values(), ids=FAILURES)
async def test_what_a_service_does_wrong_is_classified_and_the_worker_goes_on(
    answer: object, error_type: str, said: str
) -> None:
    branches = cast(duke=[saying(answer)])
    async with opened(branches=branches) as flow:
        motion, other = await flow.introduce("one"), await flow.introduce("two")
        await flow.idle()
        errors = {
            m: [e for e in await flow.events(m) if isinstance(e, OrchestratorError)]
            for m in (motion, other)
        }
        hit = motion if errors[motion] else other
        [error] = errors[hit]
        assert (error.error_type, error.strategy) == (error_type, STRATEGY[error_type])
        assert said in error.message
        assert len(error.message) < 20_000
        assert (error.branch, error.purpose) == ("duke", "execute")
        [failed] = [done for done in await flow.completions(hit) if not done.success]
        assert failed.actor.id == "duke_service"
        unharmed = other if hit == motion else motion
        assert await flow.state(unharmed) is S.ACKNOWLEDGED


async def test_an_exception_is_recorded_with_its_traceback_and_shown_in_one_line() -> None:
    async with opened(branches=cast(duke=[RuntimeError("the roof fell in")])) as flow:
        motion = await flow.introduce()
        await flow.idle()
        error = await flow.last(motion, OrchestratorError)
        assert error.message.startswith("RuntimeError: the roof fell in\n")
        assert "Traceback (most recent call last)" in error.message
        assert "in perform" in error.message
        status = await flow.status(motion)
        assert status.blocking_issues == ("system_error: RuntimeError: the roof fell in",)
        assert status.last_error == "system_error: RuntimeError: the roof fell in"


@pytest.mark.parametrize("silent", ["hangs", "hangs and will not stop"])
async def test_a_service_that_does_not_answer_in_time_has_timed_out(silent: str) -> None:
    async def hangs(_assignment: BranchAssignment) -> BranchResult:
        await asyncio.Event().wait()
        raise AssertionError

    answer = hangs if silent == "hangs" else swallows_everything
    settings = {"branches": {"duke_service": {"kind": "builtin", "attempt_timeout_seconds": 0.01}}}
    async with opened(branches=cast(duke=[answer]), settings=settings) as flow:
        motion = await flow.introduce()
        await flow.idle()
        error = await flow.last(motion, OrchestratorError)
        if silent == "hangs":
            assert error.error_type == "timeout_error"
            assert "no answer within 0.01 s (attempt_timeout_seconds)" in error.message
        else:
            # What it says is taken for what it is.
            assert error.error_type == "system_error"
        flow.clock.advance(5)
        await flow.idle()
        expected = S.ACKNOWLEDGED if silent == "hangs" else S.EXECUTING
        assert await flow.state(motion) is expected


async def test_every_service_may_fail_and_its_own_branch_is_named() -> None:
    broken = RuntimeError("broken")
    for branch in ("conclave", "president", "duke", "prince", "knight"):
        async with opened(branches=cast(**{branch: [broken]})) as flow:
            motion = await flow.introduce()
            await flow.idle()
            error = await flow.last(motion, OrchestratorError)
            assert (error.branch, error.strategy) == (branch, "halt_and_alert")
            await flow.orchestrator.retry_motion(motion, "zoe")
            await flow.idle()
            assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_a_failing_king_halts_the_motion_he_was_to_revise() -> None:
    branches = cast(conclave=[ValueError("too vague")], king=[RuntimeError("broken")])
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        assert await flow.state(motion) is S.INTRODUCED
        assert (await flow.last(motion, OrchestratorError)).branch == "king"
        await flow.orchestrator.retry_motion(motion, "zoe")
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_results_are_waited_for_together_not_one_after_the_other() -> None:
    together = asyncio.Barrier(5)

    async def meets(assignment: BranchAssignment) -> BranchResult:
        await together.wait()
        result: BranchResult = succeeding()(assignment)
        return result

    async with opened(branches=cast(duke=[meets] * 5)) as flow:
        motions = [await flow.introduce(f"motion {number}") for number in range(5)]
        await flow.idle()
        for motion in motions:
            assert await flow.state(motion) is S.ACKNOWLEDGED
