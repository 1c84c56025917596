"""Alerts on their way out, delivered at least once."""

from __future__ import annotations

from governance_flow.application.ports.assignments import OutboxAlert
from governance_flow.application.ports.database import Row, Transaction
from governance_flow.application.queries import Queries
from governance_flow.application.times import seconds_to_us
from governance_flow.infrastructure.operational_rows import OperationalRows


class SqlAlertOutbox(OperationalRows):
    """The port AlertOutbox on an SQL database."""

    @property
    def _alerts_sql(self) -> Queries:
        return self._queries("alerts_outbox.sql")

    async def claim_alerts(self, *, limit: int, lease_seconds: float) -> list[OutboxAlert]:
        """Take at most ``limit`` due alerts that nobody holds, the longest due first."""

        def work(tx: Transaction) -> list[Row]:
            return tx.execute(
                self._alerts_sql.claim_alerts,
                {
                    "limit": limit,
                    "now_us": tx.now_us(),
                    "lease_expires_at_us": tx.now_us() + seconds_to_us(lease_seconds),
                },
            )

        claimed = [OutboxAlert(*row) for row in await self._database.write(work)]
        return sorted(claimed, key=lambda alert: (alert.due_us, alert.alert_id, alert.sink))

    async def alert_done(self, alert_id: str, sink: str) -> None:
        """Forget an alert that was delivered, or given up for good."""
        params = {"alert_id": alert_id, "sink": sink}
        await self._database.write(lambda tx: tx.execute(self._alerts_sql.delete_alert, params))

    async def retry_alert(self, alert_id: str, sink: str, *, delay_seconds: float) -> None:
        """Count a failed attempt, and let the alert be claimed again after the delay."""

        def work(tx: Transaction) -> None:
            due_us = tx.now_us() + seconds_to_us(delay_seconds)
            tx.execute(
                self._alerts_sql.retry_alert, {"alert_id": alert_id, "sink": sink, "due_us": due_us}
            )

        await self._database.write(work)
