"""The port AssignmentStore on an SQL database: all operational rows of one store."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from governance_flow.application.ports.assignments import AgendaKind, WorkInHand
from governance_flow.application.ports.database import Row, Transaction
from governance_flow.infrastructure.agenda import SqlAgenda
from governance_flow.infrastructure.alerts_outbox import SqlAlertOutbox
from governance_flow.infrastructure.checkpoints import SqlCheckpoints
from governance_flow.infrastructure.database.hints import Channel
from governance_flow.infrastructure.leases import SqlLeases


class SqlAssignmentStore(SqlLeases, SqlAgenda, SqlAlertOutbox, SqlCheckpoints):
    """Leases, agenda, outbox and checkpoints, and what is asked of all of them together."""

    async def seconds_to_next_due(self) -> float | None:
        """Return how long it is until something becomes due or a lease runs out."""

        def work(tx: Transaction) -> float | None:
            [(due_us,)] = tx.execute(self._leases_sql.next_due, {"now_us": tx.now_us()})
            return None if due_us is None else (due_us - tx.now_us()) / 1_000_000

        return await self._database.read(work)

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
