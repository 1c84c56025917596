"""The service as a program: begun, asked, stopped."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cli import PATIENCE_SECONDS, Cli, finished, motion, write_motions

READY_SECONDS_MAX = 2.0
# Other tests run beside this one, on the same two cores.
MARGIN = 3.0

Serving = Callable[..., "Program"]


class Program:
    """The service, and where it answers."""

    def __init__(self, process: subprocess.Popen[str], url: str, token: str) -> None:
        self.process = process
        self.http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
        )

    def get(self, path: str, **params: Any) -> Any:
        """Ask for something that must be there."""
        answer = self.http.get(path, params=params)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def stop(self, how: signal.Signals = signal.SIGTERM, code: int = 0) -> str:
        """Tell it to stop; return what it said."""
        self.process.send_signal(how)
        return finished(self.process, code)[1]


@contextmanager
def program(cli: Cli, *words: object) -> Iterator[Program]:
    """Serve a store on a free port, until the block ends."""
    token = cli("token", "create", "Ada", "--role", "operator", "--role", "member").stdout.strip()
    process = cli.program("serve", "--port", 0, *words)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r"at (http://\S+);", line)
        assert found is not None, line
        served = Program(process, found[1], token)
        with served.http:
            yield served
    finally:
        if process.poll() is None:
            process.terminate()
            finished(process)


@pytest.fixture
def serving(cli: Cli) -> Iterator[Serving]:
    """Return what begins to serve the command line's store."""
    with ExitStack() as stack:
        yield lambda *words: stack.enter_context(program(cli, *words))


def test_it_is_ready_within_two_seconds_and_works_by_itself(cli: Cli, serving: Serving) -> None:
    cli("token", "create", "first", "--role", "viewer")  # the store is made before the clock runs
    started = time.monotonic()
    served = serving()
    assert served.get("/readyz")["checks"]["worker"]["status"] == "pass"
    assert time.monotonic() - started < READY_SECONDS_MAX * MARGIN
    introduced = served.http.post("/api/v1/motions", json={"title": "A jetty", "text": "Of oak."})
    assert introduced.status_code == httpx.codes.CREATED
    # Nobody voted: the Conclave tables it, which only a worker lets it do.
    path = introduced.headers["Location"]
    while served.get(path)["status"]["current_state"] != "TABLED":
        assert served.process.poll() is None


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_answers_who_waits_and_ends_well(
    serving: Serving, how: signal.Signals
) -> None:
    served = serving()
    with served.http.stream("GET", "/api/v1/pipeline/stream") as stream:
        lines = stream.iter_lines()
        assert "changed" in next(line for line in lines if line.startswith("event"))
        said = served.stop(how)
        assert [line for line in lines if line.startswith("event")] == []
    assert "stopping" in said
    assert said.endswith("stopped\n")


def test_without_a_worker_nothing_moves(serving: Serving) -> None:
    served = serving("--no-worker")
    assert "worker" not in served.get("/readyz")["checks"]
    introduced = served.http.post("/api/v1/motions", json={"title": "A jetty", "text": "Of oak."})
    assert served.get(introduced.headers["Location"])["status"]["current_state"] == "INTRODUCED"


def test_the_command_line_and_the_service_see_one_store(
    cli: Cli, serving: Serving, tmp_path: Path
) -> None:
    served = serving("--no-worker")
    cli("import", write_motions(tmp_path / "in.jsonl", [motion("A jetty")]))
    [seen] = served.get("/api/v1/motions")["motions"]
    assert seen["title"] == "A jetty"
    halted = served.http.post("/api/v1/pipeline/halt", json={"reason": "contested"})
    assert halted.status_code == httpx.codes.NO_CONTENT
    assert cli.json("status")["halt_reason"] == "contested"
    assert served.get("/readyz")["status"] == "warn"


def test_who_was_turned_away_is_on_record(cli: Cli, serving: Serving) -> None:
    served = serving("--no-worker")
    answer = served.http.get(
        "/api/v1/pipeline", headers={"Authorization": f"Bearer gf_{'0' * 16}_{'1' * 64}"}
    )
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    [denied] = cli.json("token", "denials")["denials"]
    assert (denied["reason"], denied["operation"], denied["count"]) == (
        "unknown",
        "get_pipeline",
        1,
    )
    assert "get_pipeline" in cli("token", "denials").stdout


def test_a_port_that_is_taken_is_said_before_anything_begins(cli: Cli, serving: Serving) -> None:
    served = serving("--no-worker")
    port = served.http.base_url.port
    other = cli.program("serve", "--port", port)
    _, err = finished(other, code=2)
    assert f"cannot listen on 127.0.0.1, port {port}" in err
    assert "try --port" in err


def test_the_help_says_how_to_get_in(cli: Cli) -> None:
    said = cli("serve", "--help").stdout
    assert "token create" in said
    assert "openapi.json" in said
