"""Every way to break a rule, and nothing but that rule, in a lawful history.

A mutator gets a log and the index of an event, and returns what a forger would make of it there;
None where that way does not apply. Positions and versions are renumbered afterwards unless it is
they that are broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from governance_flow.conformance.rules import Rule
from tests.unit.conformance.doctoring import Log, numbered
from tests.unit.conformance.exported import Event

Mutate = Callable[[Log, int], list[Event] | None]


@dataclass(frozen=True)
class Mutator:
    """A way to break ``rule``; what it cannot help breaking as well is in ``also``."""

    rule: Rule
    name: str
    mutate: Mutate
    also: frozenset[Rule]
    renumbers: bool

    def mutants(self, log: Log, count: int | None = None) -> Iterator[list[Event]]:
        """Yield what it makes of a log, at every place where it can, or at the first so many."""
        yield from islice(self._everywhere(log), count)

    def _everywhere(self, log: Log) -> Iterator[list[Event]]:
        for index in range(len(log)):
            mutant = self.mutate(log, index)
            if mutant is not None:
                yield numbered(mutant) if self.renumbers else mutant


@dataclass
class Register:
    """Collects the mutators as they are defined."""

    mutators: list[Mutator] = field(default_factory=list)

    def breaks(self, rule: Rule, *also: Rule, renumbers: bool = True) -> Callable[[Mutate], Mutate]:
        """Register a way to break ``rule``."""

        def register(mutate: Mutate) -> Mutate:
            name = mutate.__name__
            self.mutators.append(Mutator(rule, name, mutate, frozenset(also), renumbers))
            return mutate

        return register
