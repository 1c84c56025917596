"""What a branch reported: recorded, answered again, or refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.errors import (
    CompletionRefused,
    GovernanceFlowError,
    ViolationRefused,
)
from governance_flow.domain.escalation import VALIDATION_ERROR, Severity, ViolationKind
from governance_flow.domain.events import (
    Actor,
    Authentication,
    Ballot,
    BranchCompleted,
    MotionAmended,
    MotionRouted,
    ViolationWitnessed,
)
from governance_flow.domain.states import ADVANCE_TO, EDGES, EdgeKind, GovernanceState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from governance_flow.domain.decisions.context import Context
    from governance_flow.domain.motion import Answer, Motion

S = GovernanceState
Violation = tuple[ViolationKind, str]


@dataclass(frozen=True, slots=True)
class Completion:
    """What somebody says was done. Without a routing id it means the branch's open routing."""

    branch: GovernanceBranch
    success: bool
    output: Mapping[str, Any]
    next_state: GovernanceState | None
    error: str | None
    error_type: str | None
    actor: Actor
    routing_id: UUID | None


@dataclass(frozen=True, slots=True)
class Report:
    """What to record, and how to answer: with an earlier answer, a refusal, or (both None) anew."""

    record: tuple[BranchCompleted | ViolationWitnessed | MotionAmended, ...] = ()
    answer: Answer | None = None
    refusal: GovernanceFlowError | None = None


def report(motion: Motion, done: Completion, ctx: Context) -> Report:
    """Decide about a completion. Nothing here changes the state: ``proceed`` does that."""
    routing_id = done.routing_id or _routing_meant(motion, done)
    answer = motion.answers.get(routing_id) if routing_id is not None else None
    if answer is not None and answer.record.branch is done.branch:
        return Report(answer=answer)
    routed = motion.routing
    if routed is None or routing_id != routed.routing_id or done.branch is not routed.branch:
        return _refuse_stranger(motion, done, ctx, routing_id)
    if violation := _violation(motion, done, ctx, routed):
        return Report(record=(_violated(motion, done, ctx, violation, routed),))
    return Report(record=_record(motion, done, ctx, routed))


def _routing_meant(motion: Motion, done: Completion) -> UUID | None:
    """Bind a completion in process to its branch's open routing, or to the one it repeats."""
    if motion.routing is not None and motion.routing.branch is done.branch:
        return motion.routing.routing_id
    for routing_id, answer in reversed(motion.answers.items()):
        if answer.record.branch is done.branch:
            return routing_id if _repeats(answer, done) else None
    return None


def _repeats(answer: Answer, done: Completion) -> bool:
    record = answer.record
    if isinstance(record, ViolationWitnessed):
        return record.actor == done.actor
    return (
        record.success,
        record.output,
        record.next_state,
        record.error_type,
    ) == (done.success, dict(done.output), done.next_state, done.error_type)


def _record(
    motion: Motion, done: Completion, ctx: Context, routed: MotionRouted
) -> tuple[BranchCompleted | MotionAmended, ...]:
    amendment: MotionAmended | str | None = None
    if done.success and routed.purpose is Purpose.REVISE:
        amendment = _amendment(motion, done, ctx, routed)
    invalid = amendment if isinstance(amendment, str) else None
    completed = BranchCompleted(
        **ctx.envelope(motion, actor=done.actor, causation_id=routed.event_id),
        routing_id=routed.routing_id,
        service=routed.service,
        branch=routed.branch,
        purpose=routed.purpose,
        success=done.success and invalid is None,
        output=dict(done.output),
        next_state=done.next_state,
        error=invalid or done.error,
        error_type=VALIDATION_ERROR if invalid else done.error_type,
    )
    if isinstance(amendment, MotionAmended):
        return (completed, amendment)
    return (completed,)


def _amendment(
    motion: Motion, done: Completion, ctx: Context, routed: MotionRouted
) -> MotionAmended | str | None:
    """Return the amendment the King's output carries, or what is wrong with it."""
    output = done.output
    if not {"title", "text", "ballots"} & output.keys():
        return None
    title, text = output.get("title", motion.title), output.get("text", motion.text)
    for name, value in (("title", title), ("text", text)):
        if not isinstance(value, str) or not value.strip():
            return f'output["{name}"] of a revision must be a text that is not empty'
    ballots = output.get("ballots", {})
    votes = [ballot.value for ballot in Ballot]  # a list, because a vote may be unhashable
    if not isinstance(ballots, dict) or any(vote not in votes for vote in ballots.values()):
        return f'output["ballots"] must map each member to one of {", ".join(sorted(votes))}'
    return MotionAmended(
        **ctx.envelope(motion, actor=done.actor, causation_id=routed.event_id),
        title=title,
        text=text,
        ballots={str(member): Ballot(vote) for member, vote in ballots.items()},
    )


