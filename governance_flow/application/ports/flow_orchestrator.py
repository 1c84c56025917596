"""The port through which everybody drives and watches the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Protocol
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field
from pydantic.dataclasses import dataclass

from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.escalation import (
    ERROR_TYPE_MAP,
    ErrorEscalationStrategy,
    Resolution,
)
from governance_flow.domain.events import Actor, Ballot
from governance_flow.domain.motion import AnswerStatus
from governance_flow.domain.states import STATE_SERVICE_MAP, GovernanceState

_CONFIG = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_CONFIG)
class BranchAssignment:
    """What a branch service is given: the motion, what to do with it, and by when.

    ``routing_id`` is the idempotency key: a service may be called again with the same one.
    ``outputs`` holds what earlier steps produced, by purpose; ``policy`` the settings of this
    branch in the configuration the routing was made under; ``findings`` why a motion came back.
    ``earlier_answers`` counts the answers that routings of this motion for the same purpose have
    had before, accepted or not.
    """

    motion_id: UUID
    routing_id: UUID
    service: str
    branch: GovernanceBranch
    state: GovernanceState
    purpose: Purpose
    attempt: int
    deadline: AwareDatetime | None
    title: str
    text: str
    introduced_by: str
    reference: str | None
    ballots: Mapping[str, Ballot]
    metadata: Mapping[str, Any]
    outputs: Mapping[Purpose, Mapping[str, Any]]
    findings: tuple[str, ...] = ()
    amended: bool = False
    policy: Mapping[str, Any] = field(default_factory=dict)
    lease_token: int | None = None
    earlier_answers: int = 0


@dataclass(frozen=True, config=_CONFIG)
class BranchResult:
    """What a branch service answers.

    ``next_state`` is a proposal: only deliberation has a choice. ``error_type`` of a failure
    picks the strategy; without one it halts the motion. ``actor`` defaults to the service.
    """

    motion_id: UUID
    branch: GovernanceBranch
    success: bool
    output: dict[str, Any]
    next_state: GovernanceState | None
    error: str | None = None
    error_type: str | None = field(default=None, kw_only=True)
    actor: Annotated[str, Field(min_length=1, max_length=200)] | None = field(
        default=None, kw_only=True
    )
    routing_id: UUID | None = field(default=None, kw_only=True)
    lease_token: int | None = field(default=None, kw_only=True)


@dataclass(frozen=True, config=_CONFIG)
class CompletionOutcome:
    """What became of a completion; a repeated report gets the first outcome again."""

    motion_id: UUID
    routing_id: UUID
    accepted: bool
    status: AnswerStatus
    state: GovernanceState
    next_service: str | None = None
    next_routing_id: UUID | None = None
    strategy: ErrorEscalationStrategy | None = None
    reason: str | None = None


class ActionKind(StrEnum):
    """What a motion waits for."""

    NOTHING = "nothing"
    PLACE = "place"
    DATE = "date"
    TAKING_UP = "taking_up"
    BRANCH = "branch"
    PERSON = "person"
    ORCHESTRATOR = "orchestrator"


@dataclass(frozen=True, config=_CONFIG)
class ActionNeeded:
    """Who must act next, what they must do, and by when (None: no date)."""

    kind: ActionKind
    who: str
    what: str
    by: AwareDatetime | None = None

    def __str__(self) -> str:
        """Say it in one line."""
        by = f" by {self.by:%Y-%m-%d %H:%M} UTC" if self.by else ""
        return f"{self.who}: {self.what}{by}"


@dataclass(frozen=True, config=_CONFIG)
class MotionPipelineState:
    """Where one motion stands. Times are UTC; ``expected_completion`` is the state's deadline."""

    motion_id: UUID
    title: str
    current_state: GovernanceState
    entered_state_at: AwareDatetime
    expected_completion: AwareDatetime | None
    blocking_issues: tuple[str, ...]
    next_action: ActionNeeded | None
    time_in_state: timedelta
    owner: str | None
    attempt: int
    last_error: str | None
    introduced_at: AwareDatetime
    introduced_by: str
    reference: str | None
    version: int
    parked: str | None = None
    """Why the read model cannot show this motion's latest events, if it cannot."""


@dataclass(frozen=True, config=_CONFIG)
class MotionPage:
    """One page of a list, and where the next begins (None: this is the last)."""

    motions: tuple[MotionPipelineState, ...]
    next_after: str | None


@dataclass(frozen=True, config=_CONFIG)
class Lag:
    """How far the read model is behind the head of the store."""

    events: int
    seconds: float


