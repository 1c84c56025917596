"""Motions and the pipeline as they stood at a position, from their events alone."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from governance_flow.application.audit.pages import rows_of_stream
from governance_flow.application.audit.reading import corrupt, motion_event, pipeline_event
from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.evolve import evolve
from governance_flow.domain.pipeline import Pipeline, evolve_pipeline

if TYPE_CHECKING:
    from governance_flow.application.ports.audit import AuditLog, StoredRow
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.domain.events import MotionEvent
    from governance_flow.domain.motion import Motion


async def motion_at(
    log: AuditLog, mapper: EventMapper, motion_id: UUID, position: int
) -> Motion | None:
    """Return a motion as it stood, None if it was not there yet.

    Raises CorruptStream if its events cannot be folded.
    """
    motion = None
    async for row in rows_of_stream(log, motion_id, up_to_position=position):
        motion = next_motion(motion, motion_event(mapper, row), row)
    return motion


async def pipeline_at(log: AuditLog, mapper: EventMapper, position: int) -> Pipeline:
    """Return the pipeline as it stood; raises CorruptStream if its events cannot be folded."""
    pipeline = Pipeline()
    async for row in rows_of_stream(log, PIPELINE_ID, up_to_position=position):
        event = pipeline_event(mapper, row)
        _require_next(row, pipeline.version)
        pipeline = evolve_pipeline(pipeline, event)
    return pipeline


def next_motion(motion: Motion | None, event: MotionEvent, row: StoredRow) -> Motion:
    """Return the motion after the event in a row; raises CorruptStream if one was left out."""
    _require_next(row, motion.version if motion is not None else 0)
    return evolve(motion, event, UUID(row.stream_id))


def _require_next(row: StoredRow, version: int) -> None:
    if row.version != version + 1:
        raise corrupt(row, f"version {row.version} follows {version}")
