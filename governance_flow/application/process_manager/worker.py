"""The worker: follows the events and does what they call for, until it is told to stop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from governance_flow.application.ports.assignments import AgendaKind
from governance_flow.application.process_manager.background import backoff_seconds
from governance_flow.application.process_manager.collecting import collecting_rarely
from governance_flow.domain.errors import GovernanceFlowError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from governance_flow.application.ports.assignments import AssignmentStore, DueWork
    from governance_flow.application.ports.clock import Clock
    from governance_flow.application.ports.event_store import EventStore, Head
    from governance_flow.application.process_manager.agenda import AgendaKeeper
    from governance_flow.application.process_manager.alerting import Alerting
    from governance_flow.application.process_manager.background import Failures
    from governance_flow.application.process_manager.dispatching import Dispatcher
    from governance_flow.application.process_manager.following import Following
    from governance_flow.application.process_manager.reconciling import Cursor, Reconciler
    from governance_flow.application.services.pipelines import Pipelines
    from governance_flow.domain.configuration import WorkerPolicy

RECONCILE_EVERY = timedelta(minutes=1)
REST_SECONDS_MIN = 0.01
"""However soon something becomes due, a clock that stands still must not make the worker spin."""

log = structlog.get_logger(__name__)


class Worker:
    """Any number of workers, in any number of processes, share one store.

    ``run`` and ``run_until_idle`` may be called several times at once: they share the work in
    hand, and the last one to leave finishes it or gives it back.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        assignments: AssignmentStore,
        following: Following,
        pipelines: Pipelines,
        agenda: AgendaKeeper,
        dispatcher: Dispatcher,
        alerting: Alerting,
        reconciler: Reconciler,
        policy: WorkerPolicy,
        clock: Clock,
        failures: Failures,
        wake: asyncio.Event,
    ) -> None:
        self._store = store
        self._assignments = assignments
        self._following = following
        self._pipelines = pipelines
        self._agenda = agenda
        self._dispatcher = dispatcher
        self._alerting = alerting
        self._reconciler = reconciler
        self._policy = policy
        self._clock = clock
        self._failures = failures
        self._wake = wake
        self._stopping = False
        self._running = 0
        self._beating: asyncio.Task[None] | None = None
        self._seen_work = 0
        self._reconciled = clock.now() - RECONCILE_EVERY
        self._sweep: Cursor | None = None

    def stop(self) -> None:
        """Ask whatever runs to finish or give back what is in hand, and return.

        If nothing runs, the next ``run`` returns at once.
        """
        self._stopping = True
        self._dispatcher.begin_nothing()
        self._wake.set()

    async def run(self) -> None:
        """Work until ``stop`` is called. An error is logged and worked through, never fatal."""
        failures = 0
        async with self._at_work():
            while not self._stopping:
                try:
                    moved, due = await self.step()
                    # Logged already; what is left of it comes round again by itself.
                    self._failures.take()
                    failures = 0
                    if not moved:
                        await self._rest(due)
                except Exception as error:
                    failures += 1
                    delay = backoff_seconds(self._policy.poll_seconds, failures)
                    log.error(  # noqa: TRY400 - a traceback only for what nobody foresaw
                        "the worker failed and goes on",
                        error=f"{type(error).__name__}: {error}",
                        delay_seconds=delay,
                        exc_info=not isinstance(error, GovernanceFlowError),
                    )
                    await self._pause(delay)

    async def run_until_idle(self) -> None:
        """Work until nothing can be done now, by this worker or by another on the same store.

        It waits for work and leases in hand, not for backoffs, deadlines or people. Raises
        what went wrong with the store or in the worker itself.
        """
        async with self._at_work():
            while not self._stopping:
                moved, due = await self.step()
                for failure in self._failures.take():
                    raise failure
                if moved:
                    continue
                if not self._dispatcher.busy and await self._idle(due.head):
                    return
                await self._rest(due)

    async def step(self) -> tuple[bool, DueWork]:
        """Do one round of everything that is due.

        Returns whether anything moved, and what was due when it was looked at.
        """
        self._wake.clear()
        await self._dispatcher.prepare()
        due = await self._assignments.due(self._dispatcher.services)
        head = due.head
        moved = False
        if head.halt_epoch != (await self._pipelines.current()).halt_epoch:
            await self._pipelines.refresh()
        if not head.halted:
            moved |= await self._agenda.attend(due)
            moved |= await self._dispatcher.claim(due)
        if due.alerts:
            moved |= await self._alerting.deliver_due()
        await self._following.follow(head.position)
        # Last: branches work meanwhile.
        moved |= await self._reconcile_sometimes()
        return moved, due

    async def _idle(self, head: Head) -> bool:
        """Return whether nothing is due and nobody is at work."""
        await self._following.catch_up(head.position)
        if await self._store.head() != head:
            # What was looked at may not be all that there is by now.
            return False
        full = head.admitted >= self._pipelines.configuration.max_concurrent_motions
        kinds = [AgendaKind.APPLY] if full else [AgendaKind.APPLY, AgendaKind.ADMIT]
        hand = await self._assignments.idle_counts(self._dispatcher.services, kinds)
        if head.halted:
            return not hand.alerts
        return not (hand.assignments or hand.agenda or hand.alerts)

    async def _reconcile_sometimes(self) -> bool:
        """Look for lost rows, a page at a time; returns whether there is more to look at."""
        now = self._clock.now()
        if self._sweep is None and now - self._reconciled < RECONCILE_EVERY:
            return False
        # Should this fail, the next attempt is a sweep of its own.
        after, self._sweep, self._reconciled = self._sweep, None, now
        self._sweep, restored = await self._reconciler.reconcile_page(after)
        return bool(restored) or self._sweep is not None

    async def _rest(self, due: DueWork) -> None:
        """Wait until something may have happened, or becomes due, or the poll is up."""
        position = due.head.position
        follow_seconds = self._following.rest_seconds(position)
        seconds = self._policy.poll_seconds
        for due_seconds in (due.next_seconds, follow_seconds):
            if due_seconds is not None:
                seconds = min(seconds, max(due_seconds, REST_SECONDS_MIN))
        waits = [self._woken(), self._wait_for_work(seconds)]
        if follow_seconds is None:
            waits.append(
                self._store.wait_for_append(after_position=position, timeout_seconds=seconds)
            )
        hints = [asyncio.create_task(waiting) for waiting in waits]
        try:
            done, _ = await asyncio.wait(
                hints, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            for hint in done:
                hint.result()
        finally:
            for hint in hints:
                hint.cancel()
            await asyncio.gather(*hints, return_exceptions=True)

    async def _woken(self) -> None:
        await self._wake.wait()

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
    async def _at_work(self) -> AsyncIterator[None]:
        """Keep the leases in hand alive while anybody runs; the last one to leave drains."""
        self._running += 1
        if self._running == 1:
            # What went wrong when the last one left is in the log, and nobody's here.
            self._failures.take()
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat(), name="heartbeat")
        drain_seconds = self._policy.drain_seconds
        try:
            with collecting_rarely():
                yield
        except asyncio.CancelledError:
            # Whoever cancels does not want to wait.
            drain_seconds = 0
            raise
        finally:
            self._running -= 1
            if not self._running:
                await self._leave(drain_seconds)

    async def _leave(self, drain_seconds: float) -> None:
        try:
            await asyncio.gather(
                self._dispatcher.drain(drain_seconds),
                self._alerting.drain(drain_seconds),
                self._following.lay_down(),
            )
        finally:
            if not self._running:
                beating, self._beating = self._beating, None
                # Told to stop once more meanwhile, it has; that was not about the next to run.
                self._stopping = False
                self._dispatcher.begin_again()
                if beating is not None:
                    beating.cancel()
                    await asyncio.gather(beating, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._policy.heartbeat_seconds)
            try:
                await self._dispatcher.heartbeat()
            except Exception as error:
                # The leases run out if this goes on, and then somebody else takes over.
                log.error(  # noqa: TRY400 - a traceback only for what nobody foresaw
                    "leases could not be extended",
                    error=f"{type(error).__name__}: {error}",
                    exc_info=not isinstance(error, GovernanceFlowError),
                )
