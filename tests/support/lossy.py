"""A network that loses answers as a test tells it to: the server has answered, nobody hears."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import httpx


@dataclass
class LossyNetwork(httpx.AsyncBaseTransport):
    """Carries requests to where they go; loses what ``lost`` and ``refused`` say, by path's end.

    ``lost`` counts answers that are thrown away, ``refused`` requests that never arrive, and
    ``stalled`` answers that stay on their way for ever. ``answered`` keeps what the server has
    answered, whether that arrived or not; ``moved`` is set whenever it has.
    """

    lost: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    stalled: Counter[str] = field(default_factory=Counter)
    answered: list[httpx.Response] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)
    _wire: httpx.AsyncHTTPTransport = field(default_factory=httpx.AsyncHTTPTransport)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and lose the answer if it is to be lost."""
        self.requests.append(request)
        if self._next(self.refused, request):
            raise httpx.ConnectError("nobody is there", request=request)
        response = await self._wire.handle_async_request(request)
        if response.headers.get("Content-Type", "").startswith("text/event-stream"):
            return response
        await response.aread()
        response.request = request
        async with self.moved:
            self.answered.append(response)
            self.moved.notify_all()
        if self._next(self.lost, request):
            raise httpx.ReadError("the connection was lost", request=request)
        if self._next(self.stalled, request):
            await asyncio.Event().wait()
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    async def until_answered(self, end: str, times: int = 1) -> None:
        """Wait until so many requests whose path ends so have been answered."""
        async with self.moved:
            await self.moved.wait_for(lambda: len(self.answers(end)) >= times)

    def answers(self, end: str) -> list[httpx.Response]:
        """Return what the server has answered to requests whose path ends so."""
        return [one for one in self.answered if one.request.url.path.endswith(end)]

    def keys(self, end: str) -> list[str]:
        """Return the idempotency keys of the writes whose path ends so, in order."""
        return [
            one.headers["Idempotency-Key"]
            for one in self.requests
            if one.url.path.endswith(end) and "Idempotency-Key" in one.headers
        ]

    @staticmethod
    def _next(fate: Counter[str], request: httpx.Request) -> bool:
        for end, left in fate.items():
            if left and request.url.path.endswith(end):
                fate[end] -= 1
                return True
        return False
