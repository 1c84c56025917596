"""Numbers and times in the words of a fault."""

from __future__ import annotations

from governance_flow.application.times import from_us


def missing(noun: str, first: int, last: int) -> str:
    """Say that one thing, or several, are missing: ``positions 3 to 5 are missing``."""
    if first == last:
        return f"{noun} {first} is missing"
    return f"{noun}s {first} to {last} are missing"


def counted(number: int, noun: str) -> str:
    """Return a number of things: ``1 event``, ``2,000 events``."""
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"


def time_of(moment_us: int) -> str:
    """Return a stored time for people; one that is no time at all as its number."""
    try:
        return f"{from_us(moment_us):%Y-%m-%d %H:%M:%S.%f} UTC"
    except OverflowError:
        return f"{moment_us} microseconds, which is no time"
