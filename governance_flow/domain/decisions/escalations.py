"""What to do about an error: one strategy per type, and what each of them means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.decisions.context import routing, transition
from governance_flow.domain.escalation import (
    SYSTEM_ERROR,
    VALIDATION_ERROR,
    ErrorEscalationStrategy,
    strategy_for,
)
from governance_flow.domain.events import SYSTEM, MotionRouted, OrchestratorError, Proposal
from governance_flow.domain.states import RETURN_PURPOSE, RETURN_TO, EdgeKind

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from governance_flow.domain.decisions.context import Context
    from governance_flow.domain.motion import Motion

Strategy = ErrorEscalationStrategy

UNREVIEWABLE = frozenset({GovernanceBranch.CONCLAVE, GovernanceBranch.KNIGHT})
"""Branches whose own offences the Conclave does not review: a named person decides."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error to be escalated, and the routing it happened under."""

    error_type: str
    message: str
    branch: GovernanceBranch
    purpose: Purpose
    attempt: int
    routing_id: UUID
    event_id: UUID | None

    @classmethod
    def of_routing(
        cls, routed: MotionRouted, error_type: str, message: str, event_id: UUID | None = None
    ) -> Failure:
        """Describe a failure of the routing ``routed``; ``event_id`` is the event reporting it."""
        return cls(
            error_type,
            message,
            routed.branch,
            routed.purpose,
            routed.attempt,
            routed.routing_id,
            event_id,
        )


def escalate(motion: Motion, ctx: Context, failure: Failure) -> tuple[Proposal, ...]:
    """Return what the error table says must follow from ``failure``."""
    if failure.purpose is Purpose.REVIEW and failure.error_type == VALIDATION_ERROR:
        return _ask_again(motion, ctx, failure)
    strategy = strategy_for(failure.error_type)
    match strategy:
        case Strategy.RETRY_WITH_BACKOFF:
            return _retry(motion, ctx, failure)
        case Strategy.RETURN_TO_PREVIOUS:
            return _return(motion, ctx, failure)
        case Strategy.CONCLAVE_REVIEW:
            return _review(motion, ctx, failure, failure.message)
        case Strategy.HALT_AND_ALERT:
            return _halt(motion, ctx, failure, "blocked until a named person resolves it")
        case _:
            assert_never(strategy)


def send_back(
    motion: Motion, ctx: Context, reason: str, cause: UUID | None
) -> tuple[Proposal, ...]:
    """Return ``motion`` to the state before, to whoever works there, with the findings."""
    previous = RETURN_TO[motion.state]
    return (
        transition(motion, ctx, previous, EdgeKind.RETURN, reason, cause=cause),
        routing(
            motion,
            ctx,
            RETURN_PURPOSE[previous],
            state=previous,
            from_state=motion.state,
            findings=(reason,),
        ),
    )


def ask_conclave(motion: Motion, ctx: Context, *findings: str) -> MotionRouted:
    """Ask the Conclave to review ``motion`` where it stands."""
    return routing(motion, ctx, Purpose.REVIEW, state=motion.state, findings=findings)


def _retry(motion: Motion, ctx: Context, failure: Failure) -> tuple[Proposal, ...]:
    rules = ctx.routing_rules.retry
    if failure.attempt > rules.max_attempts:
        done = f"gave up after {failure.attempt} attempts; blocked until a named person resolves it"
        return _halt(motion, ctx, failure, done)
    delay = rules.delay_seconds(failure.attempt)
    retry_at = ctx.now + timedelta(seconds=delay)
    return (
        _error(
            motion,
            ctx,
            failure,
            Strategy.RETRY_WITH_BACKOFF,
            f"retry {failure.attempt} of {rules.max_attempts} after {delay:g} s",
            retry_at=retry_at,
        ),
        routing(
            motion,
            ctx,
            failure.purpose,
            state=motion.state,
            attempt=failure.attempt + 1,
            not_before=retry_at,
            findings=motion.last_routing.findings if motion.last_routing else (),
        ),
    )


def _return(motion: Motion, ctx: Context, failure: Failure) -> tuple[Proposal, ...]:
    if motion.state not in RETURN_TO:
        return _review(motion, ctx, failure, f"nothing to return to: {failure.message}")
    returned = motion.returns.get(motion.state, 0)
    if returned >= ctx.routing_rules.max_returns_per_state:
        reason = f"returned {returned} times already: {failure.message}"
        return _review(motion, ctx, failure, reason)
    target = RETURN_TO[motion.state]
    error = _error(motion, ctx, failure, Strategy.RETURN_TO_PREVIOUS, f"returned to {target}")
    return (error, *send_back(motion, ctx, failure.message, failure.event_id))


def _review(motion: Motion, ctx: Context, failure: Failure, finding: str) -> tuple[Proposal, ...]:
    if failure.branch in UNREVIEWABLE:
        done = f"the {failure.branch} cannot review itself; blocked until a named person decides"
        return _halt(motion, ctx, failure, done)
    return (
        _error(motion, ctx, failure, Strategy.CONCLAVE_REVIEW, "blocked; the Conclave reviews"),
        ask_conclave(motion, ctx, finding),
    )


def _ask_again(motion: Motion, ctx: Context, failure: Failure) -> tuple[Proposal, ...]:
    answers = motion.invalid_answers + 1
    allowed = ctx.routing_rules.max_review_answers
    if answers >= allowed:
        done = f"{answers} answers were no decision; blocked until a named person decides"
        return _halt(motion, ctx, failure, done)
    return (
        _error(
            motion,
            ctx,
            failure,
            Strategy.RETRY_WITH_BACKOFF,
            f"asked again, {allowed - answers} left",
            retry_at=ctx.now,
        ),
        routing(
            motion,
            ctx,
            Purpose.REVIEW,
            state=motion.state,
            findings=(failure.message,),
        ),
    )


def _halt(motion: Motion, ctx: Context, failure: Failure, action: str) -> tuple[Proposal, ...]:
    return (_error(motion, ctx, failure, Strategy.HALT_AND_ALERT, action),)


def _error(
    motion: Motion,
    ctx: Context,
    failure: Failure,
    strategy: ErrorEscalationStrategy,
    action: str,
    *,
    retry_at: datetime | None = None,
) -> OrchestratorError:
    return OrchestratorError(
        **ctx.envelope(motion, actor=SYSTEM),
        error_type=failure.error_type,
        message=failure.message,
        branch=failure.branch,
        purpose=failure.purpose,
        attempt=failure.attempt,
        routing_id=failure.routing_id,
        strategy=strategy,
        action=action,
        retry_at=retry_at,
    )


def witness_failure(motion: Motion, ctx: Context, message: str) -> OrchestratorError:
    """Record that the Knight could not witness: what was reported stays, to be applied later."""
    return OrchestratorError(
        **ctx.envelope(motion, actor=SYSTEM),
        error_type=SYSTEM_ERROR,
        message=message,
        branch=GovernanceBranch.KNIGHT,
        purpose=None,
        attempt=1,
        routing_id=None,
        strategy=Strategy.HALT_AND_ALERT,
        action="no transition was made; blocked until a named person resolves it",
    )
