"""Time that does not count: while a motion is blocked, while the pipeline is halted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple


class Span(NamedTuple):
    """A stretch of time; without an end while it lasts."""

    start: datetime
    end: datetime | None = None


class Spans:
    """Stretches of time in the order in which they were recorded.

    Clocks of different machines differ, so one may begin before the one recorded earlier has ended.
    """

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._latest_ends: list[datetime | None] = []

    def begin(self, at: datetime) -> None:
        """Begin a stretch, unless one lasts already."""
        if self.lasts:
            return
        self._spans.append(Span(at))
        self._latest_ends.append(None)

    def end(self, at: datetime) -> None:
        """End the last stretch, if it lasts."""
        if self._spans and self._spans[-1].end is None:
            self._spans[-1] = Span(self._spans[-1].start, at)
            before = self._latest_ends[-2] if len(self._latest_ends) > 1 else None
            self._latest_ends[-1] = at if before is None else max(at, before)

    @property
    def lasts(self) -> bool:
        """Whether the last stretch has not ended."""
        return bool(self._spans) and self._spans[-1].end is None

    def since(self, moment: datetime) -> list[Span]:
        """Return the stretches that had not ended by then."""
        found: list[Span] = []
        for index in range(len(self._spans) - 1, -1, -1):
            latest = self._latest_ends[index]
            if latest is not None and latest <= moment:
                break
            found.append(self._spans[index])
        return found


def stood_still(spans: Sequence[Span], since: datetime, until: datetime) -> timedelta:
    """Return how much of the time between the two lies in any of the stretches."""
    total, reached = timedelta(), since
    for start, end in sorted(spans, key=lambda span: span.start):
        begin, finish = max(start, reached), min(end or until, until)
        if finish > begin:
            total, reached = total + (finish - begin), finish
    return total
