"""Several motions and the pipeline, recorded in a store as things happen to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from governance_flow.application.ports.event_store import (
    Append,
    CommittedEvent,
    EventStore,
    HaltSwitch,
    StoredEvent,
)
from governance_flow.application.ports.projection import MotionChange, Recorded
from governance_flow.domain.events import (
    PIPELINE_ID,
    MotionEvent,
    PipelineEvent,
    PipelineHalted,
    PipelineResumed,
)
from governance_flow.domain.evolve import evolve
from governance_flow.domain.motion import Motion
from governance_flow.domain.pipeline import Pipeline, evolve_pipeline
from governance_flow.domain.states import GovernanceState
from governance_flow.domain.witness import WitnessChain
from governance_flow.infrastructure.mapper import JsonEventMapper
from tests.support.clock import ManualClock
from tests.support.motions import Scenario, person

MAPPER = JsonEventMapper()


def motion_id_of(number: int) -> UUID:
    """Return the id of the motion introduced as the n-th; their order is that of the numbers."""
    return UUID(int=number, version=4)


class TimedScenario(Scenario):
    """A motion that is introduced at a time of the test's choosing."""

    def __init__(self, now: datetime) -> None:
        super().__init__()
        introduced = self.events[0].model_copy(update={"timestamp": now})
        self.events, self.stored, self._motion = [], [], None
        self.chain = WitnessChain()
        self.now = now
        self.append([introduced])


class Assembly:
    """Drives motions by the rules and appends what happens, all at the clock's time."""

    def __init__(self, store: EventStore, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.pipeline = Pipeline()
        self.motions: dict[UUID, Scenario] = {}
        self._recorded: dict[UUID, int] = {}

    async def introduce(self, state: GovernanceState = GovernanceState.INTRODUCED) -> UUID:
        """Introduce a motion, bring it into a state, and return its id."""
        motion_id = motion_id_of(len(self.motions) + 1)
        self.motions[motion_id] = TimedScenario(self.clock.now())
        self._recorded[motion_id] = 0
        await self.act(motion_id, lambda motion: motion.reaching(state))
        return motion_id

    async def act(self, motion_id: UUID, what: Callable[[Scenario], object]) -> None:
        """Do something with a motion, and record what came of it."""
        scenario = self.motions[motion_id]
        scenario.now = self.clock.now()
        scenario.pipeline = self.pipeline
        what(scenario)
        done = self._recorded[motion_id]
        await self.append(motion_id, done, scenario.events[done:])

    async def append(self, motion_id: UUID, done: int, events: Iterable[MotionEvent]) -> None:
        """Append events to a motion's stream, whatever they are."""
        stored = [
            MAPPER.to_stored(motion_id, version, event)
            for version, event in enumerate(events, done + 1)
        ]
        if stored:
            await self.append_raw(motion_id, done, *stored)

    async def append_raw(self, motion_id: UUID, done: int, *stored: StoredEvent) -> None:
        """Append bytes to a motion's stream, whatever they are."""
        await self.store.append(Append(motion_id, done, stored))
        self._recorded[motion_id] = done + len(stored)

    async def spoil(self, motion_id: UUID, topic: str = "MOTION_ROUTED") -> None:
        """Append an event that nobody can read."""
        done = self._recorded.setdefault(motion_id, 0)
        await self.append_raw(
            motion_id, done, StoredEvent(motion_id, done + 1, topic, b"no event at all")
        )

    async def halt(self) -> None:
        """Halt the pipeline."""
        await self._pipeline_event(PipelineHalted(**self._envelope(), reason="a storm"))

    async def resume(self) -> None:
        """Resume the pipeline."""
        await self._pipeline_event(PipelineResumed(**self._envelope(), reason="it is over"))

    async def spoil_pipeline(self) -> None:
        """Append an event to the pipeline's stream that nobody can read."""
        version = self.pipeline.version
        stored = StoredEvent(PIPELINE_ID, version + 1, "PIPELINE_HALTED", b"no event at all")
        await self.store.append(Append(PIPELINE_ID, version, (stored,)))

    async def _pipeline_event(self, event: PipelineEvent) -> None:
        version = self.pipeline.version
        self.pipeline = evolve_pipeline(self.pipeline, event)
        stored = MAPPER.to_stored(PIPELINE_ID, version + 1, event)
        switch = HaltSwitch.HALT if isinstance(event, PipelineHalted) else HaltSwitch.RESUME
        await self.store.append(Append(PIPELINE_ID, version, (stored,), halt_switch=switch))

    def _envelope(self) -> dict[str, Any]:
        event_id = UUID(int=self.pipeline.version + 1)
        return {
            "event_id": event_id,
            "correlation_id": event_id,
            "actor": person("the chair"),
            "timestamp": self.clock.now(),
        }


async def whole_log(store: EventStore, up_to_position: int | None = None) -> list[CommittedEvent]:
    """Return every event of a small store."""
    return await store.read_all(after_position=0, limit=1_000_000, up_to_position=up_to_position)


def replayed(log: Iterable[CommittedEvent]) -> list[MotionChange]:
    """Fold every motion of a log from its beginning, as an auditor would; in order of id."""
    streams: dict[UUID, list[Recorded[MotionEvent]]] = {}
    motions: dict[UUID, Motion | None] = {}
    poison: dict[UUID, str] = {}
    for stored in log:
        stream = cast("UUID", stored.originator_id)
        if stream == PIPELINE_ID or stream in poison:
            continue
        recorded = streams.setdefault(stream, [])
        try:
            event = cast("MotionEvent", MAPPER.to_event(stored))
            motions[stream] = evolve(motions.get(stream), event, stream)
        except Exception as error:  # noqa: BLE001 - said in the change
            poison[stream] = repr(error)
        else:
            recorded.append(Recorded(event, stored))
    return [
        MotionChange(stream, None, motions.get(stream), tuple(events), poison.get(stream))
        for stream, events in sorted(streams.items())
    ]
