"""What a configuration says, as the rules need it; where it is silent, the flow's defaults hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from governance_flow.conformance.canon import (
    DELIBERATING,
    EXECUTING,
    JUDGING,
    PLANNING,
    WITNESSING,
)

_HOURS = {DELIBERATING: 168.0, PLANNING: 72.0, EXECUTING: 168.0, JUDGING: 48.0, WITNESSING: 24.0}
_ALL = frozenset({"king", "conclave", "president", "duke", "earl", "prince", "knight"})
_APART = {
    "king": ["president", "duke", "earl", "prince"],
    "president": ["duke", "earl", "prince"],
    "prince": ["duke", "earl"],
    "knight": sorted(_ALL - {"knight"}),
}


NUMBER_MAX = 100_000_000
"""Three years in seconds: nobody means more of anything."""


def digest_of(configuration: Mapping[str, Any]) -> str:
    """Return the digest under which a configuration is adopted."""
    plain = json.dumps(configuration, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


class Terms:
    """One configuration."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        retry = _part(configuration, "retry")
        breaker = _part(configuration, "breaker")
        self.places = _number(configuration, "max_concurrent_motions", 100)
        self.retries_max = _number(retry, "max_attempts", 3)
        self.backoff_seconds = _numbers(retry, "backoff_seconds") or [5.0, 30.0, 300.0]
        self.grace_seconds = _number(retry, "overdue_grace_seconds", 300.0)
        self.returns_max = _number(configuration, "max_returns_per_state", 2)
        self.review_answers_max = _number(configuration, "max_review_answers", 3)
        self.system_errors_max = _number(breaker, "system_errors", 5)
        self.window_seconds = _number(breaker, "window_seconds", 600.0)
        self._hours = {**_HOURS, **_part(configuration, "state_timeout_hours")}
        self._branches = _part(configuration, "branches")
        powers = _part(configuration, "separation_of_powers")
        matrix: Mapping[str, Any] = _part(powers, "excludes") if "excludes" in powers else _APART
        self._apart = {
            pair
            for branch, others in matrix.items()
            for other in (others if isinstance(others, list) else ())
            for pair in ((branch, str(other)), (str(other), branch))
        }

    def hours(self, state: str) -> float | None:
        """Return how long a motion may stay in a state; None: as long as it takes."""
        return _number_or_none(self._hours.get(state))

    def backoff_of(self, attempt: int) -> float:
        """Return for how many seconds the retry after this attempt is put off."""
        return self.backoff_seconds[min(max(attempt, 1), len(self.backoff_seconds)) - 1]

    def keeps_apart(self, one: str, other: str) -> bool:
        """Return whether who has acted for one of the two branches may not act for the other."""
        return (one, other) in self._apart

    def outside_limit_seconds(self, service: str) -> float | None:
        """Return how long one attempt may take people or programs that fetch their work."""
        branch = _part(self._branches, service)
        if branch.get("kind") != "external":
            return None
        return _number_or_none(branch.get("attempt_timeout_seconds"))


def _part(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = whole.get(name)
    return part if isinstance(part, dict) else {}


def _number_or_none(value: object) -> float | None:
    """Return a number that one can reckon with: none is so large that time itself would end."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if abs(value) <= NUMBER_MAX else None


def _number(part: Mapping[str, Any], name: str, default: float) -> float:
    value = _number_or_none(part.get(name))
    return default if value is None else value


def _numbers(part: Mapping[str, Any], name: str) -> list[float]:
    values = part.get(name)
    numbers = map(_number_or_none, values if isinstance(values, list) else ())
    return [number for number in numbers if number is not None]
