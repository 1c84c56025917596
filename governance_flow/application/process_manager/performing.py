"""Calling a branch service: bounded in time, and whatever it does becomes a result."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

from governance_flow.application.begun import Begun
from governance_flow.application.classification import classify
from governance_flow.application.ports.branch_services import CompletesLater
from governance_flow.application.ports.flow_orchestrator import BranchResult
from governance_flow.application.services.input_fields import made_storable
from governance_flow.domain.escalation import SYSTEM_ERROR, TIMEOUT_ERROR

if TYPE_CHECKING:
    from governance_flow.application.ports.branch_services import BranchService
    from governance_flow.application.ports.flow_orchestrator import BranchAssignment

MAX_ERROR_CHARACTERS = 8_000


async def perform(
    service: BranchService, assignment: BranchAssignment, timeout_seconds: float | None
) -> BranchResult | CompletesLater:
    """Return what the service answers, or a failure that says how it did not.

    Raises nothing but CancelledError, and that only when the caller cancels, and KeyboardInterrupt.
    """
    expired = False
    try:
        begun: Begun[object] = Begun(service.perform(assignment))
        if begun.done:
            answer = begun.result
        else:
            try:
                async with asyncio.timeout(timeout_seconds) as limit:
                    answer = await begun
            finally:
                expired = limit.expired()
    except KeyboardInterrupt:
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return failure(assignment, SYSTEM_ERROR, "the service cancelled itself")
    except BaseException as error:  # noqa: BLE001 - recorded with its traceback, and escalated
        if expired and isinstance(error, TimeoutError):
            message = f"no answer within {timeout_seconds:g} s (attempt_timeout_seconds)"
            return failure(assignment, TIMEOUT_ERROR, message)
        return failure(assignment, classify(error), describe(error))
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
        error=made_storable(message, max_characters=3 * MAX_ERROR_CHARACTERS),
        error_type=error_type,
    )


def describe(error: BaseException) -> str:
    """Return the exception with its traceback, bounded, the end being what matters most."""
    # Not str(error): that is foreign code too, and may raise in its turn.
    summary = "".join(traceback.format_exception_only(error)).strip()
    text = "".join(traceback.format_exception(error))
    return f"{summary[:MAX_ERROR_CHARACTERS]}\n\n{text[-MAX_ERROR_CHARACTERS:]}"
