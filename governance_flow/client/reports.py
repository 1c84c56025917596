"""What came of an assignment, as a handler tells it: an answer, or a failure of some type."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from governance_flow.application.classification import classify
from governance_flow.application.ports.flow_orchestrator import BranchAssignment
from governance_flow.domain.escalation import SYSTEM_ERROR
from governance_flow.domain.states import GovernanceState

SUMMARY_CHARACTERS_MAX = 8_000
TRACEBACK_CHARACTERS_MAX = 8_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler may return instead of a mere output: a deliberation proposes a next state."""

    output: Mapping[str, Any] = field(default_factory=dict)
    next_state: GovernanceState | None = None


class Failed(Exception):
    """Raised by a handler that knows which type of error it has: ``compliance_error``, say."""

    def __init__(
        self,
        message: str,
        error_type: str | None = None,
        *,
        output: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.output = dict(output or {})


Handler = Callable[[BranchAssignment], Awaitable[Mapping[str, Any] | Answer]]
"""Does an assignment, as a coroutine: what blocks belongs into ``asyncio.to_thread``."""


@dataclass(frozen=True, slots=True)
class Done:
    """The handler did it."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class NotDone:
    """The handler did not."""

    error: str
    error_type: str | None
    output: Mapping[str, Any] = field(default_factory=dict)


Report = Done | NotDone


async def outcome_of(handler: Handler, assignment: BranchAssignment) -> Report:
    """Have the handler do it; raises only CancelledError, and that only if it was cancelled."""
    try:
        answer: object = await handler(assignment)
        if not isinstance(answer, Answer):
            if not isinstance(answer, Mapping):
                msg = f"the handler returned {type(answer).__name__}, and no output or Answer"
                return NotDone(msg, SYSTEM_ERROR)
            answer = Answer(answer)
        try:
            json.dumps(dict(answer.output), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            return NotDone(f"the handler's output is no JSON: {error}", SYSTEM_ERROR)
        return Done(answer)
    except Failed as failure:
        return NotDone(_storable(str(failure)), failure.error_type, failure.output)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return NotDone("the handler cancelled itself", SYSTEM_ERROR)
    except Exception as error:  # noqa: BLE001 - reported with its traceback, and escalated
        return NotDone(_described(error), classify(error))


def _described(error: Exception) -> str:
    """Return the exception with its traceback, bounded, the end being what matters most."""
    summary = "".join(traceback.format_exception_only(error)).strip()
    text = "".join(traceback.format_exception(error))
    shown = f"{summary[:SUMMARY_CHARACTERS_MAX]}\n\n{text[-TRACEBACK_CHARACTERS_MAX:]}"
    return _storable(shown)


def _storable(text: str) -> str:
    """Return a text as the service takes it: not empty, without what cannot be stored."""
    plain = text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    return plain if plain.strip() else "no reason was given"
