"""Workers as the driving program has them: started, told things, listened to, killed.

They are forked from a process that has everything imported, so that two hundred of them cost
seconds. Each is a process of its own with its own connections, as any other worker is.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import cache
from multiprocessing.context import ForkServerContext
from typing import Any

from tests.faults import worker

DEATH_SECONDS = 30.0
"""How long a process that was killed may take to be gone."""


class Workman:
    """One worker process. All it says is kept, in order; ``on_line`` is told of every line."""

    def __init__(
        self, orders: dict[str, Any], on_line: Callable[[Workman, dict[str, Any]], None]
    ) -> None:
        self.name: str = orders["name"]
        self.said: list[dict[str, Any]] = []
        self.doomed = False
        """Whether it is meant to die, or to end."""
        self._on_line = on_line
        self._gone = False
        self._line, theirs = multiprocessing.Pipe()
        # A daemon: should the driving program end early, its workers end with it.
        self._process = _context().Process(
            target=worker.run, args=(orders, theirs), name=self.name, daemon=True
        )
        self._process.start()
        theirs.close()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._line.fileno(), self._listen)

    @property
    def gone(self) -> bool:
        """Whether it says nothing any more: it has ended, one way or another."""
        return self._gone

    @property
    def ready(self) -> bool:
        """Whether it has opened the store, and is still there."""
        return not self._gone and self.has_said("ready")

    def wait(self) -> int | None:
        """Wait for its end and return how it ended; a negative number is a signal's."""
        self._process.join(DEATH_SECONDS)
        return self._process.exitcode

    def has_said(self, what: str, **details: Any) -> bool:
        """Return whether it has said ``what``, with these details."""
        return self.count(what, **details) > 0

    def count(self, what: str, **details: Any) -> int:
        """Return how often it has said ``what``, with these details."""
        return sum(
            line["said"] == what and details.items() <= line.items() for line in tuple(self.said)
        )

    def tell(self, do: str, **details: Any) -> None:
        """Tell it to do something; whoever is dead hears nothing, and that is no error."""
        try:
            self._line.send({"do": do, **details})
        except OSError:
            if not self.doomed:
                raise

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if not self._gone and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill it, as the power does. What it said before that is still heard."""
        self.doomed = True
        self._process.kill()

    def close(self) -> None:
        """End it whatever it does."""
        self.doomed = True
        if self._process.is_alive():
            self._process.kill()
        self._process.join(DEATH_SECONDS)
        self._hang_up()
        self._process.close()

    def _listen(self) -> None:
        try:
            line: dict[str, Any] = self._line.recv()
        except (EOFError, OSError):
            # A reset is an end as well: it was killed before it read all it was told.
            self._hang_up()
            line = {"said": "gone"}
        self.said.append(line)
        self._on_line(self, line)

    def _hang_up(self) -> None:
        if not self._gone:
            self._gone = True
            self._loop.remove_reader(self._line.fileno())
            self._line.close()


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([worker.__name__])
    return context
