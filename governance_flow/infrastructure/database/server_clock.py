"""The database server's time, told without asking for it each time."""

from __future__ import annotations

from datetime import datetime
from time import monotonic_ns

from governance_flow.application.times import from_us

TOLERANCE_US = 250_000
"""How far the server may seem to be off: less is the time its answer took to reach us."""

FRESH_US = 1_000_000
"""How long an answer is good for: that much later a clock that was turned is noticed."""


class ServerClock:
    """What the server last said, and the time that has passed since by a clock nobody can turn.

    Leases, deadlines and retries are all judged by the server's clock, so what is decided goes by
    it too: a machine whose own clock is wrong, or is turned while it works, does no harm.
    """

    def __init__(self) -> None:
        # Both at once, so that no thread sees one without the other.
        self._said_and_heard_us = (0, 0)
        self._asked_us = -FRESH_US

    def observe(self, now_us: int) -> None:
        """Note what the server has just said. Safe to call from any thread."""
        heard_us = monotonic_ns() // 1000
        if abs(now_us - self._us(heard_us)) > TOLERANCE_US:
            self._said_and_heard_us = (now_us, heard_us)
        self._asked_us = heard_us

    def fresh_us(self) -> int | None:
        """Return the present time in microseconds UTC; None if the server should be asked."""
        at_us = monotonic_ns() // 1000
        return self._us(at_us) if at_us - self._asked_us < FRESH_US else None

    def now(self) -> datetime:
        """Return the present time, aware, in UTC; the server must have been asked once."""
        return from_us(self._us(monotonic_ns() // 1000))

    def _us(self, at_us: int) -> int:
        said_us, heard_us = self._said_and_heard_us
        return said_us + at_us - heard_us
