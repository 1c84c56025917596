"""Duties: what one worker does for all of them, as long as its lease lasts."""

from __future__ import annotations

from governance_flow.application.ports.database import Transaction
from governance_flow.application.queries import Queries
from governance_flow.application.times import seconds_to_us
from governance_flow.infrastructure.operational_rows import OperationalRows


class SqlDuties(OperationalRows):
    """The port Duties on an SQL database."""

    @property
    def _duties_sql(self) -> Queries:
        return self._queries("duties.sql")

    async def take_duty(self, name: str, *, owner: str, lease_seconds: float) -> float | None:
        """Take a duty, or keep it for longer; None if it is ours, else for how long it is not."""

        def work(tx: Transaction) -> float | None:
            now_us = tx.now_us()
            params = {
                "name": name,
                "owner": owner,
                "now_us": now_us,
                "lease_expires_at_us": now_us + seconds_to_us(lease_seconds),
            }
            [(holder, expires_at_us)] = tx.execute(self._duties_sql.take_duty, params)
            return None if holder == owner else (expires_at_us - now_us) / 1_000_000

        return await self._database.write(work)

    async def lay_down_duty(self, name: str, *, owner: str) -> None:
        """Let somebody else take a duty at once, if it is ours."""
        params = {"name": name, "owner": owner}
        await self._database.write(lambda tx: tx.execute(self._duties_sql.lay_down_duty, params))
