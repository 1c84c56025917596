"""The read model: answers about all motions, from rows that the projections maintain."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from governance_flow.application.ports.read_model import (
    ActivityTotals,
    BoardCounts,
    ParkedMotion,
    PipelineCounts,
    PipelineGlance,
    TimeInState,
)
from governance_flow.application.times import from_us
from governance_flow.domain.states import GovernanceState
from projections import activity, charts, lists, motions, searching
from projections.activity import Kind, Total, TotalKind
from projections.lag import LogEnds
from projections.lists import BEGINNING_US
from projections.reading import read_live, summaries
from projections.registry import parked_live

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from governance_flow.application.ports.database import Database, Row, Transaction
    from governance_flow.application.ports.flow_orchestrator import Lag
    from governance_flow.application.ports.overview import MotionFilter, Series
    from governance_flow.application.ports.projection import Follower
    from governance_flow.application.ports.read_model import Finding, Listing, Place
    from governance_flow.application.summaries import MotionSummary
    from projections.lists import BoardRead
    from projections.reading import Live

_MICROSECONDS = 1_000_000


class SqlReadModel:
    """The ReadModel port on the rows of the projections "motions", "activity" and "search".

    Each answer is of one moment: it is read in one transaction, from the generations that are
    live in that transaction.
    """

    def __init__(self, database: Database, follower: Follower) -> None:
        self._database = database
        self._follower = follower

    async def catch_up(self, position: int) -> None:
        """Return once every projection has applied all events up to ``position``."""
        await self._follower.catch_up(position)

    async def counts(self, *, since: datetime) -> PipelineCounts:
        """Return the counters; completions, failures and finished motions from ``since`` on.

        ``since`` is rounded down to a full second.
        """
        return await read_live(
            self._database, lambda tx, live: _counts(tx, live, since, LogEnds.read(tx))
        )

    async def glance(self, *, since: datetime, limit: int) -> PipelineGlance:
        """Return the counters and the first active motions, as one moment has them."""

        def read(tx: Transaction, live: Live) -> PipelineGlance:
            ends = LogEnds.read(tx)
            return PipelineGlance(
                counts=_counts(tx, live, since, ends),
                active=tuple(_page(tx, live, active=True, limit=limit)),
                halt_epoch=ends.halt_epoch,
            )

        return await read_live(self._database, read, briefly=True)

    async def motions(
        self,
        *,
        state: GovernanceState | None,
        blocked: bool | None,
        active: bool | None,
        limit: int,
        after: Place | None,
    ) -> list[MotionSummary]:
        """Return a page of motions ordered by when they were introduced, then by id."""
        return await read_live(
            self._database,
            lambda tx, live: _page(
                tx, live, state=state, blocked=blocked, active=active, limit=limit, after=after
            ),
        )

    async def listed(
        self, wanted: MotionFilter, *, now: datetime, limit: int, after: Place | None
    ) -> Listing:
        """Return at most ``limit`` motions of the list that the filter makes."""
        return await read_live(
            self._database,
            lambda tx, live: lists.page(tx, live, wanted, now=now, limit=limit, after=after),
        )

    async def board(self, *, now: datetime) -> BoardCounts:
        """Return the motions of each state, and which of them are overdue at ``now``."""

        def read(tx: Transaction, live: Live) -> tuple[BoardRead, Lag]:
            board = lists.board(tx, live, now)
            return board, LogEnds.read(tx).lag_of(board.behind)

        found, lag = await read_live(self._database, read)
        return BoardCounts(
            position=found.behind.position,
            behind_events=lag.events,
            behind_seconds=lag.seconds,
            by_state=found.by_state,
            waits_for_person=found.waits_for_person,
            overdue=found.overdue,
            overdue_more=found.overdue_more,
        )

    async def found(self, text: str, *, limit: int, before: Place | None) -> Finding:
        """Return at most ``limit`` motions that have all the words of a text, the newest first."""
        return await read_live(
            self._database,
            lambda tx, live: searching.find(tx, live, text, limit=limit, before=before),
        )

    async def series(self, *, now: datetime) -> Series:
        """Return what happened in the hours and days up to ``now``."""
        return await read_live(self._database, lambda tx, live: charts.series(tx, live, now))

    async def totals(self) -> ActivityTotals:
        """Return what has happened since the beginning of the log."""

        def read(tx: Transaction, live: Live) -> dict[Total, int]:
            rows = tx.execute(activity.queries(tx, live.activity.number).read_totals)
            return {
                Total(TotalKind(kind), first, second): int(amount)
                for kind, first, second, amount in rows
            }

        return totals_from(await read_live(self._database, read))

    async def parked(self, *, limit: int) -> list[ParkedMotion]:
        """Return at most ``limit`` motions that a projection does not follow any more."""
        return list(await self._database.read(lambda tx: parked_live(tx, limit)))


def _counts(tx: Transaction, live: Live, since: datetime, ends: LogEnds) -> PipelineCounts:
    kept = motions.queries(tx, live.motions.number)
    counters = _amounts(tx.execute(kept.read_counters))
    oldest = tx.execute(kept.oldest_active)
    recent = activity.queries(tx, live.activity.number)
    lately = _amounts(tx.execute(recent.count_since, activity.window(since)))
    lag = ends.lag_of(live.behind)
    return PipelineCounts(
        position=live.behind.position,
        behind_events=lag.events,
        behind_seconds=lag.seconds,
        by_state={state: counters.get(state, 0) for state in GovernanceState},
        blocked=counters.get(motions.BLOCKED, 0),
        waiting=counters.get(motions.WAITING, 0),
        oldest_introduced_at=from_us(oldest[0][0]) if oldest else None,
        completions=lately.get(Kind.COMPLETION, 0),
        failures=lately.get(Kind.FAILURE, 0),
        finished=lately.get(Kind.FINISHED, 0),
    )


def _page(
    tx: Transaction,
    live: Live,
    *,
    limit: int,
    state: GovernanceState | None = None,
    blocked: bool | None = None,
    active: bool | None = None,
    after: Place | None = None,
) -> list[MotionSummary]:
    after_us, after_id = after or (BEGINNING_US, UUID(int=0))
    sql = motions.queries(tx, live.motions.number)
    # The rarest condition picks the index; the others are looked at row by row.
    if blocked:
        query = sql.page_of_blocked
    elif state is not None:
        query = sql.page_in_state
    elif active:
        query = sql.page_of_active
    else:
        query = sql.page
    params = {
        "state": None if state is None else state.value,
        "blocked": blocked,
        "active": active,
        "limit": limit,
        "after_us": after_us,
        "after_id": str(after_id),
    }
    return summaries(tx, live, tx.execute(query, params))


def totals_from(amounts: dict[Total, int]) -> ActivityTotals:
    """Return the totals in the shape of the port."""

    def of(kind: TotalKind) -> list[tuple[str, str, int]]:
        return [(t.first, t.second, n) for t, n in sorted(amounts.items()) if t.kind is kind]

    stayed = {state: n for state, _, n in of(TotalKind.MICROSECONDS_IN_STATE)}
    return ActivityTotals(
        transitions={
            (GovernanceState(first), GovernanceState(second)): n
            for first, second, n in of(TotalKind.TRANSITIONS)
        },
        errors={(first, second): n for first, second, n in of(TotalKind.ERRORS)},
        retries={service: n for service, _, n in of(TotalKind.RETRIES)},
        violations={kind: n for kind, _, n in of(TotalKind.VIOLATIONS)},
        time_in_state={
            GovernanceState(state): TimeInState(stayed.get(state, 0) / _MICROSECONDS, n)
            for state, _, n in of(TotalKind.STATES_LEFT)
        },
    )


def _amounts(rows: Sequence[Row]) -> dict[str, int]:
    return {name: int(amount) for name, amount in rows}
