"""Tiles that are damaged or do not belong to the tree are refused; reading them is bounded."""

from __future__ import annotations

from hashlib import sha256

import pytest

from governance_flow.transparency.errors import CorruptTree
from governance_flow.transparency.merkle import Node
from governance_flow.transparency.tiles import TileEdge, TileId, TileNodes, tile_of, tiles_of

HASHES = [sha256(bytes([n % 256, n // 256])).digest() for n in range(600)]
EDGE, CHANGED = TileEdge().extended(HASHES)
TILES = {TileId(level, nth): data for level, nth, data in CHANGED}


def test_the_tile_of_a_node_is_the_one_whose_hashes_it_covers() -> None:
    # tlog-tiles: tile L, n begins at leaf n * 256 ** (L + 1); nodes between are in the lower tile.
    assert tile_of(0, 255) == (0, 0)
    assert tile_of(0, 256) == (0, 1)
    assert tile_of(7, 1) == (0, 0)
    assert tile_of(7, 2) == (0, 1)
    assert tile_of(8, 1) == (1, 0)
    assert tile_of(9, 128) == (1, 1)
    assert tile_of(16, 256) == (2, 1)


def test_tiles_to_fetch_are_named_once() -> None:
    nodes = (Node(8, 1), Node(0, 3), Node(3, 1), Node(0, 600))
    assert tiles_of(nodes) == ((0, 0), (0, 2), (1, 0))


def test_an_empty_tree_has_no_tiles() -> None:
    edge, changed = TileEdge().extended([])
    assert (edge, changed) == (TileEdge(), [])
    assert TileEdge.load(0, TILES.__getitem__) == TileEdge()
    assert edge.root == sha256(b"").digest()


def test_a_tile_that_becomes_full_leaves_no_partial_one() -> None:
    edge, changed = TileEdge().extended(HASHES[:256])
    assert [(tile.level, tile.nth, len(tile.data)) for tile in changed] == [
        (0, 0, 8192),
        (1, 0, 32),
    ]
    assert edge.partials == (b"", changed[1].data)
    assert changed[1].data == edge.root


@pytest.mark.parametrize(
    "partials",
    [
        pytest.param((EDGE.partials[0],), id="a level is missing"),
        pytest.param((*EDGE.partials, b""), id="a level too many"),
        pytest.param((EDGE.partials[0][:-1], EDGE.partials[1]), id="a byte is missing"),
        pytest.param((EDGE.partials[0][32:], EDGE.partials[1]), id="a hash is missing"),
        pytest.param((EDGE.partials[0], bytes(32) + EDGE.partials[1]), id="a hash too many"),
        pytest.param(EDGE.partials[::-1], id="levels swapped"),
    ],
)
def test_an_edge_of_another_tree_is_refused(partials: tuple[bytes, ...]) -> None:
    with pytest.raises(CorruptTree, match=r"a tree of 600 leaves has \[88, 2\] hashes"):
        TileEdge(600, partials)


def test_a_store_whose_tiles_are_ahead_of_the_size_is_noticed() -> None:
    with pytest.raises(CorruptTree, match=r"599 leaves has \[87, 2\] .*, not \[88.0, 2.0\]"):
        TileEdge.load(599, TILES.__getitem__)


def test_a_leaf_hash_in_hex_is_refused() -> None:
    with pytest.raises(CorruptTree, match="not as hex"):
        EDGE.extended([HASHES[0], HASHES[1].hex().encode()])


def test_a_node_without_all_its_leaves_is_refused() -> None:
    nodes = TileNodes(TILES.__getitem__)
    assert nodes.hash_at(3, 74)
    for level, nth in ((0, 600), (3, 75), (4, 37), (7, 5), (8, 2), (9, 1)):
        with pytest.raises(CorruptTree, match=f"too few for node {nth} of level {level}"):
            nodes.hash_at(level, nth)


@pytest.mark.parametrize("size_bytes", [31, 33, 8191, 8224])
def test_a_tile_of_a_wrong_size_is_refused(size_bytes: int) -> None:
    with pytest.raises(CorruptTree, match=f"tile 0 of level 0 has {size_bytes} bytes"):
        TileNodes(lambda _tile: bytes(size_bytes)).hash_at(0, 0)


def test_each_tile_is_read_once_while_it_is_kept() -> None:
    read: list[TileId] = []

    def counting(tile: TileId) -> bytes:
        read.append(tile)
        return TILES[tile]

    nodes = TileNodes(counting, tiles_max=2)
    for nth in (0, 300, 1, 301, 0, 512):
        nodes.hash_at(0, nth)
    assert read == [(0, 0), (0, 1), (0, 2)]
    # Tile 1 was unused for longest and had to go.
    nodes.hash_at(2, 1)
    nodes.hash_at(0, 256)
    assert read[3:] == [(0, 1)]
