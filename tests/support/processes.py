"""Workers in processes of their own, as the test that starts them sees them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Condition, Thread
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0

_heard = Condition()
"""Notified whenever any process has said something, or nothing more."""


def wait_until(holds: Callable[[], bool], *processes: WorkerProcess) -> None:
    """Wait until something holds of what processes have said; fail if it never does.

    None of ``processes`` may end meanwhile.
    """
    with _heard:
        assert _heard.wait_for(
            lambda: holds() or any(process.silent for process in processes), PATIENCE_SECONDS
        ), "it was never said"
        assert holds(), "a process ended before its time"


class WorkerProcess:
    """One process that runs ``tests.support.worker_process``. All it says is kept, in order."""

    def __init__(self, address: str, *, now: datetime | None = None, **orders: Any) -> None:
        given = {"address": address, **orders} | ({"now": now.isoformat()} if now else {})
        self.said: list[dict[str, Any]] = []
        self._read = 0
        self.silent = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.worker_process", json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        Thread(target=self._listen, daemon=True).start()

    def wait_for(self, what: str, **details: Any) -> dict[str, Any]:
        """Return the next line that says ``what``, with these details; fail if there is none."""
        while True:
            wait_until(lambda: len(self.said) > self._read or self.silent)
            if len(self.said) == self._read:
                raise AssertionError(f"it ended without saying {what!r}: {self.said}")
            line = self.said[self._read]
            self._read += 1
            if line["said"] == what and details.items() <= line.items():
                return line

    def go(self) -> None:
        """Let the services go on that hold."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """Kill it, as the power does."""
        self._process.send_signal(signal.SIGKILL)
        assert self._process.wait(PATIENCE_SECONDS) == -signal.SIGKILL

    def terminate(self) -> None:
        """Ask it to stop, and return once it has heard."""
        self._process.send_signal(signal.SIGTERM)
        self.wait_for("stopping")

    def ends(self) -> None:
        """Wait for its end, which must be a good one."""
        self.wait_for("ended")
        assert self._process.wait(PATIENCE_SECONDS) == 0

    def routings(self, what: str, service: str | None = None) -> list[str]:
        """Return the routings of which something was said, in order."""
        return [
            line["routing_id"]
            for line in self.said
            if line["said"] == what and service in (None, line["service"])
        ]

    def close(self) -> None:
        """End it whatever it does."""
        self._process.kill()
        self._process.wait(PATIENCE_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                self._hear(json.loads(line))
        except ValueError:
            # Closed while it was read: the test is over.
            return
        finally:
            self._hear(None)

    def _hear(self, line: dict[str, Any] | None) -> None:
        with _heard:
            if line is None:
                self.silent = True
            else:
                self.said.append(line)
            _heard.notify_all()


@contextmanager
def worker_process(address: str, **orders: Any) -> Iterator[WorkerProcess]:
    """Start a worker; end it with the block, whatever it does."""
    process = WorkerProcess(address, **orders)
    try:
        yield process
    finally:
        process.close()
