"""The log as an auditor reads it, the same on every kind of store."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from governance_flow.application.audit.pages import (
    pages_by_position,
    pages_by_stream,
    rows_of_stream,
)
from governance_flow.application.ports.audit import StoredRow, StreamCursor
from governance_flow.application.times import to_us
from governance_flow.infrastructure.audit_log import SqlAuditLog
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from tests.support.appends import an_append
from tests.support.clock import START, ManualClock

STREAMS = [UUID(int=number << 100) for number in (3, 1, 2)]
START_US = to_us(START)
SECOND_US = 1_000_000


@pytest.fixture
async def database(store_address: str) -> AsyncIterator[AnyDatabase]:
    """Yield a store with three streams of four events, one event a stream and second."""
    clock = ManualClock()
    opened = open_database(store_address, clock=clock)
    store = GroupCommitEventStore(opened)
    for version in range(4):
        for stream_id in STREAMS:
            await store.append(an_append(stream_id, version))
        clock.advance(1)
    await store.close()
    yield opened
    await opened.close()


@pytest.fixture
def log(database: AnyDatabase) -> SqlAuditLog:
    return SqlAuditLog(database)


def places(rows: list[StoredRow]) -> list[tuple[str, int]]:
    return [(row.stream_id, row.version) for row in rows]


async def test_both_ends_are_told(log: SqlAuditLog) -> None:
    ends = await log.ends()
    assert ends.head is not None
    assert ends.head.position == ends.last_position == 12
    assert ends.head.committed_at_us == START_US + 3 * SECOND_US
    assert ends.head.halted is False


async def test_pages_by_position_hold_every_row_once(log: SqlAuditLog) -> None:
    first = await log.by_position(after=None, up_to_position=11, limit=5)
    second = await log.by_position(after=5, up_to_position=11, limit=50)
    assert [row.position for row in first + second] == list(range(1, 12))
    row = first[4]
    assert (row.stream_id, row.version, row.topic) == (str(STREAMS[1]), 2, "SOMETHING_HAPPENED")
    assert row.state.startswith(f"{STREAMS[1]} 2 ".encode())
    assert row.committed_at_us == START_US + SECOND_US


async def test_pages_by_stream_hold_every_row_once_in_order(log: SqlAuditLog) -> None:
    rows: list[StoredRow] = []
    after = None
    while page := await log.by_stream(after=after, up_to_position=11, limit=5):
        rows += page
        after = StreamCursor(page[-1].stream_id, page[-1].version)
    everything = sorted((str(stream), version) for stream in STREAMS for version in range(1, 5))
    everything.remove((str(STREAMS[2]), 4))
    assert places(rows) == everything


async def test_the_rows_of_one_stream_are_its_own(log: SqlAuditLog) -> None:
    for stream_id in STREAMS:
        rows = [row async for row in rows_of_stream(log, stream_id, up_to_position=100)]
        assert places(rows) == [(str(stream_id), version) for version in range(1, 5)]
    assert [row async for row in rows_of_stream(log, UUID(int=5), up_to_position=100)] == []
    rows = [row async for row in rows_of_stream(log, STREAMS[0], up_to_position=6)]
    assert places(rows) == [(str(STREAMS[0]), 1), (str(STREAMS[0]), 2)]


async def test_both_readings_give_the_same_rows(log: SqlAuditLog) -> None:
    by_position = [r async for page in pages_by_position(log, up_to_position=12) for r in page]
    by_stream = [r async for page in pages_by_stream(log, up_to_position=12) for r in page]
    assert by_stream == sorted(by_position, key=lambda row: (row.stream_id, row.version))


async def test_a_position_is_found_by_commit_time(log: SqlAuditLog) -> None:
    for at_us, position in [
        (0, 0),
        (START_US - 1, 0),
        (START_US, 3),
        (START_US + SECOND_US - 1, 3),
        (START_US + SECOND_US, 6),
        (START_US + 3 * SECOND_US, 12),
        (START_US + 99 * SECOND_US, 12),
    ]:
        assert await log.position_at(at_us) == position
    assert await log.committed_at_us(4) == START_US + SECOND_US
    assert await log.committed_at_us(13) is None
    assert await log.committed_at_us(0) is None


async def test_an_empty_log_has_no_past(sqlite_address: str) -> None:
    database = open_database(sqlite_address)
    log = SqlAuditLog(database)
    ends = await log.ends()
    assert ends.head is not None
    assert (ends.head.position, ends.last_position) == (0, 0)
    assert await log.position_at(START_US) == 0
    assert [page async for page in pages_by_stream(log, up_to_position=0)] == []
    await database.close()


async def test_rows_that_are_no_text_come_through_and_can_be_passed(tmp_path: Path) -> None:
    path = tmp_path / "flow.db"
    database = open_database(f"sqlite:///{path}")
    store = GroupCommitEventStore(database)
    for stream_id in STREAMS:
        await store.append(an_append(stream_id, events=2))
    await store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER events_append_only_update")
        connection.execute(
            "UPDATE events SET stream_id = CAST(X'30FFFE' AS TEXT), topic = CAST(X'00FF' AS TEXT)"
            " WHERE stream_id = ?",
            (str(STREAMS[1]),),
        )
        connection.execute("UPDATE events SET position = -5 WHERE position = 1")
        connection.execute("DELETE FROM head")
    log = SqlAuditLog(database)
    assert (await log.ends()).head is None
    positions = await log.by_position(after=None, up_to_position=100, limit=100)
    assert [row.position for row in positions] == [-5, 2, 3, 4, 5, 6]
    rows = []
    after = None
    while page := await log.by_stream(after=after, up_to_position=100, limit=1):
        rows += page
        after = StreamCursor(page[-1].stream_id, page[-1].version)
    assert len(rows) == 6
    spoilt = [row for row in rows if row.stream_id == "0\udcff\udcfe"]
    assert [row.version for row in spoilt] == [1, 2]
    assert spoilt[0].topic == "\x00\udcff"
    await database.close()


async def test_a_reading_by_stream_walks_the_index(tmp_path: Path) -> None:
    """However long the log is, a page costs no more than its rows."""
    database = open_database(f"sqlite:///{tmp_path / 'flow.db'}")
    seen: list[str] = []

    def explain(tx: object) -> list[str]:
        sql = SqlAuditLog(database)._sql.by_stream
        params = {"after_stream": b"", "after_version": 0, "up_to_position": 9, "limit": 5}
        return [row[-1] for row in tx.execute(f"EXPLAIN QUERY PLAN {sql}", params)]  # type: ignore[attr-defined]

    seen = await database.read(explain)
    assert len(seen) == 1
    assert "USING INDEX" in seen[0]
    assert "(stream_id,stream_version)>(?,?)" in seen[0]
    await database.close()
