"""Errors as the API tells them: ``application/problem+json`` (RFC 9457).

Each says what is wrong, with which field, and what to do about it; ``type`` leads to the list of
all kinds, ``correlation_id`` to the log lines about the request.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from governance_flow.api.paths import DESCRIPTION_PATH
from governance_flow.application.access.denials import AccessDenied
from governance_flow.application.correlation import correlation
from governance_flow.domain import errors

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1
FAULTS_MAX = 20
"""So many fields are named at once: whoever sends nonsense gets no larger nonsense back."""


class Kind(NamedTuple):
    """One kind of problem: its name in ``type``, its status, and its title."""

    slug: str
    status: HTTPStatus
    title: str


_S = HTTPStatus
INVALID = Kind("invalid-request", _S.UNPROCESSABLE_ENTITY, "The request is malformed")
UNKNOWN_CALLER = Kind("unauthenticated", _S.UNAUTHORIZED, "We do not know who asks")
FORBIDDEN = Kind("forbidden", _S.FORBIDDEN, "The bearer of this token may not do this")
RATE_LIMITED = Kind("too-many-denials", _S.TOO_MANY_REQUESTS, "Too many requests were denied")
VIOLATION = Kind("violation", _S.FORBIDDEN, "The act breaks a rule of the pipeline")
KEY_REUSED = Kind(
    "idempotency-key-reused", _S.UNPROCESSABLE_ENTITY, "The key came with another request before"
)
KEY_BUSY = Kind(
    "idempotency-key-busy", _S.CONFLICT, "The request with this key is still being answered"
)
UNREADABLE = Kind("unreadable", _S.BAD_REQUEST, "The body cannot be read")
NO_SUCH_PATH = Kind("not-found", _S.NOT_FOUND, "There is no such thing")
WRONG_METHOD = Kind("method-not-allowed", _S.METHOD_NOT_ALLOWED, "This path has other methods")
WRONG_MEDIA_TYPE = Kind("wrong-media-type", _S.UNSUPPORTED_MEDIA_TYPE, "The body is no JSON")
TOO_LARGE = Kind("too-large", _S.REQUEST_ENTITY_TOO_LARGE, "The request is too large")
MISTAKE_DETAIL = "it is in the log under the correlation id; nothing is lost, try again later"
BUSY = Kind("busy", _S.SERVICE_UNAVAILABLE, "This is done for one at a time")
STRANGERS_DETAIL = "the store cannot serve now; whoever runs it finds why in its log"
MISTAKE = Kind("internal-error", _S.INTERNAL_SERVER_ERROR, "A mistake in the program")

BY_ERROR: Mapping[type[errors.GovernanceFlowError], Kind] = {
    errors.InvalidInput: INVALID,
    errors.UnknownMotion: Kind("unknown-motion", _S.NOT_FOUND, "There is no such motion"),
    errors.MotionAlreadyExists: Kind("id-taken", _S.CONFLICT, "Another motion has this id"),
    errors.VersionMoved: Kind("version-moved", _S.PRECONDITION_FAILED, "The motion has moved on"),
    errors.NotAllowed: Kind("not-allowed", _S.FORBIDDEN, "This person may not decide this"),
    errors.CompletionRefused: Kind(
        "completion-refused", _S.CONFLICT, "The assignment is not the caller's to answer"
    ),
    errors.NotInState: Kind("not-in-state", _S.CONFLICT, "The motion is in another state"),
    errors.NotRoutable: Kind("not-routable", _S.CONFLICT, "The motion cannot go on now"),
    errors.Refused: Kind("refused", _S.CONFLICT, "Not possible as things stand"),
    errors.ViolationRefused: VIOLATION,
    errors.WitnessFailed: Kind("not-witnessed", _S.SERVICE_UNAVAILABLE, "No witness statement"),
    errors.KeyUnavailable: Kind("key-unavailable", _S.SERVICE_UNAVAILABLE, "A key is not here"),
    errors.NotInLog: Kind("not-in-log", _S.CONFLICT, "This cannot be proved yet"),
    errors.LogInconsistent: Kind("log-inconsistent", _S.CONFLICT, "The audit log was changed"),
    errors.CorruptStream: Kind("corrupt-stream", _S.INTERNAL_SERVER_ERROR, "Unreadable events"),
    errors.ConcurrencyConflict: Kind("conflict", _S.CONFLICT, "Others came first, again and again"),
    errors.CapacityReached: Kind("no-place", _S.CONFLICT, "Every place is taken"),
    errors.StoreFull: Kind("store-full", _S.INSUFFICIENT_STORAGE, "There is no space left"),
    errors.StoreError: Kind("store-unavailable", _S.SERVICE_UNAVAILABLE, "The store cannot serve"),
    errors.GovernanceFlowError: MISTAKE,
}

PASSING = (BY_ERROR[errors.ConcurrencyConflict], BY_ERROR[errors.CapacityReached])
"""What the same request need not meet again a moment later."""

EVERY_KIND = tuple(
    dict.fromkeys(
        (
            *BY_ERROR.values(),
            UNKNOWN_CALLER,
            FORBIDDEN,
            RATE_LIMITED,
            KEY_REUSED,
            KEY_BUSY,
            TOO_LARGE,
            BUSY,
            UNREADABLE,
            NO_SUCH_PATH,
            WRONG_METHOD,
            WRONG_MEDIA_TYPE,
        )
    )
)


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(examples=["body.title"])
    detail: str = Field(examples=["title is empty: say something"])


class Problem(BaseModel):
    """An error, as RFC 9457 has it, with the ids involved as further members."""

    model_config = {"extra": "allow"}

    type: str = Field(examples=["/problems#invalid-request"])
    title: str = Field(examples=["The request is malformed"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["body.title: title is empty: say something"])
    instance: str = Field(description="The path that was asked for.", examples=["/api/v1/motions"])
    correlation_id: UUID | None = Field(
        default=None, description="By which the log lines about this request can be found."
    )
    errors: list[FieldProblem] = Field(default_factory=list)


class _Json(JSONResponse):
    """JSON that quotes whatever was sent, even what is no Unicode text."""

    def render(self, content: Any) -> bytes:
        """Return the bytes of the answer."""
        return json.dumps(content, ensure_ascii=False).encode(errors="backslashreplace")


class Problematic(Exception):
    """Raised where an operation itself knows which kind of problem it has."""

    def __init__(
        self, kind: Kind, detail: str, *, retry_after_seconds: int | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.retry_after_seconds = retry_after_seconds
        self.detail = detail
        self.members = members


Expected = (
    Problematic,
    errors.GovernanceFlowError,
    RequestValidationError,
    HTTPException,
)
"""What is told to whoever asked; anything else is a mistake of ours, and logged as one."""


def problem_response(error: Exception, path: str) -> JSONResponse:
    """Return the answer that tells of an error."""
    match error:
        case Problematic():
            response = respond(error.kind, error.detail, path, **error.members)
            if error.retry_after_seconds is not None:
                response.headers["Retry-After"] = str(error.retry_after_seconds)
            return response
        case AccessDenied():
            kind = UNKNOWN_CALLER if error.reason.is_about_identity else FORBIDDEN
            response = respond(kind, error.message, path, reason=error.reason.value)
            if kind is UNKNOWN_CALLER:
                response.headers["WWW-Authenticate"] = "Bearer"
            return response
        case errors.GovernanceFlowError():
            return _of_ours(error, path)
        case RequestValidationError():
            faults = list(islice(_faults(error), FAULTS_MAX))
            detail = "; ".join(f"{fault['field']}: {fault['detail']}" for fault in faults)
            return respond(INVALID, detail, path, errors=faults)
        case HTTPException():
            response = _of_framework(error, path)
            response.headers.update(error.headers or {})
            return response
        case _:
            return respond(MISTAKE, MISTAKE_DETAIL, path)


def _of_framework(error: HTTPException, path: str) -> JSONResponse:
    status, detail = HTTPStatus(error.status_code), str(error.detail)
    match status:
        case HTTPStatus.NOT_FOUND:
            if detail == status.phrase:
                detail = f"nothing is at {path}: see {DESCRIPTION_PATH} for what there is"
            return respond(NO_SUCH_PATH, detail, path)
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = (error.headers or {}).get("Allow", "another method")
            return respond(WRONG_METHOD, f"use {allowed}", path)
        case HTTPStatus.BAD_REQUEST:
            return respond(UNREADABLE, f"{detail}: send JSON in UTF-8 that can be read", path)
        case _:
            slug = status.phrase.lower().replace(" ", "-")
            return respond(Kind(slug, status, status.phrase), detail, path)


def respond(kind: Kind, detail: str, path: str, /, **members: Any) -> JSONResponse:
    """Return a problem of a kind."""
    correlated = correlation.get()
    content: dict[str, Any] = {
        "type": f"/problems#{kind.slug}",
        "title": kind.title,
        "status": kind.status.value,
        "detail": detail,
        "instance": path,
        "correlation_id": None if correlated is None else str(correlated),
        "errors": [],
    }
    headers = {}
    if kind.status is HTTPStatus.SERVICE_UNAVAILABLE or kind in PASSING:
        headers["Retry-After"] = str(RETRY_SECONDS)
    return _Json(content | members, status_code=kind.status, media_type=MEDIA_TYPE, headers=headers)


def kind_of(error: errors.GovernanceFlowError) -> Kind:
    """Return the kind of the most particular class there is one for."""
    return next(BY_ERROR[cls] for cls in type(error).__mro__ if cls in BY_ERROR)


def _of_ours(error: errors.GovernanceFlowError, path: str) -> JSONResponse:
    members: dict[str, Any] = {
        name: _plain(value) for name, value in error.details.items() if value is not None
    }
    field = members.pop("field", None)
    for name in Problem.model_fields:
        members.pop(name, None)
    if field is not None:
        members["errors"] = [{"field": field, "detail": error.message}]
    return respond(kind_of(error), error.message, path, **members)


def _plain(value: object) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else str(value)


def _faults(error: RequestValidationError) -> Iterator[dict[str, str]]:
    for fault in error.errors():
        if fault["type"] == "json_invalid":
            where, why = "body", f"no JSON from character {fault['loc'][-1]} on: {_why(fault)}"
        else:
            where, why = ".".join(str(part) for part in fault["loc"]), str(fault["msg"])
        yield {"field": where, "detail": why}


def _why(fault: Any) -> str:
    return str(fault.get("ctx", {}).get("error", fault["msg"]))
