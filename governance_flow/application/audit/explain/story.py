"""A motion's story: what happened, who acted, how long each step took, and what comes next."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never
from uuid import UUID

from governance_flow.application.audit.explain.phrases import (
    counted,
    day_and_time,
    is_shortened,
    length_of_time,
    name,
    quoted,
)
from governance_flow.application.audit.explain.pipeline_sentences import pipeline_sentence
from governance_flow.application.audit.explain.sentences import ENTERED, STAGES, sentence
from governance_flow.application.audit.explain.what_next import what_next
from governance_flow.application.audit.folding import next_motion
from governance_flow.application.audit.pages import rows_of_stream
from governance_flow.application.audit.reading import motion_event, pipeline_event
from governance_flow.application.summaries import summarise
from governance_flow.application.times import from_us
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.errors import UnknownMotion
from governance_flow.domain.events import (
    PIPELINE_ID,
    SYSTEM,
    Actor,
    AlertDelivered,
    BranchCompleted,
    EscalationResolved,
    MotionAmended,
    MotionEvent,
    MotionIntroduced,
    MotionRouted,
    OrchestratorError,
    PipelineEvent,
    PipelineHalted,
    PipelineResumed,
    TransitionWitnessed,
    ViolationWitnessed,
)
from governance_flow.domain.states import TERMINAL_STATES, GovernanceState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from governance_flow.application.audit.replay import Moment
    from governance_flow.application.ports.audit import AuditLog, StoredRow
    from governance_flow.application.ports.flow_orchestrator import ActionNeeded
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.domain.motion import Motion


class Kind(StrEnum):
    """What sort of thing an event tells."""

    STEP = "step"
    REPORT = "report"
    TROUBLE = "trouble"
    REFUSAL = "refusal"
    DECISION = "decision"
    PIPELINE = "pipeline"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event, told. ``version`` is None for an event of the pipeline's own."""

    position: int
    version: int | None
    committed_at: datetime
    event: MotionEvent | PipelineEvent
    kind: Kind
    told: str

    @property
    def sentence(self) -> str:
        """The whole sentence, with its time."""
        return f"On {day_and_time(self.committed_at)}, {self.told}."

    @property
    def shortened(self) -> bool:
        """Whether some of what the event holds is left out."""
        return is_shortened(self.told)


@dataclass(frozen=True, slots=True)
class Step:
    """A stay in one state; ``left_at`` is None while it lasts, and for the state it ended in."""

    state: GovernanceState
    entered_at: datetime
    left_at: datetime | None
    took: timedelta


@dataclass(slots=True)
class Acted:
    """Somebody who acted on the motion: how often, and for which branches."""

    actor: Actor
    acts: int = 0
    branches: set[GovernanceBranch] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Story:
    """A motion's story up to a moment.

    ``ending`` says how it ended, ``coming`` what comes next: one of them is None, and ``action``
    is the latter as data.
    """

    motion_id: UUID
    title: str
    reference: str | None
    state: GovernanceState
    version: int
    position: int
    as_of: datetime
    summary: str
    entries: tuple[Entry, ...]
    steps: tuple[Step, ...]
    people: tuple[Acted, ...]
    ending: str | None
    coming: str | None
    action: ActionNeeded | None

    @property
    def shortened(self) -> bool:
        """Whether an entry leaves something out."""
        return any(entry.shortened for entry in self.entries)


