"""What happened over time, from the buckets of hours and days: as many rows as points and kinds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from governance_flow.application.ports.overview import Series, SeriesPoint, StayInState
from governance_flow.application.times import from_us, to_us
from governance_flow.domain.states import GovernanceState
from projections import activity
from projections.activity import (
    DAY_SECONDS,
    HOUR_SECONDS,
    SHOWN_DAYS,
    SHOWN_HOURS,
    Kind,
    TotalKind,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from governance_flow.application.ports.database import Transaction
    from governance_flow.application.queries import Queries
    from projections.reading import Live

_MICROSECONDS = 1_000_000


def series(tx: Transaction, live: Live, now: datetime) -> Series:
    """Return the series that end at ``now``."""
    sql = activity.queries(tx, live.activity.number)
    now_s = to_us(now) // _MICROSECONDS
    hours_from_s = _first(now_s, HOUR_SECONDS, SHOWN_HOURS)
    lately = {
        GovernanceState(state): _stay(int(motions), int(stayed_us))
        for state, motions, stayed_us in tx.execute(
            sql.read_stays, {"since_s": hours_from_s, "until_s": now_s}
        )
    }
    return Series(
        hours=_points(tx, sql, now_s, HOUR_SECONDS, SHOWN_HOURS),
        days=_points(tx, sql, now_s, DAY_SECONDS, SHOWN_DAYS),
        stays=_stays(tx, sql),
        stays_lately=lately,
        as_of=now,
    )


def _first(now_s: int, width_seconds: int, shown: int) -> int:
    """Return when the first of so many buckets begins, of which the last is under way."""
    return now_s - now_s % width_seconds - (shown - 1) * width_seconds


def _points(
    tx: Transaction, sql: Queries, now_s: int, width_seconds: int, shown: int
) -> tuple[SeriesPoint, ...]:
    since_s = _first(now_s, width_seconds, shown)
    asked = {"width_seconds": width_seconds, "since_s": since_s, "until_s": now_s}
    amounts: Counter[tuple[int, str]] = Counter()
    for start_s, kind, amount in tx.execute(sql.read_buckets, asked):
        amounts[start_s, kind] = amount
    return tuple(
        SeriesPoint(
            start=from_us(start_s * _MICROSECONDS),
            introduced=amounts[start_s, Kind.INTRODUCED],
            completions=amounts[start_s, Kind.COMPLETION],
            failures=amounts[start_s, Kind.FAILURE],
            finished=amounts[start_s, Kind.FINISHED],
        )
        for start_s in range(since_s, now_s + 1, width_seconds)
    )


def _stays(tx: Transaction, sql: Queries) -> Mapping[GovernanceState, StayInState]:
    """Return how long motions have stayed in each state since the beginning of the log."""
    totals = {(kind, state): int(amount) for kind, state, _, amount in tx.execute(sql.read_totals)}
    return {
        GovernanceState(state): _stay(left, totals.get((TotalKind.MICROSECONDS_IN_STATE, state), 0))
        for (kind, state), left in sorted(totals.items())
        if kind == TotalKind.STATES_LEFT
    }


def _stay(left: int, stayed_us: int) -> StayInState:
    return StayInState(stayed_us / left / _MICROSECONDS, left)
