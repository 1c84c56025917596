"""Merkle trees as RFC 6962, section 2.1, defines them, over SHA-256.

A tree of any size is made of *complete* subtrees, those of 2^level leaves. A ``Node`` names one:
it covers the leaves ``nth << level`` up to, not including, ``(nth + 1) << level``. Complete
nodes never change once their leaves are there; all other hashes are put together from them. So
a proof is made in two steps: ``inclusion_nodes`` and its siblings say which nodes are needed,
the caller fetches them from wherever they are kept, and ``inclusion_proof`` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from governance_flow.transparency.errors import (
    InvalidProof,
    OutsideTree,
    RootMismatch,
    WrongProofLength,
)

HASH_BYTES: Final = 32
LEAF_PREFIX: Final = b"\x00"
NODE_PREFIX: Final = b"\x01"

EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of the tree without leaves (RFC 6962, section 2.1: the hash of an empty string)."""

HashAt = Callable[[int, int], bytes]
"""Gives the hash of the complete node at (level, nth)."""


class Node(NamedTuple):
    """A complete subtree of ``2 ** level`` leaves, the ``nth`` of its level, from 0."""

    level: int
    nth: int


class _Step(NamedTuple):
    """One hash of a path to the root: on which side it goes, and the nodes it is made of."""

    is_left: bool
    nodes: tuple[Node, ...]


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962, section 2.1)."""
    return sha256(LEAF_PREFIX + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over its two children (RFC 6962, section 2.1)."""
    return sha256(NODE_PREFIX + left + right).digest()


def root_nodes(size: int) -> tuple[Node, ...]:
    """Return the complete nodes the root of a tree is made of, from left to right."""
    if size < 0:
        raise OutsideTree(f"a tree of {size} leaves", "give a size of 0 or more")
    return _cover(0, size)


def inclusion_nodes(index: int, size: int) -> tuple[Node, ...]:
    """Return the complete nodes that an inclusion proof needs."""
    _check_index(index, size)
    return tuple(node for step in _path(0, index, size) for node in step.nodes)


def consistency_nodes(old_size: int, new_size: int) -> tuple[Node, ...]:
    """Return the complete nodes that a consistency proof needs."""
    _check_sizes(old_size, new_size)
    if _is_trivial(old_size, new_size):
        return ()
    start = _last_complete(old_size)
    path = tuple(node for step in _path(*start, new_size) for node in step.nodes)
    return (start, *path) if start.nth else path


def root_from(size: int, hash_at: HashAt) -> bytes:
    """Return the root of the tree of the first ``size`` leaves (RFC 6962, section 2.1, MTH)."""
    nodes = root_nodes(size)
    return _joined(nodes, hash_at) if nodes else EMPTY_ROOT


def inclusion_proof(index: int, size: int, hash_at: HashAt) -> list[bytes]:
    """Return the audit path of a leaf, its sibling first (RFC 6962, section 2.1.1, PATH)."""
    _check_index(index, size)
    return [_joined(step.nodes, hash_at) for step in _path(0, index, size)]


