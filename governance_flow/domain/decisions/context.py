"""What a decision may know besides the motion, and how it stamps what it proposes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict

from governance_flow.domain.branches import PURPOSE_SERVICE, SERVICE_BRANCH, Purpose
from governance_flow.domain.events import (
    SYSTEM,
    Cause,
    MotionRouted,
    ProposedTransition,
)
from governance_flow.domain.frozen import unchecked
from governance_flow.domain.pipeline import Pipeline, time_paused

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from governance_flow.domain.configuration import FlowConfiguration
    from governance_flow.domain.events import Actor
    from governance_flow.domain.motion import Motion
    from governance_flow.domain.states import EdgeKind, GovernanceState


class Envelope(TypedDict):
    """The fields every event has, whatever it says."""

    event_id: UUID
    correlation_id: UUID
    causation_id: UUID | None
    actor: Actor
    timestamp: datetime


@dataclass(frozen=True)
class Context:
    """Time, identity and rules, handed in so that decisions stay pure.

    ``rules`` is the configuration in force, ``rules_digest`` its digest, and
    ``routing_rules`` the configuration that the motion's latest routing was made under.
    ``causation_id`` names the event that led here; a completion's only in the append that
    records it, because a completion's answer tells of that append and of no later one.
    """

    now: datetime
    new_id: Callable[[], UUID]
    pipeline: Pipeline
    rules: FlowConfiguration
    rules_digest: str
    routing_rules: FlowConfiguration
    causation_id: UUID | None = None
    actor: Actor = field(default=SYSTEM)

    def envelope(
        self, motion: Motion, actor: Actor | None = None, causation_id: UUID | None = None
    ) -> Envelope:
        """Return a fresh envelope for an event of ``motion``."""
        return {
            "event_id": self.new_id(),
            "correlation_id": motion.correlation_id,
            "causation_id": causation_id or self.causation_id,
            "actor": actor or self.actor,
            "timestamp": self.now,
        }


def transition(
    motion: Motion,
    ctx: Context,
    to_state: GovernanceState,
    kind: EdgeKind,
    reason: str,
    *,
    from_state: GovernanceState | None = None,
    cause: UUID | None = None,
    until: datetime | None = None,
) -> ProposedTransition:
    """Propose to move ``motion``; the Knight has the last word."""
    return unchecked(
        ProposedTransition,
        {
            **ctx.envelope(motion),
            "from_state": from_state or motion.state,
            "to_state": to_state,
            "cause": Cause.unchecked({"kind": kind, "reason": reason, "event_id": cause}),
            "until": until,
        },
    )


def routing(
    motion: Motion,
    ctx: Context,
    purpose: Purpose,
    *,
    state: GovernanceState,
    from_state: GovernanceState | None = None,
    attempt: int = 1,
    not_before: datetime | None = None,
    findings: tuple[str, ...] = (),
) -> MotionRouted:
    """Give ``motion`` to the service that does ``purpose``, under the rules in force."""
    service = PURPOSE_SERVICE[purpose]
    entered = motion.entered_state_at if state is motion.state else ctx.now
    deadline = _deadline(motion, ctx, state, entered) if purpose is not Purpose.REVIEW else None
    if deadline is not None:
        # A deadline that has passed, or passes before the retry, is not missed again at once.
        grace = timedelta(seconds=ctx.rules.retry.overdue_grace_seconds)
        if deadline <= (not_before or ctx.now):
            deadline = (not_before or ctx.now) + grace
    return MotionRouted.unchecked(
        {
            "schema_version": 1,
            **ctx.envelope(motion, actor=SYSTEM),
            "service": service,
            "branch": SERVICE_BRANCH[service],
            "purpose": purpose,
            "from_state": from_state or motion.state,
            "state": state,
            "attempt": attempt,
            "not_before": not_before,
            "deadline": deadline,
            "findings": findings,
            "configuration": ctx.rules_digest,
        }
    )


def _deadline(
    motion: Motion, ctx: Context, state: GovernanceState, entered: datetime
) -> datetime | None:
    """Return when ``state`` must be left: its hours, and the time the clock stood still."""
    hours = ctx.rules.state_timeout_hours.get(state)
    if hours is None:
        return None
    pauses = (*motion.pauses, *ctx.pipeline.halts)
    return entered + timedelta(hours=hours) + time_paused(pauses, entered, ctx.now)


def effective_deadline(
    routed: MotionRouted, motion: Motion, pipeline: Pipeline, now: datetime
) -> datetime | None:
    """Return the routing's deadline, moved by the blocks and halts since it was made."""
    if routed.deadline is None:
        return None
    pauses = (*motion.pauses, *pipeline.halts)
    return routed.deadline + time_paused(pauses, routed.timestamp, now)
