"""Claiming assignments, calling the services that must answer them, and reporting what they say."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from governance_flow.application.ports.assignments import HeldLease, Keep
from governance_flow.application.ports.branch_services import CompletesLater
from governance_flow.application.process_manager.background import Background
from governance_flow.application.process_manager.performing import failure, perform
from governance_flow.application.services.assignments import open_assignment
from governance_flow.domain.errors import CorruptStream, GovernanceFlowError, UnknownMotion
from governance_flow.domain.escalation import SYSTEM_ERROR, TIMEOUT_ERROR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from uuid import UUID

    from governance_flow.application.ports.assignments import (
        AssignmentStore,
        DueWork,
        OpenAssignment,
    )
    from governance_flow.application.ports.branch_services import BranchService
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


@dataclass(slots=True)
class Held:
    """An assignment this worker is working on; ``reporting`` once its result is being handed in."""

    lease: HeldLease
    task: asyncio.Task[None]
    reporting: bool = False


class Dispatcher:
    """Works on at most ``policy.max_concurrent_assignments`` assignments at once.

    What follows from a result is leased to us in the very append that records it, and performed
    next: a motion goes from branch to branch without being claimed in between.
    """

    def __init__(
        self,
        *,
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
        self._assignments = assignments
        self._motions = motions
        self._reporting = reporting
        self._pipelines = pipelines
        self._services = services
        self._owner = owner
        self._policy = policy
        self._metrics = metrics
        self._held: dict[UUID, Held] = {}
        self._promised = 0
        self._keep: Keep | None = None
        self._draining = False
        self._extended_at = 0.0
        self._tasks = Background(on_done, failures)
        self.services = tuple(services)

    @property
    def busy(self) -> bool:
        """Whether any assignment is in hand."""
        return bool(self._tasks)

    @property
    def room(self) -> int:
        """How many more assignments may be taken in hand."""
        return self._policy.max_concurrent_assignments - len(self._tasks) - self._promised

    async def claim(self, due: DueWork) -> bool:
        """Take as many of the assignments that are due as there is room for; start on them."""
        if asyncio.get_running_loop().time() - self._extended_at >= self._policy.lease_seconds:
            # We were held up for so long that we might take over what is in our own hands.
            await self.heartbeat()
        if due.delegations:
            await self._time_out_delegations()
        if self._draining or not due.assignments or self.room <= 0 or not self.services:
            return False
        claimed = await self._assignments.claim(
            self.services,
            owner=self._owner,
            limit=self.room,
            lease_seconds=self._policy.lease_seconds,
        )
        for assignment in claimed:
            self._start(assignment, assignment.lease_token, assignment.lease_losses)
        return bool(claimed)

    @contextmanager
    def promise(self) -> Iterator[Keep | None]:
        """Keep room for an assignment that may follow from what is done in the block.

        Gives None if there is no room for another one.
        """
        keep = self._keep if self.room > 0 and not self._draining else None
        self._promised += keep is not None
        try:
            yield keep
        finally:
            self._promised -= keep is not None

    async def prepare(self) -> None:
        """Reserve the token under which assignments are kept; once is enough until ``drain``."""
        if self._keep is None:
            self._keep = Keep(
                services=frozenset(self.services),
                owner=self._owner,
                token=await self._assignments.reserve_token(),
                lease_seconds=self._policy.lease_seconds,
            )

    def take(self, kept: OpenAssignment, keep: Keep) -> None:
        """Start on an assignment that was leased to us, under ``keep``, by what made it."""
        if self._keep is None or self._draining:
            lease = HeldLease(kept.routing_id, keep.token)
            self._tasks.start(self._give_back(lease), f"give back {lease.routing_id}")
            return
        self._start(kept, keep.token, losses=0)

    async def _give_back(self, lease: HeldLease) -> None:
        await self._assignments.release(lease)

    def _start(self, assignment: OpenAssignment, token: int, losses: int) -> None:
        lease = HeldLease(assignment.routing_id, token)
        outlived = self._held.get(lease.routing_id)
        if outlived is not None:
            # We took over from ourselves: that lease ran out before it could be extended.
            outlived.task.cancel()
        task = self._tasks.start(
            self._work(assignment, lease, losses), f"perform {lease.routing_id}"
        )
        self._held[lease.routing_id] = Held(lease, task)

    async def _work(self, row: OpenAssignment, lease: HeldLease, losses: int) -> None:
        """Perform an assignment, and then what follows from it, as long as that is ours."""
        while True:
            try:
                following = await self._perform(row, lease, losses)
            finally:
                held = self._let_go(lease)
            if following is None or self._keep is None:
                return
            row, losses = following, 0
            lease = HeldLease(row.routing_id, self._keep.token)
            if held is None or self._draining:
                await self._assignments.release(lease)
                return
            self._held[lease.routing_id] = Held(lease, held.task)

    def _let_go(self, lease: HeldLease) -> Held | None:
        held = self._held.get(lease.routing_id)
        if held is None or held.lease != lease:
            return None
        return self._held.pop(lease.routing_id)

    async def _perform(
        self, row: OpenAssignment, lease: HeldLease, losses: int
    ) -> OpenAssignment | None:
        """Perform one assignment; return what follows, if that was leased to us."""
        assignment = await self._assignment(row, lease.lease_token)
        if assignment is None:
            return None
        if losses >= self._policy.max_lease_losses:
            message = f"{losses} workers lost their lease while performing it"
            lost = failure(assignment, SYSTEM_ERROR, message)
            await self._reporting.report_by_system(assignment, lost)
            return None
        started = time.perf_counter()
        answer = await perform(self._services[row.service], assignment, row.attempt_timeout_seconds)
        elapsed = time.perf_counter() - started
        if isinstance(answer, CompletesLater):
            self._metrics.performed(row.service, "later", elapsed)
            await self._delegate(row, lease)
            return None
        outcome = "success" if answer.success else "failure"
        self._metrics.performed(row.service, outcome, elapsed)
        held = self._held.get(lease.routing_id)
        if held is not None and held.lease == lease:
            # From here on only the store can say whether the lease still counts.
            held.reporting = True
        return await self._reporting.report(
            assignment, answer, None if self._draining else self._keep
        )

    async def _delegate(self, claimed: OpenAssignment, lease: HeldLease) -> None:
        seconds = claimed.attempt_timeout_seconds or LATER_SECONDS
        if not await self._assignments.delegate(lease, lease_seconds=seconds):
            log.warning(
                "taken to be completed later, but completed or taken over already",
                routing_id=str(lease.routing_id),
                motion_id=str(claimed.motion_id),
            )

    async def _assignment(self, row: OpenAssignment, token: int) -> BranchAssignment | None:
        """Return what the row stands for; if its routing is not open any more, drop the row."""
        try:
            assignment = await open_assignment(self._motions, self._pipelines, row, token)
        except (CorruptStream, UnknownMotion) as error:
            log.error(  # noqa: TRY400 - the message says all there is
                "assignment dropped: its motion cannot be read",
                motion_id=str(row.motion_id),
                error=str(error),
            )
            assignment = None
        if assignment is None:
            await self._assignments.close(row.routing_id)
        return assignment

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
            if lease.routing_id in kept or held is None or held.lease != lease:
                continue
            if not held.reporting:
                log.warning("lease lost; the work is stopped", routing_id=str(lease.routing_id))
                held.task.cancel()

    def begin_nothing(self) -> None:
        """Go on with nothing that follows, and claim nothing, until told otherwise."""
        self._draining = True

    def begin_again(self) -> None:
        """Claim and go on as ever, from the next round on."""
        self._draining, self._keep = False, None

    async def drain(self, seconds: float) -> None:
        """Let the work in hand finish for so long; cancel the rest and give it back."""
        self.begin_nothing()
        try:
            await self._tasks.finish(seconds)
            unfinished = bool(self._tasks)
            await self._tasks.cancel()
            if unfinished:
                await self._assignments.release_all(self._owner)
        except GovernanceFlowError as error:
            log.warning(
                "not given back: others must wait until the leases run out", error=str(error)
            )
        finally:
            self.begin_again()
