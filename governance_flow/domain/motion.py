"""A motion as its events have made it: an immutable value and the function that folds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never
from uuid import UUID

from governance_flow.domain.answers import Answer, AnswerStatus
from governance_flow.domain.branches import (
    PURPOSE_SERVICE,
    SERVICE_BRANCH,
    GovernanceBranch,
    Purpose,
)
from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.escalation import (
    VALIDATION_ERROR,
    ErrorEscalationStrategy,
    Resolution,
    ReviewDecision,
)
from governance_flow.domain.events import (
    Authentication,
    Ballot,
    BranchCompleted,
    EscalationResolved,
    Json,
    MotionAmended,
    MotionEvent,
    MotionIntroduced,
    MotionRouted,
    OrchestratorError,
    TransitionWitnessed,
    ViolationWitnessed,
)
from governance_flow.domain.pipeline import Interval, ended
from governance_flow.domain.states import (
    AMENDABLE_STATES,
    EDGES,
    OWNER_PURPOSE,
    EdgeKind,
    GovernanceState,
    is_terminal,
    steps_undone,
)

BLOCKING_STRATEGIES = frozenset(
    {ErrorEscalationStrategy.HALT_AND_ALERT, ErrorEscalationStrategy.CONCLAVE_REVIEW}
)


__all__ = ["BLOCKING_STRATEGIES", "Answer", "AnswerStatus", "Block", "Motion", "evolve"]


@dataclass(frozen=True, slots=True)
class Block:
    """Why a motion does not go on, and since when."""

    error: OrchestratorError
    needs_person: bool
    """Whether a named person decides; otherwise the Conclave reviews."""

    @property
    def since(self) -> datetime:
        """When the motion was blocked."""
        return self.error.timestamp


@dataclass(frozen=True, slots=True)
class Motion:
    """Everything the rules need to know about a motion."""

    id: UUID
    version: int
    title: str
    text: str
    introduced_by: str
    introduced_at: datetime
    reference: str | None
    ballots: Mapping[str, Ballot]
    metadata: Mapping[str, Json]
    correlation_id: UUID

    state: GovernanceState
    entered_state_at: datetime
    docketed_at: datetime | None
    """Since when it waits for a place; None while it does not."""
    tabled_until: datetime | None = None
    amended: bool = False
    """Whether the introducer amended it since it entered its state."""

    routing: MotionRouted | None = None
    """The open routing: who must answer now."""
    last_routing: MotionRouted | None = None
    """The latest routing, open or closed."""
    pending: BranchCompleted | ViolationWitnessed | None = None
    """What was reported and has not been applied yet."""
    resolution: EscalationResolved | None = None
    """What a person decided and has not been applied yet."""
    block: Block | None = None
    last_error: OrchestratorError | None = None
    pauses: tuple[Interval, ...] = ()
    """When deadlines stood still for this motion since it entered its state."""
    returns: Mapping[GovernanceState, int] = field(default_factory=dict)
    """How often it was returned out of each state since the last review that said resume."""
    invalid_answers: int = 0
    """How often the current review was answered with something that is no decision."""

    outputs: Mapping[Purpose, Mapping[str, Json]] = field(default_factory=dict)
    """What the steps that still stand have produced."""
    acts: Mapping[str, frozenset[GovernanceBranch]] = field(default_factory=dict)
    """For which branches each actor has acted."""
    answers: dict[UUID, Answer] = field(default_factory=dict)
    """The first answer to each routing that was completed."""
    superseded: frozenset[UUID] = frozenset()
    """Routings that were closed without a completion."""
    strangers: frozenset[tuple[str, GovernanceBranch, str]] = frozenset()
    """Refused acts by others than an assignment's holder, each witnessed once."""
    violations: int = 0

    @property
    def terminal(self) -> bool:
        """Whether nothing more can happen to it."""
        return is_terminal(self.state)

    @property
    def latest_answer(self) -> Answer:
        """The answer to the latest completion."""
        return self.answers[next(reversed(self.answers))]

    @property
    def recorded(self) -> bool:
        """Whether the Knight has recorded the outcome, so that only acknowledging is left."""
        return self.state is GovernanceState.WITNESSING and Purpose.RECORD in self.outputs

    @property
    def work_complete(self) -> bool:
        """Whether the work of its state is done, so that it is to be handed off."""
        match self.state:
            case GovernanceState.INTRODUCED | GovernanceState.TABLED:
                return self.docketed_at is not None
            case GovernanceState.RATIFIED:
                return True
            case GovernanceState.WITNESSING if self.recorded:
                return True
            case _:
                pending = self.pending
                return (
                    isinstance(pending, BranchCompleted)
                    and pending.success
                    and pending.purpose is OWNER_PURPOSE.get(self.state)
                )

    def answered(self, purpose: Purpose) -> int:
        """Return how many routings for ``purpose`` were answered, refused violations included."""
        service_branch = SERVICE_BRANCH[PURPOSE_SERVICE[purpose]]
        return sum(
            answer.record.purpose is purpose
            if isinstance(answer.record, BranchCompleted)
            else answer.record.branch is service_branch
            for answer in self.answers.values()
        )


