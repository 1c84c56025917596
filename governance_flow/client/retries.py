"""How often a request is sent again, and after which pauses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retries:
    """At most ``attempts`` times altogether; pauses double from ``first_seconds`` on.

    Pauses are jittered, so that many clients do not come back in the same moment, and never
    shorter than the service asked for, nor longer than ``most_seconds``.
    """

    attempts: int = 8
    first_seconds: float = 0.2
    most_seconds: float = 15.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 < self.first_seconds <= self.most_seconds:
            raise ValueError("a request is sent once at least, with pauses that do not shrink")

    def pause_seconds(self, attempt: int, asked_seconds: float | None, chance: float) -> float:
        """Return how long to wait after an attempt, the first being 1; ``chance`` is in [0, 1)."""
        # Not 2**attempt as such: whoever asks for ever comes to numbers that no float holds.
        longest = min(self.most_seconds, self.first_seconds * 2.0 ** min(attempt - 1, 30))
        jittered = longest * (0.5 + chance / 2)
        return min(self.most_seconds, max(asked_seconds or 0.0, jittered))
