"""Comparing the read model with a replay of the events, field by field.

A read model is derived, so it can drift: through a mistake, or through a hand that reached into the
tables. Whoever verifies replays every motion up to the position of a ``Snapshot`` and hands them
over in order of id; the rows are read in the same order, so memory stays constant. The store may go
on meanwhile: what seems to differ is looked at again at one moment of its own before it is called a
fault.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING
from uuid import UUID

from governance_flow.application.summaries import MotionSummary, summarise
from governance_flow.domain.errors import StoreError
from governance_flow.domain.evolve import evolve
from projections import activity, motions
from projections.activity import Total, TotalKind, totals_of
from projections.folding import Folder, Poison
from projections.motions import counters_of
from projections.reading import read_live, summaries, told
from projections.registry import parked_live, parked_live_among

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping

    from governance_flow.application.ports.database import Database, Transaction
    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.application.ports.projection import MotionChange
    from governance_flow.domain.pipeline import Pipeline
    from projections.reading import Live
    from projections.registry import Parked

PAGE = 500
PARKED_MAX = 10_000
"""With more parked motions than this there is nothing left to verify."""

_NIL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Fault:
    """Where the read model differs from the replay. Counters belong to no motion."""

    motion_id: UUID | None
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Say it in one line."""
        whose = f"motion {self.motion_id}" if self.motion_id else "all motions"
        return f"{whose}: {self.field} should be {self.expected}, but is {self.found}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The counters at one position, and the pipeline as it stood there."""

    position: int
    pipeline: Pipeline
    counters: Mapping[str, int]
    totals: Mapping[Total, int]
    parked: tuple[Parked, ...]
    stopped: Mapping[tuple[str, UUID], int]
    """The position of the event at which a projection parked a motion."""

    def followed(self, change: MotionChange, projection: str) -> MotionChange:
        """Return as much of a motion's events as the projection has followed."""
        stopped_at = self.stopped.get((projection, change.motion_id))
        return change if stopped_at is None else _before(change, stopped_at)


