"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


class ManualClock:
    """Fulfils the application's ``Clock`` port; time passes only by ``advance``."""

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock needs an aware time to start from")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the time the test has reached, aware, in UTC."""
        return self._now

    def advance(self, seconds: float = 0, *, hours: float = 0) -> datetime:
        """Let time pass and return the new time; it never goes backwards."""
        step = timedelta(seconds=seconds, hours=hours)
        if step < timedelta(0):
            raise ValueError("time does not go backwards; set_back says so on purpose")
        self._now += step
        return self._now

    def set_back(self, seconds: float) -> datetime:
        """Turn the clock back, as a machine's clock may be when it is corrected."""
        self._now -= timedelta(seconds=seconds)
        return self._now
