"""The built-in King: answers a returned motion with an amendment, or withdraws it.

Amendments are prepared in the motion's metadata, under ``amendments``: a list of objects with one
or more of ``title``, ``text`` and ``ballots``. Ballots cast before an amendment are void, so one
without ``ballots`` leaves the motion without any.

Nothing is remembered about which amendment is next: it is read off the motion. An amendment *is in
force* if applying it would leave the motion's title, text and ballots as they are. The next one
is the one after the last that is in force, or the first if none is. So every amendment is used at
most once, whatever happened in between, and the King runs out of them sooner or later.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    Purpose,
)
from governance_flow.branches.results import done, failed, faults, in_one_line, not_its_work
from governance_flow.domain.escalation import VALIDATION_ERROR
from governance_flow.domain.events import Ballot
from governance_flow.domain.states import GovernanceState

MAX_AMENDMENTS = 100

_Words = Annotated[str, StringConstraints(strict=True, pattern=r"\S")]


class Amendment(BaseModel):
    """A version that the introducer has ready, in case the motion comes back."""

    # Further keys, a comment say, are the introducer's own business.
    model_config = ConfigDict(frozen=True, extra="ignore")

    title: _Words | None = None
    text: _Words | None = None
    ballots: dict[str, Ballot] | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.title is None and self.text is None and self.ballots is None:
            raise ValueError("an amendment needs a title, a text or ballots")
        return self

    def in_force(self, assignment: BranchAssignment) -> bool:
        """Whether applying it would change nothing."""
        return (
            self.title in (None, assignment.title)
            and self.text in (None, assignment.text)
            and (self.ballots or {}) == assignment.ballots
        )

    def changes(self) -> dict[str, Any]:
        """Return what it says, in JSON's types."""
        return self.model_dump(mode="json", exclude_none=True)


_AMENDMENTS = TypeAdapter(Annotated[list[Amendment], Field(max_length=MAX_AMENDMENTS)])


class King:
    """Revises motions that came back."""

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        """Let the introducer's own amendment stand, or apply the next one, or withdraw."""
        if assignment.purpose is not Purpose.REVISE:
            return not_its_work(assignment, "King")
        if assignment.amended:
            return done(assignment, {"applied": "what the introducer has amended meanwhile"})
        try:
            amendments = _AMENDMENTS.validate_python(assignment.metadata.get("amendments") or [])
        except ValidationError as error:
            return failed(assignment, VALIDATION_ERROR, in_one_line(faults(error, "amendments")))
        number = _next_number(amendments, assignment)
        if number <= len(amendments):
            applied = f"amendment {number} of {len(amendments)}"
            changes = amendments[number - 1].changes()
            return done(assignment, {"applied": applied, **changes})
        left = "no amendment is left" if amendments else "there is no amendment"
        found = in_one_line(assignment.findings) or "it came back"
        return done(assignment, {"reason": f"{left}, and: {found}"}, GovernanceState.WITHDRAWN)


def _next_number(amendments: list[Amendment], assignment: BranchAssignment) -> int:
    """Return the number, from 1, of the amendment to apply; one too high if none is left."""
    in_force = [n for n, item in enumerate(amendments, 1) if item.in_force(assignment)]
    return max(in_force, default=0) + 1
