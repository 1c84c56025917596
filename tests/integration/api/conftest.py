"""The application over a file, and over every store where what is kept matters."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.api import InProcess, in_process
from tests.support.clock import ManualClock


@pytest.fixture
async def api(sqlite_address: str, clock: ManualClock) -> AsyncIterator[InProcess]:
    """Return the application over a file; every branch works from outside."""
    async with in_process(sqlite_address, clock=clock) as api:
        yield api


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def stored_api(
    request: pytest.FixtureRequest, clock: ManualClock
) -> AsyncIterator[InProcess]:
    """Return the application over each kind of store that outlives a process."""
    name = {"sqlite": "sqlite_address", "postgresql": "postgres_database"}[request.param]
    async with in_process(request.getfixturevalue(name), clock=clock) as api:
        yield api
