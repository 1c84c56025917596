"""What the orchestrator itself must do in time: admit, apply, and let deadlines count."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from governance_flow.application.ports.alerts import Alert, AlertKind
from governance_flow.application.ports.assignments import AgendaKind, WorkChange
from governance_flow.application.times import to_us
from governance_flow.domain.errors import (
    CapacityReached,
    ConcurrencyConflict,
    CorruptStream,
    UnknownMotion,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from governance_flow.application.ports.assignments import AssignmentStore, DueWork
    from governance_flow.application.ports.clock import Clock
    from governance_flow.application.ports.database import Database, Transaction
    from governance_flow.application.ports.event_store import EventStore, Head
    from governance_flow.application.ports.read_model import ReadModel
    from governance_flow.application.process_manager.background import Failures
    from governance_flow.application.process_manager.dispatching import Dispatcher
    from governance_flow.application.services.doorway import Doorway
    from governance_flow.application.services.motions import Motions
    from governance_flow.application.services.pipelines import Pipelines
    from governance_flow.application.services.processing import Processing

BATCH = 256
ADMITTING_SECONDS = 5.0
"""For how long one worker may hold the docket: so long nobody is admitted if it dies."""

STARVATION_CHECK = timedelta(minutes=1)
STARVED = "hour of the last alert about a starved docket"
"""Name of the checkpoint that makes it one an hour, whichever worker notices."""

_HOUR_US = 3_600_000_000

log = structlog.get_logger(__name__)


class AgendaKeeper:
    """Works off the agenda of a running pipeline. The store decides who may be admitted."""

    def __init__(
        self,
        *,
        store: EventStore,
        assignments: AssignmentStore,
        motions: Motions,
        processing: Processing,
        dispatcher: Dispatcher,
        doorway: Doorway,
        pipelines: Pipelines,
        read_model: ReadModel,
        database: Database,
        clock: Clock,
        failures: Failures,
    ) -> None:
        self._store = store
        self._assignments = assignments
        self._motions = motions
        self._processing = processing
        self._dispatcher = dispatcher
        self._doorway = doorway
        self._pipelines = pipelines
        self._read_model = read_model
        self._database = database
        self._clock = clock
        self._failures = failures
        self._lease_seconds = pipelines.configuration.worker.lease_seconds
        self._starvation_checked = clock.now() - STARVATION_CHECK

    async def attend(self, due: DueWork) -> bool:
        """Do what is due; returns whether anything moved."""
        moved = False
        if due.recorded:
            recorded = await self._assignments.claim_agenda(
                [AgendaKind.APPLY], limit=BATCH, lease_seconds=self._lease_seconds
            )
            moved = await self._process([item.motion_id for item in recorded])
        free = self._free(due.head)
        if free > 0 and not due.docket:
            self._doorway.open(self._dispatcher)
        else:
            self._doorway.close()
        if free <= 0:
            await self._watch_docket(due.head)
        elif due.docket:
            moved |= await self._admit(free)
        if due.deadlines:
            overdue = await self._assignments.due_deadlines(limit=BATCH)
            moved |= await self._process([row.motion_id for row in overdue])
        return moved

    def _free(self, head: Head) -> int:
        return self._pipelines.configuration.max_concurrent_motions - head.admitted

    async def _admit(self, free: int) -> bool:
        """Admit as many motions as there are places now, in the order of the docket."""
        claimed = await self._assignments.claim_docket(
            limit=min(free, BATCH), lease_seconds=min(self._lease_seconds, ADMITTING_SECONDS)
        )
        if not claimed:
            return False
        places = 1
        if len(claimed) > 1:
            # Others may have admitted some since the head was read; from here on, nobody else
            # does. One alone needs no place beforehand: if there is none, its append fails.
            places = max(0, self._free(await self._store.head()))
        for item in claimed[places:]:
            await self._assignments.release_agenda(item.motion_id)
        return await self._process([item.motion_id for item in claimed[:places]], give_back=True)

    async def _process(self, motion_ids: Sequence[UUID], *, give_back: bool = False) -> bool:
        """Process the motions together, so that their appends share a transaction.

        What goes wrong with one of them holds up no other. ``give_back`` says to hold nothing
        that was claimed and did not move.
        """
        await self._motions.prefetch(motion_ids)
        results = await asyncio.gather(
            *(self._process_one(m, give_back=give_back) for m in motion_ids),
            return_exceptions=True,
        )
        for motion_id, result in zip(motion_ids, results, strict=True):
            if isinstance(result, BaseException):
                self._failures.note(f"process motion {motion_id}", result)
        return any(result is True for result in results)

    async def _process_one(self, motion_id: UUID, *, give_back: bool) -> bool:
        try:
            with self._dispatcher.promise() as keep:
                done = await self._processing.process(motion_id, keep=keep)
                if not done.events:
                    # Perhaps it was decided on a remembered motion that has moved on since.
                    done = await self._processing.process(motion_id, fresh=True, keep=keep)
            if done.kept is not None and keep is not None:
                self._dispatcher.take(done.kept, keep)
        except CapacityReached:
            await self._assignments.release_agenda(motion_id)
            return False
        except ConcurrencyConflict:
            # Others have moved it, again and again: it will be seen to where it comes to rest.
            return True
        except (CorruptStream, UnknownMotion) as error:
            log.error(  # noqa: TRY400 - the message says all there is
                "motion dropped: it cannot be read", motion_id=str(motion_id), error=str(error)
            )
            # It would stay due for ever. Reconciling puts it back once it can be read.
            await self._database.write(
                lambda tx: self._assignments.apply(tx, [WorkChange(motion_id)])
            )
            return False
        if not done.events and (done.halted or give_back):
            # Halted a moment ago, or not due by our clock: once it can move, it must not have to
            # wait for a lease, nor must the docket behind it.
            await self._assignments.release_agenda(motion_id)
        return bool(done.events)

    async def _watch_docket(self, head: Head) -> None:
        """Raise an alert, at most once an hour, when blocked motions starve the docket."""
        now = self._clock.now()
        if now - self._starvation_checked < STARVATION_CHECK:
            return
        self._starvation_checked = now
        await self._read_model.catch_up(head.position)
        counts = await self._read_model.counts(since=now)
        share = self._pipelines.configuration.alerts.docket_starved_at_blocked_share
        if not counts.waiting or counts.blocked < share * head.admitted:
            return
        alert = Alert(
            alert_id=f"docket-starved/{now:%Y-%m-%dT%H}",
            kind=AlertKind.DOCKET_STARVED,
            message=f"{counts.waiting} motions wait while {counts.blocked} blocked ones hold "
            f"places, of {head.admitted} taken: resolve the blocked ones",
            raised_at=now,
        )

        raised = WorkChange(alerts=self._pipelines.operations.to_sinks([alert]))

        def raise_once(tx: Transaction) -> None:
            hour = to_us(now) // _HOUR_US
            if self._assignments.checkpoint(tx, STARVED) < hour:
                self._assignments.set_checkpoint(tx, STARVED, hour)
                self._assignments.apply(tx, [raised])

        await self._database.write(raise_once)
