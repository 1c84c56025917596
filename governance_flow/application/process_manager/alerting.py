"""Delivering alerts at least once, and recording that they were delivered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from governance_flow.application.process_manager.background import Background
from governance_flow.application.services.operations import decode_alert
from governance_flow.domain.events import SYSTEM, AlertDelivered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from governance_flow.application.ports.alerts import Alert, AlertSink
    from governance_flow.application.ports.assignments import AssignmentStore, OutboxAlert
    from governance_flow.application.process_manager.background import Failures
    from governance_flow.application.services.pipelines import Pipelines

AT_ONCE = 20
DELIVERY_SECONDS = 20.0
LEASE_SECONDS = 30.0
"""Longer than a delivery may take, so that nobody else delivers the same alert meanwhile."""

log = structlog.get_logger(__name__)


class Alerting:
    """Empties the outbox. An alert that cannot be delivered stays, and is tried again.

    Alerts are delivered beside everything else: a sink that hangs holds up no motion.
    """

    def __init__(
        self,
        *,
        assignments: AssignmentStore,
        pipelines: Pipelines,
        sinks: Mapping[str, AlertSink],
        retry_seconds: float,
        failures: Failures,
        on_done: Callable[[], None],
    ) -> None:
        self._assignments = assignments
        self._pipelines = pipelines
        self._sinks = sinks
        self._retry_seconds = retry_seconds
        self._tasks = Background(on_done, failures)

    async def deliver_due(self) -> bool:
        """Start on the alerts that are due; returns whether there was one."""
        room = AT_ONCE - len(self._tasks)
        if room <= 0:
            return False
        due = await self._assignments.claim_alerts(limit=room, lease_seconds=LEASE_SECONDS)
        for row in due:
            self._tasks.start(self._deliver(row), f"alert {row.alert_id} to {row.sink}")
        return bool(due)

    async def drain(self, seconds: float) -> None:
        """Let what is on its way arrive for so long; the rest is delivered anew later."""
        await self._tasks.finish(seconds)
        await self._tasks.cancel()

    async def _deliver(self, row: OutboxAlert) -> None:
        try:
            async with asyncio.timeout(DELIVERY_SECONDS):
                alert = await self._send(row)
        except Exception as error:  # noqa: BLE001 - kept in the outbox, logged, tried again
            log.error(  # noqa: TRY400 - the sink's own traceback helps nobody
                "alert not delivered; it will be tried again",
                alert_id=row.alert_id,
                sink=row.sink,
                attempts=row.attempts + 1,
                retry_seconds=self._retry_seconds,
                error=f"{type(error).__name__}: {error}",
            )
            await self._assignments.retry_alert(
                row.alert_id, row.sink, delay_seconds=self._retry_seconds
            )
            return
        await self._pipelines.record(
            lambda _pipeline: AlertDelivered(
                **self._pipelines.envelope(SYSTEM),
                alert_id=row.alert_id,
                sink=row.sink,
                attempts=row.attempts + 1,
                motion_id=alert.motion_id,
            )
        )
        await self._assignments.alert_done(row.alert_id, row.sink)

    async def _send(self, row: OutboxAlert) -> Alert:
        sink = self._sinks.get(row.sink)
        if sink is None:
            raise LookupError(f"no alert sink named {row.sink!r} is configured here")
        alert = decode_alert(row.body)
        await sink.deliver(alert)
        return alert
