"""Claiming assignments, calling the services that must answer them, and reporting what they say."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from governance_flow.application.ports.assignments import ClaimedAssignment, HeldLease
from governance_flow.application.ports.branch_services import CompletesLater
from governance_flow.application.process_manager.performing import failure, perform
from governance_flow.application.services.assignments import assignment_of
from governance_flow.domain.errors import (
    CompletionRefused,
    CorruptStream,
    InvalidInput,
    UnknownMotion,
    ViolationRefused,
)
from governance_flow.domain.escalation import SYSTEM_ERROR, TIMEOUT_ERROR, VALIDATION_ERROR
from governance_flow.domain.events import SYSTEM, Actor, Authentication

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from governance_flow.application.ports.assignments import AssignmentStore, OpenAssignment
    from governance_flow.application.ports.branch_services import BranchService
    from governance_flow.application.ports.database import Database
    from governance_flow.application.ports.flow_orchestrator import (
        BranchAssignment,
        BranchResult,
    )
    from governance_flow.application.ports.metrics import Metrics
    from governance_flow.application.services.completions import Completions
    from governance_flow.application.services.motions import Motions
    from governance_flow.application.services.pipelines import Pipelines
    from governance_flow.domain.configuration import WorkerPolicy

LATER_SECONDS = 24 * 3600.0
"""How long a service may take that completes later and has no attempt_timeout_seconds."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """An assignment this worker is working on."""

    lease: HeldLease
    task: asyncio.Task[None]


class Dispatcher:
    """Works on at most ``policy.max_concurrent_assignments`` assignments at once."""

    def __init__(  # noqa: PLR0913 - one collaborator each
        self,
        *,
        database: Database,
        assignments: AssignmentStore,
        motions: Motions,
        completions: Completions,
        pipelines: Pipelines,
        services: Mapping[str, BranchService],
        owner: str,
        policy: WorkerPolicy,
        metrics: Metrics,
        on_done: Callable[[], None],
    ) -> None:
        self._database = database
        self._assignments = assignments
        self._motions = motions
        self._completions = completions
        self._pipelines = pipelines
        self._services = services
        self._owner = owner
        self._policy = policy
        self._metrics = metrics
        self._on_done = on_done
        self._held: dict[UUID, Held] = {}
        self._failures: list[BaseException] = []
        self.services = tuple(services)

    @property
    def busy(self) -> bool:
        """Whether any assignment is in hand."""
        return bool(self._held)

    def raise_failure(self) -> None:
        """Raise what went wrong in a task of ours since the last call, if anything did."""
        if self._failures:
            first, self._failures = self._failures[0], []
            raise first

    async def claim(self) -> bool:
        """Take as many assignments as there is room for, and start on them."""
        await self._time_out_delegations()
        room = self._policy.max_concurrent_assignments - len(self._held)
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
        task = asyncio.create_task(self._work(claimed, lease), name=f"perform {lease.routing_id}")
        self._held[lease.routing_id] = Held(lease, task)
        task.add_done_callback(lambda done: self._finished(lease, done))

    def _finished(self, lease: HeldLease, task: asyncio.Task[None]) -> None:
        self._held.pop(lease.routing_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(
                "work on an assignment failed",
                routing_id=str(lease.routing_id),
                error=f"{type(error).__name__}: {error}",
            )
            self._failures.append(error)
        self._on_done()

    async def _work(self, claimed: ClaimedAssignment, lease: HeldLease) -> None:
        assignment = await self._assignment(claimed)
        if assignment is None:
            await self._close(claimed)
            return
        if claimed.lease_losses >= self._policy.max_lease_losses:
            message = f"{claimed.lease_losses} workers lost their lease while performing it"
            lost = failure(assignment, SYSTEM_ERROR, message)
            await self._report(assignment, lost, SYSTEM)
            return
        started = time.perf_counter()
        answer = await perform(
            self._services[claimed.service], assignment, claimed.attempt_timeout_seconds
        )
        elapsed = time.perf_counter() - started
        if isinstance(answer, CompletesLater):
            self._metrics.performed(claimed.service, "later", elapsed)
            seconds = claimed.attempt_timeout_seconds or LATER_SECONDS
            await self._assignments.delegate(lease, lease_seconds=seconds)
            return
        outcome = "success" if answer.success else "failure"
        self._metrics.performed(claimed.service, outcome, elapsed)
        actor = Actor(id=answer.actor or claimed.service, authenticated_by=Authentication.SERVICE)
        await self._report(assignment, answer, actor)

    async def _report(
        self, assignment: BranchAssignment, result: BranchResult, actor: Actor
    ) -> None:
        """Hand a result in under our lease; what cannot be stored is reported as a failure."""
        fenced = replace(
            result, routing_id=assignment.routing_id, lease_token=assignment.lease_token
        )
        try:
            await self._completions.complete(assignment.motion_id, fenced, actor)
        except InvalidInput as error:
            rubbish = failure(assignment, VALIDATION_ERROR, f"unusable result: {error}")
            fenced = replace(
                rubbish, routing_id=assignment.routing_id, lease_token=assignment.lease_token
            )
            await self._completions.complete(assignment.motion_id, fenced, actor)
        except (CompletionRefused, ViolationRefused) as error:
            # Somebody else has answered, or holds the lease by now: theirs counts.
            log.warning(
                "completion refused",
                routing_id=str(assignment.routing_id),
                motion_id=str(assignment.motion_id),
                reason=str(error),
            )

    async def _assignment(self, row: OpenAssignment) -> BranchAssignment | None:
        """Return what the row stands for, or None if its routing is not open any more."""
        token = row.lease_token if isinstance(row, ClaimedAssignment) else None
        for fresh in (False, True):
            try:
                motion = (await self._motions.load(row.motion_id, fresh=fresh)).motion
            except (CorruptStream, UnknownMotion) as error:
                log.error(
                    "assignment dropped: its motion cannot be read",
                    motion_id=str(row.motion_id),
                    error=str(error),
                )
                return None
            routed = motion.routing
            if routed is not None and routed.routing_id == row.routing_id:
                rules = self._pipelines.rules(routed.configuration)
                return assignment_of(motion, routed, rules, token)
        return None

    async def _close(self, claimed: ClaimedAssignment) -> None:
        await self._database.write(
            lambda tx: self._assignments.close_assignments(tx, [claimed.routing_id])
        )

    async def _time_out_delegations(self) -> None:
        """Report services that took an assignment to complete it later, and did not."""
        for row in await self._assignments.overdue_delegations(limit=100):
            assignment = await self._assignment(row)
            if assignment is None:
                continue
            message = f"{row.service} took the assignment and did not complete it in time"
            late = failure(assignment, TIMEOUT_ERROR, message)
            held = replace(assignment, lease_token=row.lease.token)
            await self._report(held, late, SYSTEM)

    async def heartbeat(self) -> None:
        """Extend every lease in hand, and stop working on what has been lost."""
        leases = [held.lease for held in self._held.values()]
        if not leases:
            return
        kept = await self._assignments.extend(leases, lease_seconds=self._policy.lease_seconds)
        for lease in leases:
            held = self._held.get(lease.routing_id)
            if lease.routing_id not in kept and held is not None and held.lease == lease:
                log.warning("lease lost; the work is stopped", routing_id=str(lease.routing_id))
                held.task.cancel()

    async def drain(self, seconds: float) -> None:
        """Let the work in hand finish for so long; cancel the rest and give it back."""
        tasks = [held.task for held in self._held.values()]
        if not tasks:
            return
        await asyncio.wait(tasks, timeout=seconds)
        unfinished = list(self._held.values())
        for held in unfinished:
            held.task.cancel()
        if unfinished:
            await asyncio.wait([held.task for held in unfinished])
        for held in unfinished:
            await self._assignments.release(held.lease)
