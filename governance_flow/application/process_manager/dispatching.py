"""Claiming assignments, calling the services that must answer them, and reporting what they say."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from governance_flow.application.ports.assignments import HeldLease
from governance_flow.application.ports.branch_services import CompletesLater
from governance_flow.application.process_manager.background import Background
from governance_flow.application.process_manager.performing import failure, perform
from governance_flow.application.services.assignments import assignment_of
from governance_flow.domain.errors import CorruptStream, GovernanceFlowError, UnknownMotion
from governance_flow.domain.escalation import SYSTEM_ERROR, TIMEOUT_ERROR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from governance_flow.application.ports.assignments import (
        AssignmentStore,
        ClaimedAssignment,
        OpenAssignment,
    )
    from governance_flow.application.ports.branch_services import BranchService
    from governance_flow.application.ports.database import Database
    from governance_flow.application.ports.flow_orchestrator import BranchAssignment
    from governance_flow.application.ports.metrics import Metrics
    from governance_flow.application.process_manager.background import Failures
    from governance_flow.application.process_manager.reporting import Reporting
    from governance_flow.application.services.motions import Motions
    from governance_flow.application.services.pipelines import Pipelines
    from governance_flow.domain.configuration import WorkerPolicy

LATER_SECONDS = 24 * 3600.0
"""How long a service may take that completes later and has no attempt_timeout_seconds."""

OVERDUE_BATCH = 100

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """An assignment this worker is working on."""

    lease: HeldLease
    task: asyncio.Task[None]


class Dispatcher:
    """Works on at most ``policy.max_concurrent_assignments`` assignments at once."""

    def __init__(
        self,
        *,
        database: Database,
        assignments: AssignmentStore,
        motions: Motions,
        reporting: Reporting,
        pipelines: Pipelines,
        services: Mapping[str, BranchService],
        owner: str,
        policy: WorkerPolicy,
        metrics: Metrics,
        failures: Failures,
        on_done: Callable[[], None],
    ) -> None:
        self._database = database
        self._assignments = assignments
        self._motions = motions
        self._reporting = reporting
        self._pipelines = pipelines
        self._services = services
        self._owner = owner
        self._policy = policy
        self._metrics = metrics
        self._held: dict[UUID, Held] = {}
        self._extended_at = 0.0
        self._tasks = Background(on_done, failures)
        self.services = tuple(services)

    @property
    def busy(self) -> bool:
        """Whether any assignment is in hand."""
        return bool(self._tasks)

    async def claim(self) -> bool:
        """Take as many assignments as there is room for, and start on them."""
        if asyncio.get_running_loop().time() - self._extended_at >= self._policy.lease_seconds:
            # We were held up for so long that we might take over what is in our own hands.
            await self.heartbeat()
        await self._time_out_delegations()
        room = self._policy.max_concurrent_assignments - len(self._tasks)
        if room <= 0 or not self.services:
            return False
        claimed = await self._assignments.claim(
            self.services,
            owner=self._owner,
            limit=room,
            lease_seconds=self._policy.lease_seconds,
        )
        for assignment in claimed:
            self._start(assignment)
        return bool(claimed)

    def _start(self, claimed: ClaimedAssignment) -> None:
        lease = HeldLease(claimed.routing_id, claimed.lease_token)
        outlived = self._held.get(lease.routing_id)
        if outlived is not None:
            # We took over from ourselves: that lease ran out before it could be extended.
            outlived.task.cancel()
        task = self._tasks.start(self._work(claimed, lease), f"perform {lease.routing_id}")
        self._held[lease.routing_id] = Held(lease, task)
        task.add_done_callback(lambda _: self._let_go(lease))

    def _let_go(self, lease: HeldLease) -> None:
        held = self._held.get(lease.routing_id)
        if held is not None and held.lease == lease:
            del self._held[lease.routing_id]

    async def _work(self, claimed: ClaimedAssignment, lease: HeldLease) -> None:
        assignment = await self._assignment(claimed, claimed.lease_token)
        if assignment is None:
            return
        if claimed.lease_losses >= self._policy.max_lease_losses:
            message = f"{claimed.lease_losses} workers lost their lease while performing it"
            lost = failure(assignment, SYSTEM_ERROR, message)
            await self._reporting.report_by_system(assignment, lost)
            return
        started = time.perf_counter()
        answer = await perform(
            self._services[claimed.service], assignment, claimed.attempt_timeout_seconds
        )
        elapsed = time.perf_counter() - started
        if isinstance(answer, CompletesLater):
            self._metrics.performed(claimed.service, "later", elapsed)
            await self._delegate(claimed, lease)
            return
        outcome = "success" if answer.success else "failure"
        self._metrics.performed(claimed.service, outcome, elapsed)
        await self._reporting.report(assignment, answer)

    async def _delegate(self, claimed: ClaimedAssignment, lease: HeldLease) -> None:
        seconds = claimed.attempt_timeout_seconds or LATER_SECONDS
        if not await self._assignments.delegate(lease, lease_seconds=seconds):
            log.warning(
                "taken to be completed later, but completed or taken over already",
                routing_id=str(lease.routing_id),
                motion_id=str(claimed.motion_id),
            )

    async def _assignment(self, row: OpenAssignment, token: int) -> BranchAssignment | None:
        """Return what the row stands for; if its routing is not open any more, drop the row."""
        for fresh in (False, True):
            try:
                motion = (await self._motions.load(row.motion_id, fresh=fresh)).motion
            except (CorruptStream, UnknownMotion) as error:
                log.error(  # noqa: TRY400 - the message says all there is
                    "assignment dropped: its motion cannot be read",
                    motion_id=str(row.motion_id),
                    error=str(error),
                )
                break
            routed = motion.routing
            if routed is not None and routed.routing_id == row.routing_id:
                await self._pipelines.learn(routed.configuration)
                rules = self._pipelines.rules(routed.configuration)
                return assignment_of(motion, routed, rules, token)
        await self._database.write(
            lambda tx: self._assignments.close_assignments(tx, [row.routing_id])
        )
        return None

    async def _time_out_delegations(self) -> None:
        """Report services that took an assignment to complete it later, and did not."""
        for row in await self._assignments.overdue_delegations(limit=OVERDUE_BATCH):
            assignment = await self._assignment(row, row.lease.token)
            if assignment is None:
                continue
            message = f"{row.service} took the assignment and did not complete it in time"
            late = failure(assignment, TIMEOUT_ERROR, message)
            await self._reporting.report_by_system(assignment, late)

    async def heartbeat(self) -> None:
        """Extend every lease in hand, and stop working on what has been lost."""
        started = asyncio.get_running_loop().time()
        leases = [held.lease for held in self._held.values()]
        if not leases:
            self._extended_at = started
            return
        kept = await self._assignments.extend(leases, lease_seconds=self._policy.lease_seconds)
        self._extended_at = started
        for lease in leases:
            held = self._held.get(lease.routing_id)
            if lease.routing_id not in kept and held is not None and held.lease == lease:
                log.warning("lease lost; the work is stopped", routing_id=str(lease.routing_id))
                held.task.cancel()

    async def drain(self, seconds: float) -> None:
        """Let the work in hand finish for so long; cancel the rest and give it back."""
        await self._tasks.finish(seconds)
        unfinished = [held.lease for held in self._held.values()]
        await self._tasks.cancel()
        for lease in unfinished:
            try:
                await self._assignments.release(lease)
            except GovernanceFlowError as error:
                log.warning(
                    "not given back: others must wait until the lease runs out",
                    routing_id=str(lease.routing_id),
                    error=str(error),
                )
