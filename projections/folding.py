"""Folding a run of events once, for every projection: what it did to each motion it touched.

A bounded number of motions is remembered between batches. What is remembered is only ever used if
it stands exactly before the event to be folded, so a batch that is folded twice, or discarded
because another process applied it first, can do no harm: the worst is that a stream is read again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast, get_args

from governance_flow.application.ports.projection import Batch, MotionChange, Recorded
from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.events import PIPELINE_ID, MotionEvent, PipelineEvent
from governance_flow.domain.evolve import evolve
from governance_flow.domain.pipeline import Pipeline, evolve_pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from governance_flow.application.ports.event_store import CommittedEvent, EventStore
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.domain.motion import Motion

KEEP = 2000
"""How many motions are remembered, unless the caller says otherwise."""


@dataclass(frozen=True, slots=True)
class Poison:
    """An event that cannot be read or folded: where it stands, and what is wrong with it."""

    position: int
    version: int
    topic: str
    reason: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.topic} at position {self.position}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Folded:
    """A batch that begins behind position ``start``, and the poison met in it, by motion."""

    start: int
    batch: Batch
    poisons: Mapping[UUID, Poison]


class Folder:
    """Folds batches of events; remembers at most ``keep`` motions."""

    def __init__(self, store: EventStore, mapper: EventMapper, *, keep: int = KEEP) -> None:
        self._store = store
        self._mapper = mapper
        self._keep = keep
        self._kept: OrderedDict[UUID, Motion | Poison] = OrderedDict()
        self._pipeline = Pipeline()
        self._pipeline_at = 0

    async def fold(self, start: int, events: Sequence[CommittedEvent]) -> Folded:
        """Fold the events that follow position ``start``; there must be at least one.

        Raises CorruptStream for a gap in the positions, and for an event of the pipeline's own
        stream that cannot be read or folded: whether the pipeline is halted must not be guessed.
        """
        _require_dense(start, events)
        streams: dict[UUID, list[CommittedEvent]] = {}
        for event in events:
            streams.setdefault(cast("UUID", event.originator_id), []).append(event)
        pipeline = await self.pipeline_at(start)
        pipeline_events = []
        for stored in streams.pop(PIPELINE_ID, ()):
            pipeline, recorded = self._evolve_pipeline(pipeline, stored)
            pipeline_events.append(recorded)
        forgotten = await self._forgotten(streams)
        changes = []
        poisons = {}
        for motion_id, run in streams.items():
            change, poison = await self._change(motion_id, run, forgotten.get(motion_id))
            changes.append(change)
            if poison is not None:
                poisons[motion_id] = poison
        last = events[-1]
        self._pipeline, self._pipeline_at = pipeline, last.id
        batch = Batch(
            position=last.id,
            committed_at_us=last.committed_at_us,
            motions=changes,
            pipeline_events=pipeline_events,
            pipeline=pipeline,
            log=events,
        )
        return Folded(start, batch, poisons)

    async def pipeline_at(self, position: int) -> Pipeline:
        """Return the pipeline as it stood at a position; raises CorruptStream as ``fold`` does."""
        if position == self._pipeline_at:
            return self._pipeline
        pipeline = self._pipeline if position > self._pipeline_at else Pipeline()
        for stored in await self._store.read_stream(PIPELINE_ID, after_version=pipeline.version):
            if stored.id > position:
                break
            pipeline, _ = self._evolve_pipeline(pipeline, stored)
        return pipeline

    async def motion_at(self, motion_id: UUID, position: int) -> Motion | Poison | None:
        """Return a motion as it stood at a position, folded anew from its stream.

        None if it had no events by then; the poison if one of them cannot be read or folded.
        """
        stored = await self._store.read_stream(motion_id)
        motion, _, poison = self._run(motion_id, None, [e for e in stored if e.id <= position])
        return poison or motion

    async def _forgotten(
        self, streams: Mapping[UUID, Sequence[CommittedEvent]]
    ) -> dict[UUID, Motion | Poison | None]:
        """Read, in one go, how those motions stood that are not remembered."""
        first = {
            motion_id: run[0].originator_version
            for motion_id, run in streams.items()
            if run[0].originator_version > 1 and motion_id not in self._kept
        }
        if len(first) < 2:  # noqa: PLR2004 - one can as well be read when its turn comes
            return {}
        before: dict[UUID, list[CommittedEvent]] = {}
        for stored in await self._store.read_streams(list(first)):
            motion_id = cast("UUID", stored.originator_id)
            if stored.originator_version < first[motion_id]:
                before.setdefault(motion_id, []).append(stored)
        stood = {}
        for motion_id, run in before.items():
            motion, _, poison = self._run(motion_id, None, run)
            stood[motion_id] = poison or motion
        return stood

    async def _change(
        self, motion_id: UUID, run: Sequence[CommittedEvent], stood: Motion | Poison | None
    ) -> tuple[MotionChange, Poison | None]:
        """Fold one motion's events of the batch; ``stood`` is what was read because of it."""
        before = await self._before(motion_id, run[0].originator_version, stood)
        if isinstance(before, Poison):
            # It went bad in an earlier batch, and whoever follows has parked it there.
            return MotionChange(motion_id, None, None, (), str(before)), before
        after, events, poison = self._run(motion_id, before, run)
        self._remember(motion_id, poison or after)
        change = MotionChange(
            motion_id, before, after, tuple(events), None if poison is None else str(poison)
        )
        return change, poison

    async def _before(
        self, motion_id: UUID, version: int, stood: Motion | Poison | None
    ) -> Motion | Poison | None:
        """Return the motion as it stood before its event ``version``."""
        if version == 1:
            return None
        kept = self._kept.get(motion_id, stood)
        if isinstance(kept, Poison):
            if kept.version < version:
                return kept
            kept = None
        if kept is not None and kept.version >= version:
            kept = None
        after_version = kept.version if kept is not None else 0
        if after_version == version - 1:
            return kept
        stored = await self._store.read_stream(
            motion_id, after_version=after_version, up_to_version=version - 1
        )
        motion, _, poison = self._run(motion_id, kept, stored)
        if poison is not None:
            self._remember(motion_id, poison)
        return poison or motion

    def _run(
        self, motion_id: UUID, motion: Motion | None, run: Sequence[CommittedEvent]
    ) -> tuple[Motion | None, list[Recorded[MotionEvent]], Poison | None]:
        """Fold as far as it goes."""
        recorded, known = _made_here(run)
        motion = known or motion
        for stored in run[len(recorded) :]:
            try:
                event = self._motion_event(stored)
                _require_next(stored, motion.version if motion is not None else 0)
                motion = evolve(motion, event, motion_id)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - parks the motion, with the reason
                reason = str(error) if isinstance(error, CorruptStream) else repr(error)
                poison = Poison(stored.id, stored.originator_version, stored.topic, reason)
                return motion, recorded, poison
            recorded.append(Recorded(event, stored))
        return motion, recorded, None

    def _motion_event(self, stored: CommittedEvent) -> MotionEvent:
        if stored.made is not None:
            return stored.made.event
        return cast("MotionEvent", self._decoded(stored, MotionEvent))

    def _evolve_pipeline(
        self, pipeline: Pipeline, stored: CommittedEvent
    ) -> tuple[Pipeline, Recorded[PipelineEvent]]:
        try:
            event = cast("PipelineEvent", self._decoded(stored, PipelineEvent))
            _require_next(stored, pipeline.version)
            return evolve_pipeline(pipeline, event), Recorded(event, stored)
        except MemoryError:
            raise
        except Exception as error:
            raise CorruptStream(
                f"the pipeline's own stream cannot be followed past position {stored.id} "
                f"({stored.topic}, version {stored.originator_version}): {error}; every projection "
                "stops here, because nobody can say whether the pipeline is halted",
                stream_id=PIPELINE_ID,
                version=stored.originator_version,
                position=stored.id,
                topic=stored.topic,
            ) from error

    def _decoded(self, stored: CommittedEvent, kinds: object) -> object:
        event = self._mapper.to_event(stored)
        if not isinstance(event, get_args(kinds)):
            raise CorruptStream(
                f"stream {stored.originator_id}, version {stored.originator_version}: "
                f"{stored.topic} does not belong in this stream",
                stream_id=stored.originator_id,
                version=stored.originator_version,
            )
        return event

    def _remember(self, motion_id: UUID, folded: Motion | Poison | None) -> None:
        if folded is None or (not isinstance(folded, Poison) and folded.terminal):
            # Hardly anything happens to a motion after its end.
            self._kept.pop(motion_id, None)
            return
        self._kept[motion_id] = folded
        self._kept.move_to_end(motion_id)
        while len(self._kept) > self._keep:
            self._kept.popitem(last=False)


def _made_here(
    run: Sequence[CommittedEvent],
) -> tuple[list[Recorded[MotionEvent]], Motion | None]:
    """Return those of the first events that need no folding here, and what they came to."""
    recorded: list[Recorded[MotionEvent]] = []
    known, folded = None, 0
    for stored in run:
        made = stored.made
        if made is None:
            break
        recorded.append(Recorded(made.event, stored))
        if made.motion is not None and made.motion.version == stored.originator_version:
            known, folded = made.motion, len(recorded)
    return recorded[:folded], known


def _require_dense(start: int, events: Sequence[CommittedEvent]) -> None:
    """Make sure that no position is missing: what was left out would be left out for good."""
    for position, event in enumerate(events, start + 1):
        if event.id != position:
            raise CorruptStream(
                f"the log has no event at position {position}, but one at {event.id}",
                position=position,
            )


def _require_next(stored: CommittedEvent, version: int) -> None:
    if stored.originator_version != version + 1:
        raise CorruptStream(
            f"stream {stored.originator_id}: version {stored.originator_version} follows {version}",
            stream_id=stored.originator_id,
            version=stored.originator_version,
        )
