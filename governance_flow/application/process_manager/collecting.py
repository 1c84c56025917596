"""How often Python looks for reference cycles while a worker runs, or a verification."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

ALLOCATIONS = 100_000
"""After how many more objects than were freed Python looks for cycles; it is 700 otherwise."""


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Let the cycle collector run less often inside the block.

    A worker makes and drops millions of objects, hardly any of them in cycles; what is in none is
    freed at once in any case. At its usual pace the collector takes a fifth of a worker's time.
    Whoever has turned it off, or down further, is left alone. Of blocks that overlap, the first to
    have begun ends it for all.
    """
    before = gc.get_threshold()
    if not 0 < before[0] < ALLOCATIONS:
        yield
        return
    gc.set_threshold(ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
