"""Builds a projection anew beside the live one, and puts it in its place.

The new generation starts at the beginning of the log and is filled in bounded batches, with a
position of its own: a rebuild that was killed goes on where it stopped. Until it has almost caught
up, it takes no lock that the live one needs. From then on whoever moves the live one on moves the
new one on first (``Registry.standing``), so that it catches up however fast the log grows; and in
the transaction that brings both to the same position the new one becomes the live one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from governance_flow.domain.errors import InvalidInput, StoreError, StoreLocked
from projections.folding import Folder
from projections.isolation import Share, apply_apart, log_parked
from projections.registry import Registry, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from governance_flow.application.ports.database import Database, Transaction
    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.application.ports.projection import Projection
    from projections.folding import Folded
    from projections.registry import Generation, Parked

log = structlog.get_logger(__name__)

BATCH = 1000
"""How many events are applied in one transaction."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild has come: at ``position``, on the way to ``target``, which may grow."""

    position: int
    target: int


class Rebuilder:
    """Rebuilds projections by name. Two that rebuild the same one share the work."""

    def __init__(
        self,
        database: Database,
        store: EventStore,
        mapper: EventMapper,
        projections: Sequence[Projection],
    ) -> None:
        self._database = database
        self._store = store
        self._mapper = mapper
        self._projections = {projection.name: projection for projection in projections}

    @property
    def names(self) -> list[str]:
        """What can be rebuilt."""
        return sorted(self._projections)

    async def rebuild(
        self,
        name: str,
        progress: Callable[[Progress], None] | None = None,
        *,
        restart: bool = False,
        limit: int = BATCH,
    ) -> int:
        """Build ``name`` anew, swap it in, drop the old rows; return the new generation's number.

        Goes on with a rebuild that is under way or was killed; ``restart`` throws that one away
        first (after a change of the code, say). Motions that were parked are tried again. Raises
        InvalidInput for a name that is not there, and what ``ProjectionRunner.run_once`` raises.
        """
        projection = self._projections.get(name)
        if projection is None:
            raise InvalidInput(
                f"there is no projection {name!r} to rebuild; there are: {', '.join(self.names)}",
                field="projection",
            )
        building = _Building(
            projection, self._database, self._store, self._mapper, progress or _in_silence
        )
        return await building.run(limit, restart=restart)


class _Building:
    """One rebuild of one projection."""

    def __init__(
        self,
        projection: Projection,
        database: Database,
        store: EventStore,
        mapper: EventMapper,
        progress: Callable[[Progress], None],
    ) -> None:
        self._projection = projection
        self._database = database
        self._store = store
        self._registry = Registry(database.dialect, [projection.name])
        self._folder = Folder(store, mapper)
        self._progress = progress

    async def run(self, limit: int, *, restart: bool) -> int:
        number = await self._database.write(lambda tx: self._begin(tx, restart=restart))
        while True:
            live, new = await self._database.read(lambda tx: self._look(tx, number))
            self._progress(Progress(live.position if new is None else new.position, live.position))
            if new is None:
                break
            events = await self._store.read_all(
                after_position=new.position, limit=limit, up_to_position=live.position
            )
            if events:
                folded = await self._folder.fold(new.position, events)
                parked = await self._database.write(
                    lambda tx, folded=folded: self._apply(tx, number, folded)  # type: ignore[misc]
                )
                log_parked(parked)
            elif new.position < live.position:
                raise StoreError(
                    f"the projection {self._projection.name!r} has come to position "
                    f"{live.position}, but the log ends at {new.position}: events were deleted, or "
                    "an older backup was restored; governance-flow audit verify says more"
                )
            else:
                await self._database.write(self._swap)
        await self._drop_replaced()
        return number

    def _begin(self, tx: Transaction, *, restart: bool) -> int:
        """Find or make the generation to be built; return its number."""
        self._registry.lock(tx)
        generations = self._registry.all(tx)
        live = _live(generations)
        unfinished = [g for g in generations if g.number > live.number]
        if restart:
            for generation in unfinished:
                self._drop(tx, generation)
        elif unfinished:
            return unfinished[-1].number
        # A number that was used before would let a stale rebuild believe in its own rows.
        number = max(g.number for g in generations) + 1
        self._projection.create(tx, number)
        self._registry.add(tx, self._projection.name, number, live=False)
        return number

    def _look(self, tx: Transaction, number: int) -> tuple[Generation, Generation | None]:
        """Return the live generation, and ours as long as it is not the live one."""
        generations = self._registry.all(tx)
        live = _live(generations)
        if live.number >= number:
            return live, None
        ours = next((g for g in generations if g.number == number), None)
        if ours is None:
            raise StoreLocked(
                f"the rebuild of {self._projection.name!r} was thrown away by another one that was "
                "told to start anew; let that one finish"
            )
        return live, ours

    def _apply(self, tx: Transaction, number: int, folded: Folded) -> list[Parked]:
        """Apply a batch to our generation, unless somebody else has done so."""
        ours = self._registry.lock_generation(tx, self._projection.name, number)
        if ours is None or ours.live or ours.position != folded.start:
            return []
        motion_ids = [change.motion_id for change in folded.batch.motions]
        skip = {
            item.motion_id
            for item in self._registry.parked_among(tx, motion_ids)
            if (item.projection, item.generation) == (ours.name, ours.number)
        }
        parked = apply_apart(tx, Share(self._projection, ours, skip), folded)
        self._registry.park(tx, parked)
        self._registry.advance(tx, [ours], folded.batch.position, folded.batch.committed_at_us)
        return parked

    def _swap(self, tx: Transaction) -> Standing:
        return self._registry.swap(tx, self._registry.lock_standing(tx))

    async def _drop_replaced(self) -> None:
        """Drop the generations that were replaced; what cannot be dropped now is left for later."""
        try:
            await self._database.write(self._drop_below_live)
        except StoreLocked as error:
            log.warning(
                "replaced rows not dropped: somebody still reads them; the next rebuild will",
                projection=self._projection.name,
                error=str(error),
            )

    def _drop_below_live(self, tx: Transaction) -> None:
        self._registry.lock(tx)
        generations = self._registry.all(tx)
        live = _live(generations)
        for generation in generations:
            if generation.number < live.number:
                self._drop(tx, generation)

    def _drop(self, tx: Transaction, generation: Generation) -> None:
        # The row first: whoever would still write to the tables waits for it, and finds it gone.
        self._registry.remove(tx, generation.name, generation.number)
        self._projection.drop(tx, generation.number)


def _live(generations: Sequence[Generation]) -> Generation:
    for generation in generations:
        if generation.live:
            return generation
    raise StoreError("the projection was never prepared in this store: run it before rebuilding it")


def _in_silence(progress: Progress) -> None:
    """Tell nobody."""
