"""The fold: a motion, one event later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict, assert_never
from uuid import UUID

from governance_flow.domain.answers import Answer, AnswerStatus
from governance_flow.domain.branches import (
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
from governance_flow.domain.frozen import changed, with_changes
from governance_flow.domain.motion import BLOCKING_STRATEGIES, Block, Motion
from governance_flow.domain.pipeline import Interval, ended
from governance_flow.domain.states import (
    AMENDABLE_STATES,
    EDGES,
    EdgeKind,
    GovernanceState,
    steps_undone,
)


class Changes(TypedDict, total=False):
    """What an event changes of a motion, by field."""

    version: int
    title: str
    text: str
    ballots: Mapping[str, Ballot]
    state: GovernanceState
    entered_state_at: datetime
    docketed_at: datetime | None
    tabled_until: datetime | None
    amended: bool
    routing: MotionRouted | None
    last_routing: MotionRouted | None
    pending: BranchCompleted | ViolationWitnessed | None
    resolution: EscalationResolved | None
    block: Block | None
    last_error: OrchestratorError | None
    pauses: tuple[Interval, ...]
    returns: Mapping[GovernanceState, int]
    invalid_answers: int
    outputs: Mapping[Purpose, Mapping[str, Json]]
    acts: Mapping[str, frozenset[GovernanceBranch]]
    answers: dict[UUID, Answer]
    superseded: frozenset[UUID]
    strangers: frozenset[tuple[str, GovernanceBranch, str]]
    violations: int


def evolve(motion: Motion | None, event: MotionEvent, motion_id: UUID) -> Motion:
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
    # One copy an event: this runs for every event there is, several times.
    changes = _changes(motion, event)
    changes["version"] = motion.version + 1
    if event.causation_id is not None and motion.answers and "answers" not in changes:
        _answer(motion, event, changes)
    return with_changes(motion, changes)


def _changes(motion: Motion, event: MotionEvent) -> Changes:
    match event:
        case TransitionWitnessed():
            return _moved(motion, event)
        case MotionRouted():
            return _routed(motion, event)
        case BranchCompleted():
            return _completed(motion, event)
        case OrchestratorError():
            return _failed(motion, event)
        case EscalationResolved():
            return _resolved(motion, event)
        case ViolationWitnessed():
            return _violated(motion, event)
        case MotionAmended():
            return _amended(motion, event)
        case MotionIntroduced():  # pragma: no cover - the first event changes nothing, it makes
            raise AssertionError(event.event_id)
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


def _amended(motion: Motion, event: MotionAmended) -> Changes:
    if motion.state not in AMENDABLE_STATES:
        raise _impossible(motion, f"amended in {motion.state}")
    return Changes(title=event.title, text=event.text, ballots=event.ballots, amended=True)


def _routed(motion: Motion, event: MotionRouted) -> Changes:
    if event.state is not motion.state:
        raise _impossible(motion, f"routed in {event.state} while it is in {motion.state}")
    changes = _unrouted(motion)
    changes["routing"] = changes["last_routing"] = event
    changes["pending"] = None
    changes["resolution"] = None
    if event.purpose in motion.outputs:
        changes["outputs"] = {
            purpose: output
            for purpose, output in motion.outputs.items()
            if purpose is not event.purpose
        }
    if event.purpose is not Purpose.REVIEW:
        changes["invalid_answers"] = 0
    return changes


def _completed(motion: Motion, event: BranchCompleted) -> Changes:
    _require_routing(motion, event.routing_id)
    answer = Answer(event, AnswerStatus.RECORDED, motion.state)
    changes: Changes = {
        "routing": None,
        "pending": event,
        "answers": {**motion.answers, event.routing_id: answer},
    }
    if event.actor.authenticated_by is not Authentication.SYSTEM:
        acted = motion.acts.get(event.actor.id, frozenset())
        changes["acts"] = {**motion.acts, event.actor.id: acted | {event.branch}}
    if event.success:
        changes.update(_succeeded(motion, event))
    return changes


def _succeeded(motion: Motion, event: BranchCompleted) -> Changes:
    if event.purpose is Purpose.REVIEW:
        if motion.block is not None and motion.block.needs_person:
            # What only a person may unblock, the Conclave cannot: its answer waits.
            return Changes()
        return _resumed(motion, event, event.timestamp)
    changes: Changes = {"outputs": {**motion.outputs, event.purpose: event.output}}
    if event.purpose is Purpose.REVISE and event.next_state is not GovernanceState.WITHDRAWN:
        changes["docketed_at"] = event.timestamp
        changes["pending"] = None
    return changes


def _resumed(motion: Motion, event: BranchCompleted, at: datetime) -> Changes:
    """Let the motion rest where it is, as if it had just been entered, if the review says so."""
    if event.output.get("decision") != ReviewDecision.RESUME:
        return Changes()
    return Changes(
        pending=None,
        block=None,
        pauses=ended(motion.pauses, at),
        returns={state: n for state, n in motion.returns.items() if state is not motion.state},
    )


def _moved(motion: Motion, event: TransitionWitnessed) -> Changes:
    if event.from_state is not motion.state:
        raise _impossible(motion, f"moved out of {event.from_state}, but it is in {motion.state}")
    if event.cause.kind not in EDGES.get((event.from_state, event.to_state), ()):
        step = f"{event.from_state} to {event.to_state} ({event.cause.kind})"
        raise _impossible(motion, f"{step} is not a step of the flow")
    changes = _unrouted(motion)
    if event.cause.kind is EdgeKind.RETURN:
        before = motion.returns.get(event.from_state, 0)
        changes["returns"] = {**motion.returns, event.from_state: before + 1}
    if event.cause.kind is EdgeKind.RETURN or event.to_state is GovernanceState.TABLED:
        undone = steps_undone(event.to_state)
        changes["outputs"] = {
            purpose: output for purpose, output in motion.outputs.items() if purpose not in undone
        }
    moved: Changes = {
        "state": event.to_state,
        "entered_state_at": event.timestamp,
        # A date in the past gives no place before those who wait already.
        "docketed_at": max(event.until, event.timestamp) if event.until else None,
        "tabled_until": event.until,
        "amended": False,
        "pending": None,
        "resolution": None,
        "block": None,
        "pauses": (),
        "invalid_answers": 0,
    }
    changes.update(moved)
    return changes


def _failed(motion: Motion, event: OrchestratorError) -> Changes:
    asked_again = event.purpose is Purpose.REVIEW and event.error_type == VALIDATION_ERROR
    changes = Changes(
        last_error=event,
        resolution=None,
        invalid_answers=motion.invalid_answers + asked_again,
    )
    if event.routing_id is not None:
        changes["pending"] = None
        changes.update(_unrouted(motion))
    if event.strategy in BLOCKING_STRATEGIES:
        changes["block"] = Block(event, event.strategy is ErrorEscalationStrategy.HALT_AND_ALERT)
        if motion.block is None:
            changes["pauses"] = (*motion.pauses, Interval(event.timestamp))
    return changes


def _resolved(motion: Motion, event: EscalationResolved) -> Changes:
    if event.decision is Resolution.TAKE_UP:
        return Changes(docketed_at=event.timestamp, tabled_until=None)
    if event.decision is Resolution.REVIEW and motion.block is not None:
        return Changes(
            resolution=event, block=changed(motion.block, needs_person=False), invalid_answers=0
        )
    retried = event.decision is Resolution.RETRY
    if retried and motion.block is not None and _reviews(motion.routing):
        # The review that was under way goes on, and blocks the motion until it ends.
        return Changes(resolution=None, block=changed(motion.block, needs_person=False))
    changes = Changes(
        # What a branch still works on just goes on: there is nothing to try again.
        resolution=None if retried and motion.routing is not None else event,
        block=None,
        pauses=ended(motion.pauses, event.timestamp),
    )
    answer = motion.pending
    if retried and isinstance(answer, BranchCompleted) and answer.success and _reviews(answer):
        # The Conclave's answer came while a person had to decide; it holds now.
        changes.update(_resumed(motion, answer, event.timestamp))
    return changes


def _reviews(asked: MotionRouted | BranchCompleted | None) -> bool:
    return asked is not None and asked.purpose is Purpose.REVIEW


def _violated(motion: Motion, event: ViolationWitnessed) -> Changes:
    changes = Changes(violations=motion.violations + 1)
    if not event.by_holder or event.routing_id is None:
        key = (event.actor.id, event.branch, event.kind.value)
        changes["strangers"] = motion.strangers | {key}
        return changes
    _require_routing(motion, event.routing_id)
    answer = Answer(event, AnswerStatus.REFUSED, motion.state, reason=event.reason)
    changes["routing"] = None
    changes["pending"] = event
    changes["answers"] = {**motion.answers, event.routing_id: answer}
    return changes


def _answer(motion: Motion, event: MotionEvent, changes: Changes) -> None:
    """Let the answer to the latest completion tell of ``event`` too, if that caused it."""
    routing_id, first = next(reversed(motion.answers.items()))
    answer = first.after(event)
    if answer is not first:
        changes["answers"] = {**motion.answers, routing_id: answer}


def _require_routing(motion: Motion, routing_id: UUID) -> None:
    if motion.routing is None or motion.routing.routing_id != routing_id:
        raise _impossible(motion, f"a completion of routing {routing_id}, which is not open")


def _unrouted(motion: Motion) -> Changes:
    """Close the open routing, if there is one, without a completion."""
    if motion.routing is None:
        return Changes()
    return Changes(routing=None, superseded=motion.superseded | {motion.routing.routing_id})


def _impossible(motion: Motion, what: str) -> CorruptStream:
    msg = f"motion {motion.id}: {what}"
    return CorruptStream(msg, motion_id=motion.id, version=motion.version + 1)
