"""Where each projection stands: positions, generations, and the motions that were parked.

Everything here runs inside a transaction of the caller's. Positions are moved only in the
transaction that writes the rows they speak of, and only by whoever holds the lock on them, so
each event is applied exactly once, however many processes follow the store.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from governance_flow.application.ports.read_model import ParkedMotion
from governance_flow.application.queries import load_queries
from governance_flow.domain.errors import StoreLocked, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from governance_flow.application.ports.database import Dialect, Row, Transaction
    from governance_flow.application.queries import Queries

NEAR_EVENTS = 1000
"""A generation being built that is no further behind than this is waited for by the live one."""

FIRST_LAYOUT = 1
"""What the rows of a projection look like of which the store does not say it."""

REASON_CHARACTERS_MAX = 2000
_LOCK_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of a projection: everything up to ``position`` is in its rows."""

    name: str
    number: int
    position: int
    committed_at_us: int
    live: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """The generations to be moved on together: the live ones, and those almost ready to be."""

    generations: tuple[Generation, ...]

    @property
    def lowest(self) -> int:
        """Where the next batch begins: whoever is behind catches up first."""
        return min(generation.position for generation in self.generations)

    @property
    def next_stop(self) -> int | None:
        """Where that batch ends at the latest, so that the others can join; None for the head."""
        others = {generation.position for generation in self.generations} - {self.lowest}
        return min(others, default=None)

    @property
    def done(self) -> int:
        """Up to where every live generation has applied everything."""
        return min(generation.position for generation in self.generations if generation.live)

    def due(self, start: int) -> list[Generation]:
        """Return the generations that a batch beginning behind ``start`` is for."""
        return [generation for generation in self.generations if generation.position == start]


@dataclass(frozen=True, slots=True)
class Parked(ParkedMotion):
    """A parked motion, and the generation of the projection that parked it."""

    generation: int


class Registry:
    """The statements of the registry, for the projections named ``names``."""

    def __init__(self, dialect: Dialect, names: Sequence[str]) -> None:
        self._sql = load_queries("projections", "sql/registry.sql", dialect)
        self._names = list(names)

    def complete(self, tx: Transaction, layouts: Mapping[str, int]) -> bool:
        """Return whether every projection has a live generation of its present layout.

        Raises StoreTooNew if one has a later layout than that.
        """
        [(exists,)] = tx.execute(self._sql.registry_exists)
        return bool(exists) and not self._missing(tx, layouts)

    def create(self, tx: Transaction, layouts: Mapping[str, int]) -> list[str]:
        """Make the tables; return the projections without a live generation of their layout.

        The caller makes one for each of them. Raises as ``complete`` does.
        """
        tx.execute(self._sql.lock_registry)
        for name, statement in self._sql.items():
            if name.startswith("create_"):
                tx.execute(statement)
        return self._missing(tx, layouts)

    def lock(self, tx: Transaction) -> None:
        """Let nobody else make tables or begin a rebuild until this transaction ends."""
        tx.execute(self._sql.lock_registry)

    def add(self, tx: Transaction, name: str, number: int, *, live: bool) -> None:
        """Note a new generation, at the beginning of the log."""
        tx.execute(self._sql.insert_generation, {"name": name, "generation": number, "live": live})

    def keep_layout(self, tx: Transaction, name: str, layout: int) -> None:
        """Note what the rows of a projection look like, in all its generations."""
        tx.execute(self._sql.keep_layout, {"name": name, "layout": layout})

    def remove(self, tx: Transaction, name: str, number: int) -> None:
        """Forget a generation and what it parked."""
        key = {"name": name, "generation": number}
        tx.execute(self._sql.unpark_generation, key)
        tx.execute(self._sql.delete_generation, key)

    def all(self, tx: Transaction) -> list[Generation]:
        """Return every generation, being built, live and replaced."""
        return [
            _generation(row)
            for row in tx.execute(self._sql.read_all_generations, {"names": self._names})
        ]

    def standing(self, tx: Transaction) -> Standing:
        """Return what is to be moved on next, without holding it there."""
        everything = self.all(tx)
        live = self._live(everything)
        return Standing((*live, *_almost_ready(live, everything)))

    def lock_standing(self, tx: Transaction) -> Standing:
        """Return what is to be moved on next, and hold it until the transaction ends.

        Live generations are locked first, in order of name, by everybody, so that nobody waits
        in a circle.
        """
        live = self._lock_live(tx)
        ready = _almost_ready(live, self.all(tx))
        held = [self.lock_generation(tx, g.name, g.number) for g in ready]
        return Standing((*live, *(g for g in held if g is not None)))

    def lock_generation(self, tx: Transaction, name: str, number: int) -> Generation | None:
        """Return one generation and hold it; None if it is not there any more."""
        key = {"name": name, "generation": number}
        rows = tx.execute(self._sql.lock_generation, key)
        return _generation(rows[0]) if rows else None

    def advance(
        self,
        tx: Transaction,
        generations: Iterable[Generation],
        position: int,
        committed_at_us: int,
    ) -> list[Generation]:
        """Move generations on, and return them as they stand then."""
        moved = [
            replace(generation, position=position, committed_at_us=committed_at_us)
            for generation in generations
        ]
        tx.execute_many(
            self._sql.advance,
            [
                {
                    "name": generation.name,
                    "generation": generation.number,
                    "position": position,
                    "committed_at_us": committed_at_us,
                }
                for generation in moved
            ],
        )
        return moved

    def swap(self, tx: Transaction, standing: Standing) -> Standing:
        """Let each new generation that stands where the live one does take its place.

        The caller holds all of them. Readers of the old one are not disturbed: its rows stay.
        """
        live = {g.name: g for g in standing.generations if g.live}
        for new in standing.generations:
            if new.live or live[new.name].position != new.position:
                continue
            self._set_live(tx, live[new.name], live=False)
            live[new.name] = self._set_live(tx, new, live=True)
        rest = (g for g in standing.generations if not g.live and g.number > live[g.name].number)
        return Standing((*live.values(), *rest))

    def parked_among(self, tx: Transaction, motion_ids: Iterable[UUID]) -> list[Parked]:
        """Return which of these motions are parked, by any generation."""
        ids = [str(motion_id) for motion_id in motion_ids]
        return [_parked(row) for row in tx.execute(self._sql.parked_among, {"motion_ids": ids})]

    def park(self, tx: Transaction, parked: Sequence[Parked]) -> None:
        """Note that motions are not followed any more. The first reason stays."""
        if parked:
            tx.execute_many(
                self._sql.park,
                [
                    {
                        "projection": item.projection,
                        "generation": item.generation,
                        "motion_id": str(item.motion_id),
                        "position": item.position,
                        "topic": _storable(item.topic),
                        "reason": _storable(item.reason),
                    }
                    for item in parked
                ],
            )

    def _missing(self, tx: Transaction, layouts: Mapping[str, int]) -> list[str]:
        there = {generation.name for generation in self._live(self.all(tx))}
        stored = {name: int(layout) for name, layout in tx.execute(self._sql.read_layouts)}
        for name in self._names:
            if stored.get(name, FIRST_LAYOUT) > layouts[name]:
                raise StoreTooNew(
                    f"the projection {name!r} has layout {stored[name]}, this program knows "
                    f"{layouts[name]} at most: a newer Governance Flow has used the store; "
                    "upgrade this one",
                    projection=name,
                    stored_layout=stored[name],
                    known_layout=layouts[name],
                )
        return [
            name
            for name in self._names
            if name not in there or stored.get(name, FIRST_LAYOUT) != layouts[name]
        ]

    def _lock_live(self, tx: Transaction) -> list[Generation]:
        for _ in range(_LOCK_ATTEMPTS):
            rows = tx.execute(self._sql.lock_live, {"names": self._names})
            if len(rows) == len(self._names):
                return [_generation(row) for row in rows]
            # While we waited for the lock a new generation took over; look again to see it.
        raise StoreLocked(
            f"the live generations of {', '.join(self._names)} could not be locked; "
            "prepare the projections, or try again when the rebuild is done"
        )

    def _live(self, generations: Iterable[Generation]) -> list[Generation]:
        return [generation for generation in generations if generation.live]

    def _set_live(self, tx: Transaction, generation: Generation, *, live: bool) -> Generation:
        key = {"name": generation.name, "generation": generation.number}
        tx.execute(self._sql.set_live, {**key, "live": live})
        return replace(generation, live=live)


