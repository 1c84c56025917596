"""Delivering alerts at least once, and recording that they were delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from governance_flow.application.process_manager.operations import decode_alert
from governance_flow.domain.events import SYSTEM, AlertDelivered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from governance_flow.application.ports.alerts import Alert, AlertSink
    from governance_flow.application.ports.assignments import AssignmentStore, OutboxAlert
    from governance_flow.application.services.pipelines import Pipelines

BATCH = 20
LEASE_SECONDS = 30.0

log = structlog.get_logger(__name__)


class Alerting:
    """Empties the outbox. An alert that cannot be delivered stays, and is tried again."""

    def __init__(
        self,
        assignments: AssignmentStore,
        pipelines: Pipelines,
        sinks: Mapping[str, AlertSink],
        retry_seconds: float,
    ) -> None:
        self._assignments = assignments
        self._pipelines = pipelines
        self._sinks = sinks
        self._retry_seconds = retry_seconds

    async def deliver_due(self) -> bool:
        """Try every alert that is due; returns whether there was one."""
        due = await self._assignments.claim_alerts(limit=BATCH, lease_seconds=LEASE_SECONDS)
        for row in due:
            await self._deliver(row, decode_alert(row.body))
        return bool(due)

    async def _deliver(self, row: OutboxAlert, alert: Alert) -> None:
        sink = self._sinks.get(row.sink)
        try:
            if sink is None:
                msg = f"no alert sink named {row.sink!r} is configured here"
                raise LookupError(msg)
            await sink.deliver(alert)
        except Exception as error:  # noqa: BLE001 - kept in the outbox, logged, tried again
            log.error(
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
