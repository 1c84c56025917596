"""The pipeline's own stream: halted or running, and which configuration is in force."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypedDict, cast

import structlog
from pydantic import ValidationError

from governance_flow.application.correlation import correlation
from governance_flow.application.ports.event_store import Append, HaltSwitch
from governance_flow.application.services.operations import Operations
from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.domain.errors import ConcurrencyConflict, Refused
from governance_flow.domain.events import (
    PIPELINE_ID,
    SYSTEM,
    ConfigurationAdopted,
    PipelineEvent,
    PipelineHalted,
    PipelineResumed,
)
from governance_flow.domain.pipeline import Pipeline, evolve_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from governance_flow.application.ports.clock import Clock, IdSource
    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.domain.events import Actor, Json

log = structlog.get_logger(__name__)


class PipelineEnvelope(TypedDict):
    """The fields of an event of the pipeline that do not say what happened."""

    event_id: UUID
    correlation_id: UUID
    actor: Actor
    timestamp: datetime


class Pipelines:
    """Keeps the pipeline's state. An append under an outdated one is refused by the store."""

    def __init__(
        self,
        *,
        store: EventStore,
        mapper: EventMapper,
        clock: Clock,
        new_id: IdSource,
        configuration: FlowConfiguration,
        sinks: Sequence[str],
    ) -> None:
        self._store = store
        self._mapper = mapper
        self._clock = clock
        self._new_id = new_id
        self.operations = Operations(sinks, self.rules)
        self._max_conflicts = configuration.limits.max_append_conflicts
        self._pipeline = Pipeline()
        self._known = False
        self._adopted = False
        self._adopting = asyncio.Lock()
        self.configuration = configuration
        self.digest = configuration.digest()
        self._configurations = {self.digest: configuration}

    @property
    def known(self) -> Pipeline:
        """The pipeline as last seen."""
        return self._pipeline

    async def current(self) -> Pipeline:
        """Return the pipeline as last seen; it may lag, which an append would notice."""
        return self._pipeline if self._known else await self.refresh()

    async def as_of(self, halt_epoch: int) -> Pipeline:
        """Return the pipeline as it was when the store had this epoch, or later.

        An epoch that is known means that nobody has halted or resumed since.
        """
        if self._known and self._pipeline.halt_epoch == halt_epoch:
            return self._pipeline
        return await self.refresh()

    async def refresh(self) -> Pipeline:
        """Return the pipeline as the store has it now."""
        stored = await self._store.read_stream(PIPELINE_ID, after_version=self._pipeline.version)
        pipeline = self._pipeline
        for item in stored:
            if item.originator_version == pipeline.version + 1:
                event = cast("PipelineEvent", self._mapper.to_event(item))
                pipeline = evolve_pipeline(pipeline, event)
        if pipeline.version >= self._pipeline.version:
            self._pipeline = pipeline
        self._known = True
        return self._pipeline

    async def learn(self, digest: str) -> None:
        """Make sure that ``rules`` knows a configuration another process may have adopted."""
        known = self._pipeline.configurations or {}
        if digest not in self._configurations and digest not in known:
            await self.refresh()

    def rules(self, digest: str | None, pipeline: Pipeline | None = None) -> FlowConfiguration:
        """Return the configuration with this digest; the present one if it is unknown.

        ``pipeline`` is where to look it up, if not in the pipeline as last seen.
        """
        if digest is None or digest == self.digest:
            return self.configuration
        known = self._configurations.get(digest)
        if known is None:
            recorded = ((pipeline or self._pipeline).configurations or {}).get(digest)
            if recorded is None:
                return self.configuration
            known = self._configurations[digest] = self._read(digest, recorded)
        return known

    def _read(self, digest: str, recorded: Mapping[str, Json]) -> FlowConfiguration:
        try:
            return FlowConfiguration.model_validate(recorded)
        except ValidationError as error:
            # Written by another version of this program; motions must not be stranded by that.
            log.warning(
                "a recorded configuration cannot be read; the present one is used instead",
                digest=digest,
                error=str(error),
            )
            return self.configuration

    async def adopt(self) -> None:
        """Record this process's configuration as the one in force, if it is another.

        Called before a routing refers to it; once done, it costs nothing.
        """
        if self._adopted:
            return
        async with self._adopting:
            if not self._adopted:
                await self._adopt()
                self._adopted = True

    async def _adopt(self) -> None:
        def decide(pipeline: Pipeline) -> PipelineEvent | None:
            if pipeline.configuration == self.digest:
                return None
            return ConfigurationAdopted(
                **self.envelope(SYSTEM),
                digest=self.digest,
                configuration=self.configuration.model_dump(mode="json"),
            )

        await self.record(decide)

    async def halt(self, by: Actor, reason: str) -> bool:
        """Halt the pipeline; returns False if it was halted already."""

        def decide(pipeline: Pipeline) -> PipelineEvent | None:
            return None if pipeline.halted else PipelineHalted(**self.envelope(by), reason=reason)

        return await self.record(decide, HaltSwitch.HALT)

    async def resume(self, by: Actor, reason: str) -> None:
        """Let the pipeline go on; raises Refused if it is not halted."""

        def decide(pipeline: Pipeline) -> PipelineEvent | None:
            if not pipeline.halted:
                msg = "the pipeline is not halted: there is nothing to resume"
                raise Refused(msg)
            return PipelineResumed(**self.envelope(by), reason=reason)

        await self.record(decide, HaltSwitch.RESUME)

    async def record(
        self,
        decide: Callable[[Pipeline], PipelineEvent | None],
        halt_switch: HaltSwitch | None = None,
    ) -> bool:
        """Append what ``decide`` says, deciding again after a conflict; False if nothing."""
        for _ in range(self._max_conflicts):
            pipeline = await self.refresh()
            event = decide(pipeline)
            if event is None:
                return False
            stored = self._mapper.to_stored(PIPELINE_ID, pipeline.version + 1, event)
            append = Append(
                PIPELINE_ID,
                pipeline.version,
                (stored,),
                halt_switch=halt_switch,
                work=self.operations.after_pipeline(pipeline, event),
            )
            try:
                await self._store.append(append)
            except ConcurrencyConflict:
                continue
            await self.refresh()
            return True
        msg = f"the pipeline's stream moved {self._max_conflicts} times in a row; try again"
        raise ConcurrencyConflict(msg, stream_id=PIPELINE_ID)

    def envelope(self, actor: Actor) -> PipelineEnvelope:
        """Return the fields that every event of the pipeline has."""
        event_id = self._new_id()
        return PipelineEnvelope(
            event_id=event_id,
            correlation_id=correlation.get() or event_id,
            actor=actor,
            timestamp=self._clock.now(),
        )
