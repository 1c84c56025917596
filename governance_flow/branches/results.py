"""How the branch services phrase their answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult
from governance_flow.domain.escalation import SYSTEM_ERROR
from governance_flow.domain.states import GovernanceState

MAX_FINDINGS = 20
"""Findings that are spelled out in one message; the rest are counted."""


def done(
    assignment: BranchAssignment,
    output: Mapping[str, Any],
    next_state: GovernanceState | None = None,
) -> BranchResult:
    """Report success."""
    return BranchResult(
        assignment.motion_id,
        assignment.branch,
        success=True,
        output=dict(output),
        next_state=next_state,
        routing_id=assignment.routing_id,
        lease_token=assignment.lease_token,
    )


def failed(
    assignment: BranchAssignment,
    error_type: str,
    error: str,
    output: Mapping[str, Any] | None = None,
) -> BranchResult:
    """Report a failure; its type picks what is done about it."""
    return BranchResult(
        assignment.motion_id,
        assignment.branch,
        success=False,
        output=dict(output or {}),
        next_state=None,
        error=error,
        error_type=error_type,
        routing_id=assignment.routing_id,
        lease_token=assignment.lease_token,
    )


def not_its_work(assignment: BranchAssignment, who: str) -> BranchResult:
    """Report that a service was asked for something it does not do: it is wired up wrongly."""
    message = f"the {who} was asked to {assignment.purpose}, which is not its work"
    return failed(assignment, SYSTEM_ERROR, message)


def in_one_line(findings: Iterable[str]) -> str:
    """Return the findings as one message of bounded length."""
    listed = list(findings)
    shown = "; ".join(listed[:MAX_FINDINGS])
    return (
        shown if len(listed) <= MAX_FINDINGS else f"{shown}; and {len(listed) - MAX_FINDINGS} more"
    )


def faults(error: ValidationError, name: str) -> list[str]:
    """Return one line for each fault of the value called ``name``: where it is, and what."""
    return [
        f"{'.'.join([name, *(str(part) for part in fault['loc'])])}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
