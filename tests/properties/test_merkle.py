"""Every proof of every tree up to 300 leaves, against RFC 6962's own recursions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance_flow.transparency.errors import InvalidProof
from governance_flow.transparency.frontier import Frontier
from governance_flow.transparency.merkle import (
    consistency_nodes,
    consistency_proof,
    inclusion_nodes,
    inclusion_proof,
    root_from,
    root_nodes,
    verify_consistency,
    verify_inclusion,
)
from tests.properties.naive_merkle import NaiveTree

SIZE_MAX = 300
TREE = NaiveTree([f"leaf {n}".encode() for n in range(SIZE_MAX)])

sizes = st.integers(1, SIZE_MAX)


class Fetched:
    """The hashes of the nodes that were named beforehand, and no others."""

    def __init__(self, nodes: tuple[tuple[int, int], ...]) -> None:
        self.hashes = {node: TREE.hash_at(*node) for node in nodes}
        self.unread = set(self.hashes)

    def hash_at(self, level: int, nth: int) -> bytes:
        self.unread.discard((level, nth))
        return self.hashes[level, nth]


def test_every_root() -> None:
    for size in range(SIZE_MAX + 1):
        fetched = Fetched(root_nodes(size))
        assert root_from(size, fetched.hash_at) == TREE.root(size)
        assert not fetched.unread


def test_every_inclusion_proof() -> None:
    for size in range(1, SIZE_MAX + 1):
        root = TREE.root(size)
        for index in range(size):
            proof = inclusion_proof(index, size, TREE.hash_at)
            assert proof == TREE.inclusion(index, size)
            verify_inclusion(TREE.mth(index, index + 1), index, size, proof, root)


def test_every_consistency_proof() -> None:
    for new_size in range(SIZE_MAX + 1):
        new_root = TREE.root(new_size)
        for old_size in range(new_size + 1):
            proof = consistency_proof(old_size, new_size, TREE.hash_at)
            assert proof == TREE.consistency(old_size, new_size)
            verify_consistency(old_size, new_size, proof, TREE.root(old_size), new_root)


@given(st.data(), sizes)
def test_a_proof_reads_the_nodes_it_named_all_of_them_and_no_other(
    data: st.DataObject, size: int
) -> None:
    index = data.draw(st.integers(0, size - 1))
    fetched = Fetched(inclusion_nodes(index, size))
    assert inclusion_proof(index, size, fetched.hash_at) == TREE.inclusion(index, size)
    assert not fetched.unread
    old = data.draw(st.integers(0, size))
    fetched = Fetched(consistency_nodes(old, size))
    assert consistency_proof(old, size, fetched.hash_at) == TREE.consistency(old, size)
    assert not fetched.unread


@given(st.data(), sizes)
def test_a_tampered_inclusion_proof_is_refused(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaf, proof, root = TREE.mth(index, index + 1), TREE.inclusion(index, size), TREE.root(size)
    check = partial(verify_inclusion, index=index, size=size)
    check(leaf=leaf, proof=proof, root=root)
    for tampered in tamperings(data, proof):
        refused(partial(check, leaf=leaf, proof=tampered, root=root))
    refused(partial(check, leaf=flipped(data, leaf), proof=proof, root=root))
    refused(partial(check, leaf=leaf, proof=proof, root=flipped(data, root)))


def test_every_wrong_index_is_refused() -> None:
    for size in range(1, 34):
        root = TREE.root(size)
        for index in range(size):
            leaf, proof = TREE.mth(index, index + 1), TREE.inclusion(index, size)
            for wrong in {*range(-1, size + 2)} - {index}:
                refused(partial(verify_inclusion, leaf, wrong, size, proof, root))


@given(st.data(), sizes)
def test_a_tampered_consistency_proof_is_refused(data: st.DataObject, new_size: int) -> None:
    old_size = data.draw(st.integers(1, new_size))
    proof = TREE.consistency(old_size, new_size)
    old_root, new_root = TREE.root(old_size), TREE.root(new_size)
    check = partial(verify_consistency, old_size, new_size)
    check(proof, old_root, new_root)
    for tampered in tamperings(data, proof):
        refused(partial(check, tampered, old_root, new_root))
    refused(partial(check, proof, flipped(data, old_root), new_root))
    refused(partial(check, proof, old_root, flipped(data, new_root)))
    wrong = data.draw(st.integers(0, new_size).filter(lambda size: size != old_size))
    refused(partial(verify_consistency, wrong, new_size, proof, old_root, new_root))


def test_a_fork_is_refused_at_every_size() -> None:
    """Two logs that share a beginning: no proof of one takes the other's root."""
    other = NaiveTree([*TREE.leaves[:20], b"a fork", *TREE.leaves[21:40]])
    for new_size in range(22, 41):
        proof = TREE.consistency(21, new_size)
        for roots in (
            (other.root(21), TREE.root(new_size)),
            (TREE.root(21), other.root(new_size)),
            (TREE.root(21), other.root(21)),
        ):
            refused(partial(verify_consistency, 21, new_size, proof, *roots))


@given(st.lists(st.integers(0, 40), max_size=12))
def test_a_frontier_grows_in_any_batches_to_the_same_bytes(batches: list[int]) -> None:
    hashes = TREE.leaf_hashes()
    frontier = Frontier()
    for end, count in zip(accumulate(batches), batches, strict=True):
        if end > SIZE_MAX:
            break
        frontier = frontier.extended(hashes[end - count : end])
        assert frontier.size == end
        assert frontier.root == TREE.root(end)
        assert frontier.hashes == tuple(TREE.hash_at(*node) for node in root_nodes(end))
        frontier = Frontier.from_bytes(frontier.to_bytes())
    assert frontier.to_bytes() == Frontier().extended(hashes[: frontier.size]).to_bytes()


def tamperings(data: st.DataObject, proof: list[bytes]) -> list[list[bytes]]:
    """Return the proof one hash too long at both ends, too short, reordered, and a bit flipped."""
    found = [[*proof, bytes(32)], [bytes(32), *proof]]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        found += [
            proof[:at] + proof[at + 1 :],
            [*proof[:at], flipped(data, proof[at]), *proof[at + 1 :]],
            [*proof[:at], proof[at][:-1], *proof[at + 1 :]],
        ]
    if len(proof) > 1:
        found.append(proof[::-1])
    return found


def flipped(data: st.DataObject, value: bytes) -> bytes:
    """Return the hash with one bit the other way."""
    bit = data.draw(st.integers(0, 255))
    return (int.from_bytes(value, "big") ^ 1 << bit).to_bytes(32, "big")


def refused(check: Callable[[], None]) -> None:
    with pytest.raises(InvalidProof):
        check()
