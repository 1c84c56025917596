"""The port LogCheckpoints on an SQL database."""

from __future__ import annotations

from governance_flow.application.ports.database import Row
from governance_flow.application.ports.transparency_log import SignedCheckpoint
from governance_flow.application.queries import load_queries
from governance_flow.infrastructure.database.base import AnyDatabase, StoreTransaction


class SqlLogCheckpoints:
    """Every checkpoint that was ever signed."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database
        self._sql = load_queries(
            "governance_flow.infrastructure", "sql/log_checkpoints.sql", database.dialect
        )

    async def latest(self) -> SignedCheckpoint | None:
        """Return the one of the largest tree."""
        return _first(await self._database.read_row(lambda tx: tx.execute(self._sql.latest)))

    async def reaching(self, size: int) -> SignedCheckpoint | None:
        """Return the first one whose tree has at least so many leaves."""
        params = {"size": size}
        found = await self._database.read_once(lambda tx: tx.execute(self._sql.reaching, params))
        return _first(found)

    async def page(self, *, after_size: int, limit: int) -> list[SignedCheckpoint]:
        """Return the checkpoints of larger trees, in order of size."""
        params = {"size": after_size, "limit": limit}
        rows = await self._database.read_once(lambda tx: tx.execute(self._sql.page, params))
        return [_checkpoint(row) for row in rows]

    async def keep(self, checkpoint: SignedCheckpoint) -> None:
        """Keep one for ever; if there is one of the same size already, that one stays."""
        params = checkpoint._asdict()

        def work(tx: StoreTransaction) -> None:
            tx.execute(self._sql.keep, params)

        await self._database.write(work)


def _first(rows: list[Row]) -> SignedCheckpoint | None:
    return _checkpoint(rows[0]) if rows else None


def _checkpoint(row: Row) -> SignedCheckpoint:
    size, root, note, signed_at_us = row
    return SignedCheckpoint(size, bytes(root), note, signed_at_us)
