"""The pipeline as a whole: halted or running, and the configurations it has had."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, assert_never

from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.events import (
    AlertDelivered,
    ConfigurationAdopted,
    KeyAdopted,
    PipelineHalted,
    PipelineResumed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from governance_flow.domain.events import Actor, Json, PipelineEvent
    from governance_flow.domain.keys import KeyRole


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time in which deadlines stand still; open while it lasts."""

    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Halt:
    """Why, since when and by whom the pipeline is halted."""

    reason: str
    by: Actor
    since: datetime


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The pipeline's own state, folded from its stream."""

    version: int = 0
    halt: Halt | None = None
    halts: tuple[Interval, ...] = ()
    halt_epoch: int = 0
    last_resumed_at: datetime | None = None
    configuration: str | None = None
    configurations: Mapping[str, Mapping[str, Json]] | None = None
    keys: Mapping[KeyRole, str] = field(default_factory=dict)
    """The verifier key in force in each role that has one."""

    @property
    def halted(self) -> bool:
        """Whether nothing moves until a named person resumes."""
        return self.halt is not None


def evolve_pipeline(pipeline: Pipeline, event: PipelineEvent) -> Pipeline:
    """Return the pipeline after ``event``.

    Raises CorruptStream for a halt of a halted pipeline, or a resumption of a running one.
    """
    if pipeline.halted and isinstance(event, PipelineHalted):
        msg = f"the pipeline is halted a second time at version {pipeline.version + 1}"
        raise CorruptStream(msg, version=pipeline.version + 1)
    if not pipeline.halted and isinstance(event, PipelineResumed):
        msg = f"the pipeline is resumed at version {pipeline.version + 1}, but it is not halted"
        raise CorruptStream(msg, version=pipeline.version + 1)
    pipeline = replace(pipeline, version=pipeline.version + 1)
    match event:
        case PipelineHalted():
            return replace(
                pipeline,
                halt=Halt(event.reason, event.actor, event.timestamp),
                halts=(*pipeline.halts, Interval(event.timestamp)),
                halt_epoch=pipeline.halt_epoch + 1,
            )
        case PipelineResumed():
            return replace(
                pipeline,
                halt=None,
                halts=ended(pipeline.halts, event.timestamp),
                halt_epoch=pipeline.halt_epoch + 1,
                last_resumed_at=event.timestamp,
            )
        case ConfigurationAdopted():
            known = {**(pipeline.configurations or {}), event.digest: event.configuration}
            return replace(pipeline, configuration=event.digest, configurations=known)
        case KeyAdopted():
            replaced = event.role in pipeline.keys
            return replace(
                pipeline,
                keys={**pipeline.keys, event.role: event.key},
                # What was decided under the old key must be decided again, and signed by the new.
                halt_epoch=pipeline.halt_epoch + replaced,
            )
        case AlertDelivered():
            return pipeline
        case _:
            assert_never(event)


def ended(intervals: tuple[Interval, ...], at: datetime) -> tuple[Interval, ...]:
    """Return the intervals with the last one ended, if it was still open."""
    if intervals and intervals[-1].end is None:
        return (*intervals[:-1], replace(intervals[-1], end=at))
    return intervals


def time_paused(intervals: Sequence[Interval], since: datetime, until: datetime) -> timedelta:
    """Return how much of the time from ``since`` to ``until`` the intervals cover together."""
    if not intervals:
        return timedelta()
    clipped = sorted(
        (max(interval.start, since), min(interval.end or until, until)) for interval in intervals
    )
    total = timedelta()
    covered_to = since
    for start, end in clipped:
        # An interval may begin after ``until``: another machine's clock is ahead of ours.
        if end > max(start, covered_to):
            total += end - max(start, covered_to)
            covered_to = end
    return total
