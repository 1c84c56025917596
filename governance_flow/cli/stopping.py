"""Being asked to stop: the first signal is a request, the second is obeyed at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = "\x1b[?25h"


class Stopping:
    """Listens for SIGINT and SIGTERM while the block runs, inside a running event loop."""

    def __init__(self, on_request: Callable[[], None]) -> None:
        self._on_request = on_request
        self._requests = asyncio.Event()
        self.received: signal.Signals | None = None
        """The first signal that came, if any."""

    @property
    def requested(self) -> bool:
        """Whether somebody asked to stop."""
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """What a process that was stopped by this signal ends with."""
        return 128 + (self.received or signal.SIGTERM)

    async def unless_requested(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Do ``work``, but drop it as soon as somebody asks to stop, and return None."""
        working = asyncio.create_task(work)
        asked = asyncio.create_task(self._requests.wait())
        try:
            await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
        finally:
            for task in (working, asked):
                task.cancel()
            await asyncio.gather(working, asked, return_exceptions=True)
        return None

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._receive, number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def _receive(self, number: signal.Signals) -> None:
        if self.received is None:
            self.received = number
            self._requests.set()
            self._on_request()
            return
        if sys.stderr.isatty():
            sys.stderr.write(_SHOW_CURSOR)
            sys.stderr.flush()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
