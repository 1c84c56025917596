"""The projection "activity": what happened in the last 24 hours, and how often it ever did.

What happened lately is counted in buckets of a second, a minute and an hour, by the time the event
itself carries, so a window of any length costs some 150 rows a kind to add up. A window begins with
the full second in which its first moment lies; one that begins on a full second is exact. Charts
are drawn from the buckets of hours and of days (UTC), and from how long motions had stayed in the
states that they left in each hour. Buckets older than two days, those of days older than a month,
are dropped, so their number is bounded however busy the pipeline is. Totals are for metrics: they
only ever grow, and their labels come from closed sets.
"""

from __future__ import annotations

import json
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, assert_never

from governance_flow.application.times import to_us
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.escalation import ERROR_TYPE_MAP
from governance_flow.domain.events import (
    BranchCompleted,
    EscalationResolved,
    MotionAmended,
    MotionIntroduced,
    MotionRouted,
    OrchestratorError,
    TransitionWitnessed,
    ViolationWitnessed,
)
from governance_flow.domain.states import GovernanceState, is_terminal
from projections.tables import generation_queries, run_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from governance_flow.application.ports.database import Transaction
    from governance_flow.application.ports.projection import Batch, MotionChange
    from governance_flow.application.queries import Queries
    from governance_flow.domain.events import MotionEvent

NAME = "activity"
OTHER = "other"
"""The label of whatever is not in a closed set: error types are free text."""

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS
WIDTHS_SECONDS = (1, 60, HOUR_SECONDS)
"""The widths of which a window is put together."""

KEPT_SECONDS = 2 * DAY_SECONDS
"""Twice the window that is asked for, so that clocks may differ."""

SHOWN_HOURS = 24
SHOWN_DAYS = 30
KEPT_DAYS_SECONDS = (SHOWN_DAYS + 2) * DAY_SECONDS

KEPT_FOR_SECONDS = {**dict.fromkeys(WIDTHS_SECONDS, KEPT_SECONDS), DAY_SECONDS: KEPT_DAYS_SECONDS}
"""How long the buckets of each width are kept."""

_CHARTED = (HOUR_SECONDS, DAY_SECONDS)
_MICROSECONDS = 1_000_000


class Kind(StrEnum):
    """What is counted by time."""

    INTRODUCED = "introduced"
    COMPLETION = "completion"
    FAILURE = "failure"
    FINISHED = "finished"


class TotalKind(StrEnum):
    """What is counted altogether, and under which labels."""

    TRANSITIONS = "transitions"
    """from state, to state"""
    ERRORS = "errors"
    """error type, strategy"""
    RETRIES = "retries"
    """service"""
    VIOLATIONS = "violations"
    """kind"""
    STATES_LEFT = "states_left"
    """state"""
    MICROSECONDS_IN_STATE = "microseconds_in_state"
    """state"""


class Bucket(NamedTuple):
    """A stretch of time, and what happened in it."""

    width_seconds: int
    start_s: int
    kind: Kind


class Total(NamedTuple):
    """What has happened altogether, under two labels (empty where there is none)."""

    kind: TotalKind
    first: str
    second: str = ""


class Stay(NamedTuple):
    """What motions left in one hour, the one that begins at ``start_s``."""

    start_s: int
    state: GovernanceState


