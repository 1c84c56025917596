"""The command line as tests use it: in this process, or as a program of its own."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from typer.testing import CliRunner, Result

from governance_flow.cli import app
from governance_flow.cli.logs import SERVER, SILENT

ENVIRONMENT = {"GOVERNANCE_FLOW_STORE": "", "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
"""Whatever the developer has set, the tests see this."""

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.05


def motion(title: str = "A jetty", **more: Any) -> dict[str, Any]:
    """Return a motion as a line of a file describes it; everybody is for it."""
    fields = {"title": title, "text": f"{title}, of oak.", "introduced_by": "Ada"}
    return {**fields, "ballots": {"Ada": "yes", "Bo": "yes", "Cy": "no"}, **more}


def write_motions(path: Path, motions: Iterable[Mapping[str, Any] | bytes]) -> Path:
    """Write a file of JSON lines; bytes are written as they are."""
    lines = (item if isinstance(item, bytes) else json.dumps(item).encode() for item in motions)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


@contextmanager
def logs_left_alone() -> Iterator[None]:
    """Let a command lead the logs where it likes, but no test that comes after it."""
    ours = structlog.get_config() if structlog.is_configured() else None
    root = logging.getLogger()
    handlers = list(root.handlers)
    levels = {name: logging.getLogger(name).level for name in ("", SERVER, *SILENT)}
    try:
        yield
    finally:
        structlog.reset_defaults()
        if ours is not None:
            structlog.configure(**ours)
        root.handlers[:] = handlers
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


class Cli:
    """Runs commands on one store. Commands that end in another way than expected fail the test."""

    def __init__(self, store: str, config: Path | None = None) -> None:
        self.store = store
        self.config = config

    def __call__(self, *words: object, code: int = 0, stdin: str | None = None) -> Result:
        """Run a command and return its result, having checked the exit code."""
        with logs_left_alone():
            result = CliRunner().invoke(app, self._line(words), input=stdin, env=ENVIRONMENT)
        assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
        assert "Traceback" not in result.stderr
        return result

    def json(self, *words: object, code: int = 0) -> Any:
        """Run a command with ``--json`` and return what it printed, which must be JSON alone."""
        return json.loads(self(*words, "--json", code=code).stdout)

    def states(self) -> dict[str, str]:
        """Return the state of each motion, by title."""
        page = self.json("motions", "--limit", 1000)
        return {item["title"]: item["current_state"] for item in page["motions"]}

    def id_of(self, title: str) -> str:
        """Return the id of the motion of this title."""
        page = self.json("motions", "--limit", 1000)
        return next(str(i["motion_id"]) for i in page["motions"] if i["title"] == title)

    def program(self, *words: object, **options: Any) -> subprocess.Popen[str]:
        """Start a command as a program of its own."""
        return start(*self._line(words), **options)

    def _line(self, words: Iterable[object]) -> list[str]:
        line = [str(word) for word in words]
        if "--store" not in line:
            line += ["--store", self.store]
        if self.config is not None:
            line += ["--config", str(self.config)]
        return line


def start(*words: str, **options: Any) -> subprocess.Popen[str]:
    """Start the program; its output is captured unless ``options`` say otherwise."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    environment = {**os.environ, **ENVIRONMENT, **options.pop("env", {})}
    command = [sys.executable, "-m", "governance_flow", *words]
    return subprocess.Popen(command, text=True, env=environment, **options)


def finished(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    """Wait for a program and return what it printed, having checked its exit code."""
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code, (process.returncode, out, err)
    assert "Traceback" not in err
    return out, err


def wait_until(process: subprocess.Popen[str], happened: Callable[[], bool], what: str) -> None:
    """Wait while a program runs until something has happened; fail if it ends before that."""
    for _ in range(int(PATIENCE_SECONDS / POLL_SECONDS)):
        if happened():
            return
        try:
            process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        break
    assert happened(), f"{what} did not happen: {process.communicate()}"
