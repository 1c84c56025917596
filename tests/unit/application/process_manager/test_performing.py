"""Calling a branch service: whatever it does becomes a result, and none outlasts its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast
from uuid import uuid4

import pytest
from pydantic import BaseModel, ValidationError

from governance_flow.application.ports.branch_services import CompletesLater
from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    GovernanceBranch,
    Purpose,
)
from governance_flow.application.process_manager.performing import (
    MAX_ERROR_CHARACTERS,
    failure,
    perform,
)
from tests.support.assignments import make_assignment
from tests.support.flows import success

ASSIGNMENT = make_assignment(Purpose.EXECUTE)
DONE = success(ASSIGNMENT.motion_id, ASSIGNMENT.branch, Purpose.EXECUTE)


class Doing:
    """A branch service that does one thing."""

    def __init__(self, deed: Callable[[], Awaitable[Any]]) -> None:
        self.deed = deed

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        return cast("BranchResult", await self.deed())


async def outcome_of(deed: Callable[[], Awaitable[Any]], timeout_seconds: float | None = 60) -> Any:
    return await perform(Doing(deed), ASSIGNMENT, timeout_seconds)


async def raised(error: BaseException) -> BranchResult:
    async def deed() -> None:
        raise error

    result = await outcome_of(deed)
    assert isinstance(result, BranchResult)
    assert not result.success
    return result


@pytest.mark.parametrize("answer", [DONE, CompletesLater()], ids=["now", "later"])
async def test_what_a_service_answers_is_returned_as_it_is(answer: object) -> None:
    async def deed() -> object:
        return answer

    assert await outcome_of(deed) is answer


def _invalid() -> ValidationError:
    class Plan(BaseModel):
        tasks: list[str]

    with pytest.raises(ValidationError) as caught:
        Plan.model_validate({"tasks": 7})
    return caught.value


class Unforeseen(BaseException):
    """Derived like KeyboardInterrupt, as some test tools and schedulers do it."""


class Unspeakable(Exception):
    """Cannot be put into words."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "error_type"),
    [
        (TimeoutError("the registry hangs"), "timeout_error"),
        (PermissionError("not mine"), "permission_error"),
        (ValueError("no such date"), "validation_error"),
        (_invalid(), "validation_error"),
        (RuntimeError("out of luck"), "system_error"),
        (KeyError("tasks"), "system_error"),
        (SystemExit(3), "system_error"),
        (asyncio.CancelledError(), "system_error"),
        (Unforeseen("surprise"), "system_error"),
        (Unspeakable(), "system_error"),
        (ExceptionGroup("two", [TimeoutError(), PermissionError()]), "permission_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_an_exception_becomes_a_failure_of_its_type(
    error: BaseException, error_type: str
) -> None:
    assert (await raised(error)).error_type == error_type


async def test_a_failure_is_summed_up_in_its_first_line_and_ends_with_the_traceback() -> None:
    error = (await raised(RuntimeError("out of luck"))).error or ""
    assert error.splitlines()[0] == "RuntimeError: out of luck"
    assert "in deed" in error
    assert error.rstrip().endswith("RuntimeError: out of luck")


async def test_a_failure_that_cannot_be_put_into_words_still_names_its_class() -> None:
    error = (await raised(Unspeakable())).error or ""
    assert "Unspeakable" in error.splitlines()[0]


async def test_what_a_failure_says_is_bounded_and_can_be_stored() -> None:
    error = (await raised(RuntimeError("x" * 1_000_000 + "\x00\udc80"))).error or ""
    assert len(error) <= 3 * MAX_ERROR_CHARACTERS
    short = (await raised(RuntimeError("a\x00b\udc80"))).error or ""
    assert short.splitlines()[0] == "RuntimeError: a\\x00b\\udc80"
    short.encode()


async def test_a_service_that_does_not_answer_in_time_is_a_timeout() -> None:
    ended = asyncio.Event()

    async def deed() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    result = await outcome_of(deed, timeout_seconds=0.001)
    assert (result.error_type, result.error) == (
        "timeout_error",
        "no answer within 0.001 s (attempt_timeout_seconds)",
    )
    assert ended.is_set()


async def test_a_timeout_of_the_services_own_is_not_blamed_on_the_configuration() -> None:
    error = (await raised(TimeoutError())).error or ""
    assert error.splitlines()[0] == "TimeoutError"
    assert "attempt_timeout_seconds" not in error


@pytest.mark.parametrize("answer", [None, {"success": True}, "done", 7, BranchResult])
async def test_what_is_no_result_is_a_system_error(answer: object) -> None:
    async def deed() -> object:
        return answer

    result = await outcome_of(deed)
    assert result.error_type == "system_error"
    assert "not a BranchResult" in result.error


@pytest.mark.parametrize(
    "answer",
    [replace(DONE, motion_id=uuid4()), replace(DONE, branch=GovernanceBranch.PRINCE)],
    ids=["another motion", "another branch"],
)
async def test_an_answer_about_something_else_is_a_system_error(answer: object) -> None:
    async def deed() -> object:
        return answer

    result = await outcome_of(deed)
    assert result.error_type == "system_error"
    assert (result.motion_id, result.branch) == (ASSIGNMENT.motion_id, ASSIGNMENT.branch)


async def test_whoever_cancels_the_call_is_obeyed() -> None:
    begun = asyncio.Event()

    async def deed() -> None:
        begun.set()
        await asyncio.Event().wait()

    calling = asyncio.create_task(outcome_of(deed))
    await begun.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


async def test_somebody_at_the_keyboard_is_obeyed() -> None:
    async def deed() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await outcome_of(deed)


def test_a_failure_names_no_next_state_and_no_output() -> None:
    result = failure(ASSIGNMENT, "system_error", "it broke")
    assert (result.success, result.output, result.next_state) == (False, {}, None)
    assert (result.error, result.error_type) == ("it broke", "system_error")
