"""Tiles against their formal definition in tlog-tiles, and in whatever batches leaves come."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from governance_flow.transparency.frontier import Frontier
from governance_flow.transparency.merkle import (
    HashAt,
    Node,
    consistency_nodes,
    consistency_proof,
    inclusion_nodes,
    inclusion_proof,
    root_from,
    verify_consistency,
    verify_inclusion,
)
from governance_flow.transparency.tiles import (
    TileEdge,
    TileId,
    TileNodes,
    partial_tiles,
    tile_of,
    tiles_of,
)
from tests.properties.naive_merkle import NaiveTree

TREE = NaiveTree([f"leaf {n}".encode() for n in range(1100)])
HASHES = TREE.leaf_hashes()

LARGE = 70_000
"""The size of the example in tlog-tiles, "Partial Tiles"; it has tiles on three levels."""

LARGE_HASHES = [sha256(n.to_bytes(4, "big")).digest() for n in range(LARGE)]

Tiles = dict[TileId, bytes]

splits = st.lists(st.integers(0, len(HASHES)), max_size=12).map(
    lambda cuts: sorted({0, *cuts, len(HASHES)})
)


def grown(hashes: list[bytes], ends: list[int]) -> tuple[TileEdge, Tiles]:
    """Return the edge and all the tiles after leaves in batches that end where ``ends`` say."""
    edge, tiles = TileEdge(), Tiles()
    for start, end in pairwise(ends):
        edge, changed = edge.extended(hashes[start:end])
        tiles.update({TileId(level, nth): data for level, nth, data in changed})
        assert edge.size == end
    return edge, tiles


def defined(tree: NaiveTree) -> Tiles:
    """Return the tiles by the formula of tlog-tiles, "Merkle Tree", hash by hash."""
    tiles = Tiles()
    level, size = 0, len(tree.leaves)
    while size >> 8 * level:
        for at in range(size >> 8 * level):
            tile = TileId(level, at // 256)
            tiles[tile] = tiles.get(tile, b"") + tree.mth(at * 256**level, (at + 1) * 256**level)
        level += 1
    return tiles


@given(splits)
def test_tiles_are_the_same_bytes_in_any_batches(ends: list[int]) -> None:
    edge, tiles = grown(HASHES, ends)
    assert tiles == defined(TREE)
    assert edge == TileEdge.load(len(HASHES), tiles.__getitem__)
    assert edge.root == TREE.root(len(HASHES))


@given(st.integers(0, 1100), st.integers(0, 1100))
def test_only_and_all_changed_tiles_are_given(one: int, other: int) -> None:
    start, end = sorted((one, other))
    edge, before = grown(HASHES, [0, start])
    _, changed = edge.extended(HASHES[start:end])
    _, after = grown(HASHES, [0, end])
    given_tiles = {TileId(level, nth): data for level, nth, data in changed}
    assert len(given_tiles) == len(changed)
    assert given_tiles == {tile: data for tile, data in after.items() if before.get(tile) != data}
    assert [tile[:2] for tile in changed] == sorted(tile[:2] for tile in changed)


def test_every_node_is_read_out_of_the_tile_that_is_named() -> None:
    _, tiles = grown(HASHES, [0, len(HASHES)])
    for level in range(11):
        for nth in range(len(HASHES) >> level):
            nodes = TileNodes({tile_of(level, nth): tiles[tile_of(level, nth)]}.__getitem__)
            assert nodes.hash_at(level, nth) == TREE.hash_at(level, nth)


def test_a_cache_of_one_tile_gives_the_same_nodes() -> None:
    _, tiles = grown(HASHES, [0, len(HASHES)])
    nodes = TileNodes(tiles.__getitem__, tiles_max=1)
    for level, nth in ((0, 0), (0, 300), (3, 1), (8, 2), (0, 1), (9, 1), (7, 3)):
        assert nodes.hash_at(level, nth) == TREE.hash_at(level, nth)


@given(st.data(), st.integers(1, 1100))
def test_proofs_of_earlier_sizes_come_out_of_later_tiles(data: st.DataObject, size: int) -> None:
    """A checkpoint of a while ago can be proven for, though its partial tiles are filled now."""
    _, tiles = grown(HASHES, [0, len(HASHES)])
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    assert inclusion_proof(index, size, only(tiles, inclusion_nodes(index, size))) == (
        TREE.inclusion(index, size)
    )
    assert consistency_proof(old, size, only(tiles, consistency_nodes(old, size))) == (
        TREE.consistency(old, size)
    )


def test_the_example_of_the_specification() -> None:
    edge, tiles = grown(LARGE_HASHES, [0, LARGE])
    full = [tile for tile, data in tiles.items() if len(data) == 8192]
    # 273 full level 0 tiles and one of 112, one full level 1 tile and one of 17, one of 1.
    assert sum(tile.level == 0 for tile in full) == 273
    assert sum(tile.level == 1 for tile in full) == 1
    assert len(full) == 274
    assert partial_tiles(LARGE) == (((0, 273), 112), ((1, 1), 17), ((2, 0), 1))
    assert [len(tiles[tile]) // 32 for tile, _ in partial_tiles(LARGE)] == [112, 17, 1]
    assert partial_tiles(256) == (((1, 0), 1),)
    assert edge.root == Frontier().extended(LARGE_HASHES).root


def test_the_third_level_is_reached_in_small_steps_too() -> None:
    ends = [0, 65_530, *range(65_531, 65_541), 66_000, LARGE]
    assert grown(LARGE_HASHES, ends) == grown(LARGE_HASHES, [0, LARGE])


def test_proofs_of_a_large_tree_hold() -> None:
    _, tiles = grown(LARGE_HASHES, [0, LARGE])
    roots: dict[int, bytes] = {}
    frontier = Frontier()
    for start, end in pairwise([0, 255, 256, 257, 65_535, 65_536, 65_537, LARGE]):
        frontier = frontier.extended(LARGE_HASHES[start:end])
        roots[end] = frontier.root
    nodes = TileNodes(tiles.__getitem__)
    for index in (0, 255, 256, 65_535, 65_536, 69_887, 69_888, LARGE - 1):
        proof = inclusion_proof(index, LARGE, nodes.hash_at)
        verify_inclusion(LARGE_HASHES[index], index, LARGE, proof, roots[LARGE])
    for old, new in pairwise(roots):
        for later in {new, LARGE}:
            proof = consistency_proof(old, later, nodes.hash_at)
            verify_consistency(old, later, proof, roots[old], roots[later])
            assert root_from(old, nodes.hash_at) == roots[old]


def only(tiles: Tiles, nodes: tuple[Node, ...]) -> HashAt:
    """Return a reader that has the tiles named for the nodes and no others."""
    return TileNodes({tile: tiles[tile] for tile in tiles_of(nodes)}.__getitem__).hash_at
