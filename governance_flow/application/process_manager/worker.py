"""The worker: follows the events and does what they call for, until it is told to stop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from governance_flow.application.ports.assignments import AgendaKind
from governance_flow.application.times import to_us
from governance_flow.domain.errors import GovernanceFlowError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from governance_flow.application.ports.assignments import AssignmentStore
    from governance_flow.application.ports.clock import Clock
    from governance_flow.application.ports.event_store import EventStore, Head
    from governance_flow.application.ports.projection import Follower
    from governance_flow.application.process_manager.agenda import AgendaKeeper
    from governance_flow.application.process_manager.alerting import Alerting
    from governance_flow.application.process_manager.dispatching import Dispatcher
    from governance_flow.application.process_manager.reconciling import Reconciler
    from governance_flow.application.services.pipelines import Pipelines
    from governance_flow.domain.configuration import WorkerPolicy

RECONCILE_EVERY = timedelta(minutes=1)
MAX_BACKOFF_SECONDS = 30.0

log = structlog.get_logger(__name__)


class Worker:
    """Any number of workers, in any number of processes, share one store."""

    def __init__(  # noqa: PLR0913 - one collaborator each
        self,
        *,
        store: EventStore,
        assignments: AssignmentStore,
        follower: Follower,
        pipelines: Pipelines,
        agenda: AgendaKeeper,
        dispatcher: Dispatcher,
        alerting: Alerting,
        reconciler: Reconciler,
        policy: WorkerPolicy,
        clock: Clock,
        wake: asyncio.Event,
    ) -> None:
        self._store = store
        self._assignments = assignments
        self._follower = follower
        self._pipelines = pipelines
        self._agenda = agenda
        self._dispatcher = dispatcher
        self._alerting = alerting
        self._reconciler = reconciler
        self._policy = policy
        self._clock = clock
        self._wake = wake
        self._stopping = False
        self._seen_work = 0
        self._reconciled = clock.now() - RECONCILE_EVERY

    def stop(self) -> None:
        """Ask ``run`` to finish or give back what is in hand, and return."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until ``stop`` is called. An error is logged and worked through, never fatal."""
        failures = 0
        async with self._heartbeats():
            while not self._stopping:
                try:
                    moved, head = await self.step()
                    self._dispatcher.raise_failure()
                    failures = 0
                except Exception as error:  # noqa: BLE001 - logged; the worker goes on
                    failures += 1
                    delay = min(self._policy.poll_seconds * 2**failures, MAX_BACKOFF_SECONDS)
                    log.error(
                        "the worker failed and goes on",
                        error=f"{type(error).__name__}: {error}",
                        delay_seconds=delay,
                        exc_info=not isinstance(error, GovernanceFlowError),
                    )
                    await self._pause(delay)
                    continue
                if not moved:
                    await self._rest(head)
            await self._dispatcher.drain(self._policy.drain_seconds)
        self._stopping = False

    async def run_until_idle(self) -> None:
        """Work until nothing can be done now, by this worker or by another on the same store.

        It waits for work and leases in hand, not for backoffs, deadlines or people. Raises
        what went wrong with the store or in the worker itself.
        """
        async with self._heartbeats():
            try:
                while not self._stopping:
                    moved, head = await self.step()
                    self._dispatcher.raise_failure()
                    if moved:
                        continue
                    if not self._dispatcher.busy and await self._idle(head):
                        break
                    await self._rest(head)
            finally:
                await self._dispatcher.drain(self._policy.drain_seconds)
        self._stopping = False

    async def step(self) -> tuple[bool, Head]:
        """Do one round of everything that is due; returns whether anything moved."""
        self._wake.clear()
        moved = False
        while await self._follower.run_once():
            moved = True
        await self._reconcile_sometimes()
        head = await self._store.head()
        if head.halt_epoch != (await self._pipelines.current()).halt_epoch:
            await self._pipelines.refresh()
        if not head.halted:
            moved |= await self._agenda.attend(head)
            moved |= await self._dispatcher.claim()
        moved |= await self._alerting.deliver_due()
        return moved, head

    async def _idle(self, head: Head) -> bool:
        """Return whether nothing is due and nobody is at work."""
        full = head.admitted >= self._pipelines.configuration.max_concurrent_motions
        kinds = [AgendaKind.APPLY] if full else [AgendaKind.APPLY, AgendaKind.ADMIT]
        hand = await self._assignments.idle_counts(self._dispatcher.services, kinds)
        if head.halted:
            return not hand.alerts
        return not (hand.assignments or hand.agenda or hand.alerts)

    async def _reconcile_sometimes(self) -> None:
        now = self._clock.now()
        if now - self._reconciled >= RECONCILE_EVERY:
            self._reconciled = now
            await self._reconciler.reconcile()

    async def _rest(self, head: Head) -> None:
        """Wait until something may have happened, or becomes due, or the poll is up."""
        seconds = self._policy.poll_seconds
        due_us = await self._assignments.next_due_us()
        if due_us is not None:
            seconds = min(seconds, max(0.0, (due_us - to_us(self._clock.now())) / 1_000_000))
        hints = [
            asyncio.create_task(waiting)
            for waiting in (
                self._wake.wait(),
                self._store.wait_for_append(after_position=head.position, timeout_seconds=seconds),
                self._wait_for_work(seconds),
            )
        ]
        try:
            await asyncio.wait(hints, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for hint in hints:
                hint.cancel()
            await asyncio.gather(*hints, return_exceptions=True)

    async def _wait_for_work(self, seconds: float) -> None:
        self._seen_work = await self._assignments.wait_for_work(
            seen=self._seen_work, timeout_seconds=seconds
        )

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._stopping:
                    self._wake.clear()
                    await self._wake.wait()

    @asynccontextmanager
    async def _heartbeats(self) -> AsyncIterator[None]:
        """Extend the leases in hand as long as the block runs."""
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._policy.heartbeat_seconds)
            try:
                await self._dispatcher.heartbeat()
            except GovernanceFlowError as error:
                # The leases run out if this goes on, and then somebody else takes over.
                log.error("leases could not be extended", error=str(error))
