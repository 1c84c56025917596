"""Everything that can happen, as frozen facts in the past tense.

The topic of an event is its stored name: a store outlives any renaming of the classes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic._internal._model_construction import ModelMetaclass

from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.escalation import (
    ErrorEscalationStrategy,
    Resolution,
    Severity,
    ViolationKind,
)
from governance_flow.domain.keys import KeyRole
from governance_flow.domain.states import EdgeKind, GovernanceState
from governance_flow.domain.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = Any
"""A value that JSON can hold; the mapper refuses anything else when it encodes."""

PIPELINE_ID = uuid5(UUID(int=0), "governance-flow/pipeline")
"""The stream of the pipeline itself."""


class Ballot(Vocabulary):
    """One member's vote."""

    YES = "yes"
    NO = "no"
    ABSTAIN = "abstain"


class Authentication(Vocabulary):
    """How we know that an actor is who the record says."""

    SYSTEM = "system"
    """The orchestrator itself acted."""
    SERVICE = "service"
    """A branch service that the operator configured vouches for the name."""
    ASSERTED = "asserted"
    """A name that somebody typed; nothing proves it."""
    TOKEN = "token"  # noqa: S105 - the word, and not one
    """Whoever acted held an access token that the operator made out to this name."""


class PlainInstances(ModelMetaclass):
    """Lets ``isinstance`` look at the classes and nothing else.

    Pydantic's own check runs Python code for each class that does not match. Folding an event asks
    about half a dozen classes, and does little else.
    """

    __instancecheck__ = type.__instancecheck__


class Frozen(BaseModel, metaclass=PlainInstances):
    """Base of every stored value: immutable, and without fields that nobody declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def unchecked(cls, fields: dict[str, Any]) -> Self:
        """Return a value that holds exactly these fields, without checking any of them.

        For values of ours: checking them takes longer than all that is decided about an event.
        ``fields`` must name them all, in the order of the class, because they are stored in the
        order of this dictionary, which belongs to the new value afterwards.
        """
        made = cls.__new__(cls)
        # All that pydantic's own constructor leaves behind.
        object.__setattr__(made, "__dict__", fields)
        object.__setattr__(made, "__pydantic_fields_set__", _fields_of(cls))
        object.__setattr__(made, "__pydantic_extra__", None)
        object.__setattr__(made, "__pydantic_private__", None)
        return made


@cache
def _fields_of(kind: type[Frozen]) -> set[str]:
    # Shared: it is as large as the dictionary of an event, and nobody changes it.
    return set(kind.model_fields)


class Actor(Frozen):
    """Who did it, and how we know."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    authenticated_by: Authentication


SYSTEM = Actor(id="orchestrator", authenticated_by=Authentication.SYSTEM)


class Event(Frozen):
    """What every event says besides its own matter.

    ``causation_id`` is the event that led to this one; ``correlation_id`` is shared by
    everything that followed from one request. ``timestamp`` is the deciding process's clock;
    the store adds the commit time in a column of its own.
    """

    topic: ClassVar[str]

    schema_version: Literal[1] = 1
    event_id: UUID
    correlation_id: UUID
    causation_id: UUID | None = None
    actor: Actor
    timestamp: AwareDatetime


class MotionIntroduced(Event):
    """The King's branch put a motion before the assembly."""

    topic: ClassVar[str] = "MOTION_INTRODUCED"

    title: str
    text: str
    introduced_by: str
    reference: str | None = None
    ballots: dict[str, Ballot] = Field(default_factory=dict)
    metadata: dict[str, Json] = Field(default_factory=dict)


class MotionAmended(Event):
    """The introducer gave the motion a new version; ballots cast before are void."""

    topic: ClassVar[str] = "MOTION_AMENDED"

    title: str
    text: str
    ballots: dict[str, Ballot] = Field(default_factory=dict)


class MotionRouted(Event):
    """A branch service was given the motion. The event's id is the routing's id."""

    topic: ClassVar[str] = "MOTION_ROUTED"

    service: str
    branch: GovernanceBranch
    purpose: Purpose
    from_state: GovernanceState
    state: GovernanceState
    attempt: int
    not_before: AwareDatetime | None = None
    deadline: AwareDatetime | None = None
    findings: tuple[str, ...] = ()
    configuration: str

    @property
    def routing_id(self) -> UUID:
        """The id a completion must name."""
        return self.event_id


class BranchCompleted(Event):
    """The holder of a routing reported; whether it is applied, later events say."""

    topic: ClassVar[str] = "BRANCH_COMPLETED"

    routing_id: UUID
    service: str
    branch: GovernanceBranch
    purpose: Purpose
    success: bool
    output: dict[str, Json] = Field(default_factory=dict)
    next_state: GovernanceState | None = None
    error: str | None = None
    error_type: str | None = None


