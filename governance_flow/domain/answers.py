"""What a completion is answered, kept so that a repeated report gets the very same answer."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.escalation import ErrorEscalationStrategy
from governance_flow.domain.events import (
    BranchCompleted,
    MotionEvent,
    MotionRouted,
    OrchestratorError,
    TransitionWitnessed,
    ViolationWitnessed,
)
from governance_flow.domain.frozen import changed
from governance_flow.domain.states import GovernanceState
from governance_flow.domain.vocabulary import Vocabulary


class AnswerStatus(Vocabulary):
    """What became of a completion in the append that recorded it."""

    APPLIED = "applied"
    RECORDED = "recorded"
    ESCALATED = "escalated"
    REFUSED = "refused"


@dataclass(frozen=True)
class Answer:
    """The first answer to a completion, which a repeated report gets again."""

    record: BranchCompleted | ViolationWitnessed
    status: AnswerStatus
    state: GovernanceState
    next_service: str | None = None
    next_routing_id: UUID | None = None
    strategy: ErrorEscalationStrategy | None = None
    reason: str | None = None

    @property
    def routing_id(self) -> UUID:
        """The routing that was completed."""
        routing_id = self.record.routing_id
        if routing_id is None:
            msg = f"{self.record.topic} {self.record.event_id} answers no routing"
            raise CorruptStream(msg)
        return routing_id

    def after(self, event: MotionEvent) -> Answer:
        """Return the answer that tells of ``event`` too, if the completion caused it."""
        if event.causation_id != self.record.event_id:
            return self
        match event:
            case TransitionWitnessed():
                return changed(self, state=event.to_state, status=self._applied())
            case MotionRouted():
                return changed(
                    self,
                    next_service=event.service,
                    next_routing_id=event.routing_id,
                    status=self._applied(),
                )
            case OrchestratorError():
                refused = self.status is AnswerStatus.REFUSED
                return changed(
                    self,
                    strategy=event.strategy,
                    reason=event.message,
                    status=self.status if refused else AnswerStatus.ESCALATED,
                )
            case _:
                return self

    def _applied(self) -> AnswerStatus:
        recorded = self.status is AnswerStatus.RECORDED
        return AnswerStatus.APPLIED if recorded else self.status
