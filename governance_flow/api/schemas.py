"""What is sent to the API, and what it answers with where the application has no name for it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from governance_flow.api.numbers import WHOLE, WHOLE_MAX
from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
)
from governance_flow.application.services.external import MAX_CLAIM, MAX_LEASE_SECONDS
from governance_flow.application.services.input_fields import (
    MAX_NAME_CHARACTERS,
    MAX_NOTE_CHARACTERS,
    MAX_TITLE_CHARACTERS,
)
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import Ballot
from governance_flow.domain.states import GovernanceState

SOMETHING = r"^[^\x00]*[^\s\x00-\x1f][^\x00]*$"
"""A text in which something stands; a NUL character cannot be stored everywhere."""

ANYTHING = r"^[^\x00]*$"
WAIT_SECONDS_MAX = 60

Title = Annotated[str, Field(min_length=1, max_length=MAX_TITLE_CHARACTERS, pattern=SOMETHING)]
Text = Annotated[str, Field(min_length=1, pattern=SOMETHING)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS, pattern=SOMETHING)]
Note = Annotated[str, Field(max_length=MAX_NOTE_CHARACTERS, pattern=ANYTHING)]
Reason = Annotated[str, Field(min_length=1, max_length=MAX_NOTE_CHARACTERS, pattern=SOMETHING)]


def _by_name(schema: dict[str, Any]) -> None:
    """Say that every name must be one, where it was said what has such a name must be.

    Names that are none would be allowed otherwise. Generated clients read it better, too.
    """
    [(pattern, kind)] = schema.pop("patternProperties").items()
    schema["propertyNames"] = {
        "minLength": 1,
        "maxLength": MAX_NAME_CHARACTERS,
        "pattern": pattern,
    }
    schema["additionalProperties"] = kind


Ballots = Annotated[dict[Name, Ballot], Field(json_schema_extra=_by_name)]
JsonObject = dict[str, Any]
LeaseToken = Annotated[int, Strict(), Field(ge=1, le=WHOLE_MAX), WHOLE]
LeaseSeconds = Annotated[float, Strict(), Field(gt=0, le=MAX_LEASE_SECONDS)]

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.*")


def _as_text(value: object) -> object:
    """Raise ValueError for a number: a time is a text here, whatever else Python can make of it."""
    if not isinstance(value, datetime) and not (isinstance(value, str) and _MOMENT.match(value)):
        raise ValueError("a time must be like 2026-01-31T18:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_as_text)]
"""A time with its zone (RFC 3339)."""

EXAMPLE_MOTION = "0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b"
EXAMPLE_ROUTING = "7f3e9c04-5f0e-4a77-8a36-2f0f6c1d9b11"


class Sent(BaseModel):
    """What somebody sends: nothing in it goes unread."""

    model_config = ConfigDict(extra="forbid")


# -- Motions ---------------------------------------------------------------------------------------


class Introduction(Sent):
    """A motion to put before the assembly. Who introduces it is who the token was made out to."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "Plant forty trees along Harbour Street",
                    "text": "The council resolves to plant forty lime trees this autumn.",
                    "reference": "2026/17",
                    "ballots": {"Ada": "yes", "Bo": "yes", "Cy": "abstain"},
                    "metadata": {"tasks": ["order the trees", "plant them"]},
                }
            ]
        }
    )

    title: Title
    text: Text
    motion_id: UUID | None = Field(
        default=None, description="Its id; without one it is given one. Said twice: one motion."
    )
    reference: Title | None = None
    ballots: Ballots = Field(default_factory=dict)
    metadata: JsonObject = Field(default_factory=dict)


class Amendment(Sent):
    """A new version of a motion; ballots cast before are void. What is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"title": "Plant sixty trees along Harbour Street"}],
            # One of them must be there. Said as anyOf, generated clients could not send both.
            "not": {"properties": {"title": {"type": "null"}, "text": {"type": "null"}}},
        }
    )

    title: Title | None = None
    text: Text | None = None
    ballots: Ballots = Field(default_factory=dict)


class Withdrawal(Sent):
    """Why a motion is withdrawn; it may be left open."""

    reason: Note = Field(default="", examples=["the street is to be rebuilt first"])


class Introduced(BaseModel):
    """A motion that was put before the assembly."""

    motion_id: UUID
    new: bool = Field(description="False: the same motion was introduced before.")


class MotionEventView(BaseModel):
    """One event of a motion, and its place in the log."""

    position: int
    version: int
    committed_at: datetime
    topic: str
    event: JsonObject


class MotionEventPage(BaseModel):
    """Events of a motion in order, and behind which version the next page begins."""

    events: list[MotionEventView]
    next_after: int | None


class StorySentence(BaseModel):
    """One thing that happened, told for people."""

    position: int
    committed_at: datetime
    kind: str
    told: str


class MotionStory(BaseModel):
    """A motion's story: what became of it, who acted, and what comes next."""

    summary: str
    sentences: list[StorySentence]
    next: list[str]


