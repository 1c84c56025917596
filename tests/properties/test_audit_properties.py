"""Whatever befalls a motion, its honest record passes, and no altered one does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from governance_flow.application.audit.replay import Replayer
from governance_flow.application.summaries import summarise
from governance_flow.domain.evolve import evolve
from governance_flow.domain.motion import Motion
from governance_flow.domain.pipeline import Pipeline
from tests.properties.test_motion_properties import Command, live, lives
from tests.support.audit import (
    MAPPER,
    MOTION,
    adoption,
    closed_up,
    doctored,
    log_of,
    verified,
    without,
)
from tests.support.clock import ManualClock
from tests.support.motions import MOTION_ID, Scenario


@settings(max_examples=60)
@given(commands=lives())
async def test_an_honest_record_passes(commands: list[Command]) -> None:
    flow = Scenario()
    live(flow, commands)
    report = await verified(log_of(flow, adoption()))
    assert [str(fault) for fault in report.faults] == []


@settings(max_examples=60)
@given(commands=lives(), data=st.data())
async def test_a_byte_that_a_statement_covers_cannot_be_changed(
    commands: list[Command], data: st.DataObject
) -> None:
    flow = Scenario()
    live(flow, commands)
    log = log_of(flow, adoption())
    moves = [row.position for row in log.rows if row.topic == "TRANSITION_WITNESSED"]
    last = max(moves, default=0)
    covered = [row for row in log.rows if row.stream_id == MOTION and row.position < last]
    if not covered:
        return
    row = data.draw(st.sampled_from(covered))
    index = data.draw(st.integers(0, len(row.state) - 1))
    flipped = row.state[index] ^ data.draw(st.integers(1, 255))
    state = row.state[:index] + bytes([flipped]) + row.state[index + 1 :]
    fault = (await verified(doctored(log, row.position, state=state))).first_fault
    assert fault is not None
    assert fault.stream_id == MOTION
    assert fault.position == row.position


@settings(max_examples=60)
@given(commands=lives(), data=st.data())
async def test_an_event_that_a_statement_covers_cannot_be_left_out(
    commands: list[Command], data: st.DataObject
) -> None:
    flow = Scenario()
    live(flow, commands)
    log = log_of(flow, adoption())
    own = [row for row in log.rows if row.stream_id == MOTION]
    row = data.draw(st.sampled_from(own))
    if row is own[-1]:
        return
    assert not (await verified(without(log, row.position))).passed
    assert not (await verified(closed_up(without(log, row.position)))).passed


@settings(max_examples=40)
@given(commands=lives())
async def test_a_replay_at_any_position_is_a_fold(commands: list[Command]) -> None:
    flow = Scenario()
    live(flow, commands)
    replayer = Replayer(log_of(flow), MAPPER, ManualClock(flow.now), places=100)
    motion: Motion | None = None
    for position, event in enumerate(flow.events, 1):
        motion = evolve(motion, event, MOTION_ID)
        moment = await replayer.moment(position=position)
        expected = summarise(motion, Pipeline()).at(moment.as_of, None)
        assert await replayer.motion(MOTION_ID, moment) == expected
        assert [shown async for shown in replayer.motions(moment)] == [expected]
