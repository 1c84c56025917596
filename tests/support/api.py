"""The HTTP application in the test's own process, without a socket: quick to test.

Like ``served``, but requests are handed to the application itself. What only a real connection
shows (hanging up, bodies that never end) is for ``served``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI

from governance_flow.api.app import build_app
from governance_flow.api.service import Service, ServiceOptions
from governance_flow.application.access.permissions import Permission
from governance_flow.domain.branches import SERVICE_BRANCH, GovernanceBranch
from tests.support.flows import cast, opened
from tests.support.service import Served

ALL_BRANCHES = tuple(sorted(set(SERVICE_BRANCH.values())))


@dataclass(frozen=True)
class InProcess(Served):
    """An application, and the pipeline behind it."""

    app: FastAPI

    def http(self, token: str | None = None, **more: Any) -> httpx.AsyncClient:
        """Return a client that shows this token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        headers |= more.pop("headers", {})
        transport = httpx.ASGITransport(self.app, client=more.pop("client", ("10.0.0.7", 123)))
        return httpx.AsyncClient(
            transport=transport, base_url=self.url, headers=headers, trust_env=False, **more
        )

    async def anybody(self, name: str = "Ada", **more: Any) -> httpx.AsyncClient:
        """Return a client of somebody who may do everything, for every branch."""
        return self.http(await self.token(name, *Permission, branches=ALL_BRANCHES), **more)

    async def worker_of(
        self, branch: GovernanceBranch, name: str | None = None
    ) -> httpx.AsyncClient:
        """Return a client of somebody who works for one branch."""
        token = await self.token(name or f"the {branch}", Permission.WORK, branches=[branch])
        return self.http(token)


@asynccontextmanager
async def in_process(
    address: str = "memory:",
    *,
    options: ServiceOptions | None = None,
    build: Callable[[Service], FastAPI] = build_app,
    external: Sequence[str] = (),
    settings: dict[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[InProcess]:
    """Open a pipeline and build the application over it; ``more`` is as ``opened`` takes it."""
    settings = dict(settings or {})
    settings["branches"] = settings.get("branches", {}) | {
        service: {"kind": "external"} for service in external
    }
    branches = more.pop("branches", None) or cast()
    inside = {name: branch for name, branch in branches.items() if name not in external}
    async with opened(address, settings=settings, branches=inside, **more) as played:
        service = Service(played.flow, options or ServiceOptions())
        try:
            yield InProcess("http://service", played, service, build(service))
        finally:
            service.stopping.set()
            await service.jobs.stop()


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Return the problem that an answer tells of, which must be of this kind and told in full."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json", answer.headers
    told: dict[str, Any] = answer.json()
    assert told["type"] == f"/problems#{kind}", told
    assert told["status"] == status
    assert told["title"]
    assert told["detail"], "what is to be done about it?"
    assert told["instance"] == answer.request.url.path
    assert told["correlation_id"] == answer.headers["X-Correlation-ID"]
    return told


def fields(told: dict[str, Any]) -> list[str]:
    """Return the fields that a problem names."""
    return [error["field"] for error in told["errors"]]


def motion(**more: Any) -> dict[str, Any]:
    """Return what introduces a motion."""
    return {"title": "Mend the bridge", "text": "Before the flood.", **more}


def motion_id_of(answer: httpx.Response) -> UUID:
    """Return the id of the motion that was introduced."""
    return UUID(answer.json()["motion_id"])
