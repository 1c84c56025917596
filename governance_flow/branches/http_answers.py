"""What the answers of a branch service over HTTP mean.

200 carries the result as JSON; 202 means that it will be completed later. Everything else is a
failure:

- ``timeout_error``: no connection, no answer in time, 408, 429, 503, 504;
- ``permission_error``: 401, 403;
- ``validation_error``: 400 and 422, if the body says so (``{"error_type": "validation_error",
  "error": "..."}``): without it, the two sides do not understand each other;
- ``system_error``: the rest, redirects and answers that cannot be read included.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
)

from governance_flow.application.ports.branch_services import CompletesLater
from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult
from governance_flow.branches.results import failed, faults, in_one_line
from governance_flow.domain.escalation import (
    PERMISSION_ERROR,
    SYSTEM_ERROR,
    TIMEOUT_ERROR,
    VALIDATION_ERROR,
)
from governance_flow.domain.states import GovernanceState

MAX_EXCERPT_CHARACTERS = 200
MAX_ERROR_CHARACTERS = 2000

_ERROR_TYPES: Mapping[int, str] = {
    HTTPStatus.REQUEST_TIMEOUT: TIMEOUT_ERROR,
    HTTPStatus.TOO_MANY_REQUESTS: TIMEOUT_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE: TIMEOUT_ERROR,
    HTTPStatus.GATEWAY_TIMEOUT: TIMEOUT_ERROR,
    HTTPStatus.UNAUTHORIZED: PERMISSION_ERROR,
    HTTPStatus.FORBIDDEN: PERMISSION_ERROR,
}
_MAY_BE_INVALID = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class HttpResult(BaseModel):
    """The body of a 200: what happened. Which assignment it is about, the request has said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    success: Annotated[bool, Field(strict=True)]
    output: dict[str, JsonValue] = Field(default_factory=dict)
    next_state: GovernanceState | None = None
    error: str | None = None
    error_type: str | None = None
    actor: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None


class _Refusal(BaseModel):
    """The body of a 400 or 422 that is meant as a validation error."""

    error_type: str
    error: Annotated[str, StringConstraints(min_length=1)] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read to its end. ``origin`` names the server in messages."""

    origin: str
    status: int
    body: bytes


def understand(assignment: BranchAssignment, answer: Answer) -> BranchResult | CompletesLater:
    """Turn a response into the result it stands for. Never raises for what the server sent."""
    if answer.status == HTTPStatus.ACCEPTED:
        return CompletesLater()
    if answer.status == HTTPStatus.OK:
        return _result(assignment, answer)
    error_type = _ERROR_TYPES.get(answer.status)
    if error_type is None and answer.status in _MAY_BE_INVALID:
        refusal = _refusal(answer.body)
        if refusal is not None:
            said = refusal.error or excerpt(answer.body)
            return failed(assignment, VALIDATION_ERROR, said[:MAX_ERROR_CHARACTERS])
    message = f"{answer.origin} answered {_phrase(answer.status)}{_quoted(answer.body)}"
    return failed(assignment, error_type or SYSTEM_ERROR, message)


def excerpt(body: bytes) -> str:
    """Return the beginning of a body as one line of printable text."""
    text = body[: 4 * MAX_EXCERPT_CHARACTERS].decode("utf-8", "replace")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) > MAX_EXCERPT_CHARACTERS or len(body) > 4 * MAX_EXCERPT_CHARACTERS:
        return f"{line[:MAX_EXCERPT_CHARACTERS]}…"
    return line


def _result(assignment: BranchAssignment, answer: Answer) -> BranchResult:
    try:
        result = HttpResult.model_validate_json(answer.body)
        # NaN and the infinities are read, but they are no JSON and could not be stored.
        json.dumps(result.output, allow_nan=False)
    except ValidationError as error:
        return _unreadable(assignment, answer, in_one_line(faults(error, "result")))
    except ValueError as error:
        return _unreadable(assignment, answer, f"result.output: {error}")
    return BranchResult(
        assignment.motion_id,
        assignment.branch,
        success=result.success,
        output=dict(result.output),
        next_state=result.next_state,
        error=result.error,
        error_type=result.error_type,
        actor=result.actor,
        routing_id=assignment.routing_id,
        lease_token=assignment.lease_token,
    )


def _unreadable(assignment: BranchAssignment, answer: Answer, why: str) -> BranchResult:
    message = f"{answer.origin} answered with something that is no result: {why}"
    return failed(assignment, SYSTEM_ERROR, f"{message}{_quoted(answer.body)}")


def _refusal(body: bytes) -> _Refusal | None:
    try:
        refusal = _Refusal.model_validate_json(body)
    except ValidationError:
        return None
    return refusal if refusal.error_type == VALIDATION_ERROR else None


def _phrase(status: int) -> str:
    phrase = _PHRASES.get(status)
    return f"{status} {phrase}" if phrase else str(status)


def _quoted(body: bytes) -> str:
    said = excerpt(body)
    return f": {said}" if said else ""
