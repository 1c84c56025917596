"""Where new ids come from."""

from __future__ import annotations

import os
from collections import deque
from uuid import UUID

_AT_ONCE = 256
_ID_BYTES = 16


class RandomIds:
    """Random UUIDs (version 4), from the operating system's randomness, many at a time.

    A motion's way through the pipeline takes two dozen ids. Asking the system for each of them
    costs more than whatever the id is for, because every question lets another thread in.
    """

    def __init__(self) -> None:
        self._ready: deque[UUID] = deque()
        # A forked child would give out the same ids.
        os.register_at_fork(after_in_child=self._ready.clear)

    def __call__(self) -> UUID:
        """Return an id that has not been returned before."""
        try:
            return self._ready.popleft()
        except IndexError:
            self._refill()
            return self._ready.popleft()

    def _refill(self) -> None:
        random = os.urandom(_AT_ONCE * _ID_BYTES)
        for start in range(0, len(random), _ID_BYTES):
            self._ready.append(UUID(bytes=random[start : start + _ID_BYTES], version=4))
