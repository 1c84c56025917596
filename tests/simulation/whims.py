"""What goes wrong, and how often: one table that is drawn for each seed and emptied for its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

T = TypeVar("T")

ANSWERS: Mapping[str, float] = {
    "success": 50,
    "validation_error": 6,
    "permission_error": 3,
    "compliance_error": 3,
    "system_error": 2,
    "timeout_error": 5,
    "an error nobody listed": 1,
    "unnamed error": 1,
    "raises": 4,
    "hangs": 3,
    "skips a step": 2,
    "collapses a role": 3,
    "rubbish": 2,
    "cancels itself": 1,
}
"""How often a branch does what, by weight."""

PURPOSES = ("plan", "execute", "judge")

SORE: Mapping[str, float] = {
    "success": 20,
    "validation_error": 65,
    "compliance_error": 10,
    "timeout_error": 5,
}
"""The same, for the one kind of work in a seed that keeps going wrong."""

KNIGHT: Mapping[str, float] = {
    "witnesses": 87,
    "takes its time": 8,
    "raises": 2,
    "hangs": 1,
    "says something else": 1,
    "says nothing": 1,
}


@dataclass
class Whims:
    """The chances of this moment, and the only source of chance there is."""

    random: Random
    answers: Mapping[str, float] = field(default_factory=dict)
    sore: str | None = None
    """The purpose that keeps going wrong, if there is one."""
    knight: Mapping[str, float] = field(default_factory=dict)
    later: float = 0.0
    """A service takes the assignment and completes it later, through another process perhaps."""
    repeated: float = 0.0
    """A report is handed in again, some time after the first."""
    slow: float = 0.0
    pager_fails: float = 0.0

    def draw(self) -> None:
        """Draw how things go wrong in this seed: not everything does in every one."""
        random = self.random
        self.sore = random.choice((None, None, *PURPOSES))
        # Where one kind of work goes wrong again and again, the others let it come to that.
        trouble = 0.3 if self.sore else random.choice((0.5, 1.0, 2.0, 3.0))
        self.answers = _drawn(random, ANSWERS, "success", trouble)
        self.knight = _drawn(random, KNIGHT, "witnesses", random.choice((0.0, 1.0, 1.0, 4.0)))
        self.later = random.choice((0.0, 0.2, 0.5))
        self.repeated = random.choice((0.2, 0.4))
        self.slow = random.choice((0.1, 0.4))
        self.pager_fails = random.choice((0.0, 0.3))

    def calm(self) -> None:
        """From now on, nothing goes wrong any more."""
        self.answers, self.knight, self.sore = {"success": 1}, {"witnesses": 1}, None
        self.later = self.repeated = self.slow = self.pager_fails = 0.0

    def answer(self, purpose: str) -> str:
        """Return what a branch does that is asked for this."""
        return self.pick(SORE if purpose == self.sore else self.answers)

    def happens(self, chance: float) -> bool:
        """Return whether something that has this chance happens now."""
        return chance > 0 and self.random.random() < chance

    def pick(self, weights: Mapping[T, float]) -> T:
        """Return one of the keys, by weight."""
        return self.random.choices(list(weights), list(weights.values()))[0]

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return self.random.choice(choices)

    def between(self, low: float, high: float) -> float:
        """Return a number of seconds."""
        return round(self.random.uniform(low, high), 3)


def _drawn(
    random: Random, weights: Mapping[str, float], well: str, trouble: float
) -> dict[str, float]:
    return {
        name: weight if name == well else weight * trouble * random.choice((0, 1, 2))
        for name, weight in weights.items()
    }
