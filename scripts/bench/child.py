"""Runs one part in a process of its own, so that no part pays for what another has left behind.

    python -m scripts.bench.child MODULE:FUNCTION ORDERS

The function is called with the orders (JSON, as keyword arguments) and what it returns is the
answer (JSON). In between it may say that it is ready, and wait until it is told to go.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]

_READY = "ready"
_GO = "go"
_KIBIBYTE = 1024

_mouth: IO[str] = sys.stdout
"""Where the answer goes. In a child nothing else may be written there."""


class PartFailed(Exception):
    """A child process ended without an answer; what it had to say is on the terminal."""


# -- In the parent ---------------------------------------------------------------------------------


class Child:
    """A process that runs one function."""

    def __init__(self, function: str, orders: dict[str, Any], python: str = sys.executable) -> None:
        self._function = function
        self._process = subprocess.Popen(
            [python, "-m", "scripts.bench.child", function, json.dumps(orders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def is_ready(self) -> None:
        """Wait until it says so."""
        if self._hear() != _READY:
            raise PartFailed(f"{self._function} was not ready")

    def go(self) -> None:
        """Let it begin."""
        if self._process.stdin is not None:
            self._process.stdin.write(f"{_GO}\n")
            self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for what the function returns."""
        return json.loads(self._hear())

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()

    def _hear(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise PartFailed(f"{self._function} ended with {self._process.wait()}")
        return line.rstrip("\n")


@contextmanager
def children(
    function: str, orders: Iterable[dict[str, Any]], python: str = sys.executable
) -> Iterator[list[Child]]:
    """Start a process for each of the orders; end them with the block."""
    with ExitStack() as stack:
        started = []
        for order in orders:
            child = Child(function, order, python)
            stack.callback(child.close)
            started.append(child)
        yield started


def run_part(function: str, python: str = sys.executable, **orders: Any) -> Any:
    """Run a function in a process of its own, and return its answer."""
    with children(function, [orders], python) as [child]:
        return child.answer()


# -- In the child ----------------------------------------------------------------------------------


def wait_for_go() -> None:
    """Say that all is prepared, and wait for the word."""
    _mouth.write(f"{_READY}\n")
    _mouth.flush()
    sys.stdin.readline()


def memory_bytes() -> int:
    """Return how much memory this process holds now; 0 where the system does not say."""
    return _from_status("VmRSS")


def peak_memory_bytes() -> int:
    """Return the most memory this process has held; 0 where the system does not say.

    Not from ``getrusage``: that begins with what the parent held when it made this process.
    """
    return _from_status("VmHWM")


def _from_status(name: str) -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    for line in status.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * _KIBIBYTE
    return 0


def _called(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]


def answer_parent(name: str, orders: str) -> None:
    """Call the function, and tell the parent what it returned."""
    # Libraries log to the standard output; the parent listens to this one alone.
    sys.stdout = sys.stderr
    answer = _called(name)(**json.loads(orders))
    if inspect.isawaitable(answer):
        answer = asyncio.run(_awaited(answer))
    _mouth.write(json.dumps(answer) + "\n")
    _mouth.flush()


async def _awaited(answer: Any) -> Any:
    return await answer


if __name__ == "__main__":
    # The module that the parts import, so that there is one mouth, not two.
    importlib.import_module("scripts.bench.child").answer_parent(sys.argv[1], sys.argv[2])
