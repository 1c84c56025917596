"""The limit: how fast rows of the same shape get into PostgreSQL, with nothing else going on.

The rows are real events, encoded beforehand, written into a table that is shaped, indexed and
guarded as ours is: it is ours, in a store that the product made. Plain psycopg writes them in
durable transactions of 400 rows over one connection; the library's own recorder writes what the
pipeline would append at once, one append (of one aggregate) at a time. Our store is given the same
appends, as many at a time as the pipeline has motions in flight, with nothing above it.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from governance_flow.application.ports.event_store import Append
from scripts.bench.child import run_part
from scripts.bench.noop import introduce, opened
from scripts.bench.results import Results
from scripts.bench.scale import Scale
from scripts.bench.stores import POSTGRES, Stores

TRANSACTION_ROWS = 400

_SAMPLE_MOTIONS = 40
"""Motions whose events are written over and over, under other ids."""

_COLUMNS = "position, stream_id, stream_version, topic, state, committed_at_us"
_ONE_BY_ONE = f"INSERT INTO events ({_COLUMNS}) VALUES (%b, %b, %b, %b, %b, %b)"  # noqa: S608
_ARRAYS = f"""
    INSERT INTO events ({_COLUMNS})
    SELECT * FROM unnest(%b::bigint[], %b::uuid[], %b::bigint[], %b::text[], %b::bytea[],
                         %b::bigint[])"""  # noqa: S608 - the columns are ours

Row = tuple[int, UUID, int, str, bytes, int]


def measure(results: Results, stores: Stores, scale: Scale) -> None:
    """Write rows in each of the ways; the quicker plain one is the limit."""
    with stores.fresh(POSTGRES) as address:
        said = run_part(
            f"{__name__}:write",
            address=address,
            transactions=scale.limit_transactions,
            recorder_motions=scale.recorder_motions,
            in_flight=scale.in_flight,
        )
    for way in ("executemany", "unnest"):
        title = f"  plain psycopg, {TRANSACTION_ROWS} rows a transaction, {way}"
        results.add(f"limit.{way}", title, "rows/s", said[way])
    quicker = max(said["executemany"], said["unnest"])
    title = f"plain psycopg, {TRANSACTION_ROWS} rows a transaction, the quicker way"
    results.add("limit.plain", title, "rows/s", quicker)
    title = "the library's recorder, one aggregate at a time"
    results.add("limit.recorder", title, "events/s", said["recorder"])
    title = "our store alone, group commit of the same appends"
    results.add("limit.store", title, "events/s", said["store"])


async def write(
    address: str, transactions: int, recorder_motions: int, in_flight: int
) -> dict[str, float]:
    """Write rows in every way, and return rows per second (in a process of its own)."""
    sample = await _sample(address)
    # First, because what follows goes past the head row.
    figures = {"store": await _store(address, sample, in_flight)}
    with psycopg.connect(address) as connection:
        for way in (_executemany, _unnest):
            rows = list(itertools.islice(_rows(sample, _next_position(connection)),
                                         transactions * TRANSACTION_ROWS))  # fmt: skip
            connection.commit()
            figures[way.__name__.removeprefix("_")] = _rate(way, connection, rows)
    figures["recorder"] = _recorder(address, sample, recorder_motions)
    return figures


async def _sample(address: str) -> list[StoredEvent]:
    """Drive some motions, and return their events, one motion after the other."""
    async with opened(address, _SAMPLE_MOTIONS) as flow:
        await introduce(flow, _SAMPLE_MOTIONS)
        await flow.worker.run_until_idle()
        status = await flow.orchestrator.list_motions(limit=_SAMPLE_MOTIONS)
        return [
            event
            for motion in status.motions
            for event in await flow.store.read_stream(motion.motion_id)
        ]


def _rows(sample: Sequence[StoredEvent], position: int) -> Iterator[Row]:
    """Yield the sample's events for ever, each time as new motions, from a position on."""
    numbers = itertools.count(position)
    while True:
        ids: dict[object, UUID] = {}
        for event in sample:
            stream_id = ids.setdefault(event.originator_id, uuid4())
            yield (
                next(numbers),
                stream_id,
                event.originator_version,
                event.topic,
                event.state,
                time.time_ns() // 1000,
            )


def _next_position(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT max(position) FROM events").fetchone()
    return int(row[0]) + 1 if row else 1


# -- Plain psycopg ---------------------------------------------------------------------------------


def _rate(
    write: Callable[[psycopg.Connection[Any], Sequence[Row]], None],
    connection: psycopg.Connection[Any],
    rows: Sequence[Row],
) -> float:
    started = time.perf_counter()
    for first in range(0, len(rows), TRANSACTION_ROWS):
        write(connection, rows[first : first + TRANSACTION_ROWS])
        connection.commit()
    return len(rows) / (time.perf_counter() - started)


def _executemany(connection: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
    # psycopg sends these in one pipeline.
    connection.cursor().executemany(_ONE_BY_ONE.encode(), rows)


def _unnest(connection: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    connection.execute(_ARRAYS.encode(), columns)


# -- Our store ------------------------------------------------------------------------------------


async def _store(address: str, sample: Sequence[StoredEvent], in_flight: int) -> float:
    """Write motions with our store, so many at a time, and return events per second."""
    motions: dict[object, list[list[StoredEvent]]] = {}
    for append in itertools.islice(_appends(sample), 4 * in_flight * _APPENDS_A_MOTION):
        motions.setdefault(append[0].originator_id, []).append(append)
    waiting = iter(list(motions.values()))

    async def drive() -> None:
        for appends in waiting:
            for events in appends:
                version = events[0].originator_version - 1
                stream_id = UUID(str(events[0].originator_id))
                await flow.store.append(Append(stream_id, version, tuple(events)))

    async with opened(address, in_flight) as flow:
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(drive())
        elapsed = time.perf_counter() - started
    return sum(len(events) for appends in motions.values() for events in appends) / elapsed


# -- The library's recorder ------------------------------------------------------------------------


def _recorder(address: str, sample: Sequence[StoredEvent], motions: int) -> float:
    """Write motions with the library's recorder, and return events per second."""
    info = psycopg.conninfo.conninfo_to_dict(address)
    datastore = PostgresDatastore(
        dbname=str(info["dbname"]),
        host=str(info.get("host", "")),
        port=str(info.get("port", "5432")),
        user=str(info.get("user", "postgres")),
        password=str(info.get("password", "")),
    )
    try:
        recorder = PostgresApplicationRecorder(datastore)
        recorder.create_table()
        appends = list(itertools.islice(_appends(sample), motions * _APPENDS_A_MOTION))
        started = time.perf_counter()
        for append in appends:
            recorder.insert_events(append)
        return sum(map(len, appends)) / (time.perf_counter() - started)
    finally:
        datastore.close()


_APPENDS_A_MOTION = 8
"""The introduction, the admission, and what follows from each of six completions."""


def _appends(sample: Sequence[StoredEvent]) -> Iterator[list[StoredEvent]]:
    """Yield the sample for ever as the pipeline appends it, each time as new motions."""
    append: list[StoredEvent] = []
    for _, stream_id, version, topic, state, _ in _rows(sample, 1):
        # Each of these, and the admission behind the introduction, was an append of its own.
        if append and (topic == "BRANCH_COMPLETED" or version <= 2):  # noqa: PLR2004
            yield append
            append = []
        append.append(StoredEvent(stream_id, version, topic, state))
