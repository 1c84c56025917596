"""Fills stores with as many finished motions as one likes, in seconds.

A block of motions is driven through the real pipeline, on a store of its own for each kind. The
block's events are copied (see ``copying``) one day earlier each time, until there are enough, and
written in bulk; the read model's rows are copied with them, and the audit log is made anew (see
``copied_log``). What is not known how to copy is refused, and a store that was filled passes
``audit verify``, which whoever fills one should make sure of. Filling is not measured, so it need
not be durable while it lasts.

Signing seven statements for each motion, and hashing every event, takes as long again as all the
rest: half a minute and more for a hundred thousand motions. So whoever has a store filled says if
nobody will verify it; then its signatures do not fit, and its log's leaves are random. That costs
whoever works with it the same: nothing but a verification looks at old signatures and leaves.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from governance_flow.application.ports.event_store import CommittedEvent
from governance_flow.domain.events import PIPELINE_ID
from scripts.bench.copied_log import CHECKPOINTS, TILES, CopiedLog
from scripts.bench.copying import DAY_US, Block, CopiedEvent, Copy, moved_earlier
from scripts.bench.noop import introduce, opened
from scripts.bench.raw_tables import RawTables, Row, raw_tables
from scripts.bench.stores import Stores

IN_FLIGHT = 500
"""Motions in flight in these stores. Whoever works on in one with another number adopts that."""

_PAGE = 10_000
_SOME = 200

_EMPTY_ELSEWHERE = {
    *("governance_flow_schema", "lease_tokens", "events", "head"),
    *("projections", "projections_layouts"),
    *(TILES, CHECKPOINTS),
}
"""Tables that every store has rows of its own in, or that are written separately."""

_COUNTER = "amount"
_BUCKET = "start_s"
_MOTION = "motion_id"
_TIME = "_us"


class CannotCopy(Exception):
    """The store holds something that the filling does not know how to copy."""


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class FilledStore:
    """A store full of finished motions, and the ids of some of them, from all over it."""

    address: str
    motions: int
    events: int
    some_ids: tuple[UUID, ...]


@contextmanager
def filled(
    stores: Stores,
    kind: str,
    block: int,
    sizes: Sequence[int],
    *,
    never_verified: Collection[int] = (),
) -> Iterator[dict[int, FilledStore]]:
    """Make a store of each size, which counts motions, in whole blocks; yield them by size.

    Stores of the sizes in ``never_verified`` would not verify, and are filled sooner.
    """
    with ExitStack() as stack:
        with stores.fresh(kind) as source:
            template = asyncio.run(_driven(source, block))
        made = {}
        for size in sizes:
            address = stack.enter_context(stores.fresh(kind))
            genuine = size not in never_verified
            made[size] = _fill(address, template, size // block, genuine=genuine)
        yield made


@dataclass(frozen=True, slots=True)
class _Template:
    """A store in which a block of motions was driven to the end."""

    block: Block
    pipeline: tuple[CommittedEvent, ...]
    head: Row
    tables: tuple[_Table, ...]


async def _driven(address: str, motions: int) -> _Template:
    """Drive motions in an empty store, and take everything that is in it then."""
    async with opened(address, IN_FLIGHT) as flow:
        await introduce(flow, motions)
        await flow.worker.run_until_idle()
        await flow.orchestrator.get_pipeline_status()
        log: list[CommittedEvent] = []
        while page := await flow.store.read_all(
            after_position=log[-1].id if log else 0, limit=_PAGE
        ):
            log += page
    with raw_tables(address) as raw:
        tables = []
        for name in raw.names():
            rows = raw.rows(name) if name not in _EMPTY_ELSEWHERE else []
            if rows:
                tables.append(_Table(name, tuple(raw.columns(name)), tuple(rows)))
        [head] = raw.rows("head")
    pipeline = tuple(event for event in log if event.originator_id == PIPELINE_ID)
    return _Template(Block(log), pipeline, head, tuple(tables))


async def _prepared(address: str) -> None:
    """Make the tables of an empty store."""
    async with opened(address, IN_FLIGHT):
        pass


def _fill(address: str, template: _Template, copies: int, *, genuine: bool) -> FilledStore:
    """Fill an empty store with copies of a block."""
    some_ids: list[UUID] = []
    asyncio.run(_prepared(address))
    with raw_tables(address) as raw:
        log = CopiedLog(raw, genuine=genuine)
        days_ago = _days_ago(copies)
        before = days_ago[0] + 1
        # What is adopted first holds for everything behind it.
        pipeline = [
            moved_earlier(event, offset, before) for offset, event in enumerate(template.pipeline)
        ]
        position = _append(raw, log, pipeline, 0)
        committed_at_us = 0
        for days in days_ago:
            copy = template.block.copy(days, sign=genuine)
            position = _append(raw, log, copy.events, position)
            committed_at_us = copy.events[-1].committed_at_us
            some_ids += _some(list(copy.ids.values()), -(-_SOME // copies))
            for table in template.tables:
                if _MOTION in table.columns:
                    raw.load(table.name, table.columns, _moved(table, copy))
        log.finish()
        for table in template.tables:
            if _MOTION not in table.columns:
                raw.load(table.name, table.columns, _counted(table, copies))
        raw.stand_at(position, committed_at_us)
        raw.settle()
    random.shuffle(some_ids)
    motions = copies * len(template.block.motion_ids)
    return FilledStore(address, motions, position, tuple(some_ids[:_SOME]))


def _append(raw: RawTables, log: CopiedLog, events: Sequence[CopiedEvent], position: int) -> int:
    """Write the next events behind a position, and return the position of the last one."""
    raw.load_events(
        (position + event.offset + 1, event.stream_id, event.version, event.topic, event.state,
         event.committed_at_us)
        for event in events
    )  # fmt: skip
    log.add(events)
    return position + len(events)


def _some(ids: list[UUID], wanted: int) -> list[UUID]:
    return random.sample(ids, min(wanted, len(ids)))


def _days_ago(copies: int) -> list[int]:
    """Return how old each copy is made: one is new, none falls into the 24 hours but that one."""
    return [*range(copies, 1, -1), 0]


def _moved(table: _Table, copy: Copy) -> Iterator[Row]:
    """Yield the rows of a copy's motions."""
    for row in table.rows:
        named = dict(zip(table.columns, row, strict=True))
        yield tuple(_moved_value(name, value, copy) for name, value in named.items())


def _moved_value(column: str, value: Any, copy: Copy) -> Any:
    if column == _MOTION:
        return copy.ids[UUID(str(value))]
    if value is None or not isinstance(value, int | str):
        return value
    if column.endswith(_TIME):
        return int(value) - copy.days * DAY_US
    if isinstance(value, str) and value.startswith("{"):
        times = [key for key, item in json.loads(value).items() if key.endswith(_TIME) and item]
        if times:
            raise CannotCopy(f"a finished motion whose column {column} holds {', '.join(times)}")
    return value


def _counted(table: _Table, copies: int) -> Iterator[Row]:
    """Yield the rows of a table of counters, for so many copies.

    Only the last day's buckets are kept, as the projection itself forgets the others.
    """
    if _BUCKET in table.columns:
        yield from table.rows
        return
    if _COUNTER not in table.columns:
        raise CannotCopy(f"rows in a table that is not known: {table.name}")
    at = table.columns.index(_COUNTER)
    for row in table.rows:
        yield (*row[:at], row[at] * copies, *row[at + 1 :])
