"""The whole API, called with what its description allows and with what it does not.

Schemathesis reads the description as it is served and makes the requests: examples, every bound of
every field, random ones, and chains along the links from one operation to the next.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from governance_flow.api.service import ServiceOptions
from governance_flow.application.access.permissions import Permission
from governance_flow.domain.branches import CONCLAVE_SERVICE, DUKE_SERVICE, PRESIDENT_SERVICE
from governance_flow.domain.states import GovernanceState
from tests.support.api import ALL_BRANCHES
from tests.support.service import Served, served

S = GovernanceState
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
ROOT = Path(__file__).parents[3]
ASSIGNMENTS = 40
"""So many can be fetched and answered, along the links."""

PATIENCE_SECONDS = 300.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(PATIENCE_SECONDS + 60)]


@pytest.fixture
async def service() -> AsyncIterator[Served]:
    """Serve a store in which there are motions of every kind."""
    external = (CONCLAVE_SERVICE, PRESIDENT_SERVICE, DUKE_SERVICE)
    options = ServiceOptions(wait_seconds_max=0.05, denials_per_minute=100_000)
    async with served(external=external, options=options) as service:
        played = service.played
        for state in sorted(set(S) - {S.RATIFIED}):  # where nothing ever rests
            await played.reach(state)
        for error_type in ("system_error", "compliance_error", "timeout_error"):
            await played.fails(await played.reach(S.PLANNING), error_type)
        for _ in range(ASSIGNMENTS):
            await played.reach(S.PLANNING)
        yield service


async def test_the_api_is_what_its_description_says(service: Served, tmp_path: Path) -> None:
    token = await service.token("somebody", *Permission, branches=ALL_BRANCHES)

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run"),
        *(f"{service.url}/api/v1/openapi.json", "--url", service.url),
        *("--header", f"Authorization: Bearer {token}"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert process.returncode == 0, said.decode()
