"""What the passing of time does to a motion: a deadline that was missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.domain.decisions.context import effective_deadline
from governance_flow.domain.decisions.escalations import Failure, escalate
from governance_flow.domain.escalation import TIMEOUT_ERROR

if TYPE_CHECKING:
    from uuid import UUID

    from governance_flow.domain.decisions.context import Context
    from governance_flow.domain.events import Proposal
    from governance_flow.domain.motion import Motion


def expire(motion: Motion, ctx: Context, routing_id: UUID) -> tuple[Proposal, ...]:
    """Return what follows if the routing is open and its deadline has passed; else nothing.

    Deadlines stand still while the motion is blocked or the pipeline halted: none is missed then.
    """
    routed = motion.routing
    if routed is None or routed.routing_id != routing_id:
        return ()
    if motion.block is not None or ctx.pipeline.halted:
        return ()
    deadline = effective_deadline(routed, motion, ctx.pipeline, ctx.now)
    if deadline is None or deadline > ctx.now:
        return ()
    message = f"{routed.service} did not {routed.purpose} by {deadline.isoformat()}"
    return escalate(motion, ctx, Failure.of_routing(routed, TIMEOUT_ERROR, message))
