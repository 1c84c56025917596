"""The projection "log": the Merkle tree over every event, which checkpoints and proofs speak of.

Its rows are the tree's hashes in tiles, a function of the events alone: built anew they come out
byte for byte the same. It leaves nothing out. An event that nobody can read has a leaf like any
other, because that it stands in the log is exactly what an auditor wants to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.application.audit.leaves import (
    GENESIS,
    leaf_data,
    leaf_hash_of,
    row_of,
)
from governance_flow.domain.events import TransitionWitnessed
from governance_flow.transparency.errors import CorruptTree
from governance_flow.transparency.merkle import leaf_hash
from governance_flow.transparency.tiles import Tile, TileEdge, TileId, partial_tiles
from projections.tables import generation_queries, run_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from governance_flow.application.ports.database import Transaction
    from governance_flow.application.ports.event_store import CommittedEvent
    from governance_flow.application.ports.projection import Batch
    from governance_flow.application.queries import Queries

NAME = "log"


class LogProjection:
    """Keeps the tree's tiles. The leaf of an event has the event's position as its index."""

    name = NAME
    by_motion = False
    layout = 1

    def create(self, tx: Transaction, generation: int) -> None:
        """Make the table of a generation if it is not there, with the leaf at index 0."""
        sql = queries(tx, generation)
        run_all(tx, sql, "create_")
        if not read_tiles(tx, sql, [TileId(0, 0)]):
            _, tiles = TileEdge().extended([leaf_hash(GENESIS)])
            _put(tx, sql, tiles)

    def drop(self, tx: Transaction, generation: int) -> None:
        """Drop the table of a generation."""
        run_all(tx, queries(tx, generation), "drop_")

    def apply(self, tx: Transaction, batch: Batch, generation: int) -> None:
        """Add a leaf for each event of the batch."""
        if not batch.log:
            return
        sql = queries(tx, generation)
        size = batch.log[0].id
        kept = read_tiles(tx, sql, [partial.id for partial in partial_tiles(size)])
        edge = TileEdge.load(size, lambda tile: _present(kept, tile))
        _, tiles = edge.extended([_leaf_hash(stored) for stored in batch.log])
        _put(tx, sql, tiles)


def queries(tx: Transaction, generation: int) -> Queries:
    """Return the statements for the table of a generation."""
    return generation_queries("sql/log.sql", tx.dialect, generation)


def read_tiles(tx: Transaction, sql: Queries, tiles: Sequence[TileId]) -> dict[TileId, bytes]:
    """Return those of the tiles that there are."""
    wanted = {"levels": [t.level for t in tiles], "nths": [t.nth for t in tiles]}
    rows = tx.execute(sql.read_tiles, wanted)
    return {TileId(level, nth): bytes(hashes) for level, nth, hashes in rows}


def _present(kept: Mapping[TileId, bytes], tile: TileId) -> bytes:
    try:
        return kept[tile]
    except KeyError:
        raise CorruptTree(
            f"tile {tile.nth} of level {tile.level} is missing", "governance-flow rebuild log"
        ) from None


def _leaf_hash(stored: CommittedEvent) -> bytes:
    made = stored.made
    if made is None:
        return leaf_hash_of(row_of(stored))
    # What was just encoded here need not be decoded to know its statement, nor hashed again.
    event = made.event
    statement = event.statement if isinstance(event, TransitionWitnessed) else None
    return leaf_hash(leaf_data(row_of(stored), statement, made.sha256))


def _put(tx: Transaction, sql: Queries, tiles: Iterable[Tile]) -> None:
    if tx.dialect == "postgres":
        levels, nths, hashes = zip(*tiles, strict=True)
        tx.execute(
            sql.put_tiles, {"levels": list(levels), "nths": list(nths), "hashes": list(hashes)}
        )
    else:
        tx.execute_many(
            sql.put_tile,
            [{"level": tile.level, "nth": tile.nth, "hashes": tile.data} for tile in tiles],
        )
