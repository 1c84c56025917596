"""The port through which a process tells how it is doing."""

from __future__ import annotations

from typing import Protocol


class Metrics(Protocol):
    """What happens inside one process. What the store knows is read from the read model."""

    def appended(self, group_size: int, events: int, seconds: float) -> None:
        """Count one committed group: its appends, its events, and how long it took."""
        ...

    def performed(self, service: str, outcome: str, seconds: float) -> None:
        """Count one call of a branch service by how it ended."""
        ...

    def refused(self, reason: str) -> None:
        """Count one completion that was refused, by the class of its reason."""
        ...


class NoMetrics:
    """Counts nothing."""

    def appended(self, group_size: int, events: int, seconds: float) -> None:
        """Ignore it."""

    def performed(self, service: str, outcome: str, seconds: float) -> None:
        """Ignore it."""

    def refused(self, reason: str) -> None:
        """Ignore it."""
