"""What the passing of time does to a motion: a deadline that was missed, an attempt given up."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from governance_flow.domain.branch_configuration import ExternalBranch
from governance_flow.domain.decisions.context import effective_deadline
from governance_flow.domain.decisions.escalations import Failure, escalate
from governance_flow.domain.escalation import TIMEOUT_ERROR
from governance_flow.domain.pipeline import time_paused

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from governance_flow.domain.configuration import FlowConfiguration
    from governance_flow.domain.decisions.context import Context
    from governance_flow.domain.events import MotionRouted, Proposal
    from governance_flow.domain.motion import Motion


def expire(motion: Motion, ctx: Context, routing_id: UUID) -> tuple[Proposal, ...]:
    """Return what follows if the routing is open and its time is up; else nothing.

    Deadlines stand still while the motion is blocked or the pipeline halted: none is missed then.
    """
    routed = motion.routing
    if routed is None or routed.routing_id != routing_id:
        return ()
    if motion.block is not None or ctx.pipeline.halted:
        return ()
    message = _missed(motion, routed, ctx)
    if message is None:
        return ()
    return escalate(motion, ctx, Failure.of_routing(routed, TIMEOUT_ERROR, message))


def attempt_limit(routed: MotionRouted, rules: FlowConfiguration) -> datetime | None:
    """Return by when this attempt must be answered, if it is made outside any worker.

    A worker sees to the time that the services it calls may take; to that of people and programs
    outside nobody does. ``rules`` is the configuration the routing was made under.
    """
    branch = rules.branches[routed.service]
    if not isinstance(branch, ExternalBranch) or branch.attempt_timeout_seconds is None:
        return None
    return (routed.not_before or routed.timestamp) + timedelta(
        seconds=branch.attempt_timeout_seconds
    )


def _missed(motion: Motion, routed: MotionRouted, ctx: Context) -> str | None:
    """Say what was not done in time, if anything was not."""
    deadline = effective_deadline(routed, motion, ctx.pipeline, ctx.now)
    if deadline is not None and deadline <= ctx.now:
        return f"{routed.service} did not {routed.purpose} by {deadline.isoformat()}"
    limit = attempt_limit(routed, ctx.routing_rules)
    if limit is None:
        return None
    limit += time_paused((*motion.pauses, *ctx.pipeline.halts), routed.timestamp, ctx.now)
    if limit > ctx.now:
        return None
    return f"{routed.service} did not answer this attempt by {limit.isoformat()}"
