"""Completions: recorded with all that follows in one append, answered again, or refused."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from governance_flow.application.ports.event_store import Fence
from governance_flow.application.ports.flow_orchestrator import BranchResult, CompletionOutcome
from governance_flow.application.services.input_fields import (
    MAX_NAME_CHARACTERS,
    metadata_field,
    storable,
    text_field,
)
from governance_flow.application.services.motion_commands import Decision, nothing
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.decisions.reports import Completion, Report, report
from governance_flow.domain.errors import CompletionRefused, InvalidInput, LeaseLost
from governance_flow.domain.events import Actor, Authentication
from governance_flow.domain.motion import AnswerStatus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from governance_flow.application.ports.assignments import Keep, OpenAssignment
    from governance_flow.application.ports.metrics import Metrics
    from governance_flow.application.services.breaker import Breaker
    from governance_flow.application.services.motion_commands import MotionCommands
    from governance_flow.domain.branches import GovernanceBranch
    from governance_flow.domain.configuration import FlowConfiguration
    from governance_flow.domain.decisions.context import Context
    from governance_flow.domain.motion import Answer, Motion

MAX_ERROR_CHARACTERS = 100_000

_BRANCH_SERVICE: Mapping[GovernanceBranch, str] = MappingProxyType(
    {branch: service for service, branch in SERVICE_BRANCH.items()}
)


class Completions:
    """Takes what branches report. Any number may report the same thing at once: one counts."""

    def __init__(
        self,
        commands: MotionCommands,
        breaker: Breaker,
        metrics: Metrics,
        configuration: FlowConfiguration,
    ) -> None:
        self._commands = commands
        self._breaker = breaker
        self._metrics = metrics
        self._max_output_bytes = configuration.limits.max_output_bytes

    async def complete(
        self, motion_id: UUID, result: BranchResult, actor: Actor
    ) -> CompletionOutcome:
        """Handle a completion by an actor whose identity the caller has established.

        Raises as ``FlowOrchestratorProtocol.handle_completion``.
        """
        answer, _ = await self.complete_and_keep(motion_id, result, actor, None)
        return _outcome(motion_id, answer)

    async def complete_and_keep(
        self, motion_id: UUID, result: BranchResult, actor: Actor, keep: Keep | None
    ) -> tuple[Answer, OpenAssignment | None]:
        """Handle a completion; return its answer, and what follows if ``keep`` leased that.

        Raises as ``complete``.
        """
        completion = self._completion(motion_id, result, actor)
        decided = Report()

        def decide(motion: Motion, ctx: Context) -> Decision | None:
            nonlocal decided
            decided = report(motion, completion, ctx)
            if not decided.record:
                return None
            if decided.refusal is not None:
                return Decision(record=decided.record, follow_up=nothing)
            held = motion.routing
            fence = Fence(held.routing_id, result.lease_token) if held else None
            return Decision(record=decided.record, fence=fence)

        try:
            done = await self._commands.execute(motion_id, decide, actor=actor, keep=keep)
            if decided.refusal is not None and not decided.record:
                # Refuse only on the newest view of the motion, never on a remembered one.
                done = await self._commands.execute(motion_id, decide, actor=actor, fresh=True)
        except LeaseLost as error:
            self._metrics.refused(type(error).__name__)
            msg = f"motion {motion_id}: completion refused: {error}"
            raise CompletionRefused(
                msg, motion_id=motion_id, routing_id=result.routing_id
            ) from error
        if decided.refusal is not None:
            self._metrics.refused(type(decided.refusal).__name__)
            raise decided.refusal
        await self._breaker.watch(done.events)
        if decided.answer is not None:
            return decided.answer, None
        return done.loaded.motion.latest_answer, done.kept

    def _completion(self, motion_id: UUID, result: BranchResult, actor: Actor) -> Completion:
        if result.motion_id != motion_id:
            msg = f"the result is about motion {result.motion_id}, not about {motion_id}"
            raise InvalidInput(msg, motion_id=motion_id)
        text_field("actor", actor.id, max_characters=MAX_NAME_CHARACTERS)
        if result.error_type is not None:
            text_field("error_type", result.error_type, max_characters=MAX_NAME_CHARACTERS)
        if result.error is not None:
            storable("error", result.error)
            if len(result.error) > MAX_ERROR_CHARACTERS:
                msg = (
                    f"error has {len(result.error)} characters; "
                    f"at most {MAX_ERROR_CHARACTERS} are allowed"
                )
                raise InvalidInput(msg, field="error")
        output = metadata_field("output", result.output, limit_bytes=self._max_output_bytes)
        return Completion(
            branch=result.branch,
            success=result.success,
            output=output,
            next_state=result.next_state,
            error=result.error,
            error_type=result.error_type,
            actor=actor,
            routing_id=result.routing_id,
        )


def reporter(result: BranchResult) -> Actor:
    """Return who reports: the name the result gives, or the branch's own service."""
    if result.actor is not None:
        storable("actor", result.actor)
        return Actor(id=result.actor, authenticated_by=Authentication.ASSERTED)
    service = _BRANCH_SERVICE.get(result.branch, f"{result.branch}_service")
    return Actor(id=service, authenticated_by=Authentication.SERVICE)


def _outcome(motion_id: UUID, answer: Answer) -> CompletionOutcome:
    return CompletionOutcome(
        motion_id=motion_id,
        routing_id=answer.routing_id,
        accepted=answer.status is not AnswerStatus.REFUSED,
        status=answer.status,
        state=answer.state,
        next_service=answer.next_service,
        next_routing_id=answer.next_routing_id,
        strategy=answer.strategy,
        reason=answer.reason,
    )
