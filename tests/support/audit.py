"""Logs in memory, to be read and doctored as an auditor's adversary would."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from governance_flow.application.audit.faults import AuditReport
from governance_flow.application.audit.verify import Auditor
from governance_flow.application.ports.audit import LogEnds, StoredRow, StreamCursor
from governance_flow.application.ports.event_store import Head
from governance_flow.application.times import to_us
from governance_flow.domain.events import PIPELINE_ID, SYSTEM, KeyAdopted, PipelineEvent
from governance_flow.domain.keys import KeyRole, adoption_text
from governance_flow.domain.pipeline import Pipeline, evolve_pipeline
from governance_flow.domain.states import ADMITTED_STATES
from governance_flow.infrastructure.mapper import JsonEventMapper
from governance_flow.transparency.notes import sign_note
from tests.support.keys import KNIGHT
from tests.support.motions import MOTION_ID, NOON, Scenario

MAPPER = JsonEventMapper()
MOTION = str(MOTION_ID)
PIPELINE = str(PIPELINE_ID)
NOON_US = to_us(NOON)
SECOND_US = 1_000_000
ADOPTION_ID = UUID(int=999_999)


class MemoryLog:
    """The port AuditLog on a list of rows. ``pages`` notes how large the answers were."""

    def __init__(self, rows: Iterable[StoredRow], head: Head | None) -> None:
        self.rows = list(rows)
        self.head = head
        self.pages: list[int] = []

    async def ends(self) -> LogEnds:
        return LogEnds(self.head, max((row.position for row in self.rows), default=0))

    async def by_position(
        self, *, after: int | None, up_to_position: int, limit: int
    ) -> list[StoredRow]:
        rows = [row for row in self.rows if after is None or row.position > after]
        return self._page(sorted(rows, key=lambda r: r.position), up_to_position, limit)

    async def by_stream(
        self, *, after: StreamCursor | None, up_to_position: int, limit: int
    ) -> list[StoredRow]:
        rows = [row for row in self.rows if after is None or (row.stream_id, row.version) > after]
        rows.sort(key=lambda r: (r.stream_id, r.version))
        return self._page(rows, up_to_position, limit)

    async def position_at(self, committed_at_us: int) -> int:
        done = [row.position for row in self.rows if row.committed_at_us <= committed_at_us]
        return max(done, default=0)

    async def committed_at_us(self, position: int) -> int | None:
        return next((r.committed_at_us for r in self.rows if r.position == position), None)

    def _page(self, rows: Sequence[StoredRow], up_to_position: int, limit: int) -> list[StoredRow]:
        page = [row for row in rows if row.position <= up_to_position][:limit]
        self.pages.append(len(page))
        return page


def adoption() -> KeyAdopted:
    """Return the event that adopts the Knight's key of the tests."""
    text = adoption_text(KeyRole.KNIGHT, KNIGHT.vkey, None, NOON)
    return KeyAdopted(
        event_id=ADOPTION_ID,
        correlation_id=ADOPTION_ID,
        actor=SYSTEM,
        timestamp=NOON,
        role=KeyRole.KNIGHT,
        key=KNIGHT.vkey,
        statement=sign_note(text, [KNIGHT]),
    )


def log_of(scenario: Scenario, *pipeline_events: PipelineEvent) -> MemoryLog:
    """Return the log of one motion, the pipeline's own events behind its first one."""
    stored = [
        MAPPER.to_stored(MOTION_ID, version, event)
        for version, event in enumerate(scenario.events, 1)
    ]
    stored[1:1] = [
        MAPPER.to_stored(PIPELINE_ID, version, event)
        for version, event in enumerate(pipeline_events, 1)
    ]
    rows = [
        StoredRow(
            position,
            str(item.originator_id),
            item.originator_version,
            item.topic,
            item.state,
            NOON_US + position * SECOND_US,
        )
        for position, item in enumerate(stored, 1)
    ]
    pipeline = Pipeline()
    for event in pipeline_events:
        pipeline = evolve_pipeline(pipeline, event)
    head = Head(
        position=len(rows),
        committed_at_us=rows[-1].committed_at_us,
        halt_epoch=pipeline.halt_epoch,
        halted=pipeline.halted,
        admitted=int(scenario.motion.state in ADMITTED_STATES),
    )
    return MemoryLog(rows, head)


def doctored(log: MemoryLog, position: int, **columns: Any) -> MemoryLog:
    """Return the log with one row changed."""
    rows = [row._replace(**columns) if row.position == position else row for row in log.rows]
    return MemoryLog(rows, log.head)


def without(log: MemoryLog, *positions: int) -> MemoryLog:
    """Return the log without some rows, everything else as it was."""
    return MemoryLog((row for row in log.rows if row.position not in positions), log.head)


def closed_up(log: MemoryLog) -> MemoryLog:
    """Return the log with positions made dense again, and a head that goes with them."""
    rows = [
        row._replace(position=position)
        for position, row in enumerate(sorted(log.rows, key=lambda row: row.position), 1)
    ]
    head = log.head and replace(
        log.head, position=len(rows), committed_at_us=rows[-1].committed_at_us
    )
    return MemoryLog(rows, head)


async def verified(log: MemoryLog) -> AuditReport:
    """Verify the log alone."""
    return await Auditor(log, MAPPER).verify()