def evolve(  # noqa: C901 - one case for each event there is
    motion: Motion | None, event: MotionEvent, motion_id: UUID
) -> Motion:
    """Return the motion after ``event``.

    Raises CorruptStream for an event that cannot follow: no rule of ours can have written it.
    """
    if isinstance(event, MotionIntroduced):
        if motion is not None:
            msg = f"motion {motion_id}: introduced a second time at version {motion.version + 1}"
            raise CorruptStream(msg, motion_id=motion_id, version=motion.version + 1)
        return _introduced(event, motion_id)
    if motion is None:
        msg = f"motion {motion_id}: begins with {event.topic}, not with MOTION_INTRODUCED"
        raise CorruptStream(msg, motion_id=motion_id, version=1)
    if motion.terminal:
        # Nothing may follow the last statement: no later one would ever cover it.
        msg = f"motion {motion_id}: {event.topic} after it ended in {motion.state}"
        raise CorruptStream(msg, motion_id=motion_id, version=motion.version + 1)
    motion = _answered(replace(motion, version=motion.version + 1), event)
    match event:
        case MotionAmended():
            return _amended(motion, event)
        case MotionRouted():
            return _routed(motion, event)
        case BranchCompleted():
            return _completed(motion, event)
        case TransitionWitnessed():
            return _moved(motion, event)
        case OrchestratorError():
            return _failed(motion, event)
        case EscalationResolved():
            return _resolved(motion, event)
        case ViolationWitnessed():
            return _violated(motion, event)
        case _:
            assert_never(event)


def _introduced(event: MotionIntroduced, motion_id: UUID) -> Motion:
    return Motion(
        id=motion_id,
        version=1,
        title=event.title,
        text=event.text,
        introduced_by=event.introduced_by,
        introduced_at=event.timestamp,
        reference=event.reference,
        ballots=event.ballots,
        metadata=event.metadata,
        correlation_id=event.correlation_id,
        state=GovernanceState.INTRODUCED,
        entered_state_at=event.timestamp,
        docketed_at=event.timestamp,
        acts={event.introduced_by: frozenset({GovernanceBranch.KING})},
    )


def _amended(motion: Motion, event: MotionAmended) -> Motion:
    if motion.state not in AMENDABLE_STATES:
        msg = f"motion {motion.id}: amended in {motion.state}"
        raise CorruptStream(msg, motion_id=motion.id, version=motion.version)
    return replace(motion, title=event.title, text=event.text, ballots=event.ballots, amended=True)


def _routed(motion: Motion, event: MotionRouted) -> Motion:
    if event.state is not motion.state:
        msg = f"motion {motion.id}: routed in {event.state} while it is in {motion.state}"
        raise CorruptStream(msg, motion_id=motion.id, version=motion.version)
    return replace(
        _unrouted(motion),
        routing=event,
        last_routing=event,
        pending=None,
        resolution=None,
        outputs={p: output for p, output in motion.outputs.items() if p is not event.purpose},
        invalid_answers=motion.invalid_answers if event.purpose is Purpose.REVIEW else 0,
    )


def _completed(motion: Motion, event: BranchCompleted) -> Motion:
    motion = _require_routing(motion, event.routing_id)
    acts = dict(motion.acts)
    if event.actor.authenticated_by is not Authentication.SYSTEM:
        acts[event.actor.id] = acts.get(event.actor.id, frozenset()) | {event.branch}
    answer = Answer(event, AnswerStatus.RECORDED, motion.state)
    motion = replace(
        motion,
        routing=None,
        pending=event,
        acts=acts,
        answers={**motion.answers, event.routing_id: answer},
    )
    return _succeeded(motion, event) if event.success else motion


def _succeeded(motion: Motion, event: BranchCompleted) -> Motion:
    if event.purpose is Purpose.REVIEW:
        return _resumed(motion, event)
    motion = replace(motion, outputs={**motion.outputs, event.purpose: event.output})
    if event.purpose is Purpose.REVISE and event.next_state is not GovernanceState.WITHDRAWN:
        return replace(motion, docketed_at=event.timestamp, pending=None)
    return motion


