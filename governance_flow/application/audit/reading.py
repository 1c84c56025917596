"""From rows to events: what may stand where, and the words for what may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard, get_args
from uuid import UUID

from governance_flow.application.ports.event_store import CommittedEvent
from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.events import MotionEvent, PipelineEvent

if TYPE_CHECKING:
    from governance_flow.application.ports.audit import StoredRow
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.domain.events import Event

_MOTION_EVENTS = get_args(MotionEvent)
_PIPELINE_EVENTS = get_args(PipelineEvent)


def stream_id_of(row: StoredRow) -> UUID | None:
    """Return the id of the row's stream; None if it is not written as the store writes ids."""
    try:
        stream_id = UUID(row.stream_id)
    except ValueError:
        return None
    return stream_id if str(stream_id) == row.stream_id else None


def committed(stream_id: UUID, row: StoredRow) -> CommittedEvent:
    """Return a row as the rest of the program knows it."""
    return CommittedEvent(
        originator_id=stream_id,
        originator_version=row.version,
        topic=row.topic,
        state=row.state,
        id=row.position,
        committed_at_us=row.committed_at_us,
    )


def event_of(mapper: EventMapper, row: StoredRow) -> Event:
    """Return the event in a row; raises CorruptStream if there is none."""
    stream_id = stream_id_of(row)
    if stream_id is None:
        raise corrupt(row, "this is not the id of a stream as the store writes it")
    return mapper.to_event(committed(stream_id, row))


def motion_event(mapper: EventMapper, row: StoredRow) -> MotionEvent:
    """Return the event of a motion's stream; raises CorruptStream for any other."""
    event = event_of(mapper, row)
    if not is_motion_event(event):
        raise corrupt(row, "does not belong into a motion's stream")
    return event


def pipeline_event(mapper: EventMapper, row: StoredRow) -> PipelineEvent:
    """Return the event of the pipeline's own stream; raises CorruptStream for any other."""
    event = event_of(mapper, row)
    if not is_pipeline_event(event):
        raise corrupt(row, "does not belong into the pipeline's stream")
    return event


def is_motion_event(event: Event) -> TypeGuard[MotionEvent]:
    """Whether the event may stand in a motion's stream."""
    return isinstance(event, _MOTION_EVENTS)


def is_pipeline_event(event: Event) -> TypeGuard[PipelineEvent]:
    """Whether the event may stand in the pipeline's stream."""
    return isinstance(event, _PIPELINE_EVENTS)


def corrupt(row: StoredRow, reason: str) -> CorruptStream:
    """Return the error that says what is wrong with a row."""
    message = (
        f"position {row.position}, stream {row.stream_id}, version {row.version}: "
        f"{row.topic}: {reason}; a verification says what else is wrong"
    )
    return CorruptStream(
        message.encode(errors="backslashreplace").decode(),
        position=row.position,
        stream_id=row.stream_id,
        version=row.version,
    )