class ReadModelCheck:
    """Compares rows and counters with what the events say."""

    def __init__(self, database: Database, store: EventStore, mapper: EventMapper) -> None:
        self._database = database
        self._folder = Folder(store, mapper, keep=0)
        self._sampled_to = _NIL

    async def snapshot(self) -> Snapshot:
        """Return where the read model stands now; replay every motion up to that position.

        Raises StoreError while its projections stand at different positions (catch up first), and
        if more motions are parked than it is worth to verify.
        """

        def read(
            tx: Transaction, live: Live
        ) -> tuple[Live, dict[str, int], dict[Total, int], list[Parked]]:
            counters = tx.execute(motions.queries(tx, live.motions.number).read_counters)
            totals = tx.execute(activity.queries(tx, live.activity.number).read_totals)
            return (
                live,
                {name: int(amount) for name, amount in counters},
                {Total(TotalKind(k), first, second): int(n) for k, first, second, n in totals},
                parked_live(tx, PARKED_MAX + 1),
            )

        live, counters, totals, parked = await read_live(self._database, read)
        if live.motions.position != live.activity.position:
            raise StoreError(
                f"the projections stand at positions {live.motions.position} (motions) and "
                f"{live.activity.position} (activity); let them catch up, then verify again"
            )
        if len(parked) > PARKED_MAX:
            raise StoreError(
                f"more than {PARKED_MAX} motions are parked: mend what parked them, rebuild the "
                f"projections, then verify again; the first: {told(parked[0])}"
            )
        position = live.motions.position
        pipeline = await self._folder.pipeline_at(position)
        stopped = {(item.projection, item.motion_id): item.position for item in parked}
        return Snapshot(position, pipeline, counters, totals, tuple(parked), stopped)

    async def verify(
        self, snapshot: Snapshot, replay: AsyncIterable[MotionChange]
    ) -> AsyncIterator[Fault]:
        """Yield every fault, as it is found.

        ``replay`` gives each motion once, in order of id, with all its events up to the
        snapshot's position (``before`` is None). One that cannot be read to its end has its
        ``poison`` set and ends before it.
        """
        for item in snapshot.parked:
            yield Fault(item.motion_id, item.projection, "followed to the end", told(item))
        counters: Counter[str] = Counter()
        totals: Counter[Total] = Counter()
        async for motion_id, change, found in self._beside(replay):
            expected = None
            if change is not None:
                totals.update(totals_of(snapshot.followed(change, activity.NAME)))
                motion = snapshot.followed(change, motions.NAME).after
                if motion is not None:
                    expected = summarise(motion, snapshot.pipeline)
                    counters.update(counters_of(motion))
            if _differences(motion_id, expected, found):
                for fault in await self._look_again(motion_id):
                    yield fault
        for fault in _miscounted("counter", counters, snapshot.counters):
            yield fault
        for fault in _miscounted("total", _named(totals), _named(snapshot.totals)):
            yield fault

    async def sample(self, limit: int = 20) -> list[Fault]:
        """Compare the next few rows with their streams, going round in order of id.

        Cheap enough to be called every now and then by whoever runs for long.
        """
        page = await self._page(self._sampled_to, limit)
        self._sampled_to = page[-1].motion_id if len(page) == limit else _NIL
        return [fault for row in page for fault in await self._look_again(row.motion_id)]

    async def _beside(
        self, replay: AsyncIterable[MotionChange]
    ) -> AsyncIterator[tuple[UUID, MotionChange | None, MotionSummary | None]]:
        """Yield each motion with its row, and whatever of the two has no counterpart."""
        rows = self._rows()
        row = await anext(rows, None)
        async for change in replay:
            while row is not None and row.motion_id < change.motion_id:
                yield row.motion_id, None, row
                row = await anext(rows, None)
            if row is not None and row.motion_id == change.motion_id:
                yield change.motion_id, change, row
                row = await anext(rows, None)
            else:
                yield change.motion_id, change, None
        while row is not None:
            yield row.motion_id, None, row
            row = await anext(rows, None)

    async def _look_again(self, motion_id: UUID) -> list[Fault]:
        """Compare a row with its stream as both stand at one position."""

        def read(tx: Transaction, live: Live) -> tuple[int, int, MotionSummary | None]:
            sql = motions.queries(tx, live.motions.number)
            rows = tx.execute(sql.read_motions, {"motion_ids": [str(motion_id)]})
            parked = [
                item.position - 1
                for item in parked_live_among(tx, [motion_id])
                if item.projection == motions.NAME
            ]
            position = live.motions.position
            found = summaries(tx, live, rows)
            return position, min([position, *parked]), found[0] if found else None

        position, followed_to, found = await read_live(self._database, read)
        motion = await self._folder.motion_at(motion_id, followed_to)
        if isinstance(motion, Poison):
            return [Fault(motion_id, motions.NAME, f"stopped at {motion}", "not parked")]
        pipeline = await self._folder.pipeline_at(position)
        expected = summarise(motion, pipeline) if motion is not None else None
        return _differences(motion_id, expected, found)

    async def _rows(self) -> AsyncIterator[MotionSummary]:
        after = _NIL
        while page := await self._page(after, PAGE):
            for row in page:
                yield row
            after = page[-1].motion_id

    async def _page(self, after: UUID, limit: int) -> list[MotionSummary]:
        def read(tx: Transaction, live: Live) -> list[MotionSummary]:
            sql = motions.queries(tx, live.motions.number)
            params = {"after_id": str(after), "limit": limit}
            return summaries(tx, live, tx.execute(sql.page_by_id, params))

        return await read_live(self._database, read)


def _before(change: MotionChange, position: int) -> MotionChange:
    """Return the change without the events from a position on."""
    events = tuple(item for item in change.events if item.stored.id < position)
    motion = change.before
    for item in events:
        motion = evolve(motion, item.event, change.motion_id)
    return replace(change, after=motion, events=events)


def _differences(
    motion_id: UUID, expected: MotionSummary | None, found: MotionSummary | None
) -> list[Fault]:
    if expected is None or found is None:
        if expected is found:
            return []
        one, none = "a row", "no row"
        return [
            Fault(motion_id, "row", one if expected else none, one if found else none),
        ]
    return [
        Fault(motion_id, field.name, str(should), str(does))
        for field in fields(MotionSummary)
        if field.name != "parked"
        and (should := getattr(expected, field.name)) != (does := getattr(found, field.name))
    ]


def _named(totals: Mapping[Total, int]) -> dict[str, int]:
    return {" ".join(part for part in total if part): amount for total, amount in totals.items()}


def _miscounted(
    kind: str, expected: Mapping[str, int], found: Mapping[str, int]
) -> Iterator[Fault]:
    for name in sorted(expected.keys() | found.keys()):
        should, does = expected.get(name, 0), found.get(name, 0)
        if should != does:
            yield Fault(None, f"{kind} {name}", str(should), str(does))
