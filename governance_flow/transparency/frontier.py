"""A tree that grows, in memory for a few hashes: the right edge and no more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from governance_flow.transparency.encoding import UINT64_MAX
from governance_flow.transparency.errors import CorruptTree
from governance_flow.transparency.merkle import EMPTY_ROOT, HASH_BYTES, NODE_PREFIX, node_hash

_SIZE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Frontier:
    """What a tree must remember to grow: the complete nodes its root is made of.

    ``hashes`` are those of ``merkle.root_nodes(size)``, the largest node first: one for each bit
    that is set in ``size``. A value: growing gives a new one, so a failed transaction changes
    nothing.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no tree looks like."""
        if not 0 <= self.size <= UINT64_MAX or len(self.hashes) != self.size.bit_count():
            raise CorruptTree(
                f"the edge of a tree of {self.size} leaves cannot have {len(self.hashes)} hashes",
                "build the tree anew from its leaves",
            )
        check_hashes(self.hashes)

    @property
    def root(self) -> bytes:
        """The root hash of the tree (RFC 6962, section 2.1)."""
        if not self.hashes:
            return EMPTY_ROOT
        joined = self.hashes[-1]
        for value in self.hashes[-2::-1]:
            joined = node_hash(value, joined)
        return joined

    def extended(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """Return the edge after more leaves, given by their hashes; one hash a leaf on average.

        All the leaf hashes are in memory at once: give a long log in pages.
        """
        row = list(leaf_hashes)
        check_hashes(row)
        size = self.size + len(row)
        above = list(self.hashes)
        below: list[bytes] = []
        level = 0
        # Row by row, all nodes of a level at once: several times as fast as leaf by leaf.
        while row:
            if self.size >> level & 1:
                row.insert(0, above.pop())
            if len(row) & 1:
                below.append(row.pop())
            row = [
                sha256(NODE_PREFIX + left + right).digest()
                for left, right in zip(row[::2], row[1::2], strict=True)
            ]
            level += 1
        return Frontier(size, (*above, *reversed(below)))

    def to_bytes(self) -> bytes:
        """Return the size, 8 bytes with the highest first, and the hashes."""
        return self.size.to_bytes(_SIZE_BYTES, "big") + b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> Frontier:
        """Return what ``to_bytes`` wrote; raises CorruptTree if it did not write it."""
        if len(data) < _SIZE_BYTES:
            raise CorruptTree(
                f"the edge of a tree has at least {_SIZE_BYTES} bytes, this has {len(data)}",
                "build the tree anew from its leaves",
            )
        size = int.from_bytes(data[:_SIZE_BYTES], "big")
        starts = range(_SIZE_BYTES, len(data), HASH_BYTES)
        return cls(size, tuple(data[start : start + HASH_BYTES] for start in starts))


def check_hashes(hashes: Iterable[bytes]) -> None:
    """Raise CorruptTree unless every hash has the length of one."""
    if any(map(HASH_BYTES.__ne__, map(len, hashes))):
        raise CorruptTree(
            f"a hash without {HASH_BYTES} bytes", "give SHA-256 digests as bytes, not as hex"
        )
