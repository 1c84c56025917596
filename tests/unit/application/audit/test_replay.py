"""Which moment of the past is meant: by time, by position, at the edges, in a log with holes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from uuid import UUID

import pytest

from governance_flow.application.audit.replay import Replayer
from governance_flow.application.times import from_us
from governance_flow.domain.errors import CorruptStream, InvalidInput, UnknownMotion
from governance_flow.domain.events import PIPELINE_ID, PipelineHalted
from governance_flow.domain.states import GovernanceState
from tests.support.audit import MAPPER, MemoryLog, log_of, without
from tests.support.clock import ManualClock
from tests.support.motions import MOTION_ID, NOON, Scenario, person

S = GovernanceState
HALTED = PipelineHalted(
    event_id=UUID(int=99),
    correlation_id=UUID(int=99),
    actor=person("the chair"),
    timestamp=NOON,
    reason="a storm",
)
LOG = log_of(Scenario().reaching(S.ACKNOWLEDGED), HALTED)
LAST = len(LOG.rows)
A_MICROSECOND = timedelta(microseconds=1)


def replayer(log: MemoryLog = LOG, now: datetime = NOON + timedelta(hours=1)) -> Replayer:
    return Replayer(log, MAPPER, ManualClock(now), places=10)


def committed(position: int, log: MemoryLog = LOG) -> datetime:
    return from_us(log.rows[position - 1].committed_at_us)


async def position_at(at: datetime, log: MemoryLog = LOG) -> int:
    return (await replayer(log).moment(at=at)).position


@pytest.mark.parametrize("position", [1, 2, 7, LAST])
async def test_a_commit_time_belongs_to_what_was_committed_then(position: int) -> None:
    assert await position_at(committed(position)) == position
    assert await position_at(committed(position) - A_MICROSECOND) == position - 1
    assert await position_at(committed(position) + A_MICROSECOND) == position


async def test_events_committed_together_happened_together() -> None:
    together = committed(5)
    rows = [
        row._replace(committed_at_us=LOG.rows[4].committed_at_us)
        if row.position in (6, 7, 8)
        else row
        for row in LOG.rows
    ]
    log = MemoryLog(rows, LOG.head)
    assert await position_at(together, log) == 8
    assert await position_at(together - A_MICROSECOND, log) == 4
    by_position = await replayer(log).moment(position=6)
    assert (by_position.position, by_position.as_of) == (6, together)


@pytest.mark.parametrize("at", [NOON, datetime.min.replace(tzinfo=UTC)])
async def test_before_the_first_event_there_was_nothing(at: datetime) -> None:
    moment = await replayer().moment(at=at)
    assert (moment.position, moment.as_of) == (0, at)
    status = await replayer().status(moment)
    assert set(status.motions_by_state.values()) == {0}
    assert (status.recent_completions, status.recent_failures) == (0, 0)
    with pytest.raises(UnknownMotion):
        await replayer().motion(MOTION_ID, moment)


async def test_an_offset_names_the_same_moment_and_is_told_in_utc() -> None:
    there = committed(7).astimezone(timezone(timedelta(hours=-9, minutes=-30)))
    moment = await replayer().moment(at=there)
    assert moment == await replayer().moment(at=committed(7))
    assert moment.as_of.utcoffset() == timedelta()


class Nowhere(tzinfo):
    """A zone that does not know how far it is from UTC."""

    def utcoffset(self, _: datetime | None) -> None:
        return None

    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, _: datetime | None) -> str:
        return "nowhere"


@pytest.mark.parametrize(
    "at",
    [NOON.replace(tzinfo=None), NOON.replace(tzinfo=Nowhere())],
)
async def test_a_time_without_an_offset_is_not_guessed_at(at: datetime) -> None:
    with pytest.raises(InvalidInput, match="offset"):
        await replayer().moment(at=at)


async def test_a_time_that_utc_cannot_tell_is_refused() -> None:
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))
    with pytest.raises(InvalidInput, match="outside the years"):
        await replayer().moment(at=first)


async def test_a_time_still_to_come_is_refused_and_the_present_is_not() -> None:
    now = NOON + timedelta(hours=1)
    assert await position_at(now) == LAST
    with pytest.raises(InvalidInput, match="still to come"):
        await position_at(now + A_MICROSECOND)


async def test_a_clock_that_was_set_back_takes_nothing_back() -> None:
    behind = replayer(now=NOON - timedelta(hours=1))
    present = await behind.moment()
    assert (present.position, present.as_of) == (LAST, committed(LAST))
    assert (await behind.moment(at=committed(LAST))).position == LAST
    with pytest.raises(InvalidInput, match="still to come"):
        await behind.moment(at=committed(LAST) + A_MICROSECOND)


@pytest.mark.parametrize("position", [-1, LAST + 1, 2**80])
async def test_a_position_that_the_log_does_not_have_is_refused(position: int) -> None:
    with pytest.raises(InvalidInput, match=f"no position {position} .* it goes from 0 .* {LAST}"):
        await replayer().moment(position=position)


async def test_the_time_of_a_position_that_is_missing_is_not_made_up() -> None:
    for position, missing in ((4, 4), (0, 1)):
        with pytest.raises(CorruptStream, match=f"position {missing} is missing"):
            await replayer(without(LOG, missing)).moment(position=position)


async def test_a_motion_that_is_gone_whole_is_missed() -> None:
    other = MemoryLog([row for row in LOG.rows if row.stream_id == str(PIPELINE_ID)], LOG.head)
    log = replayer(other)
    moment = await log.moment(position=2)
    with pytest.raises(CorruptStream, match="holds 1 events up to position 2, not 2"):
        await log.status(moment)
    with pytest.raises(CorruptStream, match="verification"):
        _ = [motion async for motion in log.motions(moment)]


async def test_a_halt_that_was_taken_out_is_missed() -> None:
    log = replayer(without(LOG, 2))
    assert (await log.status(await log.moment(position=1))).position == 1
    with pytest.raises(CorruptStream, match=f"holds {LAST - 1} events"):
        await log.status(await log.moment())


async def test_the_pipeline_is_no_motion() -> None:
    with pytest.raises(UnknownMotion, match="there was no motion"):
        await replayer().motion(PIPELINE_ID, await replayer().moment())
