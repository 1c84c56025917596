"""The port AssignmentStore on an SQL database: all operational rows of one store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from governance_flow.application.ports.assignments import (
    AgendaKind,
    DueWork,
    WorkChange,
    WorkInHand,
)
from governance_flow.application.ports.database import Row, Transaction
from governance_flow.infrastructure.agenda import SqlAgenda
from governance_flow.infrastructure.alerts_outbox import SqlAlertOutbox
from governance_flow.infrastructure.appending import Appending
from governance_flow.infrastructure.backlog import SqlBacklog
from governance_flow.infrastructure.checkpoints import SqlCheckpoints
from governance_flow.infrastructure.database.base import StoreTransaction
from governance_flow.infrastructure.database.hints import Channel
from governance_flow.infrastructure.duties import SqlDuties
from governance_flow.infrastructure.event_table import EventTable, head_of
from governance_flow.infrastructure.leases import SqlLeases


class SqlAssignmentStore(
    SqlLeases, SqlAgenda, SqlAlertOutbox, SqlCheckpoints, SqlDuties, SqlBacklog
):
    """Leases, agenda, outbox, checkpoints and duties, and what is asked of all of them together."""

    def apply(self, tx: Transaction, changes: Sequence[WorkChange]) -> None:
        """Make the rows say what the changes call for."""
        Appending(tx.dialect).rows_only(cast("StoreTransaction", tx), changes)

    async def restore(self, change: WorkChange, *, version: int, halt_epoch: int) -> bool:
        """Apply a change worked out anew, unless it was overtaken."""
        motion_id = change.motion_id
        if motion_id is None:
            raise ValueError("only the rows of a motion can be restored")

        def work(tx: StoreTransaction) -> bool:
            # While the head is locked nothing is appended, so what we have worked out holds.
            locked = EventTable(tx.dialect).lock(tx, [motion_id])
            if locked.versions.get(motion_id) != version or locked.head.halt_epoch != halt_epoch:
                return False
            self.apply(tx, [change])
            return True

        return await self._database.write(work)

    async def due(self, services: Sequence[str]) -> DueWork:
        """Look, in one glance, at what can be done now; assignments for these services."""

        def work(tx: Transaction) -> tuple[int, Row]:
            params = {"services": sorted(set(services)), "now_us": tx.now_us()}
            [row] = tx.execute(self._leases_sql.due_now, params)
            return tx.now_us(), row

        (
            now_us,
            (*head, next_us, assignments, recorded, docket, deadlines, delegations, alerts),
        ) = await self._database.read_once(work)
        return DueWork(
            head=head_of(tuple(head)),
            assignments=bool(assignments),
            recorded=bool(recorded),
            docket=bool(docket),
            deadlines=bool(deadlines),
            delegations=bool(delegations),
            alerts=bool(alerts),
            next_seconds=None if next_us is None else (next_us - now_us) / 1_000_000,
        )

    async def idle_counts(
        self, services: Sequence[str], kinds: Sequence[AgendaKind] = tuple(AgendaKind)
    ) -> WorkInHand:
        """Count what is due now or held: for these services and kinds, and in the outbox."""

        def work(tx: Transaction) -> list[Row]:
            return tx.execute(
                self._leases_sql.count_work,
                {
                    "services": list(services),
                    "kinds": [kind.value for kind in kinds],
                    "now_us": tx.now_us(),
                },
            )

        [row] = await self._database.read(work)
        return WorkInHand(*row)

    async def missing(self, motion_ids: Sequence[UUID]) -> list[UUID]:
        """Return those of the motions that have no assignment and no item on the agenda."""
        params = {"motion_ids": [str(motion_id) for motion_id in motion_ids]}
        query = self._leases_sql.missing_rows
        rows = await self._database.read_once(lambda tx: tx.execute(query, params))
        return [UUID(motion_id) for (motion_id,) in rows]

    async def wait_for_work(self, *, seen: int, timeout_seconds: float) -> int:
        """Return once rows were added since hint number ``seen``, or the time is up."""
        self._database.start_listening()
        hints = self._database.hints
        await hints.wait(Channel.WORK, above=seen, timeout_seconds=timeout_seconds)
        return hints.latest(Channel.WORK)
