"""How far each follower of the event store has got."""

from __future__ import annotations

from governance_flow.application.ports.database import Transaction
from governance_flow.application.queries import Queries
from governance_flow.infrastructure.operational_rows import OperationalRows


class SqlCheckpoints(OperationalRows):
    """The port Checkpoints on an SQL database."""

    @property
    def _checkpoints_sql(self) -> Queries:
        return self._queries("checkpoints.sql")

    def checkpoint(self, tx: Transaction, name: str) -> int:
        """Return the position the follower has done, 0 before its first."""
        rows = tx.execute(self._checkpoints_sql.read_checkpoint, {"name": name})
        return rows[0][0] if rows else 0

    def set_checkpoint(self, tx: Transaction, name: str, position: int) -> None:
        """Note that the follower has done everything up to the position."""
        tx.execute(self._checkpoints_sql.set_checkpoint, {"name": name, "position": position})
