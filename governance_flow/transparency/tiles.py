"""The hashes of a tree in tiles of 256, the shape that C2SP tlog-tiles serves and caches.

A tile of level 0 holds leaf hashes; a tile of level L the roots of 256 full tiles of level L - 1,
which are the nodes of level ``8 * L`` of the tree. The nodes between are hashed when needed. Only
the rightmost tile of a level is ever partial, full tiles never change, and what the tiles hold
depends on the leaves alone, not on how they came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from governance_flow.transparency.errors import CorruptTree
from governance_flow.transparency.frontier import check_hashes
from governance_flow.transparency.merkle import HASH_BYTES, NODE_PREFIX, Node, root_from

TILE_HEIGHT: Final = 8
TILE_HASHES: Final = 1 << TILE_HEIGHT
TILE_BYTES: Final = TILE_HASHES * HASH_BYTES

_REBUILD = "build the tiles anew from the leaves"


class TileId(NamedTuple):
    """Which tile: its level, and its place in the level from the left (tlog-tiles' L and N)."""

    level: int
    nth: int


class Tile(NamedTuple):
    """A tile and what it holds: up to 256 hashes, one after the other."""

    level: int
    nth: int
    data: bytes


class PartialTile(NamedTuple):
    """A rightmost tile of a tree, and how many hashes it holds: 1 to 255."""

    id: TileId
    hashes: int


ReadTile = Callable[[TileId], bytes]
"""Gives the bytes of a tile; more hashes than the tree had at the time asked about do no harm."""


def partial_tiles(size: int) -> tuple[PartialTile, ...]:
    """Return the partial tiles of a tree, level 0 first (tlog-tiles, "Partial Tiles")."""
    found = []
    level = 0
    while size:
        size, hashes = divmod(size, TILE_HASHES)
        if hashes:
            found.append(PartialTile(TileId(level, size), hashes))
        level += 1
    return tuple(found)


def tile_of(level: int, nth: int) -> TileId:
    """Return the tile out of which the node at (level, nth) of the tree is computed."""
    tile_level, height = divmod(level, TILE_HEIGHT)
    return TileId(tile_level, nth << height >> TILE_HEIGHT)


def tiles_of(nodes: Iterable[Node]) -> tuple[TileId, ...]:
    """Return the tiles to fetch for some nodes, each once, in order."""
    return tuple(sorted({tile_of(*node) for node in nodes}))


@dataclass(frozen=True, slots=True)
class TileEdge:
    """The partial tiles of a tree: what must be known to add leaves.

    ``partials`` holds a level's partial tile at the level's place, level 0 first, without bytes
    where there is none. A value: growing gives a new one.
    """

    size: int = 0
    partials: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no edge of a tree of this size."""
        expected = tuple(_widths(self.size))
        found = tuple(len(data) / HASH_BYTES for data in self.partials)
        if found != expected:
            raise CorruptTree(
                f"a tree of {self.size} leaves has {list(expected)} hashes in its partial tiles,"
                f" level 0 first, not {list(found)}",
                _REBUILD,
            )

    @classmethod
    def load(cls, size: int, read: ReadTile) -> TileEdge:
        """Return the edge of a tree whose tiles are kept somewhere: ``partial_tiles(size)``."""
        kept = {tile.level: read(tile) for tile, _ in partial_tiles(size)}
        return cls(size, tuple(kept.get(level, b"") for level, _ in enumerate(_widths(size))))

    @property
    def root(self) -> bytes:
        """The root hash of the tree; up to 255 hashes a level, so not for every leaf."""
        # The nodes a root is made of are in partial tiles, every one.
        nodes = TileNodes(lambda tile: self.partials[tile.level])
        return root_from(self.size, nodes.hash_at)

    def extended(self, leaf_hashes: Iterable[bytes]) -> tuple[TileEdge, list[Tile]]:
        """Return the edge after more leaves, and every tile that is new or changed, whole.

        The tiles come level by level, from left to right.
        """
        added = list(leaf_hashes)
        check_hashes(added)
        fresh = b"".join(added)
        partials = list(self.partials)
        changed: list[Tile] = []
        level, before = 0, self.size
        while fresh:
            if level == len(partials):
                partials.append(b"")
            row = partials[level] + fresh
            before >>= TILE_HEIGHT
            cut = [row[at : at + TILE_BYTES] for at in range(0, len(row), TILE_BYTES)]
            changed += [Tile(level, nth, data) for nth, data in enumerate(cut, before)]
            partials[level] = cut.pop() if len(cut[-1]) < TILE_BYTES else b""
            # Only full tiles are hashed into the level above (tlog-tiles, "Partial Tiles").
            fresh = b"".join(map(_root_of_full, cut))
            level += 1
        return TileEdge(self.size + len(added), tuple(partials)), changed


class TileNodes:
    """Reads the nodes of a tree out of its tiles, hashing between the tiles' levels.

    ``hash_at`` is what the proofs of ``merkle`` ask for. The last ``tiles_max`` tiles and what
    was hashed out of them are kept (16 KiB a tile at most), so that many proofs in one part of
    the tree cost little more than one.
    """

    def __init__(self, read: ReadTile, *, tiles_max: int = 64) -> None:
        self._read = read
        self._tiles_max = tiles_max
        self._rows: dict[TileId, list[bytes]] = {}

    def hash_at(self, level: int, nth: int) -> bytes:
        """Return the hash of a complete node; raises CorruptTree if its tile lacks leaves."""
        tile = tile_of(level, nth)
        height = level % TILE_HEIGHT
        rows = self._rows_of(tile)
        while len(rows) <= height:
            rows.append(_parents(rows[-1]))
        start = nth % (TILE_HASHES >> height) * HASH_BYTES
        found = rows[height][start : start + HASH_BYTES]
        if not found:
            raise CorruptTree(
                f"tile {tile.nth} of level {tile.level} holds {len(rows[0]) // HASH_BYTES} hashes,"
                f" too few for node {nth} of level {level}",
                "ask for a smaller tree, or build the tiles anew from the leaves",
            )
        return found

    def _rows_of(self, tile: TileId) -> list[bytes]:
        rows = self._rows.pop(tile, None)
        if rows is None:
            data = self._read(tile)
            if len(data) % HASH_BYTES or len(data) > TILE_BYTES:
                raise CorruptTree(
                    f"tile {tile.nth} of level {tile.level} has {len(data)} bytes:"
                    f" not a multiple of {HASH_BYTES} up to {TILE_BYTES}",
                    _REBUILD,
                )
            rows = [data]
            if len(self._rows) >= self._tiles_max:
                del self._rows[next(iter(self._rows))]
        # Put back at the end: the first is the one unused for longest.
        self._rows[tile] = rows
        return rows


def _widths(size: int) -> Iterable[int]:
    """Yield how many hashes the partial tile of each level has, level 0 first."""
    while size > 0:
        size, width = divmod(size, TILE_HASHES)
        yield width


def _parents(row: bytes) -> bytes:
    """Return the hashes one level up; a hash without a partner has no complete parent."""
    pair = 2 * HASH_BYTES
    return b"".join(
        [
            sha256(NODE_PREFIX + row[at : at + pair]).digest()
            for at in range(0, len(row) - HASH_BYTES, pair)
        ]
    )


def _root_of_full(tile: bytes) -> bytes:
    while len(tile) > HASH_BYTES:
        tile = _parents(tile)
    return tile
