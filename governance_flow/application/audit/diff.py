"""What changed between two moments, read from the log alone.

Only motions with an event in between can differ, so only those are replayed; the cost is that of
the events in between and of the past of those motions, not of the log. Counting every motion then
and now (``totals``) takes a walk through the whole log; a span that is long itself gets one too,
since a walk needs no list of what was touched. Memory is bounded either way.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from typing import TYPE_CHECKING
from uuid import UUID

from governance_flow.application.audit.differences import Diff, MotionDiff, PipelineNews
from governance_flow.application.audit.folding import next_motion
from governance_flow.application.audit.pages import (
    pages_by_position,
    pages_by_stream,
    rows_of_stream,
)
from governance_flow.application.audit.reading import (
    corrupt,
    motion_event,
    pipeline_event,
    stream_id_of,
)
from governance_flow.application.summaries import summarise
from governance_flow.application.times import from_us
from governance_flow.domain.errors import CorruptStream, InvalidInput
from governance_flow.domain.escalation import ERROR_TYPE_MAP
from governance_flow.domain.events import (
    PIPELINE_ID,
    SYSTEM,
    Actor,
    AlertDelivered,
    BranchCompleted,
    MotionAmended,
    OrchestratorError,
    TransitionWitnessed,
    ViolationWitnessed,
)
from governance_flow.domain.states import GovernanceState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from governance_flow.application.audit.replay import Moment
    from governance_flow.application.ports.audit import AuditLog, Progress, StoredRow
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.domain.events import MotionEvent
    from governance_flow.domain.motion import Motion

WALKED_EVENTS_MAX = 100_000
"""A log up to here is walked unasked; a longer span is walked in any case, to spare memory."""

PIPELINE_EVENTS_MAX = 100
"""How many halts, resumptions and configurations are told one by one."""

OTHER_ERROR = "other"

_PIPELINE = str(PIPELINE_ID)


class Differ:
    """Compares two moments of one log.

    Every method raises InvalidInput if the second moment comes before the first, and
    CorruptStream for an event that cannot be read or is missing.
    """

    def __init__(self, log: AuditLog, mapper: EventMapper) -> None:
        self._log = log
        self._mapper = mapper

    async def diff(
        self,
        then: Moment,
        now: Moment,
        *,
        totals: bool | None = None,
        motions_max: int = 50,
        progress: Progress | None = None,
    ) -> Diff:
        """Return what changed, with the first ``motions_max`` motions that did.

        ``totals`` counts every motion then and now; None: only where the log is not long.
        """
        _require_order(then, now)
        if totals is None:
            totals = now.position <= WALKED_EVENTS_MAX
        walks = _walks(then, now, totals=totals)
        # Before the first event there was no motion: those that were touched are all there are.
        diff = Diff(then, now, complete=walks or then.position == 0)
        async for item in self._followed(then, now, walks=walks, progress=progress):
            if isinstance(item, PipelineNews):
                diff.topics[item.event.topic] += 1
                if not isinstance(item.event, AlertDelivered):
                    insort(diff.pipeline_events, item, key=lambda news: news.position)
                    del diff.pipeline_events[PIPELINE_EVENTS_MAX:]
            else:
                _count(diff, item, motions_max)
        return diff

    async def motions(
        self, then: Moment, now: Moment, progress: Progress | None = None
    ) -> AsyncIterator[MotionDiff]:
        """Yield every motion that something happened to, in order of id."""
        _require_order(then, now)
        walks = _walks(then, now, totals=False)
        async for item in self._followed(then, now, walks=walks, progress=progress):
            if isinstance(item, _Followed) and item.touched:
                yield item.diff(then, now)

    async def _followed(
        self, then: Moment, now: Moment, *, walks: bool, progress: Progress | None
    ) -> AsyncIterator[_Followed | PipelineNews]:
        """Yield motions followed from then to now, and the pipeline's events in between."""
        if then.position == now.position and not walks:
            return
        rows = self._walk(now, progress) if walks else self._touched(then, now, progress)
        motion: _Followed | None = None
        async for row in rows:
            if row.stream_id == _PIPELINE:
                if row.position > then.position:
                    at = from_us(row.committed_at_us)
                    yield PipelineNews(row.position, at, pipeline_event(self._mapper, row))
                continue
            if motion is not None and motion.stream_id != row.stream_id:
                yield motion
                motion = None
            motion = motion or _Followed(row.stream_id, then.position)
            motion.add(row, motion_event(self._mapper, row))
        if motion is not None:
            yield motion

    async def _walk(self, now: Moment, progress: Progress | None) -> AsyncIterator[StoredRow]:
        """Yield the whole log up to now, stream by stream."""
        done = 0
        async for page in pages_by_stream(self._log, up_to_position=now.position):
            for row in page:
                yield row
            done += len(page)
            if progress is not None:
                progress(done, now.position)
        _require_all(done, now.position, then=0, now=now.position)

    async def _touched(
        self, then: Moment, now: Moment, progress: Progress | None
    ) -> AsyncIterator[StoredRow]:
        """Yield the pipeline's events in between, then the streams of all motions touched."""
        touched: set[UUID] = set()
        done = 0
        async for page in pages_by_position(
            self._log, after=then.position, up_to_position=now.position
        ):
            for row in page:
                stream_id = stream_id_of(row)
                if stream_id is None:
                    raise corrupt(row, "this is not the id of a stream as the store writes it")
                if stream_id == PIPELINE_ID:
                    yield row
                else:
                    touched.add(stream_id)
            done += len(page)
        _require_all(done, now.position - then.position, then=then.position, now=now.position)
        for number, stream_id in enumerate(sorted(touched), 1):
            async for row in rows_of_stream(self._log, stream_id, up_to_position=now.position):
                yield row
            if progress is not None:
                progress(done * number // len(touched), done)


class _Followed:
    """One motion on its way from then to now."""

    def __init__(self, stream_id: str, after: int) -> None:
        self.stream_id = stream_id
        self.then: Motion | None = None
        self.now: Motion | None = None
        self.topics: Counter[str] = Counter()
        self.completions = 0
        self.failures = 0
        self.errors: Counter[str] = Counter()
        self._after = after
        self._position = 0
        self._first_position = 0
        self._path: list[GovernanceState] = []
        self._actors: dict[Actor, None] = {}

    @property
    def touched(self) -> bool:
        """Whether anything happened to it in between."""
        return bool(self.topics)

    def add(self, row: StoredRow, event: MotionEvent) -> None:
        """Take its next event."""
        if row.position <= self._position:
            raise corrupt(row, f"it stands before version {row.version - 1} of its stream")
        self._position = row.position
        self.now = next_motion(self.now, event, row)
        if row.position <= self._after:
            self.then = self.now
            return
        self._first_position = self._first_position or row.position
        if not self._path:
            self._path.append(self.then.state if self.then is not None else self.now.state)
        self.topics[event.topic] += 1
        if event.actor != SYSTEM:
            self._actors[event.actor] = None
        match event:
            case TransitionWitnessed():
                self._path.append(event.to_state)
            case BranchCompleted(success=True):
                self.completions += 1
            case BranchCompleted():
                self.failures += 1
            case OrchestratorError():
                # Types that branches make up have no end; those of the error table do.
                known = event.error_type in ERROR_TYPE_MAP
                self.errors[event.error_type if known else OTHER_ERROR] += 1
            case _:
                pass

    def diff(self, then: Moment, now: Moment) -> MotionDiff:
        """Return what happened to it."""
        if self.now is None or not self.touched:  # pragma: no cover - asked of touched ones only
            raise AssertionError(self.stream_id)
        return MotionDiff(
            motion_id=self.now.id,
            first_position=self._first_position,
            events=self.topics.total(),
            then=None if self.then is None else summarise(self.then, then.pipeline),
            now=summarise(self.now, now.pipeline),
            path=tuple(self._path),
            actors=tuple(self._actors),
            completions=self.completions,
            failures=self.failures,
            errors=self.errors.total(),
            violations=self.topics[ViolationWitnessed.topic],
            amended=self.topics[MotionAmended.topic] > 0,
        )


def _count(diff: Diff, motion: _Followed, motions_max: int) -> None:
    """Add a motion to what is counted, and to the first that changed if it is one of them."""
    if motion.then is not None:
        diff.standing_then.add(summarise(motion.then, diff.then.pipeline))
    if motion.now is not None:
        diff.standing_now.add(summarise(motion.now, diff.now.pipeline))
    if not motion.touched:
        return
    change = motion.diff(diff.then, diff.now)
    diff.topics.update(motion.topics)
    diff.completions += motion.completions
    diff.failures += motion.failures
    diff.errors.update(motion.errors)
    diff.violations += change.violations
    diff.changed += 1
    diff.introduced += change.is_new
    diff.finished += change.finished
    insort(diff.motions, change, key=lambda motion: motion.first_position)
    del diff.motions[motions_max:]


def _walks(then: Moment, now: Moment, *, totals: bool) -> bool:
    return totals or now.position - then.position > WALKED_EVENTS_MAX


def _require_order(then: Moment, now: Moment) -> None:
    if (now.as_of, now.position) < (then.as_of, then.position):
        raise InvalidInput(
            f"the second moment (position {now.position}, {now.as_of.isoformat()}) comes before "
            f"the first (position {then.position}, {then.as_of.isoformat()}); name the earlier "
            "one first"
        )


def _require_all(found: int, expected: int, *, then: int, now: int) -> None:
    if found != expected:
        raise CorruptStream(
            f"the log holds {found} events behind position {then} up to {now}, not {expected}; "
            "a verification says what is wrong",
            position=now,
        )
