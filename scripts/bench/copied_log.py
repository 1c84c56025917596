"""The audit log over events that were copied: its tiles, and the checkpoints signed on the way.

A log is *genuine* if its leaves are those of the events, so that it verifies. Hashing the leaves of
millions of events takes long; in a store that nobody verifies random bytes stand in for them, and
everything above the leaves is as it should be: the tree is as large as a genuine one, it grows on,
and every checkpoint fits it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from governance_flow.application.audit.leaves import GENESIS, leaf_data
from governance_flow.application.ports.audit import StoredRow
from governance_flow.domain.keys import KeyRole
from governance_flow.transparency.checkpoints import Checkpoint, sign_checkpoint
from governance_flow.transparency.merkle import HASH_BYTES, leaf_hash
from governance_flow.transparency.tiles import TILE_BYTES, TileEdge, partial_tiles
from scripts.bench.copying import CopiedEvent
from scripts.bench.keys import SIGNERS
from scripts.bench.raw_tables import RawTables

TILES = "log_tiles_1"
"""The first generation of the projection, which every new store has."""

CHECKPOINTS = "log_checkpoints"

CHECKPOINT_EVENTS = 3_000
"""About what one worker appends between two checkpoints at full load."""

_TILE_COLUMNS = ("level", "nth", "hashes")
_CHECKPOINT_COLUMNS = ("size", "root", "note", "signed_at_us")


class CopiedLog:
    """Writes the log of a store that has no events yet."""

    def __init__(self, raw: RawTables, *, genuine: bool) -> None:
        self._raw = raw
        self._genuine = genuine
        # With the genesis leaf, which is written anew.
        raw.empty(TILES)
        self._edge, _ = TileEdge().extended([leaf_hash(GENESIS)])

    def add(self, events: Sequence[CopiedEvent]) -> None:
        """Add the next events, and put them under checkpoints."""
        for first in range(0, len(events), CHECKPOINT_EVENTS):
            run = events[first : first + CHECKPOINT_EVENTS]
            self._edge, changed = self._edge.extended(self._leaf_hashes(run))
            full = [tile for tile in changed if len(tile.data) == TILE_BYTES]
            self._raw.load(TILES, _TILE_COLUMNS, full)
            self._sign(run[-1].committed_at_us)

    def finish(self) -> None:
        """Write the tiles that are not full."""
        partial = partial_tiles(self._edge.size)
        rows = [(*tile, self._edge.partials[tile.level]) for tile, _ in partial]
        self._raw.load(TILES, _TILE_COLUMNS, rows)

    def _leaf_hashes(self, events: Sequence[CopiedEvent]) -> list[bytes]:
        if self._genuine:
            return [_leaf_hash(index, event) for index, event in enumerate(events, self._edge.size)]
        noise = os.urandom(HASH_BYTES * len(events))
        return [noise[at : at + HASH_BYTES] for at in range(0, len(noise), HASH_BYTES)]

    def _sign(self, signed_at_us: int) -> None:
        signer = SIGNERS[KeyRole.LOG]
        checkpoint = Checkpoint(signer.name, self._edge.size, self._edge.root)
        note = sign_checkpoint(checkpoint, [signer])
        row = (checkpoint.size, checkpoint.root, note, signed_at_us)
        self._raw.load(CHECKPOINTS, _CHECKPOINT_COLUMNS, [row])


def _leaf_hash(position: int, event: CopiedEvent) -> bytes:
    row = StoredRow(
        position,
        str(event.stream_id),
        event.version,
        event.topic,
        event.state,
        event.committed_at_us,
    )
    return leaf_hash(leaf_data(row, event.statement))
