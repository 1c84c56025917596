"""Reading the log page by page, so that its length does not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.application.ports.audit import StreamCursor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    from governance_flow.application.ports.audit import AuditLog, StoredRow

ROWS_MIN = 16
ROWS_MAX = 2048
BYTES_WANTED = 4 * 2**20
"""How much a page may hold: single events may be large, and most are small."""


class PageSize:
    """How many rows to ask for next, by how large the last ones were."""

    def __init__(self) -> None:
        self.rows = ROWS_MIN

    def seen(self, page: Sequence[StoredRow]) -> None:
        """Learn from a page."""
        size_bytes = sum(len(row.state) for row in page)
        if size_bytes > BYTES_WANTED:
            self.rows = max(ROWS_MIN, self.rows // 4)
        elif size_bytes < BYTES_WANTED // 4:
            self.rows = min(ROWS_MAX, self.rows * 2)


async def pages_by_position(
    log: AuditLog, *, up_to_position: int, after: int | None = None
) -> AsyncIterator[list[StoredRow]]:
    """Yield the log up to a position in order of position, a page at a time."""
    size = PageSize()
    while True:
        limit = size.rows
        page = await log.by_position(after=after, up_to_position=up_to_position, limit=limit)
        if page:
            yield page
        if len(page) < limit:
            return
        after = page[-1].position
        size.seen(page)


async def pages_by_stream(log: AuditLog, *, up_to_position: int) -> AsyncIterator[list[StoredRow]]:
    """Yield the log up to a position stream by stream in order of version, a page at a time."""
    size = PageSize()
    after: StreamCursor | None = None
    while True:
        limit = size.rows
        page = await log.by_stream(after=after, up_to_position=up_to_position, limit=limit)
        if page:
            yield page
        if len(page) < limit:
            return
        after = StreamCursor(page[-1].stream_id, page[-1].version)
        size.seen(page)


async def rows_of_stream(
    log: AuditLog, stream_id: UUID, *, up_to_position: int
) -> AsyncIterator[StoredRow]:
    """Yield the rows of one stream up to a position in order of version."""
    name = str(stream_id)
    size = PageSize()
    after = StreamCursor(name, 0)
    while True:
        limit = size.rows
        page = await log.by_stream(after=after, up_to_position=up_to_position, limit=limit)
        for row in page:
            if row.stream_id != name:
                return
            yield row
        if len(page) < limit:
            return
        after = StreamCursor(name, page[-1].version)
        size.seen(page)