def consistency_proof(old_size: int, new_size: int, hash_at: HashAt) -> list[bytes]:
    """Return the proof that the older tree is a prefix (RFC 6962, section 2.1.2, PROOF).

    It is empty where there is nothing to prove: from a tree to itself and from the empty tree.
    """
    _check_sizes(old_size, new_size)
    if _is_trivial(old_size, new_size):
        return []
    start = _last_complete(old_size)
    path = [_joined(step.nodes, hash_at) for step in _path(*start, new_size)]
    # Node 0 of its level is the whole older tree, whose root the verifier has.
    return [hash_at(*start), *path] if start.nth else path


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the leaf with hash ``leaf`` is the ``index``-th of the tree (RFC 6962, 2.1.1).

    Raises InvalidProof with the reason if the proof does not show it.
    """
    _check_index(index, size)
    steps = list(_path(0, index, size))
    _check_hashes(proof, len(steps), f"leaf {index} of a tree of {size}", leaf, root)
    computed = leaf
    for step, sibling in zip(steps, proof, strict=True):
        computed = node_hash(sibling, computed) if step.is_left else node_hash(computed, sibling)
    if computed != root:
        raise RootMismatch(
            f"leaf {index} of a tree of {size} leads to the root {computed.hex()},"
            f" not to {root.hex()}",
            "the leaf, its index, the proof or the root was changed: get each from its source",
        )


def verify_consistency(
    old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Check that the newer tree begins with the whole older one (RFC 6962, section 2.1.2).

    From the empty tree there is nothing to prove, so ``new_root`` is not checked then.
    Raises InvalidProof with the reason if the proof does not show it.
    """
    _check_sizes(old_size, new_size)
    about = f"from size {old_size} to {new_size}"
    if _is_trivial(old_size, new_size):
        _check_hashes(proof, 0, about, old_root, new_root)
        if old_size == 0:
            _check_root("older", about, EMPTY_ROOT, old_root)
        if old_size == new_size:
            _check_root("newer", about, old_root, new_root)
        return
    start = _last_complete(old_size)
    steps = list(_path(*start, new_size))
    has_start = start.nth > 0
    _check_hashes(proof, len(steps) + has_start, about, old_root, new_root)
    old = new = proof[0] if has_start else old_root
    for step, sibling in zip(steps, proof[has_start:], strict=True):
        if step.is_left:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
        else:
            # Whatever is to the right came after the older tree.
            new = node_hash(new, sibling)
    _check_root("older", about, old, old_root)
    _check_root("newer", about, new, new_root)


def _path(level: int, index: int, size: int) -> Iterator[_Step]:
    """Walk from a complete node to the root and yield what is joined to it on the way."""
    last = size - 1
    while last >> level:
        sibling = index ^ 1
        if sibling < index:
            yield _Step(is_left=True, nodes=(Node(level, sibling),))
        elif sibling <= last >> level:
            # The rightmost subtree may be incomplete, and is then made of several nodes.
            nodes = _cover(sibling << level, min(size, (sibling + 1) << level))
            yield _Step(is_left=False, nodes=nodes)
        # Otherwise there is nothing to the right, and the node is its own parent.
        index >>= 1
        level += 1


def _cover(start: int, end: int) -> tuple[Node, ...]:
    """Return the fewest complete nodes over a run of leaves that begins where a subtree does."""
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append(Node(level, start >> level))
        start += 1 << level
    return tuple(nodes)


def _joined(nodes: tuple[Node, ...], hash_at: HashAt) -> bytes:
    """Return the hash over complete nodes that shrink from left to right."""
    joined = hash_at(*nodes[-1])
    for node in reversed(nodes[:-1]):
        joined = node_hash(hash_at(*node), joined)
    return joined


def _last_complete(size: int) -> Node:
    """Return the rightmost, smallest of the nodes that the root of a tree is made of."""
    level = (size & -size).bit_length() - 1
    return Node(level, (size >> level) - 1)


def _is_trivial(old_size: int, new_size: int) -> bool:
    return old_size in (0, new_size)


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise OutsideTree(
            f"leaf {index} is not in a tree of {size} leaves",
            f"ask for a leaf from 0 to {size - 1}, or take a later checkpoint"
            if size > 0
            else "an empty tree has no leaves: take a later checkpoint",
        )


def _check_sizes(old_size: int, new_size: int) -> None:
    if not 0 <= old_size <= new_size:
        raise OutsideTree(
            f"a tree of {old_size} leaves cannot be the beginning of one of {new_size}",
            "give the smaller size first; a log that shrank was rolled back",
        )


def _check_hashes(proof: Sequence[bytes], needed: int, about: str, *given: bytes) -> None:
    if len(proof) != needed:
        fault = "too short" if len(proof) < needed else "too long"
        raise WrongProofLength(
            f"{about} needs {needed} hashes, the proof has {len(proof)}: {fault}",
            "it was cut, or made for another index or size: have it made anew",
        )
    for value in (*proof, *given):
        if len(value) != HASH_BYTES:
            raise InvalidProof(
                f"{about}: a hash of {len(value)} bytes, not {HASH_BYTES}",
                "give SHA-256 digests as bytes, or have the proof made anew",
            )


def _check_root(which: str, about: str, computed: bytes, given: bytes) -> None:
    if computed != given:
        raise RootMismatch(
            f"{about}: the {which} tree should have the root {computed.hex()},"
            f" the root given is {given.hex()}",
            "the log is not the one seen before, or the proof is wrong: keep both checkpoints",
        )
