"""A whole service in one test: a played pipeline behind a real server on the loopback.

Tests read as a story::

    async with served(external=[DUKE_SERVICE]) as service:
        token = await service.token("harbour works", Role.BRANCH, branches=[B.DUKE])
        async with service.http(token) as http:
            answer = await http.post("/api/v1/assignments/fetch", json={"wait_seconds": 5})

The server runs in the test's own loop, so what the pipeline holds can be looked at meanwhile. Its
clock stands still unless another is given; with ``worker``, motions are driven as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from starlette.types import ASGIApp

from governance_flow.api.app import build_app
from governance_flow.api.server import ServingProcess
from governance_flow.api.service import Service, ServiceOptions
from governance_flow.api.sockets import listening
from governance_flow.application.access.permissions import ROLES, Permission, Role
from governance_flow.domain.branches import GovernanceBranch
from tests.support.flows import PATIENCE_SECONDS, PlayedFlow, cast, opened


@dataclass(frozen=True)
class Served:
    """A service that answers at ``url``, and the pipeline behind it."""

    url: str
    played: PlayedFlow
    service: Service

    async def token(
        self,
        name: str,
        *allowed: Role | Permission,
        branches: Iterable[GovernanceBranch] = (),
        lifetime: timedelta | None = None,
    ) -> str:
        """Make out a token for what is allowed, roles and single permissions."""
        permissions = {
            permission
            for one in allowed
            for permission in (ROLES[one] if isinstance(one, Role) else {one})
        }
        _, text = await self.played.flow.gatekeeper.make_out(
            name, permissions, branches, lifetime=lifetime
        )
        return text

    def http(self, token: str | None = None, **more: Any) -> httpx.AsyncClient:
        """Return a client that shows this token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False, **more
        )


@asynccontextmanager
async def served(
    address: str = "memory:",
    *,
    worker: bool = False,
    external: Sequence[str] = (),
    settings: dict[str, Any] | None = None,
    options: ServiceOptions | None = None,
    build: Callable[[Service], ASGIApp] = build_app,
    port: int = 0,
    **more: Any,
) -> AsyncIterator[Served]:
    """Serve a pipeline on the loopback, on any free port unless one is given.

    ``external`` names the services that are served from outside, ``build`` makes the application;
    ``more`` is as ``opened`` takes it. What the server raises is raised at the end.
    """
    settings = dict(settings or {})
    settings["branches"] = settings.get("branches", {}) | {
        service: {"kind": "external"} for service in external
    }
    branches = more.pop("branches", None)
    branches = cast() if branches is None else branches
    inside = {name: branch for name, branch in branches.items() if name not in external}
    with listening("127.0.0.1", port) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with opened(address, settings=settings, branches=inside, **more) as played:
            service = Service(played.flow, options or ServiceOptions())
            process = ServingProcess(build(service), service, listener)
            ready = asyncio.Event()
            running = asyncio.create_task(process.run(worker=worker, on_ready=ready.set))
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await ready.wait()
                yield Served(url, played, service)
            finally:
                process.stop()
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await running
