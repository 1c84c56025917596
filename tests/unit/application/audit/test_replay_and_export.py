"""Replays and exports of logs that were doctored: refused, and nobody is shown half of one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import cast
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance_flow.application.audit.export import Exporter
from governance_flow.application.audit.record import RecordCheck
from governance_flow.application.audit.replay import Replayer
from governance_flow.application.ports.event_store import CommittedEvent, EventStore
from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.events import PipelineHalted
from governance_flow.domain.states import GovernanceState
from tests.support.audit import MAPPER, MOTION, NOON_US, MemoryLog, doctored, log_of, without
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


def replayer(log: MemoryLog) -> Replayer:
    return Replayer(log, MAPPER, ManualClock(NOON + timedelta(hours=1)), places=10)


async def exported(log: MemoryLog) -> list[bytes]:
    return [line async for line in Exporter(log, MAPPER).lines()]


DOCTORED = [
    doctored(LOG, 4, stream_id="no id"),
    doctored(LOG, 4, stream_id=MOTION.upper()),
    doctored(LOG, 4, topic="NO_TOPIC"),
    doctored(LOG, 4, state=b"{"),
    doctored(LOG, 4, topic=HALTED.topic, state=HALTED.model_dump_json().encode()),
    doctored(LOG, 2, topic=LOG.rows[0].topic, state=LOG.rows[0].state),
    without(LOG, 4),
]


@pytest.mark.parametrize("log", DOCTORED)
async def test_a_log_that_cannot_be_followed_is_not_replayed(log: MemoryLog) -> None:
    with pytest.raises(CorruptStream):
        await replayer(log).status(await replayer(log).moment())


@pytest.mark.parametrize("log", DOCTORED[:4])
async def test_a_log_that_cannot_be_read_is_not_exported(log: MemoryLog) -> None:
    with pytest.raises(CorruptStream):
        await exported(log)


@pytest.mark.parametrize("line_break", [b"\n", b"\r"])
async def test_what_would_end_the_line_too_soon_is_not_exported(line_break: bytes) -> None:
    state = LOG.rows[0].state.replace(b"{", b"{" + line_break, 1)
    with pytest.raises(CorruptStream, match="line break"):
        await exported(doctored(LOG, 1, state=state))


async def test_errors_say_where_and_can_be_printed() -> None:
    with pytest.raises(CorruptStream) as caught:
        await exported(doctored(LOG, 4, stream_id="\udcff"))
    assert caught.value.position == 4
    assert "position 4" in str(caught.value)
    str(caught.value).encode()


async def test_one_motion_is_read_without_the_others() -> None:
    log = doctored(LOG, 2, state=b"{")
    moment = await replayer(LOG).moment()
    motion = await replayer(log).motion(MOTION_ID, moment)
    assert motion.current_state is S.ACKNOWLEDGED


async def test_places_are_the_given_ones_where_the_log_says_nothing_of_them() -> None:
    status = await replayer(LOG).status(await replayer(LOG).moment())
    assert status.free_places == 10
    status = await replayer(LOG).status(await replayer(LOG).moment(position=5))
    assert (status.admitted, status.free_places) == (1, 9)


async def test_an_empty_log_has_a_present() -> None:
    empty = MemoryLog([], None)
    moment = await replayer(empty).moment(position=0)
    assert moment.as_of == NOON + timedelta(hours=1)
    status = await replayer(empty).status(moment)
    assert (status.active_motions, status.position) == (0, 0)


@settings(max_examples=30)
@given(position=st.integers(0, LAST))
async def test_recent_counts_are_those_up_to_the_moment(position: int) -> None:
    log = replayer(LOG)
    status = await log.status(await log.moment(position=position))
    done = [json.loads(r.state) for r in LOG.rows[:position] if r.topic == "BRANCH_COMPLETED"]
    assert status.recent_completions == len(done)
    assert status.finished_recently == (position == LAST)
    assert status.halted == (position >= 2)


async def test_what_is_more_than_a_day_old_is_not_recent() -> None:
    late = Replayer(LOG, MAPPER, ManualClock(NOON + timedelta(hours=24)), places=10)
    later = Replayer(LOG, MAPPER, ManualClock(NOON + timedelta(hours=24, seconds=1)), places=10)
    assert (await late.status(await late.moment())).recent_completions > 0
    assert (await later.status(await later.moment())).recent_completions == 0


async def test_progress_ends_at_the_position() -> None:
    seen: list[tuple[int, int]] = []
    log = replayer(LOG)
    moment = await log.moment(position=6)
    async for _ in log.motions(moment, lambda done, total: seen.append((done, total))):
        pass
    assert seen[-1] == (6, 6)


@dataclass
class OneStream:
    """A store that holds one stream."""

    log: MemoryLog

    async def read_stream(self, stream_id: UUID) -> list[CommittedEvent]:
        return [
            CommittedEvent(stream_id, r.version, r.topic, r.state, r.position, NOON_US)
            for r in self.log.rows
            if r.stream_id == str(stream_id)
        ]


async def problems(log: MemoryLog) -> list[str]:
    return await RecordCheck(cast("EventStore", OneStream(log)), MAPPER).problems(MOTION_ID)


async def test_an_honest_record_has_no_problem() -> None:
    assert await problems(LOG) == []


async def test_a_doctored_record_has_problems_up_to_its_last_statement() -> None:
    state = LOG.rows[LAST - 2].state
    [problem] = await problems(doctored(LOG, LAST - 1, state=state + b" "))
    assert "its stored bytes are not those" in problem
    assert "no later statement says which of the two was altered" in problem
    assert "version 1 is missing" in " ".join(await problems(without(LOG, 1)))
