"""What the parts of the assignment store share."""

from __future__ import annotations

from governance_flow.application.ports.database import Transaction
from governance_flow.application.queries import Queries, load_queries
from governance_flow.infrastructure.database.base import AnyDatabase, StoreTransaction
from governance_flow.infrastructure.database.hints import Channel


class OperationalRows:
    """Rows that are written with the events and worked off under leases."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def _queries(self, filename: str) -> Queries:
        return load_queries(
            "governance_flow.infrastructure", f"sql/{filename}", self._database.dialect
        )

    @staticmethod
    def _announce_work(tx: Transaction) -> None:
        """Tell the workers, once this is committed, that there may be something to claim."""
        if isinstance(tx, StoreTransaction):
            tx.announce(Channel.WORK)
