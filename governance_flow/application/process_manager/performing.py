"""Calling a branch service: bounded in time, and whatever it does becomes a result."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

from governance_flow.application.ports.branch_services import CompletesLater
from governance_flow.application.ports.flow_orchestrator import BranchResult
from governance_flow.domain.escalation import (
    PERMISSION_ERROR,
    SYSTEM_ERROR,
    TIMEOUT_ERROR,
    VALIDATION_ERROR,
)

if TYPE_CHECKING:
    from governance_flow.application.ports.branch_services import BranchService
    from governance_flow.application.ports.flow_orchestrator import BranchAssignment

MAX_ERROR_CHARACTERS = 8_000


async def perform(
    service: BranchService, assignment: BranchAssignment, timeout_seconds: float | None
) -> BranchResult | CompletesLater:
    """Return what the service answers, or a failure that says how it did not.

    Raises nothing but CancelledError, and that only when the caller cancels.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            answer: object = await service.perform(assignment)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return failure(assignment, SYSTEM_ERROR, "the service cancelled itself")
    except (Exception, SystemExit) as error:  # recorded with its traceback, and escalated
        return failure(assignment, classify(error), describe(error, timeout_seconds))
    if isinstance(answer, CompletesLater):
        return answer
    if not isinstance(answer, BranchResult):
        message = f"{assignment.service} returned {type(answer).__name__}, not a BranchResult"
        return failure(assignment, SYSTEM_ERROR, message)
    if answer.motion_id != assignment.motion_id or answer.branch is not assignment.branch:
        message = (
            f"{assignment.service} was asked about motion {assignment.motion_id} as the "
            f"{assignment.branch} and answered about {answer.motion_id} as the {answer.branch}"
        )
        return failure(assignment, SYSTEM_ERROR, message)
    return answer


def failure(assignment: BranchAssignment, error_type: str, message: str) -> BranchResult:
    """Return the result that reports a failure of ``assignment``."""
    return BranchResult(
        assignment.motion_id,
        assignment.branch,
        success=False,
        output={},
        next_state=None,
        error=message.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode(),
        error_type=error_type,
    )


def classify(error: BaseException) -> str:
    """Return the error type for an exception out of a branch service.

    pydantic's ValidationError is a ValueError; so are most complaints about a value.
    """
    if isinstance(error, TimeoutError):
        return TIMEOUT_ERROR
    if isinstance(error, PermissionError):
        return PERMISSION_ERROR
    if isinstance(error, ValueError):
        return VALIDATION_ERROR
    return SYSTEM_ERROR


def describe(error: BaseException, timeout_seconds: float | None) -> str:
    """Return the exception with its traceback, bounded, the end being what matters most."""
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {timeout_seconds} s (attempt_timeout_seconds)"
    text = "".join(traceback.format_exception(error))
    summary = f"{type(error).__name__}: {error}"[:MAX_ERROR_CHARACTERS]
    return f"{summary}\n\n{text[-MAX_ERROR_CHARACTERS:]}"
