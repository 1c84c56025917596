"""The past, rebuilt from events alone: the pipeline or one motion, at a position or at a time."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from governance_flow.application.audit.folding import (
    motion_at,
    next_motion,
    pipeline_at,
)
from governance_flow.application.audit.pages import pages_by_stream
from governance_flow.application.audit.reading import motion_event
from governance_flow.application.audit.tally import Recent, Standing
from governance_flow.application.ports.flow_orchestrator import Lag, PipelineStatus
from governance_flow.application.summaries import summarise
from governance_flow.application.times import from_us, to_us
from governance_flow.domain.errors import CorruptStream, InvalidInput, UnknownMotion
from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.states import ADMITTED_STATES, TERMINAL_STATES, GovernanceState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from governance_flow.application.ports.audit import AuditLog, Progress
    from governance_flow.application.ports.clock import Clock
    from governance_flow.application.ports.flow_orchestrator import MotionPipelineState
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.application.summaries import MotionSummary
    from governance_flow.domain.motion import Motion
    from governance_flow.domain.pipeline import Pipeline

RECENT = timedelta(hours=24)
FIRST_PAGE = 20

_PIPELINE = str(PIPELINE_ID)
_FIRST_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """A place in the log and the time to look from: ages and the last 24 hours end there."""

    position: int
    as_of: datetime
    pipeline: Pipeline


class Replayer:
    """Replays the log. Reads events only, so it is right even where the read model is not.

    Every method raises CorruptStream for an event that cannot be read: what cannot be replayed
    is not made up, and a verification says more about it. ``places`` is how many motions may be
    admitted where the log holds no configuration that says.
    """

    def __init__(
        self,
        log: AuditLog,
        mapper: EventMapper,
        clock: Clock,
        places: int,
    ) -> None:
        self._log = log
        self._mapper = mapper
        self._clock = clock
        self._places = places

    async def moment(self, *, at: datetime | None = None, position: int | None = None) -> Moment:
        """Return the moment of a commit time, or of a position; of neither: the present.

        What was committed exactly at a time, all of it, had happened by then.

        Raises InvalidInput for both at once, a time still to come, one without a zone, or a
        position the log does not have.
        """
        last = (await self._log.ends()).last_position
        if position is not None:
            if at is not None:
                raise InvalidInput("say a time or a position, not both", field="at")
            if not 0 <= position <= last:
                raise InvalidInput(
                    f"there is no position {position} in this log; it goes from 0 (before "
                    f"everything) to {last}",
                    field="position",
                )
            as_of = await self._committed_at(position, last)
        else:
            # A clock that was set back does not take back what has been committed.
            latest = max(self._clock.now(), await self._committed_at(last, last))
            if at is None:
                position, as_of = last, latest
            else:
                as_of = _in_utc(at)
                if as_of > latest:
                    raise InvalidInput(
                        f"{at.isoformat()} is still to come: nobody knows what will have happened",
                        field="at",
                    )
                position = await self._log.position_at(to_us(as_of))
        return Moment(position, as_of, await pipeline_at(self._log, self._mapper, position))

    async def motion(self, motion_id: UUID, moment: Moment) -> MotionPipelineState:
        """Return one motion as it stood; raises UnknownMotion if it was not there yet."""
        motion = None
        if motion_id != PIPELINE_ID:
            motion = await motion_at(self._log, self._mapper, motion_id, moment.position)
        if motion is None:
            raise UnknownMotion(
                f"there was no motion {motion_id} at position {moment.position}",
                motion_id=motion_id,
                position=moment.position,
            )
        return summarise(motion, moment.pipeline).at(moment.as_of, moment.pipeline.halt)

    async def motions(
        self, moment: Moment, progress: Progress | None = None
    ) -> AsyncIterator[MotionPipelineState]:
        """Yield every motion there was, as it stood, in order of id."""
        async for summary in self._summaries(moment, progress, None):
            yield summary.at(moment.as_of, moment.pipeline.halt)

    async def status(self, moment: Moment, progress: Progress | None = None) -> PipelineStatus:
        """Return the pipeline as it stood."""
        standing, recent = Standing(), Recent(max(moment.as_of, _FIRST_TIME + RECENT) - RECENT)
        active: list[MotionSummary] = []
        async for summary in self._summaries(moment, progress, recent):
            standing.add(summary)
            if summary.state not in TERMINAL_STATES:
                insort(active, summary, key=_order)
                del active[FIRST_PAGE:]
        by_state = {state: standing.by_state[state] for state in GovernanceState}
        admitted = sum(by_state[state] for state in ADMITTED_STATES)
        halt = moment.pipeline.halt
        return PipelineStatus(
            active_motions=sum(n for s, n in by_state.items() if s not in TERMINAL_STATES),
            motions_by_state=by_state,
            blocked_motions=standing.blocked,
            oldest_motion_age=moment.as_of - (standing.oldest or moment.as_of),
            recent_completions=recent.completions,
            recent_failures=recent.failures,
            active=tuple(summary.at(moment.as_of, halt) for summary in active),
            waiting_motions=standing.waiting,
            admitted=admitted,
            free_places=max(0, self._places_at(moment.pipeline) - admitted),
            finished_recently=recent.finished,
            halted=halt is not None,
            halt_reason=halt.reason if halt else None,
            halted_since=halt.since if halt else None,
            position=moment.position,
            lag=Lag(0, 0.0),
            as_of=moment.as_of,
        )

    async def _summaries(
        self, moment: Moment, progress: Progress | None, recent: Recent | None
    ) -> AsyncIterator[MotionSummary]:
        motion: Motion | None = None
        done = 0
        async for page in pages_by_stream(self._log, up_to_position=moment.position):
            for row in page:
                if row.stream_id == _PIPELINE:
                    continue
                if motion is not None and str(motion.id) != row.stream_id:
                    yield summarise(motion, moment.pipeline)
                    motion = None
                event = motion_event(self._mapper, row)
                motion = next_motion(motion, event, row)
                if recent is not None:
                    recent.add(event)
            done += len(page)
            if progress is not None:
                progress(done, moment.position)
        if motion is not None:
            yield summarise(motion, moment.pipeline)
        if done != moment.position:
            # A motion that is gone whole, or has lost its end, leaves no gap in any stream.
            raise CorruptStream(
                f"the log holds {done} events up to position {moment.position}, not "
                f"{moment.position}; a verification says what is wrong",
                position=moment.position,
            )

    async def _committed_at(self, position: int, last: int) -> datetime:
        """Return when a position was reached; position 0 was there just before the first event."""
        if last == 0:
            return self._clock.now()
        committed_us = await self._log.committed_at_us(max(position, 1))
        if committed_us is None:
            raise CorruptStream(
                f"position {max(position, 1)} is missing from the log; a verification says what "
                "else is wrong",
                position=position,
            )
        return from_us(committed_us) - (timedelta(microseconds=1) if position == 0 else timedelta())

    def _places_at(self, pipeline: Pipeline) -> int:
        adopted = (pipeline.configurations or {}).get(pipeline.configuration or "", {})
        places = adopted.get("max_concurrent_motions")
        return places if isinstance(places, int) else self._places


def _in_utc(at: datetime) -> datetime:
    """Return an aware time in UTC; raises InvalidInput for any other."""
    if at.utcoffset() is None:
        raise InvalidInput("the time needs an offset, such as Z for UTC", field="at")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        message = f"{at.isoformat()} lies outside the years 1 to 9999 in UTC"
        raise InvalidInput(message, field="at") from None


def _order(summary: MotionSummary) -> tuple[datetime, UUID]:
    return summary.introduced_at, summary.motion_id
