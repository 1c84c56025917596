"""Times as the database keeps them: whole microseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Return an aware time in microseconds, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Return the time that ``to_us`` gave this number for."""
    return _EPOCH + timedelta(microseconds=microseconds)


def seconds_to_us(seconds: float) -> int:
    """Return a length of time in whole microseconds."""
    return round(seconds * 1_000_000)
