"""The ports of the audit log: the tree that the events make, and what was promised about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from governance_flow.transparency.tiles import TileId


class LogTree(Protocol):
    """The Merkle tree over all events, as far as it has been built."""

    async def size(self) -> int:
        """Return how many leaves it has: one more than the position it has come to."""
        ...

    async def tiles(self, tiles: Sequence[TileId]) -> dict[TileId, bytes]:
        """Return those of the tiles that there are."""
        ...


class SignedCheckpoint(NamedTuple):
    """A checkpoint as it was signed. The note is what counts; the rest is read out of it."""

    size: int
    root: bytes
    note: str
    signed_at_us: int


class LogCheckpoints(Protocol):
    """Every checkpoint that was ever signed."""

    async def latest(self) -> SignedCheckpoint | None:
        """Return the one of the largest tree."""
        ...

    async def reaching(self, size: int) -> SignedCheckpoint | None:
        """Return the first one whose tree has at least so many leaves."""
        ...

    async def page(self, *, after_size: int, limit: int) -> list[SignedCheckpoint]:
        """Return the checkpoints of larger trees, in order of size."""
        ...

    async def keep(self, checkpoint: SignedCheckpoint) -> None:
        """Keep one for ever; if there is one of the same size already, that one stays."""
        ...
