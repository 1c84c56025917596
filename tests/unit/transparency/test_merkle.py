"""Hashing and proofs by RFC 6962's published values, and what a refusal says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from governance_flow.transparency.errors import (
    CorruptTree,
    InvalidProof,
    OutsideTree,
    RootMismatch,
    TransparencyError,
    WrongProofLength,
)
from governance_flow.transparency.frontier import Frontier
from governance_flow.transparency.merkle import (
    EMPTY_ROOT,
    consistency_nodes,
    consistency_proof,
    inclusion_nodes,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_nodes,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves that Certificate Transparency's implementations test with, the root after each,
# and the audit paths and consistency proofs that are published for them.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(root)
    for root in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
FROM_1_TO_8 = [
    bytes.fromhex(value)
    for value in (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    )
]


def hash_at(level: int, nth: int) -> bytes:
    """Return a complete node over the published leaves."""
    if level == 0:
        return leaf_hash(LEAVES[nth])
    return node_hash(hash_at(level - 1, 2 * nth), hash_at(level - 1, 2 * nth + 1))


def test_leaves_and_nodes_hash_as_published() -> None:
    assert ROOTS[0] == EMPTY_ROOT
    assert leaf_hash(b"") == ROOTS[1]
    assert leaf_hash(b"L123456").hex() == (
        "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    )
    assert node_hash(b"N123", b"N456").hex() == (
        "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    )


def test_a_leaf_cannot_pass_for_a_node() -> None:
    left, right = leaf_hash(b"left"), leaf_hash(b"right")
    assert node_hash(left, right) != leaf_hash(left + right)


@pytest.mark.parametrize("size", range(9))
def test_the_root_after_each_leaf_is_the_published_one(size: int) -> None:
    assert Frontier().extended(map(leaf_hash, LEAVES[:size])).root == ROOTS[size]


def test_the_published_proofs() -> None:
    assert consistency_proof(1, 8, hash_at) == FROM_1_TO_8
    # Leaf 0's path is the same hashes: the first tree is that leaf.
    assert inclusion_proof(0, 8, hash_at) == FROM_1_TO_8
    verify_consistency(1, 8, FROM_1_TO_8, ROOTS[1], ROOTS[8])
    verify_inclusion(leaf_hash(b""), 0, 8, FROM_1_TO_8, ROOTS[8])


def test_a_path_joins_incomplete_subtrees_out_of_complete_ones() -> None:
    # The example of RFC 6962, section 2.1.3: seven leaves.
    assert root_nodes(7) == ((2, 0), (1, 2), (0, 6))
    assert inclusion_nodes(0, 7) == ((0, 1), (1, 1), (1, 2), (0, 6))
    assert inclusion_nodes(6, 7) == ((1, 2), (2, 0))
    assert consistency_nodes(3, 7) == ((0, 2), (0, 3), (1, 0), (1, 2), (0, 6))
    assert consistency_nodes(4, 7) == ((1, 2), (0, 6))
    assert consistency_nodes(6, 7) == ((1, 2), (0, 6), (2, 0))


def test_there_is_nothing_to_prove_from_nothing_and_to_the_same() -> None:
    assert consistency_nodes(0, 8) == consistency_nodes(8, 8) == ()
    verify_consistency(0, 8, [], ROOTS[0], ROOTS[8])
    verify_consistency(8, 8, [], ROOTS[8], ROOTS[8])
    verify_consistency(0, 0, [], ROOTS[0], ROOTS[0])


PROOF_5_OF_7 = inclusion_proof(5, 7, hash_at)
PROOF_3_TO_7 = consistency_proof(3, 7, hash_at)
LEAF_5 = leaf_hash(LEAVES[5])

REFUSALS: dict[str, tuple[Callable[[], object], type[TransparencyError], str]] = {
    "no leaf in an empty tree": (
        partial(verify_inclusion, LEAF_5, 0, 0, [], ROOTS[0]),
        OutsideTree,
        "leaf 0 is not in a tree of 0 leaves; an empty tree has no leaves",
    ),
    "leaf behind the end": (
        partial(verify_inclusion, LEAF_5, 7, 7, PROOF_5_OF_7, ROOTS[7]),
        OutsideTree,
        "ask for a leaf from 0 to 6",
    ),
    "leaf before the start": (
        partial(inclusion_proof, -1, 7, hash_at),
        OutsideTree,
        "leaf -1 is not in a tree of 7",
    ),
    "tree of a negative size": (partial(root_nodes, -1), OutsideTree, "a tree of -1 leaves"),
    "older tree larger": (
        partial(verify_consistency, 8, 7, [], ROOTS[8], ROOTS[7]),
        OutsideTree,
        "a log that shrank was rolled back",
    ),
    "older tree negative": (
        partial(consistency_proof, -1, 7, hash_at),
        OutsideTree,
        "a tree of -1 leaves cannot be the beginning",
    ),
    "inclusion too short": (
        partial(verify_inclusion, LEAF_5, 5, 7, PROOF_5_OF_7[1:], ROOTS[7]),
        WrongProofLength,
        "leaf 5 of a tree of 7 needs 3 hashes, the proof has 2: too short",
    ),
    "inclusion too long": (
        partial(verify_inclusion, LEAF_5, 5, 7, [*PROOF_5_OF_7, ROOTS[1]], ROOTS[7]),
        WrongProofLength,
        "the proof has 4: too long",
    ),
    "another index of the same shape": (
        partial(verify_inclusion, LEAF_5, 4, 7, PROOF_5_OF_7, ROOTS[7]),
        RootMismatch,
        "leaf 4 of a tree of 7 leads to the root",
    ),
    "another leaf": (
        partial(verify_inclusion, ROOTS[1], 5, 7, PROOF_5_OF_7, ROOTS[7]),
        RootMismatch,
        ROOTS[7].hex(),
    ),
    "a hash of 31 bytes": (
        partial(verify_inclusion, LEAF_5, 5, 7, [b"x" * 31, *PROOF_5_OF_7[1:]], ROOTS[7]),
        InvalidProof,
        "a hash of 31 bytes, not 32",
    ),
    # With one leaf nothing is hashed, so two empty strings would be equal.
    "no leaf hash and no root": (
        partial(verify_inclusion, b"", 0, 1, [], b""),
        InvalidProof,
        "a hash of 0 bytes",
    ),
    "consistency too short": (
        partial(verify_consistency, 3, 7, PROOF_3_TO_7[:-1], ROOTS[3], ROOTS[7]),
        WrongProofLength,
        "from size 3 to 7 needs 4 hashes, the proof has 3: too short",
    ),
    "consistency with something to the same tree": (
        partial(verify_consistency, 7, 7, [ROOTS[1]], ROOTS[7], ROOTS[7]),
        WrongProofLength,
        "needs 0 hashes, the proof has 1: too long",
    ),
    "another older root": (
        partial(verify_consistency, 3, 7, PROOF_3_TO_7, ROOTS[2], ROOTS[7]),
        RootMismatch,
        "the older tree should have the root",
    ),
    "another newer root": (
        partial(verify_consistency, 3, 7, PROOF_3_TO_7, ROOTS[3], ROOTS[8]),
        RootMismatch,
        "the newer tree should have the root",
    ),
    "two roots at one size": (
        partial(verify_consistency, 7, 7, [], ROOTS[6], ROOTS[7]),
        RootMismatch,
        "from size 7 to 7",
    ),
    "an empty tree with a root": (
        partial(verify_consistency, 0, 0, [], ROOTS[1], ROOTS[1]),
        RootMismatch,
        ROOTS[0].hex(),
    ),
    "an empty tree with a root, grown": (
        partial(verify_consistency, 0, 7, [], ROOTS[1], ROOTS[7]),
        RootMismatch,
        ROOTS[0].hex(),
    ),
    "an edge of another size": (
        partial(Frontier, 3, (ROOTS[1],)),
        CorruptTree,
        "a tree of 3 leaves cannot have 1 hashes",
    ),
    "an edge of a negative size": (partial(Frontier, -1, (ROOTS[1],)), CorruptTree, "-1 leaves"),
    "an edge with half a hash": (
        partial(Frontier, 1, (b"x" * 16,)),
        CorruptTree,
        "a hash without 32 bytes",
    ),
    "a digest in hex": (
        partial(Frontier().extended, [ROOTS[1].hex().encode(), ROOTS[1]]),
        CorruptTree,
        "not as hex",
    ),
    "bytes of an edge cut in the size": (
        partial(Frontier.from_bytes, bytes(7)),
        CorruptTree,
        "at least 8 bytes, this has 7",
    ),
    "bytes of an edge cut in a hash": (
        partial(Frontier.from_bytes, Frontier(1, (ROOTS[1],)).to_bytes()[:-1]),
        CorruptTree,
        "a hash without 32 bytes",
    ),
    "bytes of an edge and more": (
        partial(Frontier.from_bytes, Frontier(1, (ROOTS[1],)).to_bytes() + ROOTS[1]),
        CorruptTree,
        "cannot have 2 hashes",
    ),
}


@pytest.mark.parametrize(("ask", "error", "says"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_typed_and_says_what_is_wrong(
    ask: Callable[[], object], error: type[TransparencyError], says: str
) -> None:
    with pytest.raises(TransparencyError) as caught:
        ask()
    assert type(caught.value) is error
    assert says in str(caught.value)


def test_growing_leaves_the_old_edge_as_it_was() -> None:
    three = Frontier().extended(map(leaf_hash, LEAVES[:3]))
    three.extended(map(leaf_hash, LEAVES[3:]))
    assert (three.size, three.root) == (3, ROOTS[3])
    assert three.extended([]) == three


def test_an_edge_is_stored_as_its_size_and_hashes() -> None:
    three = Frontier().extended(map(leaf_hash, LEAVES[:3]))
    assert three.to_bytes() == bytes([0, 0, 0, 0, 0, 0, 0, 3]) + hash_at(1, 0) + hash_at(0, 2)
    assert Frontier.from_bytes(three.to_bytes()) == three