def live_generations(tx: Transaction) -> dict[str, Generation]:
    """Return the live generation of each projection, as this transaction sees them."""
    rows = tx.execute(queries(tx).read_live)
    return {generation.name: generation for generation in map(_generation, rows)}


def parked_live(tx: Transaction, limit: int) -> list[Parked]:
    """Return at most ``limit`` motions that live generations have parked, in order of id."""
    return [_parked(row) for row in tx.execute(queries(tx).parked_live, {"limit": limit})]


def parked_live_among(tx: Transaction, motion_ids: Iterable[UUID]) -> list[Parked]:
    """Return which of these motions live generations have parked."""
    ids = [str(motion_id) for motion_id in motion_ids]
    rows = tx.execute(queries(tx).parked_live_among, {"motion_ids": ids})
    return [_parked(row) for row in rows]


def queries(tx: Transaction) -> Queries:
    """Return the statements of the registry."""
    return load_queries("projections", "sql/registry.sql", tx.dialect)


def _almost_ready(live: Iterable[Generation], everything: Iterable[Generation]) -> list[Generation]:
    by_name = {generation.name: generation for generation in live}
    return [
        generation
        for generation in everything
        if generation.name in by_name
        and generation.number > by_name[generation.name].number
        and generation.position >= by_name[generation.name].position - NEAR_EVENTS
    ]


def _generation(row: Row) -> Generation:
    name, number, position, committed_at_us, live = row
    return Generation(name, number, position, committed_at_us, bool(live))


def _parked(row: Row) -> Parked:
    projection, generation, motion_id, position, topic, reason = row
    return Parked(projection, UUID(motion_id), position, topic, reason, generation)


def _storable(text: str) -> str:
    """Return the text without what a database may refuse, and of bounded length."""
    kept = text[:REASON_CHARACTERS_MAX].replace("\x00", "\\x00")
    return kept.encode(errors="backslashreplace").decode()
