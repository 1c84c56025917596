"""The end of the log as far as this process wrote it, so that following it reads nothing back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from governance_flow.application.ports.event_store import CommittedEvent


class Tail:
    """The last events committed here, without a gap; bounded by number and by bytes.

    Where another process has written in between, what came before is forgotten. So everything
    between two events of the tail is in the tail.
    """

    def __init__(self, *, events_max: int = 20_000, bytes_max: int = 16 * 2**20) -> None:
        self._events: deque[CommittedEvent] = deque()
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._bytes = 0

    def extend(self, events: Iterable[CommittedEvent]) -> None:
        """Add what was committed, in order of position."""
        for event in events:
            if self._events and event.id != self._events[-1].id + 1:
                self._events.clear()
                self._bytes = 0
            self._events.append(event)
            self._bytes += len(event.state)
        while len(self._events) > self._events_max or self._bytes > self._bytes_max:
            self._bytes -= len(self._events.popleft().state)

    def after(self, position: int, *, limit: int, up_to_position: int) -> list[CommittedEvent]:
        """Return at most ``limit`` events that follow a position; empty if they are not here."""
        if not self._events:
            return []
        skip = position + 1 - self._events[0].id
        if skip < 0:
            return []
        end = min(len(self._events), skip + limit, up_to_position - self._events[0].id + 1)
        return list(islice(self._events, skip, max(skip, end)))
