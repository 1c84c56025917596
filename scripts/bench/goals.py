"""What is to be reached, in one table, and whether it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scripts.bench.growth import QUESTIONS
from scripts.bench.results import Results
from scripts.bench.stores import NAMES, STORES

GROWTH_MOST = 1.5
MEMORY_MOST = 1.2
KEPT_LEAST = 0.75
"""What of the throughput must be left with signatures and the audit log."""

HASHED_LEAST = 50_000
"""Events whose bytes one core must check in a second."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio of two medians, or a median by itself, and what it must be."""

    name: str
    key: str
    to: str | None
    limit: float
    at_least: bool = False
    """Whether the ratio must be at least the limit; otherwise at most."""
    aim: float | None = None
    """What would be better still."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal, the figure (None: it was not measured), and whether it is met."""

    goal: Goal
    figure: float | None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None if nobody knows."""
        if self.figure is None:
            return None
        if self.goal.at_least:
            return self.figure >= self.goal.limit
        return self.figure <= self.goal.limit

    @property
    def wanted(self) -> str:
        """The limit and the aim, for a person."""
        sign = "at least" if self.goal.at_least else "at most"
        aim = "" if self.goal.aim is None else f" (aim: {self.goal.aim:g})"
        return f"{sign} {self.goal.limit:,g}{aim}"

    @property
    def said(self) -> str:
        """Whether it is met, in words."""
        return {True: "met", False: "NOT MET", None: "not measured"}[self.met]


_FIXED = (
    Goal("motions against DBOS, PostgreSQL", "motions.postgres.1", "dbos.postgres", 6,
         at_least=True, aim=10),
    Goal("motions against DBOS, SQLite", "motions.sqlite.1", "dbos.sqlite", 10,
         at_least=True, aim=15),
    Goal("our store alone against plain psycopg", "limit.store", "limit.plain",
         0.2, at_least=True),
    Goal("events of the whole pipeline against plain psycopg", "motions.postgres.1.events",
         "limit.plain", 0.2, at_least=True),
    Goal("one motion alone against DBOS, PostgreSQL", "alone.postgres", "dbos.postgres.alone", 0.5),
    Goal("one motion alone against DBOS, SQLite", "alone.sqlite", "dbos.sqlite.alone", 0.5),
    *(Goal(f"motions with signatures and audit log against without, {NAMES[kind]}",
           f"motions.{kind}.1", f"motions.{kind}.1.without_log", KEPT_LEAST, at_least=True)
      for kind in STORES),
    *(Goal(f"events hashed and chained a second by one core, {NAMES[kind]}",
           f"hashing.{kind}", None, HASHED_LEAST, at_least=True)
      for kind in STORES),
)  # fmt: skip


def verdicts(results: Results) -> list[Verdict]:
    """Return every goal with its figure."""
    everything = [*_FIXED, *_growing(results.facts.get("growth_motions", (1_000, 10_000, 100_000)))]
    return [Verdict(goal, _figure(goal, results)) for goal in everything]


def _figure(goal: Goal, results: Results) -> float | None:
    return results.median(goal.key) if goal.to is None else results.ratio(goal.key, goal.to)


def _growing(sizes: tuple[int, ...]) -> Iterator[Goal]:
    few, some, many = sizes[0], sizes[-2], sizes[-1]
    for kind in STORES:
        for question, title in QUESTIONS.items():
            key = f"growth.{kind}.{question}"
            name = f"{title}, {many:,} motions against {few:,}, {NAMES[kind]}"
            yield Goal(name, f"{key}.{many}", f"{key}.{few}", GROWTH_MOST)
    for kind in STORES:
        name = f"memory of a worker, {many:,} motions against {some:,}, {NAMES[kind]}"
        yield Goal(name, f"memory.{kind}.{many}", f"memory.{kind}.{some}", MEMORY_MOST)
    for kind in STORES:
        # Rates, so the smaller store's comes first.
        name = f"audit verify slows down, {some:,} motions against {few:,}, {NAMES[kind]}"
        key = f"verify.{kind}"
        yield Goal(name, f"{key}.{few}", f"{key}.{some}", GROWTH_MOST)
        name = f"memory of audit verify, {some:,} motions against {few:,}, {NAMES[kind]}"
        yield Goal(name, f"{key}.{some}.memory", f"{key}.{few}.memory", MEMORY_MOST)
        name = f"memory of a rebuild, at the end against after a tenth, {NAMES[kind]}"
        key = f"rebuild.{kind}.memory"
        yield Goal(name, key, f"{key}.early", MEMORY_MOST)
