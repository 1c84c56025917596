"""A motion as its events have made it: an immutable value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from governance_flow.domain.answers import Answer, AnswerStatus
from governance_flow.domain.branches import (
    PURPOSE_SERVICE,
    SERVICE_BRANCH,
    GovernanceBranch,
    Purpose,
)
from governance_flow.domain.escalation import (
    ErrorEscalationStrategy,
)
from governance_flow.domain.events import (
    Ballot,
    BranchCompleted,
    EscalationResolved,
    Json,
    MotionRouted,
    OrchestratorError,
    ViolationWitnessed,
)
from governance_flow.domain.pipeline import Interval
from governance_flow.domain.states import (
    OWNER_PURPOSE,
    GovernanceState,
    is_terminal,
)

BLOCKING_STRATEGIES = frozenset(
    {ErrorEscalationStrategy.HALT_AND_ALERT, ErrorEscalationStrategy.CONCLAVE_REVIEW}
)


__all__ = ["BLOCKING_STRATEGIES", "Answer", "AnswerStatus", "Block", "Motion"]


@dataclass(frozen=True)
class Block:
    """Why a motion does not go on, and since when."""

    error: OrchestratorError
    needs_person: bool
    """Whether a named person decides; otherwise the Conclave reviews."""

    @property
    def since(self) -> datetime:
        """When the motion was blocked."""
        return self.error.timestamp


@dataclass(frozen=True)
class Motion:
    """Everything the rules need to know about a motion."""

    id: UUID
    version: int
    title: str
    text: str
    introduced_by: str
    introduced_at: datetime
    reference: str | None
    ballots: Mapping[str, Ballot]
    metadata: Mapping[str, Json]
    correlation_id: UUID

    state: GovernanceState
    entered_state_at: datetime
    docketed_at: datetime | None
    """Since when it waits for a place; None while it does not."""
    tabled_until: datetime | None = None
    amended: bool = False
    """Whether the introducer amended it since it entered its state."""

    routing: MotionRouted | None = None
    """The open routing: who must answer now."""
    last_routing: MotionRouted | None = None
    """The latest routing, open or closed."""
    pending: BranchCompleted | ViolationWitnessed | None = None
    """What was reported and has not been applied yet."""
    resolution: EscalationResolved | None = None
    """What a person decided and has not been applied yet."""
    block: Block | None = None
    last_error: OrchestratorError | None = None
    pauses: tuple[Interval, ...] = ()
    """When deadlines stood still for this motion since it entered its state."""
    returns: Mapping[GovernanceState, int] = field(default_factory=dict)
    """How often it was returned out of each state since the last review that said resume."""
    invalid_answers: int = 0
    """How often the current review was answered with something that is no decision."""

    outputs: Mapping[Purpose, Mapping[str, Json]] = field(default_factory=dict)
    """What the steps that still stand have produced."""
    acts: Mapping[str, frozenset[GovernanceBranch]] = field(default_factory=dict)
    """For which branches each actor has acted."""
    answers: dict[UUID, Answer] = field(default_factory=dict)
    """The first answer to each routing that was completed."""
    superseded: frozenset[UUID] = frozenset()
    """Routings that were closed without a completion."""
    strangers: frozenset[tuple[str, GovernanceBranch, str]] = frozenset()
    """Refused acts by others than an assignment's holder, each witnessed once."""
    violations: int = 0

    @property
    def terminal(self) -> bool:
        """Whether nothing more can happen to it."""
        return is_terminal(self.state)

    @property
    def latest_answer(self) -> Answer:
        """The answer to the latest completion."""
        return self.answers[next(reversed(self.answers))]

    @property
    def recorded(self) -> bool:
        """Whether the Knight has recorded the outcome, so that only acknowledging is left."""
        return self.state is GovernanceState.WITNESSING and Purpose.RECORD in self.outputs

    @property
    def work_complete(self) -> bool:
        """Whether the work of its state is done, so that it is to be handed off."""
        match self.state:
            case GovernanceState.INTRODUCED | GovernanceState.TABLED:
                return self.docketed_at is not None
            case GovernanceState.RATIFIED:
                return True
            case GovernanceState.WITNESSING if self.recorded:
                return True
            case _:
                pending = self.pending
                return (
                    isinstance(pending, BranchCompleted)
                    and pending.success
                    and pending.purpose is OWNER_PURPOSE.get(self.state)
                )

    def answered(self, purpose: Purpose) -> int:
        """Return how many routings for ``purpose`` were answered, refused violations included."""
        service_branch = SERVICE_BRANCH[PURPOSE_SERVICE[purpose]]
        return sum(
            answer.record.purpose is purpose
            if isinstance(answer.record, BranchCompleted)
            else answer.record.branch is service_branch
            for answer in self.answers.values()
        )
