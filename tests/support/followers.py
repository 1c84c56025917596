"""Processes that follow a store, as tests see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from governance_flow.application.ports.database import Database, Row, Transaction
from governance_flow.application.ports.event_store import CommittedEvent, EventStore
from governance_flow.application.ports.projection import Batch, Projection
from governance_flow.application.summaries import MotionSummary
from projections.activity import ActivityProjection
from projections.motions import MotionsProjection
from projections.read_model import SqlReadModel
from projections.rebuild import Rebuilder
from projections.reconcile import Fault, ReadModelCheck
from projections.runner import ProjectionRunner
from projections.search import SearchProjection
from tests.support.assembly import MAPPER, replayed, whole_log

T = TypeVar("T")

TABLES = ("projections", "projections_parked", "projections_layouts")
GENERATION_TABLES = (
    "motions_{}",
    "motions_{}_counters",
    "motions_{}_halts",
    "activity_{}_buckets",
    "activity_{}_stays",
    "activity_{}_totals",
    "search_{}_words",
)


@dataclass
class Follower:
    """One process: its runner, the read model it answers from, and its rebuilder."""

    database: Database
    runner: ProjectionRunner
    read_model: SqlReadModel
    rebuilder: Rebuilder

    async def everything(self) -> list[MotionSummary]:
        """Return every row of a small read model."""
        return await self.read_model.motions(
            state=None, blocked=None, active=None, limit=1000, after=None
        )


Follow = Callable[..., Follower]


def follower_of(database: Database, store: Any, *projections: Projection) -> Follower:
    """Return a follower; those projections that are given replace the usual ones by name."""
    usual: tuple[Projection, ...] = (
        MotionsProjection(),
        ActivityProjection(),
        SearchProjection(),
    )
    chosen = {projection.name: projection for projection in (*usual, *projections)}
    runner = ProjectionRunner(database, store, MAPPER, list(chosen.values()))
    return Follower(
        database,
        runner,
        SqlReadModel(database, runner),
        Rebuilder(database, store, MAPPER, list(chosen.values())),
    )


class Interrupted:
    """A store that does something first when it is asked for what follows a position, once."""

    def __init__(
        self, store: EventStore, interruptions: dict[int, Callable[[], Awaitable[None]]]
    ) -> None:
        self._store = store
        self._interruptions = interruptions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read_all(self, *, after_position: int, **conditions: Any) -> list[CommittedEvent]:
        """Be interrupted, then read."""
        interruption = self._interruptions.pop(after_position, None)
        if interruption is not None:
            await interruption()
        return await self._store.read_all(after_position=after_position, **conditions)


class Recorder:
    """A projection without tables, which remembers what it was given."""

    name = "recorder"

    by_motion = True

    layout = 1

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    @property
    def positions(self) -> list[int]:
        """The positions of all events that were applied, in order."""
        found = [item.stored.id for batch in self.batches for item in batch.pipeline_events]
        for batch in self.batches:
            found += [item.stored.id for change in batch.motions for item in change.events]
        return sorted(found)

    def create(self, tx: Transaction, generation: int) -> None:
        """Make nothing."""

    def drop(self, tx: Transaction, generation: int) -> None:
        """Drop nothing."""

    def apply(self, tx: Transaction, batch: Batch, generation: int) -> None:
        """Remember the batch."""
        self.batches.append(batch)


async def contents(database: Database, generation: int = 1) -> dict[str, list[Row]]:
    """Return all rows of the read model, table by table."""
    tables = [*TABLES, *(table.format(generation) for table in GENERATION_TABLES)]

    def read(tx: Transaction) -> dict[str, list[Row]]:
        return {table: sorted(tx.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}

    return await database.read(read)


async def faults_of(database: Database, store: EventStore) -> list[Fault]:
    """Return how the read model differs from a replay of the log up to where it stands."""
    check = ReadModelCheck(database, store, MAPPER)
    snapshot = await check.snapshot()
    replay = replayed(await whole_log(store, up_to_position=snapshot.position))
    return [fault async for fault in check.verify(snapshot, one_by_one(replay))]


async def one_by_one(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items as something that is waited for would."""
    for item in items:
        yield item


async def change_rows(database: Database, sql: str) -> None:
    """Reach into the tables."""
    await database.write(lambda tx: tx.execute(sql))
