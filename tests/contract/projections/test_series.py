"""What happened hour by hour and day by day, and how long motions stay in each state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from governance_flow.application.ports.overview import SeriesPoint, StayInState
from governance_flow.domain.states import GovernanceState
from tests.support.clock import ManualClock
from tests.support.flows import opened

S = GovernanceState
Counted = tuple[int, int, int, int]


def happened(points: Sequence[SeriesPoint]) -> dict[datetime, Counted]:
    """Return introduced, completions, failures and finished where there is anything."""
    found = {p.start: (p.introduced, p.completions, p.failures, p.finished) for p in points}
    return {start: counted for start, counted in found.items() if any(counted)}


async def test_nothing_has_happened_in_an_empty_store(
    store_address: str, clock: ManualClock
) -> None:
    clock.advance(35 * 60)
    async with opened(store_address, clock=clock) as flow:
        series = await flow.flow.status.series()
        hour = datetime(2026, 1, 1, 12, tzinfo=UTC)
        day = datetime(2026, 1, 1, tzinfo=UTC)
        hours = [hour - timedelta(hours=back) for back in range(23, -1, -1)]
        days = [day - timedelta(days=back) for back in range(29, -1, -1)]
        assert [point.start for point in series.hours] == hours
        assert [point.start for point in series.days] == days
        assert happened(series.hours) == happened(series.days) == {}
        assert (series.stays, series.stays_lately, series.as_of) == ({}, {}, clock.now())


async def test_what_happened_is_counted_in_its_hour_and_its_day(
    store_address: str, clock: ManualClock
) -> None:
    noon = clock.now()
    async with opened(store_address, clock=clock) as flow:
        await flow.reach(S.ACKNOWLEDGED)
        clock.advance(hours=1)
        failing = await flow.reach(S.PLANNING)
        clock.advance(59 * 60 + 59)
        await flow.fails(failing, "timeout_error")
        clock.advance(1)
        await flow.introduce()
        series = await flow.flow.status.series()
        assert happened(series.hours) == {
            noon: (1, 6, 0, 1),
            noon + timedelta(hours=1): (1, 1, 1, 0),
            noon + timedelta(hours=2): (1, 0, 0, 0),
        }
        assert happened(series.days) == {noon.replace(hour=0): (3, 7, 1, 1)}
        clock.advance(hours=21)
        await flow.reach(S.REJECTED)
        series = await flow.flow.status.series()
        assert happened(series.hours) == {
            noon: (1, 6, 0, 1),
            noon + timedelta(hours=1): (1, 1, 1, 0),
            noon + timedelta(hours=2): (1, 0, 0, 0),
            noon + timedelta(hours=23): (1, 1, 0, 1),
        }
        clock.advance(hours=1)
        later = await flow.flow.status.series()
        assert list(happened(later.hours)) == list(happened(series.hours))[1:]
        for days in (28, 29):
            clock.advance(hours=24 * days + 1 - (clock.now() - noon).total_seconds() / 3600)
            await flow.introduce()
            series = await flow.flow.status.series()
            assert len(series.days) == 30
            assert happened(series.days)[noon.replace(hour=0)] == (3, 7, 1, 1)
        clock.advance(hours=24)
        series = await flow.flow.status.series()
        assert noon.replace(hour=0) not in happened(series.days)
        assert happened(series.days)[noon.replace(hour=0) + timedelta(days=1)] == (1, 1, 0, 1)


async def test_the_mean_stay_in_each_state_ever_and_lately(
    store_address: str, clock: ManualClock
) -> None:
    async with opened(store_address, clock=clock) as flow:
        for seconds in (10, 20):
            motion = await flow.introduce()
            clock.advance(seconds)
            await flow.reach(S.DELIBERATING, motion)
            clock.advance(100)
            await flow.succeeds(motion)
        series = await flow.flow.status.series()
        once = {
            S.INTRODUCED: StayInState(15.0, 2),
            S.DELIBERATING: StayInState(100.0, 2),
            S.RATIFIED: StayInState(0.0, 2),
        }
        assert series.stays == series.stays_lately == once
        [(rows,)] = await flow.flow.database.read(
            lambda tx: tx.execute("SELECT count(*) FROM activity_1_stays")
        )
        assert rows == len(once), "one row for each state and hour"
        clock.advance(hours=24)
        series = await flow.flow.status.series()
        assert (series.stays, series.stays_lately) == (once, {})
        motion = await flow.introduce()
        clock.advance(45)
        await flow.reach(S.DELIBERATING, motion)
        series = await flow.flow.status.series()
        assert series.stays == {**once, S.INTRODUCED: StayInState(25.0, 3)}
        assert series.stays_lately == {S.INTRODUCED: StayInState(45.0, 1)}