class Cause(Frozen):
    """Why a transition was made: the kind of edge, the event behind it, and the reason."""

    kind: EdgeKind
    reason: str
    event_id: UUID | None = None


class TransitionWitnessed(Event):
    """The state changed. Nothing else changes it, so no transition can be unwitnessed.

    ``statement`` is the Knight's statement, exactly as made; ``until`` goes with TABLED.
    """

    topic: ClassVar[str] = "TRANSITION_WITNESSED"

    from_state: GovernanceState
    to_state: GovernanceState
    cause: Cause
    until: AwareDatetime | None = None
    statement: str


class OrchestratorError(Event):
    """Something went wrong, and this is what was done about it. The event's id names the error.

    ``routing_id`` is the routing that failed, if one did; without it (the Knight could not
    witness) whatever the branch reported is kept, to be applied once a person says so.
    """

    topic: ClassVar[str] = "ORCHESTRATOR_ERROR"

    error_type: str
    message: str
    branch: GovernanceBranch | None
    purpose: Purpose | None
    attempt: int
    routing_id: UUID | None = None
    strategy: ErrorEscalationStrategy
    action: str
    retry_at: AwareDatetime | None = None


class EscalationResolved(Event):
    """A named person decided about a blocked motion, or took up a tabled one."""

    topic: ClassVar[str] = "ESCALATION_RESOLVED"

    error_id: UUID | None
    decision: Resolution
    notes: str


class ViolationWitnessed(Event):
    """An act was refused: by whom (``actor``), what, why, and how grave."""

    topic: ClassVar[str] = "VIOLATION_WITNESSED"

    kind: ViolationKind
    branch: GovernanceBranch
    routing_id: UUID | None
    by_holder: bool
    attempted: str
    reason: str
    severity: Severity


class PipelineHalted(Event):
    """No state changes and nothing is routed until a named person resumes."""

    topic: ClassVar[str] = "PIPELINE_HALTED"

    reason: str


class PipelineResumed(Event):
    """The pipeline goes on; what was recorded meanwhile is applied."""

    topic: ClassVar[str] = "PIPELINE_RESUMED"

    reason: str


class ConfigurationAdopted(Event):
    """The configuration in force changed. Routings refer to it by its digest."""

    topic: ClassVar[str] = "CONFIGURATION_ADOPTED"

    digest: str
    configuration: dict[str, Json]


class AlertDelivered(Event):
    """An alert reached a sink."""

    topic: ClassVar[str] = "ALERT_DELIVERED"

    alert_id: str
    sink: str
    attempts: int
    motion_id: UUID | None = None


class KeyAdopted(Event):
    """From here on the key with this verifier key signs in this role.

    ``statement`` is a signed note that says so: signed by the new key, which proves that whoever
    announced it has it, and by the one that it replaces.
    """

    topic: ClassVar[str] = "KEY_ADOPTED"

    role: KeyRole
    key: str
    statement: str


MotionEvent = (
    MotionIntroduced
    | MotionAmended
    | MotionRouted
    | BranchCompleted
    | TransitionWitnessed
    | OrchestratorError
    | EscalationResolved
    | ViolationWitnessed
)
PipelineEvent = (
    PipelineHalted | PipelineResumed | ConfigurationAdopted | AlertDelivered | KeyAdopted
)

EVENT_TYPES: Mapping[str, type[Event]] = MappingProxyType(
    {
        event.topic: event
        for event in (
            MotionIntroduced,
            MotionRouted,
            BranchCompleted,
            TransitionWitnessed,
            OrchestratorError,
            EscalationResolved,
            ViolationWitnessed,
            MotionAmended,
            PipelineHalted,
            PipelineResumed,
            ConfigurationAdopted,
            AlertDelivered,
            KeyAdopted,
        )
    }
)
"""The closed set of topics."""


@dataclass(frozen=True)
class ProposedTransition:
    """A transition that a decision asks for. It becomes an event only with a statement.

    Its fields are all that the event has besides, in the same order.
    """

    event_id: UUID
    correlation_id: UUID
    causation_id: UUID | None
    actor: Actor
    timestamp: datetime
    from_state: GovernanceState
    to_state: GovernanceState
    cause: Cause
    until: datetime | None = None

    def witnessed(self, statement: str) -> TransitionWitnessed:
        """Return the event, now that the Knight has spoken."""
        return TransitionWitnessed.unchecked(
            {"schema_version": 1, **self.__dict__, "statement": statement}
        )


Proposal = MotionEvent | ProposedTransition
"""What a decision may ask for."""
