"""The ports that branch services and the Earls below the Duke implement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult


@dataclass(frozen=True, slots=True)
class CompletesLater:
    """The answer of a service that has taken the assignment and will complete it later.

    It must name the assignment's ``routing_id`` and ``lease_token`` when it does.
    """


@runtime_checkable
class BranchService(Protocol):
    """Does the work of one branch. It may be called again with the same ``routing_id``.

    Whatever it raises is recorded and escalated: TimeoutError as ``timeout_error``,
    PermissionError as ``permission_error``, ValueError and pydantic's ValidationError as
    ``validation_error``, all else as ``system_error``.
    """

    async def perform(self, assignment: BranchAssignment) -> BranchResult | CompletesLater:
        """Do what ``assignment.purpose`` asks and report it."""
        ...


@dataclass(frozen=True, slots=True)
class EarlTask:
    """One task of the President's plan, as the Duke hands it out."""

    motion: BranchAssignment
    task: Mapping[str, Any]


@runtime_checkable
class EarlService(Protocol):
    """Carries out one task of a plan under the Duke."""

    async def carry_out(self, task: EarlTask) -> Mapping[str, Any]:
        """Return the task's result; raise to report that it could not be done."""
        ...
