"""What is around every request: its id, its bounds, its headers, and what is counted of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from uuid import UUID

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from governance_flow.api.problems import MISTAKE, MISTAKE_DETAIL, TOO_LARGE, respond
from governance_flow.application.correlation import correlation
from governance_flow.application.ids import RandomIds
from governance_flow.infrastructure.http_metrics import HttpMetrics

CORRELATION_HEADER = "X-Correlation-ID"
CLIENT_GONE = 499
"""No answer was given, for nobody waited for one: counted among those that the client caused."""

SECURITY_HEADERS: Mapping[str, str] = {
    # Nothing but what this host serves, and nothing written into a page itself.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


FORM_BYTES_MAX = 64 * 1024
BODY_SECONDS_MAX = 30.0
"""Whoever takes longer to send a request is not waited for."""

log = structlog.get_logger(__name__)

_new_id = RandomIds()


class _TooLarge(Exception):
    """The body is larger than is read."""


class _HungUp(Exception):
    """The body will never be there in full."""


class Envelope:
    """Gives each request an id, refuses what is too large, counts and dates the answer.

    A correlation id that comes with the request goes into the log lines about it, into the motion
    or the pipeline's event that it begins, and back with the answer.
    """

    def __init__(self, app: ASGIApp, *, metrics: HttpMetrics, body_bytes_max: int) -> None:
        self._app = app
        self._metrics = metrics
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        begun = False
        correlated = _given_id(Headers(scope=scope).get(CORRELATION_HEADER)) or _new_id()
        token = correlation.set(correlated)

        async def sent(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun = True
                status = message["status"]
                headers = MutableHeaders(scope=message)
                if status == HTTPStatus.NO_CONTENT:
                    # There is nothing whose type could be told.
                    del headers["Content-Type"]
                headers[CORRELATION_HEADER] = str(correlated)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                # What is true now need not be true of whoever asks next.
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            with structlog.contextvars.bound_contextvars(
                correlation_id=str(correlated), bearer=None
            ):
                try:
                    await self._app(scope, await self._bounded(scope, receive), sent)
                except _HungUp:
                    # Nobody waits for an answer, and what came need not be what was meant.
                    status = CLIENT_GONE
                except _TooLarge as error:
                    detail = f"a request of this kind may have at most {error} bytes"
                    await respond(TOO_LARGE, detail, scope["path"])(scope, receive, sent)
                except Exception:
                    if begun:
                        raise
                    log.exception("a request could not be answered", path=scope["path"])
                    await respond(MISTAKE, MISTAKE_DETAIL, scope["path"])(scope, receive, sent)
        finally:
            correlation.reset(token)
            route = scope.get("route")
            self._metrics.answered(
                getattr(route, "path", None), scope["method"], status, time.perf_counter() - started
            )

    async def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """Return how to receive a request whose body is there, and within bounds.

        Raises _TooLarge, before anything is read if the request says so itself, and _HungUp.
        """
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return receive
        headers = Headers(scope=scope)
        json = headers.get("Content-Type", "").startswith("application/json")
        # Nothing else that anybody sends us is large; taking apart a large form takes seconds.
        most = self._body_bytes_max if json else min(FORM_BYTES_MAX, self._body_bytes_max)
        announced = headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > most:
            raise _TooLarge(most)
        body = bytearray()
        more = True
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise _HungUp
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > most:
                        raise _TooLarge(most)
        except TimeoutError as error:
            raise _HungUp from error
        first = True

        async def again() -> Message:
            nonlocal first
            if first:
                first = False
                return {"type": "http.request", "body": bytes(body), "more_body": False}
            return await receive()

        return again


def _given_id(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None
