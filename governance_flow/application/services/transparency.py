"""What can be said about the audit log: roots and proofs, computed from its tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.transparency.errors import CorruptTree
from governance_flow.transparency.merkle import (
    Node,
    consistency_nodes,
    consistency_proof,
    inclusion_nodes,
    inclusion_proof,
    root_from,
    root_nodes,
)
from governance_flow.transparency.tiles import TileId, TileNodes, tiles_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from governance_flow.application.ports.transparency_log import LogTree


class TreeReader:
    """Reads roots and proofs of trees of any size that the log has reached.

    Raises CorruptTree where the tiles lack what was asked for, and StoreError.
    """

    def __init__(self, tree: LogTree) -> None:
        self._tree = tree

    async def size(self) -> int:
        """Return how many leaves the tree has by now."""
        return await self._tree.size()

    async def roots(self, sizes: Sequence[int]) -> list[bytes]:
        """Return the root of the tree at each size, all as of one reading."""
        nodes = await self._nodes(node for size in sizes for node in root_nodes(size))
        return [root_from(size, nodes.hash_at) for size in sizes]

    async def inclusion(self, indexes: Sequence[int], size: int) -> list[list[bytes]]:
        """Return the proof of each leaf in the tree of that size."""
        nodes = await self._nodes(n for index in indexes for n in inclusion_nodes(index, size))
        return [inclusion_proof(index, size, nodes.hash_at) for index in indexes]

    async def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """Return the proof that the tree of one size is the beginning of that of another."""
        nodes = await self._nodes(consistency_nodes(old_size, new_size))
        return consistency_proof(old_size, new_size, nodes.hash_at)

    async def _nodes(self, nodes: Iterable[Node]) -> TileNodes:
        wanted = tiles_of(nodes)
        found = await self._tree.tiles(wanted)

        def read(tile: TileId) -> bytes:
            try:
                return found[tile]
            except KeyError:
                raise CorruptTree(
                    f"tile {tile.nth} of level {tile.level} is missing",
                    "build the log's tiles anew: governance-flow rebuild log",
                ) from None

        return TileNodes(read, tiles_max=max(1, len(wanted)))