def _refuse_stranger(
    motion: Motion, done: Completion, ctx: Context, routing_id: UUID | None
) -> Report:
    """Refuse whoever does not hold the open routing; witness a violation, once, if it is one."""
    if routing_id in motion.superseded:
        # Its holder was too late: what it proposes was a step then, and skips none now.
        done = replace(done, next_state=None)
    violation = None if motion.terminal else _violation(motion, done, ctx, None)
    if violation is None:
        return Report(refusal=_stale(motion, done, routing_id))
    kind, reason = violation
    refusal = ViolationRefused(
        f"motion {motion.id}: refused, and witnessed: {reason}",
        motion_id=motion.id,
        actor=done.actor.id,
        kind=kind.value,
    )
    if (done.actor.id, done.branch, kind.value) in motion.strangers:
        return Report(refusal=refusal)
    return Report(record=(_violated(motion, done, ctx, violation, None),), refusal=refusal)


def _stale(motion: Motion, done: Completion, routing_id: UUID | None) -> CompletionRefused:
    if motion.terminal:
        why = f"it has ended in {motion.state}"
    elif routing_id in motion.superseded:
        why = f"routing {routing_id} was superseded; fetch the assignment that is open now"
    elif routing_id in motion.answers:
        why = f"routing {routing_id} was not one of the {done.branch}"
    elif motion.routing is None:
        why = "no routing is open"
    elif motion.routing.branch is not done.branch:
        why = f"the open routing is {motion.routing.service}'s, not one of the {done.branch}"
    else:
        why = f"it has no routing {routing_id}"
    return CompletionRefused(
        f"motion {motion.id}: completion refused: {why}",
        motion_id=motion.id,
        routing_id=routing_id,
        state=motion.state,
    )


def _violation(
    motion: Motion, done: Completion, ctx: Context, held: MotionRouted | None
) -> Violation | None:
    """Return which rule the act breaks and how; ``held`` is the open routing, if it is held."""
    actor = done.actor
    if actor.authenticated_by is not Authentication.SYSTEM:
        separation = (ctx.routing_rules if held else ctx.rules).separation_of_powers
        for branch in sorted(motion.acts.get(actor.id, ())):
            if separation.excludes(branch, done.branch):
                reason = (
                    f"{actor.id} has acted for the {branch} on this motion "
                    f"and may not act for the {done.branch}"
                )
                return ViolationKind.COLLAPSED_ROLE, reason
    proposed = done.next_state
    if not done.success or proposed is None:
        return None
    if proposed in _proposable(motion, held.purpose if held else None):
        return None
    reason = f"{motion.state} to {proposed} would skip a step of the flow"
    return ViolationKind.SKIPPED_STEP, reason


def _proposable(motion: Motion, purpose: Purpose | None) -> frozenset[GovernanceState]:
    """Return the next states that the holder of a routing for ``purpose`` may propose."""
    ahead = frozenset(ADVANCE_TO.get(motion.state, ()))
    match purpose:
        case Purpose.REVISE:
            return ahead | {S.WITHDRAWN}
        case Purpose.RECORD:
            return ahead | {motion.state}
        case Purpose.REVIEW:
            reviewed = {
                target
                for (source, target), kinds in EDGES.items()
                if source is motion.state and kinds & {EdgeKind.REVIEW, EdgeKind.RETURN}
            }
            return frozenset(reviewed) | {motion.state}
        case _:
            return ahead


def _violated(
    motion: Motion,
    done: Completion,
    ctx: Context,
    violation: Violation,
    held: MotionRouted | None,
) -> ViolationWitnessed:
    kind, reason = violation
    proposed = done.next_state or "no next state"
    return ViolationWitnessed(
        **ctx.envelope(motion, actor=done.actor, causation_id=held.event_id if held else None),
        kind=kind,
        branch=done.branch,
        routing_id=held.routing_id if held else done.routing_id,
        by_holder=held is not None,
        attempted=f"completed for the {done.branch} in {motion.state}, proposing {proposed}",
        reason=reason,
        severity=Severity.MAJOR if held else Severity.MINOR,
    )
