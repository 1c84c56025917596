"""What the process manager itself must do, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast
from uuid import UUID

from governance_flow.application.ports.assignments import AgendaItem, AgendaKind
from governance_flow.application.ports.database import Row, Transaction
from governance_flow.application.queries import Queries
from governance_flow.application.times import seconds_to_us
from governance_flow.infrastructure.database.base import StoreTransaction
from governance_flow.infrastructure.operational_rows import OperationalRows

if TYPE_CHECKING:
    from governance_flow.infrastructure.database.base import Statement
    from governance_flow.infrastructure.database.postgres import PostgresTransaction


class SqlAgenda(OperationalRows):
    """The port Agenda on an SQL database."""

    @property
    def _agenda_sql(self) -> Queries:
        return self._queries("agenda.sql")

    async def claim_agenda(
        self, kinds: Sequence[AgendaKind], *, limit: int, lease_seconds: float
    ) -> list[AgendaItem]:
        """Take at most ``limit`` due items that nobody holds, by (``order_us``, ``motion_id``)."""

        def work(tx: Transaction) -> list[Row]:
            return tx.execute(
                self._agenda_sql.claim_items,
                {
                    # Named twice, a kind would be looked at twice.
                    "kinds": sorted({kind.value for kind in kinds}),
                    "limit": limit,
                    "now_us": tx.now_us(),
                    "lease_expires_at_us": tx.now_us() + seconds_to_us(lease_seconds),
                },
            )

        claimed = [_item(row) for row in await self._database.write(work)]
        return sorted(claimed, key=lambda item: (item.order_us, item.motion_id))

    async def claim_docket(self, *, limit: int, lease_seconds: float) -> list[AgendaItem]:
        """Take the first motions that wait for a place; none while somebody else admits some."""

        def work(tx: StoreTransaction) -> list[Row]:
            now_us = tx.now_us()
            params = {
                "limit": limit,
                "now_us": now_us,
                "lease_expires_at_us": now_us + seconds_to_us(lease_seconds),
            }
            # The claim is a statement of its own, so that it sees what the lock waited for.
            statements: list[Statement] = [
                (self._agenda_sql.lock_docket, {}),
                (self._agenda_sql.claim_docket, params),
            ]
            if tx.dialect == "postgres":
                return cast("PostgresTransaction", tx).commit_batch(statements)[-1]
            return tx.execute_batch(statements)[-1]

        claimed = [_item(row) for row in await self._database.write(work)]
        return sorted(claimed, key=lambda item: (item.order_us, item.motion_id))

    async def release_agenda(self, motion_id: UUID, *, due_us: int | None = None) -> None:
        """Give an item back, due at ``due_us`` if that is given, as before otherwise."""
        params: dict[str, object] = {"motion_id": str(motion_id)}
        query = self._agenda_sql.release_item
        if due_us is not None:
            query = self._agenda_sql.postpone_item
            params["due_us"] = due_us
        await self._database.write(lambda tx: tx.execute(query, params))


def _item(row: Row) -> AgendaItem:
    motion_id, kind, due_us, order_us = row
    return AgendaItem(UUID(motion_id), AgendaKind(kind), due_us, order_us)
