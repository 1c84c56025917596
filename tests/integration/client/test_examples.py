"""The workers that the documentation shows do their work."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from governance_flow.application.access.permissions import Role
from governance_flow.client import Client
from governance_flow.domain.branches import DUKE_SERVICE, GovernanceBranch
from governance_flow.domain.states import GovernanceState as S
from tests.support.lossy import LossyNetwork
from tests.support.service import served

ROOT = Path(__file__).parents[3]
NODE = shutil.which("node")
PATIENCE_SECONDS = 60

WORKERS = [
    pytest.param([sys.executable, ROOT / "examples" / "branch_worker.py"], 0, id="python"),
    pytest.param(
        [NODE, ROOT / "docs" / "branch-worker.mjs"],
        -signal.SIGTERM,
        id="javascript",
        marks=pytest.mark.skipif(NODE is None, reason="node is not installed"),
    ),
]


@pytest.mark.parametrize(("command", "status"), WORKERS)
async def test_a_worker_of_the_documentation_takes_motions_to_their_end(
    command: list[str | Path], status: int
) -> None:
    ended = 0
    async with (
        served(worker=True, external=[DUKE_SERVICE], branches={}) as service,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        branch = await service.token("planters", Role.BRANCH, branches=[GovernanceBranch.DUKE])
        environ = {
            "PATH": os.environ["PATH"],
            "GOVERNANCE_FLOW_URL": service.url,
            "GOVERNANCE_FLOW_TOKEN": branch,
        }
        process = await asyncio.create_subprocess_exec(
            *command, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            member = await service.token("ada", Role.MEMBER)
            async with Client(service.url, member, transport=LossyNetwork()) as ada:
                for number in range(2):
                    await ada.introduce(f"Park {number}", "Trees.", ballots={"bo": "yes"})
                async for _ in ada.watch():
                    ended = len([m async for m in ada.list_motions(state=S.ACKNOWLEDGED)])
                    if ended == 2 or process.returncode is not None:
                        break
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            said, _ = await process.communicate()
        assert (ended, process.returncode, said.decode()) == (2, status, "")


def test_the_examples_are_as_short_as_they_are_said_to_be() -> None:
    for path in (ROOT / "examples" / "branch_worker.py", ROOT / "docs" / "branch-worker.mjs"):
        lines = path.read_text().splitlines()
        assert len([line for line in lines if line.strip()]) < 40
        assert max(map(len, lines)) <= 120
