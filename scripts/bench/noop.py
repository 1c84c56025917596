"""Branch services that do nothing, at once, and a pipeline made of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any
from uuid import UUID

from governance_flow.application.ports.branch_services import BranchService
from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    GovernanceState,
    Purpose,
)
from governance_flow.bootstrap import Flow, open_flow
from governance_flow.domain.branches import SERVICE_BRANCH
from scripts.bench.keys import bench_keyring
from scripts.bench.without_log import without_log

INTRODUCED_AT_ONCE = 500


class Nothing:
    """Reports success, and that a motion is ratified when it is asked to deliberate."""

    def __init__(self) -> None:
        self.calls = 0

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        """Answer at once."""
        self.calls += 1
        return done(assignment)


def done(assignment: BranchAssignment) -> BranchResult:
    """Return the result of work well done."""
    ratified = GovernanceState.RATIFIED if assignment.purpose is Purpose.DELIBERATE else None
    return BranchResult(
        assignment.motion_id, assignment.branch, success=True, output={}, next_state=ratified
    )


def settings(in_flight: int) -> dict[str, Any]:
    """Return the configuration in which so many motions are in flight; all else is default."""
    return {
        "max_concurrent_motions": in_flight,
        "worker": {"max_concurrent_assignments": in_flight},
    }


@asynccontextmanager
async def opened(
    address: str, in_flight: int, service: BranchService | None = None, *, log: bool = True
) -> AsyncIterator[Flow]:
    """Open a pipeline in which every branch does nothing, unless a service for all is given.

    The Knight is the built-in witness, his statements are signed, the read model and the audit
    log are kept, and appends are durable, as they always are; without ``log`` see ``without_log``.
    """
    with nullcontext() if log else without_log():
        opening = open_flow(
            address,
            config=settings(in_flight),
            branches=dict.fromkeys(SERVICE_BRANCH, service or Nothing()),
            keyring=bench_keyring(),
            alert_sinks=[],
            environ={},
        )
        async with opening as flow:
            yield flow


async def introduce(flow: Flow, motions: int) -> None:
    """Put motions before the assembly, many at once."""
    for first in range(0, motions, INTRODUCED_AT_ONCE):
        async with asyncio.TaskGroup() as group:
            for number in range(first, min(motions, first + INTRODUCED_AT_ONCE)):
                group.create_task(introduce_one(flow, number))


async def introduce_one(flow: Flow, number: int) -> UUID:
    """Put one motion before the assembly, and return its id."""
    return await flow.orchestrator.introduce_motion(
        title=f"motion {number}", text="Whereas.", introduced_by="ada"
    )
