"""A service, and a client of it behind a network that loses what it is told to lose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from governance_flow.application.access.permissions import Role
from governance_flow.client import Client
from governance_flow.domain.branches import DUKE_SERVICE, GovernanceBranch
from tests.support.lossy import LossyNetwork
from tests.support.service import Served, served

ALL = (Role.MEMBER, Role.OPERATOR, Role.BRANCH)
PLANTERS = "the planters"


@dataclass
class Sleeps:
    """Waits for no time at all, and keeps for how long it was to wait."""

    seconds: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


@dataclass
class Scene:
    """A service, and what connects to it."""

    service: Served
    network: LossyNetwork
    sleeps: Sleeps

    @asynccontextmanager
    async def client(
        self, name: str = PLANTERS, *allowed: Role, **more: Any
    ) -> AsyncIterator[Client]:
        """Connect somebody, by default through the lossy network, who may work for the Duke."""
        roles = allowed or (Role.BRANCH,)
        branches = [GovernanceBranch.DUKE] if Role.BRANCH in roles else []
        token = more.pop("token", None) or await self.service.token(name, *roles, branches=branches)
        settings: dict[str, Any] = {
            "transport": self.network,
            "sleep": self.sleeps,
            "chance": lambda: 1.0,
        } | more
        async with Client(self.service.url, token, **settings) as client:
            yield client


@pytest.fixture
def scene() -> Callable[..., Any]:
    """Return how to open a scene; the Duke works outside."""

    @asynccontextmanager
    async def opened(address: str = "memory:", **more: Any) -> AsyncIterator[Scene]:
        async with served(address, external=[DUKE_SERVICE], **more) as service:
            yield Scene(service, LossyNetwork(), Sleeps())

    return opened