@dataclass(frozen=True, config=_CONFIG)
class PipelineStatus:
    """The pipeline at a glance. Counts of the last 24 hours end at ``as_of``."""

    active_motions: int
    motions_by_state: Mapping[GovernanceState, int]
    blocked_motions: int
    oldest_motion_age: timedelta
    recent_completions: int
    recent_failures: int
    active: tuple[MotionPipelineState, ...]
    waiting_motions: int
    admitted: int
    free_places: int
    finished_recently: int
    halted: bool
    halt_reason: str | None
    halted_since: AwareDatetime | None
    position: int
    lag: Lag
    as_of: datetime


class FlowOrchestratorProtocol(Protocol):
    """Everything that can be asked of the orchestrator.

    Every method may raise StoreError; those that name a motion raise UnknownMotion, and
    ``InvalidInput`` for malformed arguments. Who acts is an Actor whose identity the caller has
    established, or a bare name, which then counts as asserted. With ``if_version``, a decision is
    taken only about the motion at that version; VersionMoved is raised if it is at another.
    """

    async def introduce_motion(
        self,
        *,
        title: str,
        text: str,
        introduced_by: str | Actor,
        motion_id: UUID | None = None,
        reference: str | None = None,
        ballots: Mapping[str, str] | None = None,
        **metadata: Any,
    ) -> UUID:
        """Put a motion before the assembly and return its id.

        Introducing the same motion under the same id again changes nothing; another one under
        an id that is taken raises MotionAlreadyExists.
        """
        ...

    async def amend_motion(
        self,
        motion_id: UUID,
        by: str | Actor,
        *,
        title: str | None = None,
        text: str | None = None,
        ballots: Mapping[str, str] | None = None,
        if_version: int | None = None,
    ) -> MotionPipelineState:
        """Give a motion a new version; ballots cast before are void. Only its introducer may."""
        ...

    async def withdraw_motion(
        self,
        motion_id: UUID,
        by: str | Actor,
        reason: str = "",
        *,
        if_version: int | None = None,
    ) -> MotionPipelineState:
        """Withdraw a motion. Only its introducer may, before it is ratified."""
        ...

    async def process_motion(self, motion_id: UUID) -> MotionPipelineState:
        """Do for a motion what can be done now: admit, apply, hand on, or let a deadline count."""
        ...

    async def route_to_branch(self, motion_id: UUID, state: GovernanceState) -> BranchAssignment:
        """Route a motion that is in ``state`` and return the routing that is open then.

        Raises NotInState if it is in another state, NotRoutable if it cannot be routed now.
        """
        ...

    async def handle_completion(
        self, motion_id: UUID, result: BranchResult, *, actor: Actor | None = None
    ) -> CompletionOutcome:
        """Record what a branch reports, and do what follows from it, in one append.

        ``actor`` is who reports, if the caller has established that; else the result says.

        Raises CompletionRefused for a routing that is not open or a foreign lease, and
        ViolationRefused for a forbidden act by somebody who does not hold the assignment.
        """
        ...

    async def get_pipeline_status(self, *, at_least: int | None = None) -> PipelineStatus:
        """Return the pipeline as it stands at the head of the store, or later."""
        ...

    async def get_motion_status(self, motion_id: UUID) -> MotionPipelineState:
        """Return one motion as its stream has it: always current."""
        ...

    async def list_motions(
        self,
        *,
        state: GovernanceState | None = None,
        blocked: bool | None = None,
        limit: int = 50,
        after: str | None = None,
        at_least: int | None = None,
    ) -> MotionPage:
        """Return a page of motions, in the order in which they were introduced."""
        ...

    async def resolve_escalation(
        self,
        motion_id: UUID,
        resolved_by: str | Actor,
        decision: Resolution | str,
        notes: str = "",
        *,
        if_version: int | None = None,
    ) -> MotionPipelineState:
        """Let a named person decide about a blocked motion: retry, return or review."""
        ...

    async def retry_motion(
        self, motion_id: UUID, by: str | Actor, *, if_version: int | None = None
    ) -> MotionPipelineState:
        """Try a blocked motion again, or take up a tabled one."""
        ...

    async def halt_pipeline(self, by: str | Actor, reason: str) -> None:
        """Stop every state change and routing; completions are still recorded."""
        ...

    async def resume_pipeline(self, by: str | Actor, reason: str) -> None:
        """Let the pipeline go on exactly where it stood."""
        ...


__all__ = [
    "ERROR_TYPE_MAP",
    "STATE_SERVICE_MAP",
    "ActionKind",
    "ActionNeeded",
    "Actor",
    "BranchAssignment",
    "BranchResult",
    "CompletionOutcome",
    "ErrorEscalationStrategy",
    "FlowOrchestratorProtocol",
    "GovernanceBranch",
    "GovernanceState",
    "Lag",
    "MotionPage",
    "MotionPipelineState",
    "PipelineStatus",
    "Purpose",
    "Resolution",
]
