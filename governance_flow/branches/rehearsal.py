"""Rehearsing trouble: a motion may ask a built-in service to fail, so that people can practise.

The motion's metadata says so under ``rehearse``, by purpose; everything that is recorded about it
begins with ``rehearsed:``. Only the built-in services rehearse; any other kind of branch never
looks at this key.

    {"rehearse": {"execute": {"fail": "timeout_error", "times": 2, "message": "the ferry is late"},
                  "judge":   {"act_as": "duke_service"},
                  "plan":    {"propose": "WITNESSING"}}}

- ``fail``: report a failure of this error type (any text; an unknown type halts), with ``message``;
- ``act_as``: do the work, but in the name of another service, which collapses two roles;
- ``propose``: do the work, but propose this next state, which may skip a step;
- ``times``: how many answers to this purpose are spoilt before the work is done properly (1).

Nothing is remembered between calls: the motion's own record says how many answers there have been.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from governance_flow.application.ports.branch_services import BranchService, CompletesLater
from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    Purpose,
)
from governance_flow.branches.results import failed, faults, in_one_line
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.escalation import VALIDATION_ERROR
from governance_flow.domain.states import GovernanceState

METADATA_KEY = "rehearse"

MAX_TIMES = 10

_Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1000)]

_REMEDIES = frozenset({Purpose.REVISE, Purpose.REVIEW})
"""What answers a rehearsal that cannot be read; so it is not spoilt by one."""


class Trouble(BaseModel):
    """What goes wrong with one purpose, and how often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: Annotated[int, Field(strict=True, ge=1, le=MAX_TIMES)] = 1
    fail: _Text | None = None
    message: _Text = "this failure was asked for"
    act_as: str | None = None
    propose: GovernanceState | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if [self.fail, self.act_as, self.propose].count(None) != 2:  # noqa: PLR2004 - all but one
            raise ValueError("say one of fail, act_as and propose")
        # Real people's names are not for borrowing: the record would say that they acted.
        if self.act_as is not None and self.act_as not in SERVICE_BRANCH:
            raise ValueError(f"act_as must be one of {', '.join(SERVICE_BRANCH)}")
        return self


_TROUBLES: TypeAdapter[dict[Purpose, Trouble]] = TypeAdapter(dict[Purpose, Trouble])


class Rehearsal:
    """Wraps a built-in service, and spoils its answers where the motion asks for it."""

    def __init__(self, service: BranchService) -> None:
        self._service = service

    async def perform(self, assignment: BranchAssignment) -> BranchResult | CompletesLater:
        """Answer as the wrapped service does, unless trouble is rehearsed."""
        wanted = assignment.metadata.get(METADATA_KEY)
        if wanted is None:
            return await self._service.perform(assignment)
        try:
            troubles = _TROUBLES.validate_python(wanted)
        except ValidationError as error:
            if assignment.purpose in _REMEDIES:
                return await self._service.perform(assignment)
            message = f"nothing can be rehearsed: {in_one_line(faults(error, METADATA_KEY))}"
            return failed(assignment, VALIDATION_ERROR, message)
        trouble = troubles.get(assignment.purpose)
        if trouble is None or assignment.earlier_answers >= trouble.times:
            return await self._service.perform(assignment)
        if trouble.fail is not None:
            return failed(assignment, trouble.fail, f"rehearsed: {trouble.message}")
        result = await self._service.perform(assignment)
        if isinstance(result, CompletesLater):
            return result
        return replace(
            result,
            actor=trouble.act_as or result.actor,
            next_state=trouble.propose or result.next_state,
            output={**result.output, "rehearsed": trouble.message},
        )
