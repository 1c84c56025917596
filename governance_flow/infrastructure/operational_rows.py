"""What the parts of the assignment store share."""

from __future__ import annotations

from governance_flow.application.queries import Queries, load_queries
from governance_flow.infrastructure.database.base import AnyDatabase


class OperationalRows:
    """Rows that are written with the events and worked off under leases."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def _queries(self, filename: str) -> Queries:
        return load_queries(
            "governance_flow.infrastructure", f"sql/{filename}", self._database.dialect
        )
