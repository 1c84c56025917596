"""One stream at a time: versions without gaps, events that decode and fold, nobody's ids reused."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.application.audit.reading import (
    committed,
    is_motion_event,
    is_pipeline_event,
)
from governance_flow.application.audit.statements import StatementCheck
from governance_flow.application.audit.words import missing
from governance_flow.application.ports.projection import Recorded
from governance_flow.domain.configuration import digest_of_configuration
from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.events import (
    PIPELINE_ID,
    ConfigurationAdopted,
    TransitionWitnessed,
)
from governance_flow.domain.evolve import evolve
from governance_flow.domain.motion import Motion
from governance_flow.domain.pipeline import Pipeline, evolve_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from governance_flow.application.audit.key_history import KeyHistory
    from governance_flow.application.ports.audit import StoredRow
    from governance_flow.application.ports.event_store import CommittedEvent
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.domain.events import Event, MotionEvent


class StreamCheck(ABC):
    """What holds for every stream. Once it is broken, the rest of the stream is not followed.

    Everything behind a gap or an unreadable event would be a fault too, and tell nothing new.
    Faults come as they are noticed, which is not always in the order of versions.
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
        stored = committed(self.stream_id, row)
        if self.broken is not None:
            yield from self._beyond(stored)
            return
        if row.version != self.version + 1:
            yield from self._break(stored, _gap(self.version + 1, row.version))
            return
        self.version = row.version
        if row.position <= self._position:
            yield self._fault(stored, f"stands before its predecessor (position {self._position})")
        self._position = row.position
        try:
            yield from self._fold(self._mapper.to_event(stored), stored)
        except CorruptStream as error:
            yield from self._break(stored, str(error))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a garbled event leads to is a fault
            reason = f"cannot be applied: {type(error).__name__}: {error}"
            yield from self._break(stored, reason)

    def finish(self) -> Iterator[Fault]:
        """Yield what could only be decided at the end of the stream."""
        yield from ()

    @abstractmethod
    def _fold(self, event: Event, stored: CommittedEvent) -> Iterator[Fault]:
        """Apply an event, and yield what is wrong with it although it can be applied."""

    def _beyond(self, stored: CommittedEvent) -> Iterator[Fault]:  # noqa: ARG002
        """Look at an event behind the one at which the stream broke."""
        yield from ()

    def _fault(self, stored: CommittedEvent, message: str) -> Fault:
        return Fault(
            self.check,
            message,
            position=stored.id,
            stream_id=str(stored.originator_id),
            version=stored.originator_version,
        )

    def _break(self, stored: CommittedEvent, message: str) -> Iterator[Fault]:
        place = f"stream {stored.originator_id}, version {stored.originator_version}: "
        self.broken = message.removeprefix(place).removeprefix(f"motion {self.stream_id}: ")
        yield self._fault(stored, self.broken)
        yield from self._beyond(stored)


class MotionCheck(StreamCheck):
    """The stream of a motion. ``motion`` is what its events have made so far.

    ``latest`` is the event that was folded last. Without ``keys`` no signature is verified.
    """

    def __init__(
        self, stream_id: UUID, mapper: EventMapper, keys: KeyHistory | None = None
    ) -> None:
        super().__init__(stream_id, mapper)
        self.motion: Motion | None = None
        self.latest: Recorded[MotionEvent] | None = None
        self.statements = StatementCheck(stream_id, keys)
        self._event_ids: set[UUID] = set()

    def _fold(self, event: Event, stored: CommittedEvent) -> Iterator[Fault]:
        if not is_motion_event(event):
            raise CorruptStream(f"{event.topic} does not belong into a motion's stream")
        self.motion = evolve(self.motion, event, self.stream_id)
        self.latest = Recorded(event, stored)
        yield from self._references(event, self.motion.correlation_id, stored)
        yield from self.statements.add(event, stored)

    def finish(self) -> Iterator[Fault]:
        """Yield what could only be decided at the end of the stream."""
        yield from self.statements.finish()

    def _beyond(self, stored: CommittedEvent) -> Iterator[Fault]:
        yield from self.statements.salvage(stored)

    def _references(
        self, event: MotionEvent, correlation_id: UUID, stored: CommittedEvent
    ) -> Iterator[Fault]:
        """Hold the ids in an event against those of the events before it.

        No later statement covers a motion's last events, so whatever can be known of them counts.
        """
        known = self._event_ids
        if event.event_id in known:
            yield self._fault(stored, f"its event id {event.event_id} is that of an earlier event")
        if event.correlation_id != correlation_id:
            message = f"its correlation id {event.correlation_id} is not the motion's"
            yield self._fault(stored, f"{message} ({correlation_id})")
        causes = {event.causation_id}
        if isinstance(event, TransitionWitnessed):
            causes.add(event.cause.event_id)
        for cause in causes - known - {None}:
            yield self._fault(
                stored, f"caused by {cause}, which is no earlier event of this motion"
            )
        known.add(event.event_id)


class PipelineCheck(StreamCheck):
    """The pipeline's own stream."""

    check = Check.PIPELINE

    def __init__(self, mapper: EventMapper) -> None:
        super().__init__(PIPELINE_ID, mapper)
        self.pipeline = Pipeline()

    def _fold(self, event: Event, stored: CommittedEvent) -> Iterator[Fault]:
        if not is_pipeline_event(event):
            raise CorruptStream(f"{event.topic} does not belong into the pipeline's stream")
        self.pipeline = evolve_pipeline(self.pipeline, event)
        if isinstance(event, ConfigurationAdopted):
            digest = digest_of_configuration(event.configuration)
            if digest != event.digest:
                yield self._fault(
                    stored, f"the configuration's digest is {digest}, not {event.digest} as it says"
                )


def _gap(expected: int, found: int) -> str:
    if found < 1:
        return f"no stream of ours has a version {found}"
    if found < expected:
        return f"version {found} stands in the stream twice"
    return f"{missing('version', expected, found - 1)} from the stream"
