"""Requests that may be sent again: under the same ``Idempotency-Key`` they get the same answer.

As in the IETF's draft of that header: a key that came with another request is refused, and so is
one whose first request is still being answered. What the pipeline itself refuses is an answer too;
a request that failed for want of the store, or of patience with whoever sends it, came to nothing,
and may be sent again.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from http import HTTPStatus
from uuid import UUID, uuid5

import structlog
from fastapi import Request, Response

from governance_flow.api.problems import INVALID, KEY_BUSY, KEY_REUSED, Problematic
from governance_flow.application.access.bearers import Bearer
from governance_flow.application.ports.access import AccessStore, GivenAnswer
from governance_flow.domain.errors import StoreError

log = structlog.get_logger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEY_CHARACTERS_MAX = 200
KEY_PATTERN = "^[!-~]+$"
_IDS = UUID("c1b9f0e2-6f2f-4e0c-9a51-8d6f7b1f4a37")
KEY = re.compile(f"[!-~]{{1,{KEY_CHARACTERS_MAX}}}")
RETRY_SECONDS = 90.0
"""After so long without an answer, the process that took a key must have died: longer than the
longest time that a request waits."""

KEEP_SECONDS = 24 * 3600.0
KEPT_HEADERS = ("ETag", "Location", "Governance-Flow-Position")


async def answered_once(
    request: Request,
    store: AccessStore,
    bearer: Bearer,
    answer: Callable[[Request], Awaitable[Response]],
) -> Response:
    """Answer a request, or give the answer again that its key was given before.

    Raises Problematic for a key that is none, that came with another request, or that is in use.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return await answer(request)
    if not KEY.fullmatch(key):
        detail = (
            f"{HEADER} must be 1 to {KEY_CHARACTERS_MAX} ASCII characters without spaces: a UUID, "
            "say"
        )
        raise Problematic(INVALID, detail, errors=[{"field": f"header.{HEADER}", "detail": detail}])
    fingerprint = await _fingerprint(request)
    known = await store.take_key(
        bearer.token_id, key, fingerprint, retry_seconds=RETRY_SECONDS, keep_seconds=KEEP_SECONDS
    )
    if known is not None:
        if known.fingerprint != fingerprint:
            raise Problematic(
                KEY_REUSED, f"{HEADER} {key} came with another request: use a new one"
            )
        if known.answer is None:
            raise Problematic(KEY_BUSY, f"the request with {HEADER} {key} is being answered: wait")
        return _again(known.answer)
    request.state.id_under_key = uuid5(_IDS, f"{bearer.token_id} {key} {fingerprint.hex()}")
    try:
        response = await answer(request)
    except BaseException:
        await asyncio.shield(store.drop_key(bearer.token_id, key))
        raise
    if came_to_nothing(response) or dropped(request):
        await store.drop_key(bearer.token_id, key)
        return response
    given = GivenAnswer(
        status=response.status_code,
        media_type=response.headers.get("Content-Type", ""),
        headers={name: response.headers[name] for name in KEPT_HEADERS if name in response.headers},
        body=bytes(response.body),
    )
    try:
        await store.answer_key(bearer.token_id, key, given)
    except StoreError as error:
        # It was done, and whoever asked is told so. Asked again, the key is busy for a while.
        log.error("an answer could not be kept", error=str(error))  # noqa: TRY400
    return response


def came_to_nothing(response: Response) -> bool:
    """Return whether the same request may well be answered otherwise a moment later."""
    return (
        response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        or response.status_code == HTTPStatus.TOO_MANY_REQUESTS
        or "Retry-After" in response.headers
    )


def id_under_key(request: Request) -> UUID | None:
    """Return the id for what a request makes: the same each time that it is sent under its key.

    So that not even a process that dies after the store's commit, and before it could keep the
    answer, makes the same thing twice. None for a request without a key.
    """
    return getattr(request.state, "id_under_key", None)


def drop_answer(request: Request) -> None:
    """Let the answer under way not be kept: nobody got it, and what it gave was taken back."""
    request.state.answer_dropped = True


def dropped(request: Request) -> bool:
    """Return whether the answer is one that nobody got."""
    return getattr(request.state, "answer_dropped", False)


async def _fingerprint(request: Request) -> bytes:
    what = json.dumps([request.method, request.url.path, request.url.query])
    condition = request.headers.get("If-Match", "")
    return sha256(what.encode() + condition.encode() + b"\n" + await request.body()).digest()


def _again(given: GivenAnswer) -> Response:
    return Response(
        given.body,
        status_code=given.status,
        media_type=given.media_type or None,
        headers=given.headers | {REPLAYED: "true"},
    )
