"""Time and identity come in from outside, so that decisions can be replayed and simulated."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """Where the application learns what time it is."""

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""
        ...


class IdSource(Protocol):
    """Where new event and routing ids come from."""

    def __call__(self) -> UUID:
        """Return an id that has not been returned before."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""
        return datetime.now(UTC)
