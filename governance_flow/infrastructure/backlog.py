"""What waits in the store, in one glance."""

from __future__ import annotations

from governance_flow.application.ports.backlog import Backlog
from governance_flow.application.ports.database import Row, Transaction
from governance_flow.infrastructure.operational_rows import OperationalRows


class SqlBacklog(OperationalRows):
    """The port BacklogReader on an SQL database."""

    async def backlog(self) -> Backlog:
        """Return what waits, all as of one moment, however much it is."""
        query = self._queries("backlog.sql").read_backlog

        def work(tx: Transaction) -> tuple[int, Row]:
            now_us = tx.now_us()
            [row] = tx.execute(query, {"now_us": now_us})
            return now_us, row

        now_us, row = await self._database.read_once(work)
        *due_us, docket_us, undelivered, position, began_us, signed_size, signed_at_us = row

        def since(*moments_us: int | None) -> float:
            waited_us = (now_us - moment_us for moment_us in moments_us if moment_us is not None)
            return max([0, *waited_us]) / 1_000_000

        return Backlog(
            work_overdue_seconds=since(*due_us),
            docket_wait_seconds=since(docket_us),
            alerts_undelivered=undelivered,
            checkpoint_age_seconds=since(began_us if signed_at_us is None else signed_at_us),
            # A tree has one leaf more than the position it has come to.
            checkpoint_unsigned_events=max(0, position - max(0, (signed_size or 0) - 1)),
        )
