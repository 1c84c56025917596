"""Assignments for tests of branch services, with everything that is not of interest filled in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    GovernanceState,
    Purpose,
)
from governance_flow.domain.branches import PURPOSE_SERVICE, SERVICE_BRANCH
from governance_flow.domain.states import OWNER_PURPOSE

MOTION_ID = UUID("00000000-0000-4000-8000-000000000001")
ROUTING_ID = UUID("00000000-0000-4000-8000-000000000002")

_STATES = {
    **{purpose: state for state, purpose in OWNER_PURPOSE.items()},
    Purpose.REVISE: GovernanceState.INTRODUCED,
    Purpose.ACKNOWLEDGE: GovernanceState.WITNESSING,
    Purpose.REVIEW: GovernanceState.EXECUTING,
}


def make_assignment(purpose: Purpose, **changes: Any) -> BranchAssignment:
    """Return an assignment for ``purpose``, as the orchestrator would make it."""
    service = PURPOSE_SERVICE[purpose]
    plain = BranchAssignment(
        motion_id=MOTION_ID,
        routing_id=ROUTING_ID,
        service=service,
        branch=SERVICE_BRANCH[service],
        state=_STATES[purpose],
        purpose=purpose,
        attempt=1,
        deadline=None,
        title="Mend the bridge",
        text="The bridge is mended before the spring flood.",
        introduced_by="ada",
        reference="B/1",
        ballots={},
        metadata={},
        outputs={},
        lease_token=7,
    )
    return replace(plain, **changes)
