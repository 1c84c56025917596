"""Reads the audit log's tree out of the live generation of its projection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.log import NAME, queries, read_tiles
from projections.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from governance_flow.application.ports.database import Database, Transaction
    from governance_flow.transparency.tiles import TileId


class SqlLogTree:
    """The port LogTree."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._registry = Registry(database.dialect, [NAME])

    async def size(self) -> int:
        """Return how many leaves it has: one more than the position it has come to."""
        standing = await self._database.read(self._registry.standing)
        return standing.done + 1

    async def tiles(self, tiles: Sequence[TileId]) -> dict[TileId, bytes]:
        """Return those of the tiles that there are."""

        def work(tx: Transaction) -> dict[TileId, bytes]:
            [live] = [g for g in self._registry.standing(tx).generations if g.live]
            return read_tiles(tx, queries(tx, live.number), tiles)

        return await self._database.read(work)
