"""What can go wrong between a program and the service: one class for each family of problems.

    ClientError
    ├── Unreachable            no answer came, however often it was asked
    ├── UnexpectedAnswer       something answered that is not the service
    └── ApiError               the service refused, and said why
        ├── InvalidRequest     400, 405, 413, 415, 422: ``fields`` says what to change
        ├── Unauthenticated    401: no token, or one that is not accepted
        ├── Forbidden          403: this token may not do that
        │   └── Violation      the act broke a rule of the pipeline; it is on record
        ├── NotFound           404
        ├── Conflict           409: not as things stand
        │   └── NotHeld        the assignment is not, or not any more, the caller's to answer
        ├── VersionMoved       412: the motion has moved on; look at it again, and decide anew
        ├── TooManyDenials     429
        ├── Unavailable        502, 503, 504, 507: for now
        └── ServerMistake      every other 5xx; ``correlation_id`` finds it in the service's log

The message is the service's own, which says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import httpx

MEDIA_TYPE = "application/problem+json"
EXCERPT_CHARACTERS_MAX = 200
BUSY = "idempotency-key-busy"


class ClientError(Exception):
    """Root of every error that the client raises."""

    is_transient: ClassVar[bool] = False
    """Whether the same request may well be answered if it is sent again, under the same key."""

    retry_after_seconds: float | None = None


class Unreachable(ClientError):
    """No answer came. Whether a write was carried out is not known; with its key, ask again."""

    is_transient = True

    def __init__(self, message: str, correlation_id: str) -> None:
        super().__init__(message)
        self.correlation_id = correlation_id


class UnexpectedAnswer(ClientError):
    """Something answered that does not speak as the service does: is the address right?"""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """What is wrong with one field of a request."""

    field: str
    detail: str


class ApiError(ClientError):
    """The service refused. ``type`` is the kind of problem: ``version-moved``, for instance.

    ``members`` holds whatever else was said, the ids involved among it; ``correlation_id`` finds
    the service's log lines about the request.
    """

    def __init__(
        self,
        *,
        status: int,
        type: str,  # noqa: A002 - as the standard calls it
        title: str,
        detail: str,
        correlation_id: str | None,
        fields: tuple[FieldFault, ...] = (),
        members: Mapping[str, Any] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(f"{detail} ({status} {type})")
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.correlation_id = correlation_id
        self.fields = fields
        self.members = dict(members or {})
        self.retry_after_seconds = retry_after_seconds


class InvalidRequest(ApiError):
    """The request is malformed or too large; ``fields`` names what to change."""


class Unauthenticated(ApiError):
    """There was no token, or it is not accepted: ask the operator for another."""


class Forbidden(ApiError):
    """The bearer of this token may not do this; the message says what it takes."""


class Violation(Forbidden):
    """The act broke a rule of the pipeline: refused, witnessed, and on record for ever."""


class NotFound(ApiError):
    """There is no such thing."""


class Conflict(ApiError):
    """Not possible as things stand; the message says what would change that."""


class NotHeld(Conflict):
    """The assignment was answered or superseded, or its lease ended: leave it to others."""


class KeyBusy(Conflict):
    """The first request with this idempotency key is still being answered: wait for it."""

    is_transient = True


class VersionMoved(ApiError):
    """The motion has moved on since it was looked at: look again, and decide anew."""


class TooManyDenials(ApiError):
    """Too many requests from here were denied: mend the token before asking again."""


class Unavailable(ApiError):
    """The service, or something before it, cannot serve now."""

    is_transient = True


class ServerMistake(ApiError):
    """A mistake in the service; its log has it under ``correlation_id``."""


_BY_TYPE: Mapping[str, type[ApiError]] = {
    "violation": Violation,
    "completion-refused": NotHeld,
    BUSY: KeyBusy,
}
_BY_STATUS: Mapping[int, type[ApiError]] = {
    HTTPStatus.UNAUTHORIZED: Unauthenticated,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.PRECONDITION_FAILED: VersionMoved,
    HTTPStatus.TOO_MANY_REQUESTS: TooManyDenials,
    HTTPStatus.BAD_GATEWAY: Unavailable,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
    HTTPStatus.GATEWAY_TIMEOUT: Unavailable,
    HTTPStatus.INSUFFICIENT_STORAGE: Unavailable,
}
_OURS = frozenset({"type", "title", "status", "detail", "instance", "correlation_id", "errors"})


def error_of(response: httpx.Response) -> ClientError:
    """Return the error that an answer tells of."""
    status = response.status_code
    told = _told(response)
    if told is None and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnexpectedAnswer(
            f"{response.request.method} {response.request.url.copy_with(query=None)} was answered "
            f"with {status} by something that is no Governance Flow service: is the address right? "
            f"{response.text[:EXCERPT_CHARACTERS_MAX]!r}"
        )
    told = told or {}
    kind = str(told.get("type", "")).rpartition("#")[2] or "unknown"
    return _class_of(kind, status)(
        status=status,
        type=kind,
        title=str(told.get("title", response.reason_phrase)),
        detail=str(told.get("detail") or response.reason_phrase or "no reason was given"),
        correlation_id=told.get("correlation_id") or response.headers.get("X-Correlation-ID"),
        fields=tuple(_faults(told.get("errors"))),
        members={name: value for name, value in told.items() if name not in _OURS},
        retry_after_seconds=_retry_after(response),
    )


def _class_of(kind: str, status: int) -> type[ApiError]:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _BY_STATUS.get(status, ServerMistake)
    return _BY_TYPE.get(kind) or _BY_STATUS.get(status, InvalidRequest)


def _told(response: httpx.Response) -> dict[str, Any] | None:
    if response.headers.get("Content-Type", "").partition(";")[0].strip() != MEDIA_TYPE:
        return None
    try:
        told = response.json()
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _faults(errors: object) -> list[FieldFault]:
    found = errors if isinstance(errors, list) else []
    return [
        FieldFault(str(one.get("field", "")), str(one.get("detail", "")))
        for one in found
        if isinstance(one, dict)
    ]


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds to wait; a date, which the service itself never sends, counts as none."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
