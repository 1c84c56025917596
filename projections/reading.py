"""Reading rows from whichever generations are live, while rebuilds come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from governance_flow.domain.errors import StoreError
from projections import activity, motions, search
from projections.motion_rows import Halts, routed_at_us, summary_of
from projections.registry import live_generations, parked_live_among

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from governance_flow.application.ports.database import Database, Row, Transaction
    from governance_flow.application.summaries import MotionSummary
    from projections.registry import Generation, Parked

T = TypeVar("T")

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Live:
    """The generations that are live in one transaction."""

    motions: Generation
    activity: Generation
    search: Generation

    @property
    def behind(self) -> Generation:
        """The one with what is counted that has come less far."""
        return min(self.motions, self.activity, key=lambda generation: generation.position)

    @property
    def numbers(self) -> tuple[int, int, int]:
        """Their numbers, which say whether one was swapped."""
        return self.motions.number, self.activity.number, self.search.number


async def read_live(
    database: Database, read: Callable[[Transaction, Live], T], *, briefly: bool = False
) -> T:
    """Run ``read`` in one transaction, on the generations that are live in it.

    ``briefly`` says that it is over within a millisecond or two.
    PostgreSQL lets a table be dropped under a transaction that has only read its name, so it is
    run again if that happened; after a swap there is nothing more to drop for a while.
    """
    used: list[Live] = []

    def work(tx: Transaction) -> T:
        used.append(_live(tx))
        return read(tx, used[-1])

    reading = database.read_briefly if briefly else database.read
    for _ in range(_ATTEMPTS - 1):
        try:
            return await reading(work)
        except StoreError:
            if not used or (await database.read(_live)).numbers == used[-1].numbers:
                raise
    return await reading(work)


def summaries(tx: Transaction, live: Live, rows: Sequence[Row]) -> list[MotionSummary]:
    """Return the summaries in the rows, and say of each whether a projection has parked it."""
    if not rows:
        return []
    notes: dict[UUID, str] = {}
    for item in parked_live_among(tx, [UUID(row[0]) for row in rows]):
        notes.setdefault(item.motion_id, told(item))
    halts = Halts()
    routed = [moment_us for row in rows if (moment_us := routed_at_us(row)) is not None]
    if routed:
        sql = motions.queries(tx, live.motions.number)
        halts = Halts.of(tx.execute(sql.halts_since, {"since_us": min(routed)}))
    return [summary_of(row, halts, notes.get(UUID(row[0]))) for row in rows]


def told(parked: Parked) -> str:
    """Say in one line where a motion was parked, and why."""
    return (
        f"{parked.projection} stopped at {parked.topic}, position {parked.position}: "
        f"{parked.reason}"
    )


def _live(tx: Transaction) -> Live:
    found = live_generations(tx)
    try:
        return Live(found[motions.NAME], found[activity.NAME], found[search.NAME])
    except KeyError as error:
        msg = f"the projection {error} was never prepared in this store"
        raise StoreError(msg) from error
