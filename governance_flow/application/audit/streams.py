"""One stream at a time: versions without gaps, events that decode and fold, nobody's ids reused."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard, get_args
from uuid import UUID

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.application.audit.statements import StatementCheck
from governance_flow.application.ports.event_store import CommittedEvent
from governance_flow.application.ports.projection import Recorded
from governance_flow.domain.configuration import digest_of_configuration
from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.events import (
    PIPELINE_ID,
    ConfigurationAdopted,
    MotionEvent,
    PipelineEvent,
    TransitionWitnessed,
)
from governance_flow.domain.motion import Motion, evolve
from governance_flow.domain.pipeline import Pipeline, evolve_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from governance_flow.application.ports.audit import StoredRow
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.domain.events import Event


class StreamCheck:
    """What holds for every stream. Once it is broken, the rest of the stream is not looked at.

    Everything behind a gap or an unreadable event would be a fault too, and tell nothing new.
    """

    check = Check.STREAM

    def __init__(self, stream_id: UUID, mapper: EventMapper) -> None:
        self.stream_id = stream_id
        self.version = 0
        self.broken: str | None = None
        """Why nothing more of the stream can be followed, if so."""
        self._mapper = mapper
        self._position = 0

    def add(self, row: StoredRow) -> Iterator[Fault]:
        """Check the stream's next row."""
        if self.broken is not None:
            return
        if row.version != self.version + 1:
            yield self._break(row, _gap(self.version + 1, row.version))
            return
        self.version = row.version
        if row.position <= self._position:
            yield self._fault(row, f"stands before its predecessor (position {self._position})")
        self._position = row.position
        stored = CommittedEvent(
            originator_id=self.stream_id,
            originator_version=row.version,
            topic=row.topic,
            state=row.state,
            id=row.position,
            committed_at_us=row.committed_at_us,
        )
        try:
            event = self._mapper.to_event(stored)
            yield from self._fold(event, stored, row)
        except CorruptStream as error:
            yield self._break(row, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a garbled event leads to is a fault
            yield self._break(row, f"cannot be applied: {type(error).__name__}: {error}")

    def _fold(self, event: Event, stored: CommittedEvent, row: StoredRow) -> Iterator[Fault]:
        raise NotImplementedError

    def _fault(self, row: StoredRow, message: str) -> Fault:
        return Fault(
            self.check,
            message,
            position=row.position,
            stream_id=row.stream_id,
            version=row.version,
        )

    def _break(self, row: StoredRow, message: str) -> Fault:
        self.broken = message
        return self._fault(row, message)


class MotionCheck(StreamCheck):
    """The stream of a motion. ``motion`` is what its events have made so far.

    ``latest`` is the event that was folded last.
    """

    def __init__(self, stream_id: UUID, mapper: EventMapper) -> None:
        super().__init__(stream_id, mapper)
        self.motion: Motion | None = None
        self.latest: Recorded[MotionEvent] | None = None
        self.statements = StatementCheck(stream_id)
        self._event_ids: set[UUID] = set()

    def _fold(self, event: Event, stored: CommittedEvent, row: StoredRow) -> Iterator[Fault]:
        if not is_motion_event(event):
            raise CorruptStream(f"{event.topic} does not belong into a motion's stream")
        self.motion = evolve(self.motion, event, self.stream_id)
        self.latest = Recorded(event, stored)
        yield from self._references(event, self.motion.correlation_id, row)
        yield from self.statements.add(event, row)

    def _references(
        self, event: MotionEvent, correlation_id: UUID, row: StoredRow
    ) -> Iterator[Fault]:
        """Hold the ids in an event against those of the events before it.

        No later statement covers a motion's last events, so whatever can be known of them counts.
        """
        known = self._event_ids
        if event.event_id in known:
            yield self._fault(row, f"its event id {event.event_id} is that of an earlier event")
        if event.correlation_id != correlation_id:
            message = f"its correlation id {event.correlation_id} is not the motion's"
            yield self._fault(row, f"{message} ({correlation_id})")
        causes = {event.causation_id}
        if isinstance(event, TransitionWitnessed):
            causes.add(event.cause.event_id)
        for cause in causes - known - {None}:
            yield self._fault(row, f"caused by {cause}, which is no earlier event of this motion")
        known.add(event.event_id)


class PipelineCheck(StreamCheck):
    """The pipeline's own stream."""

    check = Check.PIPELINE

    def __init__(self, mapper: EventMapper) -> None:
        super().__init__(PIPELINE_ID, mapper)
        self.pipeline = Pipeline()

    def _fold(self, event: Event, stored: CommittedEvent, row: StoredRow) -> Iterator[Fault]:
        if not is_pipeline_event(event):
            raise CorruptStream(f"{event.topic} does not belong into the pipeline's stream")
        self.pipeline = evolve_pipeline(self.pipeline, event)
        if isinstance(event, ConfigurationAdopted):
            digest = digest_of_configuration(event.configuration)
            if digest != event.digest:
                yield self._fault(
                    row, f"the configuration's digest is {digest}, not {event.digest} as it says"
                )


def stream_id_of(row: StoredRow) -> UUID | None:
    """Return the id of the row's stream; None if it is not written as the store writes ids."""
    try:
        stream_id = UUID(row.stream_id)
    except ValueError:
        return None
    return stream_id if str(stream_id) == row.stream_id else None


def is_motion_event(event: Event) -> TypeGuard[MotionEvent]:
    """Whether the event may stand in a motion's stream."""
    return isinstance(event, get_args(MotionEvent))


def is_pipeline_event(event: Event) -> TypeGuard[PipelineEvent]:
    """Whether the event may stand in the pipeline's stream."""
    return isinstance(event, get_args(PipelineEvent))


def _gap(expected: int, found: int) -> str:
    if found < 1:
        return f"no stream of ours has a version {found}"
    if found < expected:
        return f"version {found} stands in the stream twice"
    if found == expected + 1:
        return f"version {expected} is missing from the stream"
    return f"versions {expected} to {found - 1} are missing from the stream"
