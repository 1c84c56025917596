"""Motions and the pipeline as they stood at a position, from their events alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.application.audit.streams import is_motion_event, is_pipeline_event
from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.motion import evolve
from governance_flow.domain.pipeline import Pipeline, evolve_pipeline

if TYPE_CHECKING:
    from uuid import UUID

    from governance_flow.application.ports.event_store import EventStore, StoredEvent
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.domain.events import MotionEvent
    from governance_flow.domain.motion import Motion


async def motion_at(
    store: EventStore, mapper: EventMapper, motion_id: UUID, position: int
) -> Motion | None:
    """Return a motion as it stood, None if it was not there yet.

    Raises CorruptStream if its events cannot be folded.
    """
    motion = None
    for item in await store.read_stream(motion_id):
        if item.id <= position:
            motion = evolve(motion, motion_event(mapper, item), motion_id)
    return motion


async def pipeline_at(store: EventStore, mapper: EventMapper, position: int) -> Pipeline:
    """Return the pipeline as it stood; raises CorruptStream if its events cannot be folded."""
    pipeline = Pipeline()
    for item in await store.read_stream(PIPELINE_ID):
        if item.id <= position:
            event = mapper.to_event(item)
            if not is_pipeline_event(event):
                raise _misplaced(item)
            pipeline = evolve_pipeline(pipeline, event)
    return pipeline


def motion_event(mapper: EventMapper, stored: StoredEvent) -> MotionEvent:
    """Return the event of a motion's stream; raises CorruptStream for any other."""
    event = mapper.to_event(stored)
    if not is_motion_event(event):
        raise _misplaced(stored)
    return event


def _misplaced(stored: StoredEvent) -> CorruptStream:
    return CorruptStream(
        f"stream {stored.originator_id}, version {stored.originator_version}: "
        f"{stored.topic} does not belong there",
        stream_id=stored.originator_id,
        version=stored.originator_version,
    )
