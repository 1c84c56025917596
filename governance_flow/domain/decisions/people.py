"""What named people decide about a motion: to introduce, amend, withdraw, resolve, take up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.domain.decisions.context import transition
from governance_flow.domain.errors import NotAllowed, Refused
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import (
    Actor,
    Authentication,
    Ballot,
    EscalationResolved,
    MotionAmended,
    ProposedTransition,
)
from governance_flow.domain.states import (
    AMENDABLE_STATES,
    RETURN_TO,
    REVIEWABLE_STATES,
    WITHDRAWABLE_STATES,
    EdgeKind,
    GovernanceState,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from governance_flow.domain.decisions.context import Context
    from governance_flow.domain.motion import Motion


def amend(
    motion: Motion,
    ctx: Context,
    *,
    title: str | None,
    text: str | None,
    ballots: Mapping[str, Ballot],
) -> MotionAmended:
    """Give the motion a new version; raises Refused or NotAllowed if that may not be now."""
    _require_introducer(motion, ctx.actor, "amend")
    if motion.state not in AMENDABLE_STATES:
        raise _wrong_state(motion, "amended", AMENDABLE_STATES)
    return MotionAmended(
        **ctx.envelope(motion),
        title=motion.title if title is None else title,
        text=motion.text if text is None else text,
        ballots=dict(ballots),
    )


def withdraw(motion: Motion, ctx: Context, reason: str) -> ProposedTransition:
    """Propose to withdraw the motion; an open routing is superseded by it."""
    _require_introducer(motion, ctx.actor, "withdraw")
    if motion.state not in WITHDRAWABLE_STATES:
        raise _wrong_state(motion, "withdrawn", WITHDRAWABLE_STATES)
    return transition(
        motion,
        ctx,
        GovernanceState.WITHDRAWN,
        EdgeKind.WITHDRAW,
        reason or f"withdrawn by {ctx.actor.id}",
    )


def resolve(motion: Motion, ctx: Context, decision: Resolution, notes: str) -> EscalationResolved:
    """Record what a named person decides about a motion that waits for one.

    Raises Refused if nothing waits for that decision, NotAllowed if this person may not take it.
    """
    if decision is Resolution.TAKE_UP:
        return _take_up(motion, ctx, notes)
    if motion.block is None or motion.resolution is not None:
        msg = f"motion {motion.id} is not blocked: there is nothing to resolve"
        if motion.state is GovernanceState.TABLED:
            msg = f"motion {motion.id} is tabled, not blocked: decide take_up"
        raise Refused(msg, motion_id=motion.id, state=motion.state)
    if not motion.block.needs_person:
        msg = f"motion {motion.id} is under review by the Conclave: its answer decides"
        raise Refused(msg, motion_id=motion.id, state=motion.state)
    if ctx.actor.id in motion.acts:
        branches = ", ".join(sorted(motion.acts[ctx.actor.id]))
        msg = (
            f"{ctx.actor.id} has acted on motion {motion.id} for the {branches} "
            "and may not resolve it; somebody else must"
        )
        raise NotAllowed(msg, motion_id=motion.id, actor=ctx.actor.id)
    _require_person(ctx.actor)
    if decision is Resolution.RETURN and motion.state not in RETURN_TO:
        msg = (
            f"motion {motion.id} cannot be returned from {motion.state}: no state comes "
            "before it; decide retry or review"
        )
        raise Refused(msg, motion_id=motion.id, state=motion.state)
    if decision is Resolution.REVIEW and motion.state not in REVIEWABLE_STATES:
        msg = f"motion {motion.id} cannot be reviewed in {motion.state}; decide retry"
        raise Refused(msg, motion_id=motion.id, state=motion.state)
    return EscalationResolved(
        **ctx.envelope(motion, causation_id=motion.block.error.event_id),
        error_id=motion.block.error.event_id,
        decision=decision,
        notes=notes,
    )


def _take_up(motion: Motion, ctx: Context, notes: str) -> EscalationResolved:
    if motion.state is not GovernanceState.TABLED:
        raise _wrong_state(motion, "taken up", frozenset({GovernanceState.TABLED}))
    if motion.docketed_at is not None and motion.docketed_at <= ctx.now:
        msg = f"motion {motion.id} has been taken up already and waits in the docket"
        raise Refused(msg, motion_id=motion.id, state=motion.state)
    _require_person(ctx.actor)
    return EscalationResolved(
        **ctx.envelope(motion), error_id=None, decision=Resolution.TAKE_UP, notes=notes
    )


def _require_person(actor: Actor) -> None:
    if actor.authenticated_by in (Authentication.SYSTEM, Authentication.SERVICE):
        msg = f"{actor.id} is not a named person: only a person may decide this"
        raise NotAllowed(msg, actor=actor.id)


def _require_introducer(motion: Motion, actor: Actor, act: str) -> None:
    if actor.id != motion.introduced_by:
        msg = f"only {motion.introduced_by}, who introduced motion {motion.id}, may {act} it"
        raise NotAllowed(msg, motion_id=motion.id, actor=actor.id)


def _wrong_state(motion: Motion, done: str, allowed: frozenset[GovernanceState]) -> Refused:
    states = ", ".join(sorted(allowed))
    msg = f"motion {motion.id} is in {motion.state}; it can be {done} only in {states}"
    return Refused(msg, motion_id=motion.id, state=motion.state)
