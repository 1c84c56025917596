"""Wake-ups between the threads of this process, and (fed by a listener) from other processes.

A hint says that something may have happened. It may come late, twice or never; whoever waits for
one also looks on its own from time to time.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from threading import Lock


class Channel(StrEnum):
    """What a hint is about."""

    EVENTS = "events"
    """Its number is the position the log has reached."""
    WORK = "work"
    """Rows were added that somebody may claim. Its number counts the hints."""


class Hints:
    """The latest number of each channel, and whoever waits for a higher one. Thread-safe."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._latest: dict[Channel, int] = dict.fromkeys(Channel, 0)
        self._listeners: dict[Channel, list[Callable[[], None]]] = defaultdict(list)

    def latest(self, channel: Channel) -> int:
        """Return the highest number published so far, 0 before the first."""
        return self._latest[channel]

    def publish(self, channel: Channel, number: int | None = None) -> None:
        """Wake whoever listens. Without a number, the channel's own count goes up by one."""
        with self._guard:
            latest = self._latest[channel]
            self._latest[channel] = latest + 1 if number is None else max(latest, number)
            listeners = tuple(self._listeners[channel])
        for wake in listeners:
            wake()

    @contextmanager
    def listening(self, channel: Channel, wake: Callable[[], None]) -> Iterator[None]:
        """Call ``wake`` at each hint during the block, from whatever thread publishes it."""
        with self._guard:
            self._listeners[channel].append(wake)
        try:
            yield
        finally:
            with self._guard:
                self._listeners[channel].remove(wake)

    async def wait(self, channel: Channel, *, above: int, timeout_seconds: float) -> None:
        """Return once the channel's number is higher than ``above``, or the time is up."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)

        with self.listening(channel, wake):
            try:
                async with asyncio.timeout(timeout_seconds):
                    while self.latest(channel) <= above:
                        await woken.wait()
                        woken.clear()
            except TimeoutError:
                return
