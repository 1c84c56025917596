"""However long a log is and however large its events are, little of it is held at once."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from governance_flow.application.audit import diff, pages
from governance_flow.application.audit.diff import Differ
from governance_flow.application.audit.export import Exporter
from governance_flow.application.audit.pages import (
    BYTES_WANTED,
    ROWS_MAX,
    ROWS_MIN,
    PageSize,
    pages_by_position,
    pages_by_stream,
    rows_of_stream,
)
from governance_flow.application.audit.replay import Replayer
from governance_flow.application.audit.verify import Auditor
from governance_flow.application.ports.audit import LogEnds, Progress, StoredRow, StreamCursor
from governance_flow.application.ports.event_store import Head
from tests.support.audit import MAPPER, MOTION, NOON_US, MemoryLog
from tests.support.clock import ManualClock
from tests.support.motions import MOTION_ID, Scenario

Work = Callable[[MemoryLog, Progress], Awaitable[None]]

INTRODUCED = MAPPER.to_stored(MOTION_ID, 1, Scenario().events[0])


class EndlessLog(MemoryLog):
    """A log of motions that were only introduced, made up as it is read."""

    def __init__(self, length: int) -> None:
        super().__init__([], Head(length, NOON_US, 0, halted=False, admitted=0))
        self.length = length

    async def ends(self) -> LogEnds:
        return LogEnds(self.head, self.length)

    async def by_position(
        self, *, after: int | None, up_to_position: int, limit: int
    ) -> list[StoredRow]:
        return self._made((after or 0) + 1, up_to_position, limit)

    async def by_stream(
        self, *, after: StreamCursor | None, up_to_position: int, limit: int
    ) -> list[StoredRow]:
        if after is None:
            return self._made(1, up_to_position, limit)
        # Every stream has one event, which stands behind the version 0 of it.
        first = UUID(after.stream_id).int + (after.version > 0)
        return self._made(first, up_to_position, limit)

    async def committed_at_us(self, position: int) -> int | None:
        return NOON_US if 1 <= position <= self.length else None

    @staticmethod
    def _made(first: int, up_to_position: int, limit: int) -> list[StoredRow]:
        positions = range(first, min(up_to_position, first + limit - 1) + 1)
        return [
            StoredRow(n, str(UUID(int=n)), 1, INTRODUCED.topic, INTRODUCED.state, NOON_US)
            for n in positions
        ]


def rows(count: int, size_bytes: int) -> list[StoredRow]:
    return [StoredRow(n, MOTION, n, "ANY", b"x" * size_bytes, NOON_US) for n in range(1, count + 1)]


def test_pages_of_small_rows_grow_to_a_bound() -> None:
    size = PageSize()
    for _ in range(20):
        size.seen(rows(size.rows, 10))
    assert size.rows == ROWS_MAX


def test_pages_of_large_rows_shrink_to_a_bound() -> None:
    size = PageSize()
    size.rows = ROWS_MAX
    for _ in range(20):
        size.seen(rows(size.rows, 2 * BYTES_WANTED // size.rows))
    assert size.rows == ROWS_MIN


def test_pages_of_the_right_size_stay_as_they_are() -> None:
    size = PageSize()
    size.seen(rows(size.rows, BYTES_WANTED // size.rows // 2))
    assert size.rows == ROWS_MIN


@pytest.mark.parametrize("count", [0, 1, ROWS_MIN - 1, ROWS_MIN, ROWS_MIN + 1, 3 * ROWS_MIN, 1000])
async def test_every_row_is_read_once_wherever_pages_end(count: int) -> None:
    log = MemoryLog(rows(count, 1), None)
    expected = list(range(1, count + 1))
    by_position = [r async for page in pages_by_position(log, up_to_position=count) for r in page]
    by_stream = [r async for page in pages_by_stream(log, up_to_position=count) for r in page]
    of_stream = [r async for r in rows_of_stream(log, MOTION_ID, up_to_position=count)]
    for read in (by_position, by_stream, of_stream):
        assert [row.version for row in read] == expected
    assert max(log.pages) <= ROWS_MAX


async def verify(log: MemoryLog, progress: Progress) -> None:
    assert (await Auditor(log, MAPPER).verify(progress)).passed


async def replay(log: MemoryLog, progress: Progress) -> None:
    replayer = Replayer(log, MAPPER, ManualClock(), 100)
    status = await replayer.status(await replayer.moment(), progress)
    assert status.waiting_motions == status.position


async def export(log: MemoryLog, progress: Progress) -> None:
    async for line in Exporter(log, MAPPER).lines(progress=progress):
        assert line


async def objects_held(work: Work, length: int) -> int:
    """Return how many objects there were at most, each time a page was done."""
    held: list[int] = []

    def count(_done: int, _total: int) -> None:
        gc.collect()
        held.append(len(gc.get_objects()))

    await work(EndlessLog(length), count)
    return max(held)


async def compare_all(log: MemoryLog, progress: Progress) -> None:
    replayer = Replayer(log, MAPPER, ManualClock(), 100)
    past, present = await replayer.moment(position=0), await replayer.moment()
    found = await Differ(log, MAPPER).diff(past, present, totals=False, progress=progress)
    assert found.introduced == present.position


async def compare_the_end(log: MemoryLog, progress: Progress) -> None:
    replayer = Replayer(log, MAPPER, ManualClock(), 100)
    present = await replayer.moment()
    past = await replayer.moment(position=present.position - 12)
    found = await Differ(log, MAPPER).diff(past, present, totals=False, progress=progress)
    assert (found.introduced, found.complete) == (12, False)


@pytest.mark.parametrize("work", [verify, replay, export, compare_all, compare_the_end])
async def test_what_is_held_does_not_grow_with_the_log(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ROWS_MAX", 4 * ROWS_MIN)
    monkeypatch.setattr(diff, "WALKED_EVENTS_MAX", 4 * ROWS_MIN)
    await objects_held(work, 300)
    short = await objects_held(work, 300)
    assert await objects_held(work, 1500) < short + 200
