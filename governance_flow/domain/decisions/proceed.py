"""What follows from where a motion rests: the next transition, the next routing, or nothing."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, assert_never

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from governance_flow.domain.branches import Purpose
from governance_flow.domain.decisions.context import routing, transition
from governance_flow.domain.decisions.escalations import (
    Failure,
    ask_conclave,
    escalate,
    send_back,
)
from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.escalation import (
    COMPLIANCE_ERROR,
    PERMISSION_ERROR,
    SYSTEM_ERROR,
    VALIDATION_ERROR,
    Resolution,
    ReviewDecision,
    ViolationKind,
)
from governance_flow.domain.events import (
    BranchCompleted,
    EscalationResolved,
    Proposal,
    ViolationWitnessed,
)
from governance_flow.domain.frozen import changed
from governance_flow.domain.states import (
    OWNER_PURPOSE,
    RETURN_TO,
    EdgeKind,
    GovernanceState,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from governance_flow.domain.decisions.context import Context
    from governance_flow.domain.events import MotionRouted
    from governance_flow.domain.motion import Motion

S = GovernanceState
Proposals = tuple[Proposal, ...]

_TIME: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def proceed(motion: Motion, ctx: Context) -> Proposals:
    """Return what must happen now to ``motion``; nothing if it waits for somebody, or for a time.

    The caller makes sure that the pipeline is not halted: while it is, nothing proceeds.
    """
    if motion.terminal:
        return ()
    if motion.resolution is not None:
        return _resolve(motion, ctx, motion.resolution)
    if motion.routing is not None:
        return ()
    if motion.block is not None and motion.block.needs_person:
        return ()
    if isinstance(motion.pending, ViolationWitnessed):
        return _after_violation(motion, ctx, motion.pending)
    if isinstance(motion.pending, BranchCompleted):
        return _after_completion(motion, ctx, motion.pending)
    if motion.block is not None:
        return (ask_conclave(motion, ctx, motion.block.error.message),)
    return _from_rest(motion, ctx)


def _from_rest(motion: Motion, ctx: Context) -> Proposals:
    match motion.state:
        case S.INTRODUCED | S.TABLED if motion.docketed_at is not None:
            if motion.docketed_at > ctx.now:
                return ()
            return _advance(motion, ctx, S.DELIBERATING, "admitted from the docket", None)
        case S.INTRODUCED:
            return (_to_owner(motion, ctx, Purpose.REVISE),)
        case S.TABLED:
            return ()
        case S.RATIFIED:
            return _advance(motion, ctx, S.PLANNING, "ratified: on to the President", None)
        case S.WITNESSING if motion.recorded:
            return (_to_owner(motion, ctx, Purpose.ACKNOWLEDGE),)
        case _:
            return (_to_owner(motion, ctx, OWNER_PURPOSE[motion.state]),)


def _to_owner(motion: Motion, ctx: Context, purpose: Purpose) -> MotionRouted:
    last = motion.last_routing
    # Whoever starts anew is told what the one before, or the Conclave, was told.
    findings = last.findings if last and last.purpose in (purpose, Purpose.REVIEW) else ()
    return routing(motion, ctx, purpose, state=motion.state, findings=findings)


def _advance(
    motion: Motion, ctx: Context, target: GovernanceState, reason: str, cause: UUID | None
) -> Proposals:
    """Move on along the flow table, through the milestone RATIFIED, to the next owner."""
    moves = [transition(motion, ctx, target, EdgeKind.ADVANCE, reason, cause=cause)]
    source = motion.state
    if target is S.RATIFIED:
        source, target = target, S.PLANNING
        reason = "ratified: on to the President"
        moves.append(
            transition(
                motion, ctx, target, EdgeKind.ADVANCE, reason, from_state=source, cause=cause
            )
        )
    if target not in OWNER_PURPOSE:
        return tuple(moves)
    return (*moves, routing(motion, ctx, OWNER_PURPOSE[target], state=target, from_state=source))


def _after_completion(motion: Motion, ctx: Context, done: BranchCompleted) -> Proposals:
    ctx = changed(ctx, actor=done.actor)
    if not done.success:
        return _after_failure(motion, ctx, done)
    match done.purpose:
        case Purpose.DELIBERATE:
            return _after_vote(motion, ctx, done)
        case Purpose.REVIEW:
            return _after_review(motion, ctx, done)
        case Purpose.REVISE:
            reason = "withdrawn by the King"
            return (
                transition(
                    motion, ctx, S.WITHDRAWN, EdgeKind.WITHDRAW, reason, cause=done.event_id
                ),
            )
        case Purpose.PLAN:
            return _advance(motion, ctx, S.EXECUTING, "the plan is made", done.event_id)
        case Purpose.EXECUTE:
            return _advance(motion, ctx, S.JUDGING, "the plan is executed", done.event_id)
        case Purpose.JUDGE:
            return _advance(motion, ctx, S.WITNESSING, "the result is judged", done.event_id)
        case Purpose.RECORD:
            return (_to_owner(motion, ctx, Purpose.ACKNOWLEDGE),)
        case Purpose.ACKNOWLEDGE:
            return _advance(motion, ctx, S.ACKNOWLEDGED, "acknowledged", done.event_id)
        case _:
            assert_never(done.purpose)


def _after_failure(motion: Motion, ctx: Context, done: BranchCompleted) -> Proposals:
    message = done.error or f"the {done.branch} reported a failure without saying why"
    return _fail(motion, ctx, done, done.error_type or SYSTEM_ERROR, message)


def _fail(
    motion: Motion,
    ctx: Context,
    record: BranchCompleted | ViolationWitnessed,
    error_type: str,
    message: str,
) -> Proposals:
    routed = motion.last_routing
    if routed is None or routed.routing_id != record.routing_id:
        msg = f"motion {motion.id}: {record.topic} of a routing that is not its latest"
        raise CorruptStream(msg, motion_id=motion.id, version=motion.version)
    failure = Failure.of_routing(routed, error_type, message, record.event_id)
    return escalate(motion, ctx, failure)


def _after_vote(motion: Motion, ctx: Context, done: BranchCompleted) -> Proposals:
    match done.next_state:
        case S.RATIFIED:
            return _advance(motion, ctx, S.RATIFIED, "ratified by the Conclave", done.event_id)
        case S.REJECTED:
            return _advance(motion, ctx, S.REJECTED, "rejected by the Conclave", done.event_id)
        case S.TABLED:
            until = _until(done.output)
            if isinstance(until, str):
                return _fail(motion, ctx, done, VALIDATION_ERROR, until)
            return (
                transition(
                    motion,
                    ctx,
                    S.TABLED,
                    EdgeKind.ADVANCE,
                    _reason(done.output, "tabled by the Conclave"),
                    cause=done.event_id,
                    until=until,
                ),
            )
        case _:
            message = "the deliberation succeeded without proposing RATIFIED, REJECTED or TABLED"
            return _fail(motion, ctx, done, VALIDATION_ERROR, message)


def _after_review(motion: Motion, ctx: Context, done: BranchCompleted) -> Proposals:
    answer = done.output.get("decision")
    reason = _reason(done.output, f"the Conclave's review says {answer}")
    match answer:
        case ReviewDecision.RETURN.value if motion.state in RETURN_TO:
            return send_back(motion, ctx, reason, done.event_id)
        case ReviewDecision.TABLE.value:
            until = _until(done.output)
            if not isinstance(until, str):
                return (
                    transition(
                        motion,
                        ctx,
                        S.TABLED,
                        EdgeKind.REVIEW,
                        reason,
                        cause=done.event_id,
                        until=until,
                    ),
                )
            message = until
        case ReviewDecision.REJECT.value:
            return (
                transition(motion, ctx, S.REJECTED, EdgeKind.REVIEW, reason, cause=done.event_id),
            )
        case _:
            possible = [d.value for d in ReviewDecision]
            if motion.state not in RETURN_TO:
                possible.remove(ReviewDecision.RETURN.value)
            message = f'output["decision"] must be one of {", ".join(possible)}, not {answer!r}'
    return _fail(motion, ctx, done, VALIDATION_ERROR, message)


def _after_violation(motion: Motion, ctx: Context, refused: ViolationWitnessed) -> Proposals:
    skipped = refused.kind is ViolationKind.SKIPPED_STEP
    error_type = COMPLIANCE_ERROR if skipped else PERMISSION_ERROR
    return _fail(motion, ctx, refused, error_type, refused.reason)


def _resolve(motion: Motion, ctx: Context, resolved: EscalationResolved) -> Proposals:
    ctx = changed(ctx, actor=resolved.actor, causation_id=resolved.event_id)
    decision = resolved.decision
    match decision:
        case Resolution.RETRY | Resolution.TAKE_UP:
            return proceed(changed(motion, resolution=None), ctx)
        case Resolution.RETURN:
            reason = resolved.notes or f"returned by {resolved.actor.id}"
            return send_back(motion, ctx, reason, resolved.event_id)
        case Resolution.REVIEW:
            message = motion.last_error.message if motion.last_error else "asked by a person"
            return (ask_conclave(motion, ctx, message),)
        case _:
            assert_never(decision)


def _until(output: Mapping[str, Any]) -> datetime | str | None:
    """Return the date in ``output["until"]``, or what is wrong with it."""
    raw = output.get("until")
    if raw is None:
        return None
    try:
        return _TIME.validate_python(raw)
    except ValidationError:
        return f'output["until"] must be a time with its offset (ISO 8601), not {raw!r}'


def _reason(output: Mapping[str, Any], otherwise: str) -> str:
    reason = output.get("reason")
    return reason if isinstance(reason, str) and reason else otherwise
