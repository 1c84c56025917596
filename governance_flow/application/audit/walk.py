"""All streams, one after the other: each checked, and what it came to handed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.application.audit.pages import pages_by_stream
from governance_flow.application.audit.positions import RowSum
from governance_flow.application.audit.reading import stream_id_of
from governance_flow.application.audit.streams import (
    MotionCheck,
    PipelineCheck,
    StreamCheck,
)
from governance_flow.application.ports.projection import MotionChange
from governance_flow.domain.events import PIPELINE_ID, TransitionWitnessed
from governance_flow.domain.pipeline import Pipeline
from governance_flow.domain.states import admitted_delta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from uuid import UUID

    from governance_flow.application.audit.faults import Findings
    from governance_flow.application.audit.key_history import KeyHistory
    from governance_flow.application.ports.audit import AuditLog, StoredRow
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.application.ports.projection import Recorded
    from governance_flow.domain.events import MotionEvent
    from governance_flow.domain.motion import Motion


class StreamWalk:
    """Walks the log stream by stream.

    ``head_position`` is where the log ended when the audit began: ``pipeline``, ``admitted`` and
    ``sum`` are as of there. ``replay_position`` is up to where motions are handed on.
    """

    def __init__(
        self,
        log: AuditLog,
        mapper: EventMapper,
        findings: Findings,
        *,
        head_position: int,
        replay_position: int,
        on_page: Callable[[int], None],
        keys: KeyHistory | None = None,
    ) -> None:
        self._log = log
        self._mapper = mapper
        self._findings = findings
        self._head_position = head_position
        self._replay_position = replay_position
        self._on_page = on_page
        self._keys = keys
        self._faults: list[Fault] = []
        self.sum = RowSum()
        self.pipeline = Pipeline()
        self.pipeline_broken = False
        self.admitted = 0
        self.motions = 0
        self.motions_broken = 0
        self.statements = 0

    async def changes(self) -> AsyncIterator[MotionChange]:
        """Check everything, and yield each motion with all it went through."""
        up_to_position = max(self._head_position, self._replay_position)
        stream: str | None = None
        run: _MotionRun | None = None
        check: StreamCheck | None = None
        async for page in pages_by_stream(self._log, up_to_position=up_to_position):
            for row in page:
                if row.position <= self._head_position:
                    self.sum.add(row)
                if row.stream_id != stream:
                    self._settle(check)
                    if run is not None:
                        yield self._ended(run)
                    stream = row.stream_id
                    check = self._check_for(row)
                    run = _MotionRun(check) if isinstance(check, MotionCheck) else None
                if check is not None:
                    self._take(check, run, row)
            self._on_page(len(page))
        self._settle(check)
        if run is not None:
            yield self._ended(run)

    def _check_for(self, row: StoredRow) -> StreamCheck | None:
        stream_id = stream_id_of(row)
        if stream_id is None:
            message = "this is not the id of a stream as the store writes it"
            self._faults.append(
                Fault(Check.STREAM, message, row.position, row.stream_id, row.version)
            )
            return None
        if stream_id == PIPELINE_ID:
            return PipelineCheck(self._mapper)
        return MotionCheck(stream_id, self._mapper, self._keys)

    def _take(self, check: StreamCheck, run: _MotionRun | None, row: StoredRow) -> None:
        self._faults.extend(check.add(row))
        at_head = row.position <= self._head_position
        if run is not None:
            event = run.took(row, self._replay_position)
            if at_head and event is not None and isinstance(event.event, TransitionWitnessed):
                moved = event.event
                self.admitted += admitted_delta(moved.from_state, moved.to_state)
        elif isinstance(check, PipelineCheck) and at_head:
            self.pipeline = check.pipeline
            self.pipeline_broken = check.broken is not None

    def _settle(self, check: StreamCheck | None) -> None:
        """Report the faults of a stream, the first in its order first.

        An altered event is noticed only at the statement that covers it, or by what it leads to.
        """
        if check is not None:
            self._faults.extend(check.finish())
        for fault in sorted(self._faults, key=lambda fault: fault.version or 0):
            self._findings.add(fault)
        self._faults = []

    def _ended(self, run: _MotionRun) -> MotionChange:
        self.motions += 1
        self.motions_broken += run.check.broken is not None
        self.statements += run.check.statements.count
        return run.change()


class _MotionRun:
    """One motion's stream under way, and what it had come to at the position of the replay."""

    def __init__(self, check: MotionCheck) -> None:
        self.check = check
        self._motion_id: UUID = check.stream_id
        self._motion: Motion | None = None
        self._events: list[Recorded[MotionEvent]] = []
        self._poison: str | None = None

    def took(self, row: StoredRow, replay_position: int) -> Recorded[MotionEvent] | None:
        """Note what became of a row; returns its event, if it was folded."""
        check = self.check
        within = row.position <= replay_position
        if check.broken is not None:
            if within and self._poison is None:
                self._poison = check.broken
            return None
        if within and check.latest is not None:
            self._events.append(check.latest)
            self._motion = check.motion
        return check.latest

    def change(self) -> MotionChange:
        """Return the motion as the read model should have it."""
        events = tuple(self._events)
        return MotionChange(self._motion_id, None, self._motion, events, self._poison)