class StoryTeller:
    """Tells stories from the log alone.

    Every method raises CorruptStream for an event that cannot be read: what cannot be read is not
    made up.
    """

    def __init__(self, log: AuditLog, mapper: EventMapper) -> None:
        self._log = log
        self._mapper = mapper

    async def story(self, motion_id: UUID, moment: Moment) -> Story:
        """Return a motion's story up to a moment; raises UnknownMotion if it was not there yet."""
        motion: Motion | None = None
        entries: list[Entry] = []
        if motion_id != PIPELINE_ID:
            async for row in self._rows(motion_id, moment):
                event = motion_event(self._mapper, row)
                entries.append(_entry(row, event, kind_of(event), sentence(event, motion)))
                motion = next_motion(motion, event, row)
        if motion is None:
            raise UnknownMotion(
                f"there was no motion {motion_id} at position {moment.position}",
                motion_id=motion_id,
                position=moment.position,
            )
        steps = tuple(_steps(entries, moment))
        around = await self._pipeline_around(motion, entries, moment)
        entries = sorted([*entries, *around], key=lambda entry: entry.position)
        halt = moment.pipeline.halt
        action = summarise(motion, moment.pipeline).at(moment.as_of, halt).next_action
        return Story(
            motion_id=motion_id,
            title=motion.title,
            reference=motion.reference,
            state=motion.state,
            version=motion.version,
            position=moment.position,
            as_of=moment.as_of,
            summary=_summary(motion, entries, steps),
            entries=tuple(entries),
            steps=steps,
            people=tuple(_people(entries)),
            ending=_ending(steps) if motion.terminal else None,
            coming=None if action is None else what_next(motion, action, halt, moment.as_of),
            action=action,
        )

    def _rows(self, stream_id: UUID, moment: Moment) -> AsyncIterator[StoredRow]:
        return rows_of_stream(self._log, stream_id, up_to_position=moment.position)

    async def _pipeline_around(
        self, motion: Motion, entries: list[Entry], moment: Moment
    ) -> list[Entry]:
        """Return what befell the whole pipeline while the motion was under way.

        A halt that was in force when it was introduced is part of that; an alert is if it is about
        this motion, whenever it was delivered.
        """
        first = entries[0].position
        last = entries[-1].position if motion.terminal else moment.position
        found: list[Entry] = []
        halted: Entry | None = None
        async for row in self._rows(PIPELINE_ID, moment):
            event = pipeline_event(self._mapper, row)
            entry = _entry(row, event, Kind.PIPELINE, pipeline_sentence(event))
            if isinstance(event, AlertDelivered):
                if event.motion_id == motion.id:
                    found.append(entry)
            elif first < row.position <= last:
                found.append(entry)
            elif row.position < first:
                if isinstance(event, PipelineHalted):
                    halted = entry
                elif isinstance(event, PipelineResumed):
                    halted = None
        return found if halted is None else [halted, *found]


def kind_of(event: MotionEvent) -> Kind:
    """Return what sort of thing an event tells."""
    match event:
        case MotionIntroduced() | MotionAmended() | MotionRouted() | TransitionWitnessed():
            return Kind.STEP
        case BranchCompleted():
            return Kind.REPORT if event.success else Kind.TROUBLE
        case OrchestratorError():
            return Kind.TROUBLE
        case EscalationResolved():
            return Kind.DECISION
        case ViolationWitnessed():
            return Kind.REFUSAL
        case _:
            assert_never(event)


def _entry(row: StoredRow, event: MotionEvent | PipelineEvent, kind: Kind, told: str) -> Entry:
    version = None if kind is Kind.PIPELINE else row.version
    return Entry(row.position, version, from_us(row.committed_at_us), event, kind, told)


def _steps(entries: list[Entry], moment: Moment) -> Iterator[Step]:
    state, entered_at = GovernanceState.INTRODUCED, entries[0].committed_at
    for entry in entries:
        if isinstance(entry.event, TransitionWitnessed):
            left_at = entry.committed_at
            yield Step(state, entered_at, left_at, left_at - entered_at)
            state, entered_at = entry.event.to_state, left_at
    lasts = timedelta() if state in TERMINAL_STATES else moment.as_of - entered_at
    yield Step(state, entered_at, None, max(lasts, timedelta()))


def _people(entries: list[Entry]) -> list[Acted]:
    acted: dict[Actor, Acted] = {}
    for entry in entries:
        event = entry.event
        somebody = acted.setdefault(event.actor, Acted(event.actor))
        somebody.acts += 1
        if isinstance(event, MotionIntroduced):
            somebody.branches.add(GovernanceBranch.KING)
        elif isinstance(event, BranchCompleted) and event.actor != SYSTEM:
            somebody.branches.add(event.branch)
    return list(acted.values())


def _summary(motion: Motion, entries: list[Entry], steps: tuple[Step, ...]) -> str:
    since = steps[-1].entered_at
    if motion.terminal:
        stands = f"It ended in {motion.state} on {day_and_time(since)}."
    else:
        blocked = ", and is blocked" if motion.block is not None else ""
        stage = STAGES[motion.state]
        stands = f"It is in {motion.state} ({stage}) since {day_and_time(since)}{blocked}."
    kinds = Counter(entry.kind for entry in entries)
    errors = sum(isinstance(entry.event, OrchestratorError) for entry in entries)
    counts = [
        counted(errors, "error") if errors else "",
        counted(kinds[Kind.REFUSAL], "refused act") if kinds[Kind.REFUSAL] else "",
        counted(kinds[Kind.DECISION], "decision") + " by named persons"
        if kinds[Kind.DECISION]
        else "",
    ]
    befell = ", ".join(count for count in counts if count) or "no errors and no refused acts"
    return (
        f"{quoted(motion.title)} was introduced by {name(motion.introduced_by)} on "
        f"{day_and_time(steps[0].entered_at)}. {stands} The record holds {befell}."
    )


def _ending(steps: tuple[Step, ...]) -> str:
    last, took = steps[-1], steps[-1].entered_at - steps[0].entered_at
    return (
        f"On {day_and_time(last.entered_at)}, {ENTERED[last.state]}, {length_of_time(took)} after "
        "it was introduced. Nothing more can happen to it."
    )