def _resumed(motion: Motion, event: BranchCompleted) -> Motion:
    """Let the motion rest where it is, as if it had just been entered, if the review says so."""
    if event.output.get("decision") != ReviewDecision.RESUME:
        return motion
    return replace(
        motion,
        pending=None,
        block=None,
        pauses=ended(motion.pauses, event.timestamp),
        returns={state: n for state, n in motion.returns.items() if state is not motion.state},
    )


def _moved(motion: Motion, event: TransitionWitnessed) -> Motion:
    if event.from_state is not motion.state:
        msg = f"motion {motion.id}: moved out of {event.from_state}, but it is in {motion.state}"
        raise CorruptStream(msg, motion_id=motion.id, version=motion.version)
    if event.cause.kind not in EDGES.get((event.from_state, event.to_state), ()):
        msg = (
            f"motion {motion.id}: {event.from_state} to {event.to_state} "
            f"({event.cause.kind}) is not a step of the flow"
        )
        raise CorruptStream(msg, motion_id=motion.id, version=motion.version)
    returns = motion.returns
    outputs = motion.outputs
    if event.cause.kind is EdgeKind.RETURN:
        returns = {**returns, event.from_state: returns.get(event.from_state, 0) + 1}
    if event.cause.kind is EdgeKind.RETURN or event.to_state is GovernanceState.TABLED:
        undone = steps_undone(event.to_state)
        outputs = {p: output for p, output in outputs.items() if p not in undone}
    return replace(
        _unrouted(motion),
        state=event.to_state,
        entered_state_at=event.timestamp,
        # A date in the past gives no place before those who wait already.
        docketed_at=max(event.until, event.timestamp) if event.until else None,
        tabled_until=event.until,
        amended=False,
        pending=None,
        resolution=None,
        block=None,
        pauses=(),
        invalid_answers=0,
        returns=returns,
        outputs=outputs,
    )


def _failed(motion: Motion, event: OrchestratorError) -> Motion:
    if event.routing_id is not None:
        motion = replace(_unrouted(motion), pending=None)
    if event.strategy in BLOCKING_STRATEGIES:
        motion = replace(
            motion,
            block=Block(event, event.strategy is ErrorEscalationStrategy.HALT_AND_ALERT),
            pauses=motion.pauses if motion.block else (*motion.pauses, Interval(event.timestamp)),
        )
    asked_again = event.purpose is Purpose.REVIEW and event.error_type == VALIDATION_ERROR
    return replace(
        motion,
        last_error=event,
        resolution=None,
        invalid_answers=motion.invalid_answers + asked_again,
    )


def _resolved(motion: Motion, event: EscalationResolved) -> Motion:
    if event.decision is Resolution.TAKE_UP:
        return replace(motion, docketed_at=event.timestamp, tabled_until=None)
    if event.decision is Resolution.REVIEW and motion.block is not None:
        return replace(
            motion,
            resolution=event,
            block=replace(motion.block, needs_person=False),
            invalid_answers=0,
        )
    # What a branch still works on just goes on: there is nothing to try again.
    goes_on = event.decision is Resolution.RETRY and motion.routing is not None
    return replace(
        motion,
        resolution=None if goes_on else event,
        block=None,
        pauses=ended(motion.pauses, event.timestamp),
    )


def _violated(motion: Motion, event: ViolationWitnessed) -> Motion:
    motion = replace(motion, violations=motion.violations + 1)
    if not event.by_holder or event.routing_id is None:
        key = (event.actor.id, event.branch, event.kind.value)
        return replace(motion, strangers=motion.strangers | {key})
    motion = _require_routing(motion, event.routing_id)
    answer = Answer(event, AnswerStatus.REFUSED, motion.state, reason=event.reason)
    return replace(
        motion,
        routing=None,
        pending=event,
        answers={**motion.answers, event.routing_id: answer},
    )


def _answered(motion: Motion, event: MotionEvent) -> Motion:
    """Let the answer to the latest completion tell of ``event`` too, if that caused it."""
    if not motion.answers:
        return motion
    routing_id, first = next(reversed(motion.answers.items()))
    answer = first.after(event)
    if answer is first:
        return motion
    return replace(motion, answers={**motion.answers, routing_id: answer})


def _require_routing(motion: Motion, routing_id: UUID) -> Motion:
    if motion.routing is None or motion.routing.routing_id != routing_id:
        msg = f"motion {motion.id}: a completion of routing {routing_id}, which is not open"
        raise CorruptStream(msg, motion_id=motion.id, version=motion.version)
    return motion


def _unrouted(motion: Motion) -> Motion:
    """Close the open routing, if there is one, without a completion."""
    if motion.routing is None:
        return motion
    return replace(motion, routing=None, superseded=motion.superseded | {motion.routing.routing_id})
