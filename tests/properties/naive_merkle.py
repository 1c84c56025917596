"""RFC 6962, section 2.1, word for word: recursions over runs of leaves, slow and plain.

Shares nothing with the code it judges. ``start`` and ``end`` bound the run D[start:end].
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256


class NaiveTree:
    """The hashes and proofs of the leaves given, each computed once."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves
        self.mth = cache(self._mth)
        self.path = cache(self._path)
        self.subproof = cache(self._subproof)

    def root(self, size: int) -> bytes:
        return self.mth(0, size)

    def leaf_hashes(self) -> list[bytes]:
        return [self.mth(at, at + 1) for at in range(len(self.leaves))]

    def hash_at(self, level: int, nth: int) -> bytes:
        """Return a complete node; a node that is not complete is a fault of whoever asks."""
        assert (nth + 1) << level <= len(self.leaves)
        return self.mth(nth << level, (nth + 1) << level)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        return list(self.path(index, 0, size))

    def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """PROOF(m, D[n]); the RFC leaves m = 0 undefined, and there is nothing to prove."""
        return list(self.subproof(old_size, 0, new_size, True)) if old_size else []

    def _mth(self, start: int, end: int) -> bytes:
        if start == end:
            return sha256(b"").digest()
        if end - start == 1:
            return sha256(b"\x00" + self.leaves[start]).digest()
        k = split(end - start)
        return sha256(b"\x01" + self.mth(start, start + k) + self.mth(start + k, end)).digest()

    def _path(self, m: int, start: int, end: int) -> tuple[bytes, ...]:
        if end - start == 1:
            return ()
        k = split(end - start)
        if m < k:
            return (*self.path(m, start, start + k), self.mth(start + k, end))
        return (*self.path(m - k, start + k, end), self.mth(start, start + k))

    def _subproof(self, m: int, start: int, end: int, b: bool) -> tuple[bytes, ...]:
        if m == end - start:
            return () if b else (self.mth(start, end),)
        k = split(end - start)
        if m <= k:
            return (*self.subproof(m, start, start + k, b), self.mth(start + k, end))
        return (*self.subproof(m - k, start + k, end, False), self.mth(start, start + k))


def split(n: int) -> int:
    """Return the largest power of two smaller than n."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k