class ActivityProjection:
    """Keeps the buckets, the stays and the totals."""

    name = NAME
    by_motion = True
    layout = 2

    def create(self, tx: Transaction, generation: int) -> None:
        """Make the tables of a generation if they are not there."""
        run_all(tx, queries(tx, generation), "create_")

    def drop(self, tx: Transaction, generation: int) -> None:
        """Drop the tables of a generation."""
        run_all(tx, queries(tx, generation), "drop_")

    def apply(self, tx: Transaction, batch: Batch, generation: int) -> None:
        """Count what happened in the batch, and forget what is too old."""
        sql = queries(tx, generation)
        seconds: Counter[tuple[int, Kind]] = Counter()
        totals: Counter[Total] = Counter()
        left: Counter[Stay] = Counter()
        stayed_us: Counter[Stay] = Counter()
        for change in batch.motions:
            seconds.update(seconds_of(change))
            _count(totals, change)
            for left_s, state, us in stays_of(change):
                stay = Stay(left_s - left_s % HOUR_SECONDS, state)
                left[stay] += 1
                stayed_us[stay] += us
        for stay, motions in left.items():
            totals[Total(TotalKind.STATES_LEFT, stay.state)] += motions
            totals[Total(TotalKind.MICROSECONDS_IN_STATE, stay.state)] += stayed_us[stay]
        buckets = buckets_of(seconds)
        _add(tx, sql, totals)
        if not buckets and not left:
            return
        # The earlier of two clocks: one that runs ahead must not make us forget the others.
        newest_s = max([*(b.start_s for b in buckets), *(stay.start_s for stay in left)])
        newest_s = min(newest_s, batch.committed_at_us // _MICROSECONDS)
        from_s = {width: newest_s - kept for width, kept in KEPT_FOR_SECONDS.items()}
        _fill(tx, sql, {b: n for b, n in buckets.items() if b.start_s >= from_s[b.width_seconds]})
        _stay(
            tx, sql, {s: n for s, n in left.items() if s.start_s >= from_s[HOUR_SECONDS]}, stayed_us
        )
        before = [
            {"width_seconds": width, "before_s": first_s} for width, first_s in from_s.items()
        ]
        tx.execute(sql.prune_buckets, {"kept": json.dumps(before)})
        tx.execute(sql.prune_stays, {"before_s": from_s[HOUR_SECONDS]})


def queries(tx: Transaction, generation: int) -> Queries:
    """Return the statements for the tables of a generation."""
    return generation_queries("sql/activity.sql", tx.dialect, generation)


def window(since: datetime) -> dict[str, int]:
    """Return the parameters of ``count_since``: where seconds, minutes and hours take over."""
    since_s = to_us(since) // _MICROSECONDS
    minute_s = -(-since_s // 60) * 60
    return {"since_s": since_s, "minute_s": minute_s, "hour_s": -(-minute_s // 3600) * 3600}


def seconds_of(change: MotionChange) -> Iterator[tuple[int, Kind]]:
    """Yield the second, and what happened in it, for each event that is counted."""
    for item in change.events:
        kind = _kind(item.event)
        if kind is not None:
            yield to_us(item.event.timestamp) // _MICROSECONDS, kind


def buckets_of(seconds: Mapping[tuple[int, Kind], int]) -> Counter[Bucket]:
    """Return what happened in each second, in buckets of every width that is asked for."""
    buckets: Counter[Bucket] = Counter()
    for (second, kind), amount in seconds.items():
        # Nobody asks for a window of introductions.
        charted = kind is Kind.INTRODUCED
        for width_seconds in _CHARTED if charted else KEPT_FOR_SECONDS:
            buckets[Bucket(width_seconds, second - second % width_seconds, kind)] += amount
    return buckets


def stays_of(change: MotionChange) -> Iterator[tuple[int, GovernanceState, int]]:
    """Yield the second in which each state was left, the state, and the microseconds in it."""
    entered_us = to_us(change.before.entered_state_at) if change.before is not None else None
    for item in change.events:
        match item.event:
            case MotionIntroduced() as event:
                entered_us = to_us(event.timestamp)
            case TransitionWitnessed() as event:
                left_us = to_us(event.timestamp)
                # Never negative, though two machines' clocks may say so.
                stayed_us = max(0, left_us - entered_us) if entered_us is not None else 0
                yield left_us // _MICROSECONDS, event.from_state, stayed_us
                entered_us = left_us
            case _:
                pass


def totals_of(change: MotionChange) -> Counter[Total]:
    """Return what the events of a change add to the totals."""
    totals: Counter[Total] = Counter()
    _count(totals, change)
    for _, state, stayed_us in stays_of(change):
        totals[Total(TotalKind.STATES_LEFT, state)] += 1
        totals[Total(TotalKind.MICROSECONDS_IN_STATE, state)] += stayed_us
    return totals


def _count(totals: Counter[Total], change: MotionChange) -> None:
    """Add what the events of a change add to the totals, but for the states that they leave."""
    for item in change.events:
        match item.event:
            case TransitionWitnessed() as event:
                totals[Total(TotalKind.TRANSITIONS, event.from_state, event.to_state)] += 1
            case OrchestratorError() as event:
                known = event.error_type if event.error_type in ERROR_TYPE_MAP else OTHER
                totals[Total(TotalKind.ERRORS, known, event.strategy)] += 1
            case MotionRouted() as event if event.attempt > 1:
                service = event.service if event.service in SERVICE_BRANCH else OTHER
                totals[Total(TotalKind.RETRIES, service)] += 1
            case ViolationWitnessed() as event:
                totals[Total(TotalKind.VIOLATIONS, event.kind)] += 1
            case (
                MotionIntroduced()
                | MotionRouted()
                | BranchCompleted()
                | EscalationResolved()
                | MotionAmended()
            ):
                pass
            case _:
                assert_never(item.event)


def _kind(event: MotionEvent) -> Kind | None:
    match event:
        case MotionIntroduced():
            return Kind.INTRODUCED
        case BranchCompleted() if event.success:
            return Kind.COMPLETION
        case OrchestratorError():
            return Kind.FAILURE
        case TransitionWitnessed() if is_terminal(event.to_state):
            return Kind.FINISHED
        case _:
            return None


def _fill(tx: Transaction, sql: Queries, amounts: Mapping[Bucket, int]) -> None:
    rows = [
        {"width_seconds": b.width_seconds, "start_s": b.start_s, "kind": b.kind.value, "amount": n}
        for b, n in sorted(amounts.items())
    ]
    if not rows:
        return
    if tx.dialect == "postgres":
        tx.execute(sql.fill_buckets, {name: [row[name] for row in rows] for name in rows[0]})
    else:
        tx.execute_many(sql.fill_bucket, rows)


def _stay(
    tx: Transaction, sql: Queries, left: Mapping[Stay, int], stayed_us: Mapping[Stay, int]
) -> None:
    rows = [
        {"start_s": s.start_s, "state": s.state.value, "motions": n, "stayed_us": stayed_us[s]}
        for s, n in sorted(left.items())
    ]
    if not rows:
        return
    if tx.dialect == "postgres":
        tx.execute(sql.add_stays, {name: [row[name] for row in rows] for name in rows[0]})
    else:
        tx.execute_many(sql.add_stay, rows)


def _add(tx: Transaction, sql: Queries, amounts: Mapping[Total, int]) -> None:
    rows = [
        {"total": t.kind.value, "first": str(t.first), "second": str(t.second), "amount": n}
        for t, n in sorted(amounts.items())
        if n
    ]
    if not rows:
        return
    if tx.dialect == "postgres":
        tx.execute(sql.add_totals, {name: [row[name] for row in rows] for name in rows[0]})
    else:
        tx.execute_many(sql.add_total, rows)