# -- Assignments -----------------------------------------------------------------------------------


class FetchRequest(Sent):
    """Assignments to lock for oneself, of the branches that the token is for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"branches": ["duke"], "limit": 5, "lease_seconds": 60, "wait_seconds": 30}
            ]
        }
    )

    branches: list[GovernanceBranch] | None = Field(
        default=None, max_length=10, description="Without it: every branch that the token is for."
    )
    limit: Annotated[int, Strict(), Field(ge=1, le=MAX_CLAIM), WHOLE] = 1
    lease_seconds: LeaseSeconds = Field(
        default=60.0, description="They are yours for so long; extend it before it ends."
    )
    wait_seconds: Annotated[float, Strict(), Field(ge=0, le=WAIT_SECONDS_MAX)] = Field(
        default=0.0, description="If there are none, wait so long for the first."
    )


class FetchedAssignments(BaseModel):
    """Assignments that are the caller's until their leases end."""

    assignments: list[BranchAssignment]


class LeaseHeld(Sent):
    """What proves that an assignment is one's own: the fencing token that came with it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"lease_token": 3}]})

    lease_token: LeaseToken


class LeaseExtension(LeaseHeld):
    """How long, from now, an assignment is to stay one's own."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"lease_token": 3, "lease_seconds": 60}]}
    )

    lease_seconds: LeaseSeconds = 60.0


class Answered(LeaseHeld):
    """Which assignment is answered, as it was fetched."""

    motion_id: UUID
    branch: GovernanceBranch
    output: JsonObject = Field(default_factory=dict)


class Completion(Answered):
    """An assignment that is done. Only a deliberation or a review proposes a next state."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "motion_id": EXAMPLE_MOTION,
                    "branch": "duke",
                    "lease_token": 3,
                    "output": {"results": {"task-1": "planted"}},
                }
            ]
        }
    )

    next_state: GovernanceState | None = None


class Failure(Answered):
    """An assignment that could not be done, and why. The type picks what happens next."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "motion_id": EXAMPLE_MOTION,
                    "branch": "duke",
                    "lease_token": 3,
                    "error": "no ferry today",
                    "error_type": "timeout_error",
                }
            ]
        }
    )

    error: Annotated[str, Field(min_length=1, max_length=100_000, pattern=SOMETHING)]
    error_type: Name | None = Field(
        default=None,
        description=(
            "`validation_error` returns the motion, `permission_error` and `compliance_error` have "
            "it reviewed, `timeout_error` tries again; everything else, or none, asks a person."
        ),
    )


class OpenAssignmentView(BaseModel):
    """An assignment that is open, and who holds it."""

    routing_id: UUID
    motion_id: UUID
    service: str
    branch: GovernanceBranch
    state: str
    purpose: str
    attempt: int
    not_before: datetime
    deadline: datetime | None
    opened_at: datetime
    lease_owner: str | None
    lease_expires_at: datetime | None
    lease_losses: int


class AssignmentPage(BaseModel):
    """Open assignments in the order in which they can be fetched."""

    assignments: list[OpenAssignmentView]
    next_after: str | None


# -- What people decide ----------------------------------------------------------------------------


class PersonsDecision(Sent):
    """What a named person decides about a motion that waits for one."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"decision": "retry", "notes": "the ferry runs again"}]}
    )

    decision: Resolution
    notes: Note = ""


class ManyDecisions(Sent):
    """The same decision about every motion selected, a bounded number at once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"decision": "retry", "error_type": "timeout_error", "limit": 100}]
        }
    )

    decision: Resolution
    notes: Note = ""
    state: GovernanceState | None = None
    error_type: Name | None = None
    blocked_since: Moment | None = None
    limit: Annotated[int, Strict(), Field(ge=1, le=100), WHOLE] = 100
    after: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="`next_after` of the answer before."
    )


class DecidedView(BaseModel):
    """What became of one motion."""

    motion_id: UUID
    title: str
    done: bool
    current_state: GovernanceState | None
    refusal: str | None


class ManyDecided(BaseModel):
    """What became of each motion, and where to go on if there are more."""

    decided: list[DecidedView]
    next_after: str | None


class PersonsReason(Sent):
    """Why the whole pipeline is halted or resumed; it goes on record."""

    reason: Reason = Field(examples=["the vote is contested"])
