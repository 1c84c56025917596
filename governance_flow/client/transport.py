"""Requests that are sent again until they are answered, and never do anything twice."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from itertools import count
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from governance_flow.client.errors import ClientError, Unreachable, error_of
from governance_flow.client.retries import Retries

PREFIX = "/api/v1"
POSITION_HEADER = "Governance-Flow-Position"
CONNECT_SECONDS = 10.0
PING_SECONDS = 15.0
"""So often, at least, something comes over a stream."""

log = logging.getLogger(__name__)


class Transport:
    """Sends requests to one service with one token, and keeps how far its log has come."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout_seconds: float,
        retries: Retries,
        transport: httpx.AsyncBaseTransport | None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            msg = f"{base_url!r} is no address of a service: say https://flow.example.org"
            raise ValueError(msg)
        self._timeout_seconds = timeout_seconds
        self._retries = retries
        self._sleep = sleep
        self._chance = chance
        self.position = 0
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/") + PREFIX,
            headers={
                "Authorization": f"Bearer {token.strip()}",
                "User-Agent": f"governance-flow-client/{version('governance-flow')}",
            },
            # Another host must not be shown the token.
            follow_redirects=False,
            timeout=httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, CONNECT_SECONDS)),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, traceback)

    async def get(self, path: str, **params: object) -> httpx.Response:
        """Read; parameters that are None are left out."""
        return await self._send("GET", path, params=params, headers={})

    async def write(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        if_version: int | None = None,
        wait_seconds: float = 0.0,
    ) -> httpx.Response:
        """Write once, however often it must be sent: under one key, made up unless given."""
        headers = {"Idempotency-Key": key or str(uuid4())}
        if if_version is not None:
            headers["If-Match"] = f'"{if_version}"'
        content = None
        if body is not None:
            # NaN is no JSON; better to say so here than to have the service say so.
            content = json.dumps(body, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        return await self._send(
            method, path, content=content, headers=headers, wait_seconds=wait_seconds
        )

    async def lines(self, path: str) -> AsyncIterator[str]:
        """Yield a stream's lines, asking anew when it breaks off.

        It gives up only after as many attempts in a row that brought nothing as any request.
        """
        fruitless = 0
        while True:
            fruitless += 1
            try:
                async with self._stream(path) as response:
                    async for line in response.aiter_lines():
                        fruitless = 0
                        yield line
            except ClientError as error:
                await self._pause(max(fruitless, 1), error)
            else:
                await self._sleep(self._retries.pause_seconds(1, None, self._chance()))

    @asynccontextmanager
    async def _stream(self, path: str) -> AsyncIterator[httpx.Response]:
        correlation_id = str(uuid4())
        request = self._http.build_request(
            "GET",
            path,
            headers={"X-Correlation-ID": correlation_id, "Accept": "text/event-stream"},
            timeout=httpx.Timeout(CONNECT_SECONDS, read=3 * PING_SECONDS),
        )
        try:
            response = await self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    await response.aread()
                    raise error_of(response)
                yield response
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise _unreachable("GET", request.url, error, correlation_id) from error

    async def _send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str],
        content: bytes | None = None,
        params: Mapping[str, object] | None = None,
        wait_seconds: float = 0.0,
    ) -> httpx.Response:
        # One id for all attempts: the service's log shows them together.
        correlation_id = str(uuid4())
        request = self._http.build_request(
            method,
            path,
            content=content,
            params=_query(params or {}),
            headers=headers | {"X-Correlation-ID": correlation_id},
            timeout=httpx.Timeout(self._timeout_seconds + wait_seconds, connect=CONNECT_SECONDS),
        )
        for attempt in count(1):
            try:
                response = await self._http.send(request)
            except httpx.TransportError as error:
                problem: ClientError = _unreachable(method, request.url, error, correlation_id)
                problem.__cause__ = error
            else:
                if response.is_success:
                    self._note_position(response)
                    return response
                problem = error_of(response)
            await self._pause(attempt, problem)
        raise AssertionError("unreachable")  # pragma: no cover

    async def _pause(self, attempt: int, problem: ClientError) -> None:
        """Wait before the next attempt; raises the problem if there is to be none."""
        if not problem.is_transient or attempt >= self._retries.attempts:
            raise problem
        seconds = self._retries.pause_seconds(attempt, problem.retry_after_seconds, self._chance())
        log.info("asking again in %.1f s: %s", seconds, problem)
        await self._sleep(seconds)

    def _note_position(self, response: httpx.Response) -> None:
        text = response.headers.get(POSITION_HEADER, "")
        if text.isascii() and text.isdigit():
            self.position = max(self.position, int(text))


def _unreachable(
    method: str, url: httpx.URL, error: httpx.TransportError, correlation_id: str
) -> Unreachable:
    said = str(error) or type(error).__name__
    shown = url.copy_with(query=None, userinfo=b"")
    return Unreachable(f"{method} {shown} got no answer: {said}", correlation_id)


def _query(params: Mapping[str, object]) -> dict[str, str]:
    shown = {}
    for name, value in params.items():
        if isinstance(value, bool):
            shown[name] = "true" if value else "false"
        elif value is not None:
            shown[name] = str(value)
    return shown
