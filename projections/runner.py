"""Follows the event store and brings every projection up to it, each event exactly once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from projections.folding import KEEP, Folder
from projections.isolation import Share, apply_all, log_parked
from projections.lag import LogEnds
from projections.registry import Parked, Registry, Standing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from governance_flow.application.ports.database import Database, Transaction
    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.flow_orchestrator import Lag
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.application.ports.projection import Projection
    from projections.folding import Folded

BATCH = 500
"""How many events are folded at once, unless the caller says otherwise."""


class ProjectionRunner:
    """Folds events once and lets every projection apply them, in one transaction a batch.

    Any number of processes may run one over the same store: whoever holds the lock on the
    positions applies a batch, and the others notice that the positions have moved, throw away
    what they folded, and go on from there. Within a process callers take turns.
    """

    def __init__(
        self,
        database: Database,
        store: EventStore,
        mapper: EventMapper,
        projections: Sequence[Projection],
        *,
        keep: int = KEEP,
    ) -> None:
        self._database = database
        self._store = store
        self._projections = {projection.name: projection for projection in projections}
        self._registry = Registry(database.dialect, sorted(self._projections))
        self._folder = Folder(store, mapper, keep=keep)
        self._turn = asyncio.Lock()
        self._standing: Standing | None = None

    @property
    def position(self) -> int:
        """Up to where every live projection has applied the events, as far as is known here."""
        return self._standing.done if self._standing is not None else 0

    async def prepare(self) -> None:
        """Make the tables of every projection that has none; otherwise change nothing.

        Rows of an older layout, which another version of the program wrote, are thrown away: the
        projection begins anew, and whoever asks for something waits until it has caught up.
        Raises StoreTooNew for rows of a later layout.
        """
        layouts = {name: projection.layout for name, projection in self._projections.items()}
        if not await self._database.read(lambda tx: self._registry.complete(tx, layouts)):
            await self._database.write(self.create_tables)

    def create_tables(self, tx: Transaction) -> None:
        """Make the registry, and a generation of every projection that has none to go on with."""
        layouts = {name: projection.layout for name, projection in self._projections.items()}
        names = self._registry.create(tx, layouts)
        replaced = [generation for generation in self._registry.all(tx) if generation.name in names]
        for generation in replaced:
            self._registry.remove(tx, generation.name, generation.number)
            self._projections[generation.name].drop(tx, generation.number)
        for name in names:
            # A number that was used before would let whoever still follows believe in its rows.
            number = max((g.number for g in replaced if g.name == name), default=0) + 1
            self._projections[name].create(tx, number)
            self._registry.add(tx, name, number, live=True)
            self._registry.keep_layout(tx, name, layouts[name])

    async def run_once(self, limit: int = BATCH) -> bool:
        """Apply at most ``limit`` events; returns whether there were any to apply.

        They may have been applied by another process meanwhile. Raises CorruptStream for an
        unreadable event of the pipeline's own stream, ProjectionFailed if a projection cannot
        apply one of those, and any StoreError.
        """
        async with self._turn:
            return await self._advance(limit)

    async def catch_up(self, position: int) -> None:
        """Return once every projection has applied all events up to ``position``.

        Does the work itself if nobody else does it first. A position that the store has not
        reached counts as its head.
        """
        # Positions never go back, so what was seen once need not be asked for again.
        if self._standing is not None and self._standing.done >= position:
            return
        async with self._turn:
            while self._standing is None or self._standing.done < position:
                if not await self._advance(BATCH):
                    return

    async def lag(self) -> dict[str, Lag]:
        """Return how far each projection is behind the head of the store.

        Seconds are the commit time at the head less the commit time at the projection's
        position: they grow while the store does and nobody applies it, and are 0 once caught up.
        """

        def read(tx: Transaction) -> dict[str, Lag]:
            standing, ends = self._registry.standing(tx), LogEnds.read(tx)
            return {g.name: ends.lag_of(g) for g in standing.generations if g.live}

        return await self._database.read(read)

    async def _advance(self, limit: int) -> bool:
        standing = self._standing
        if standing is None:
            standing = await self._database.read(self._registry.standing)
        events = await self._store.read_all(
            after_position=standing.lowest, limit=limit, up_to_position=standing.next_stop
        )
        if not events:
            self._standing = standing
            return False
        folded = await self._folder.fold(standing.lowest, events)
        # Should the commit's answer be lost, the positions must be asked for again.
        self._standing = None
        self._standing, parked = await self._database.write(lambda tx: self._apply(tx, folded))
        log_parked(parked)
        return True

    def _apply(self, tx: Transaction, folded: Folded) -> tuple[Standing, list[Parked]]:
        """Apply a batch where it fits; where another process has done so, do nothing."""
        standing = self._registry.lock_standing(tx)
        if standing.lowest != folded.start:
            return standing, []
        due = standing.due(folded.start)
        parked = self._parked_before(tx, folded)
        shares = [
            Share(self._projections[g.name], g, parked.get((g.name, g.number), ())) for g in due
        ]
        newly = apply_all(tx, shares, folded)
        self._registry.park(tx, newly)
        batch = folded.batch
        moved = self._registry.advance(tx, due, batch.position, batch.committed_at_us)
        rest = (generation for generation in standing.generations if generation not in due)
        return self._registry.swap(tx, Standing((*moved, *rest))), newly

    def _parked_before(self, tx: Transaction, folded: Folded) -> dict[tuple[str, int], set[UUID]]:
        found: dict[tuple[str, int], set[UUID]] = {}
        motion_ids = [change.motion_id for change in folded.batch.motions]
        for item in self._registry.parked_among(tx, motion_ids):
            found.setdefault((item.projection, item.generation), set()).add(item.motion_id)
        return found
