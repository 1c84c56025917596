"""Every line that the page about the HTTP API shows is run, in the page's order."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.cli import ENVIRONMENT

PAGE = Path(__file__).parents[3] / "docs" / "http-api.md"
PATIENCE_SECONDS = 90
TOOLS = ("bash", "curl", "jq")
SERVING = re.compile(r"serving .* at (http://\S+);")

SAID = [
    '"pass"',
    '["introduce","read"]',
    "HTTP/1.1 201 Created",
    '"purpose":"execute"',
    '"state":"JUDGING"',
    '"strategy":"halt_and_alert"',
    '"next_action":',
    "Forty trees for Harbour Street",
    '"blocked_motions":1',
    '"title":"Mend the ferry"',
    '{"status":412,"detail":',
    '"current_state":"EXECUTING"',
    "event: changed",
    '"type": "/problems#invalid-request"',
    "409 /problems#completion-refused",
]
"""What is to be read in the answers, one after the other."""


def blocks(language: str) -> list[str]:
    """Return what stands on the page in this language, in order."""
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, PAGE.read_text(), re.DOTALL | re.MULTILINE)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    """Serve as the page says, on a free port, and yield the address."""
    (folder / "flow.yaml").write_text("".join(blocks("yaml")))
    words = ["serve", "--store", "sqlite:///flow.db", "--config", "flow.yaml", "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "governance_flow", *words),
        cwd=folder,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(PAGE.parents[1])},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said = ""
    try:
        while (found := SERVING.search(said)) is None:
            line = await process.stderr.readline()
            assert line, f"it does not serve: {said}"
            said += line.decode()
        drained = asyncio.create_task(process.stderr.read())
        yield found[1]
        process.send_signal(signal.SIGTERM)
        rest = (await drained).decode()
        assert (await process.wait(), "Traceback" in rest) == (0, False), rest
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason="bash, curl or jq is not installed"
)
async def test_the_page_can_be_followed_line_by_line(tmp_path: Path) -> None:
    program = tmp_path / "governance-flow"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m governance_flow "$@"\n')
    program.chmod(0o755)
    environ = os.environ | ENVIRONMENT | {"PYTHONPATH": str(PAGE.parents[1])}
    environ["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    async with asyncio.timeout(PATIENCE_SECONDS), serving(tmp_path) as address:
        script = "set -euo pipefail\n" + "\n".join(blocks("sh"))
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", script),
            cwd=tmp_path,
            env=environ | {"FLOW": address},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = (stream.decode() for stream in await process.communicate())
    assert process.returncode == 0, (out, err)
    place = 0
    for expected in SAID:
        place = out.find(expected, place)
        assert place >= 0, f"{expected} was not answered in its turn: {out}"


def test_every_curl_line_of_the_page_is_among_those_that_are_run() -> None:
    run = "".join(blocks("sh"))
    assert run.count("curl ") == PAGE.read_text().count("curl -") > 15
