"""Verifying, replaying and exporting a real history, on every kind of store."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from governance_flow.application.ports.event_store import Append, StoredEvent
from governance_flow.application.ports.flow_orchestrator import Lag
from governance_flow.application.summaries import summarise
from governance_flow.domain.errors import CorruptStream, InvalidInput, UnknownMotion
from governance_flow.domain.events import PIPELINE_ID, MotionEvent, PipelineEvent
from governance_flow.domain.evolve import evolve
from governance_flow.domain.motion import Motion
from governance_flow.domain.pipeline import Pipeline, evolve_pipeline
from governance_flow.domain.states import ADMITTED_STATES, GovernanceState
from tests.support.assembly import whole_log
from tests.support.clock import START
from tests.support.flows import PlayedFlow, opened
from tests.support.histories import PLACES, SETTINGS, eventful

S = GovernanceState


async def lines_of(played: PlayedFlow, **options: Any) -> list[bytes]:
    return [line async for line in played.flow.audit.exporter.lines(**options)]


async def test_an_honest_history_passes_with_everything_derived_from_it(
    store_address: str,
) -> None:
    async with opened(store_address, settings=SETTINGS) as played:
        await eventful(played)
        await played.flow.audit.proofs.latest()
        report = await played.flow.audit.auditor.verify()
        head = await played.flow.store.head()
    assert [str(fault) for fault in report.faults] == []
    assert report.notes == ()
    assert report.position == report.events == head.position
    assert report.motions >= 10
    assert report.statements > 30


async def test_a_worked_off_history_passes_and_so_it_does_after_a_restart(
    store_address: str,
) -> None:
    async with opened(store_address, settings=SETTINGS) as played:
        for number in range(8):
            await played.introduce(f"motion {number}")
        await played.idle()
        assert (await played.flow.audit.auditor.verify()).passed
        clock = played.clock
        if store_address == "memory:":
            return
    async with opened(store_address, settings=SETTINGS, clock=clock) as played:
        report = await played.flow.audit.auditor.verify()
    assert [str(fault) for fault in report.faults] == []


async def test_verification_is_not_disturbed_by_workers_that_go_on(store_address: str) -> None:
    async with opened(store_address, settings=SETTINGS) as played:
        for number in range(6):
            await played.introduce(f"motion {number}")
        reports = []
        working = asyncio.create_task(played.idle())
        while not working.done():
            reports.append(await played.flow.audit.auditor.verify())
            await asyncio.sleep(0)
        await working
        reports.append(await played.flow.audit.auditor.verify())
    assert [str(fault) for report in reports for fault in report.faults] == []
    assert reports[-1].position > 6


@pytest.mark.parametrize("behind", [False, True])
async def test_a_store_that_may_not_be_written_is_verified_all_the_same(
    sqlite_address: str, behind: bool
) -> None:
    """A copy on a read-only disk, say. What is derived is compared as far as it has come."""
    async with opened(sqlite_address, settings=SETTINGS) as played:
        await played.reach(S.ACKNOWLEDGED)
        await played.flow.audit.proofs.latest()
        if behind:
            await played.introduce()
    async with opened(f"{sqlite_address}?mode=ro", settings=SETTINGS) as played:
        report = await played.flow.audit.auditor.verify()
        assert report.passed
        said = ["no checkpoint covers the last 1 event", "the read model was not compared"]
        assert len(report.notes) == 2 * behind
        assert all(word in note for word, note in zip(said, report.notes, strict=False))
        replayer = played.flow.audit.replayer
        assert (await replayer.status(await replayer.moment())).active_motions == behind
        assert len(await lines_of(played)) == report.events


async def test_export_gives_one_envelope_an_event_that_others_can_parse(
    store_address: str,
) -> None:
    async with opened(store_address, settings=SETTINGS) as played:
        made = await eventful(played)
        log = await whole_log(played.flow.store)
        seen: list[tuple[int, int]] = []
        lines = await lines_of(played, progress=lambda *step: seen.append(step))
    assert len(lines) == len(log)
    assert seen[-1] == (len(log), len(log))
    envelopes = [JSONFormat().read(CloudEvent, line) for line in lines]
    ids = {envelope.get_id() for envelope in envelopes}
    assert len(ids) == len(log)
    for envelope, line, stored in zip(envelopes, lines, log, strict=True):
        assert line.endswith(b',"data":' + stored.state + b"}\n")
        assert line.count(b"\n") == 1
        assert envelope.get_data() == json.loads(stored.state)
        assert envelope.get_type() == f"governance-flow.{stored.topic}"
        assert envelope.get_extension("position") == str(stored.id)
        assert envelope.get_extension("streamversion") == stored.originator_version
        of_pipeline = stored.originator_id == PIPELINE_ID
        assert envelope.get_subject() == (None if of_pipeline else str(stored.originator_id))
        assert envelope.get_source().endswith("pipeline" if of_pipeline else "motions")
        assert envelope.get_datacontenttype() == "application/json"
    caused = [e for e in envelopes if e.get_extension("causationid") is not None]
    assert {e.get_extension("causationid") for e in caused} <= ids
    acknowledged = [e for e in envelopes if e.get_subject() == str(made.acknowledged)]
    time = acknowledged[0].get_time()
    assert time == START
    assert len({e.get_extension("correlationid") for e in acknowledged}) == 1


async def test_export_can_begin_behind_a_position(sqlite_address: str) -> None:
    async with opened(sqlite_address) as played:
        await played.reach(S.ACKNOWLEDGED)
        lines = await lines_of(played)
        assert await lines_of(played, after_position=5) == lines[5:]
        assert await lines_of(played, after_position=10_000) == []


class Past:
    """The pipeline and its motions at each position, folded from the log in order of position."""

    def __init__(self) -> None:
        self.motions: dict[UUID, Motion] = {}
        self.pipeline = Pipeline()
        self.recent: list[MotionEvent] = []

    def add(self, stored: Any, event: Any) -> None:
        if stored.originator_id == PIPELINE_ID:
            self.pipeline = evolve_pipeline(self.pipeline, cast("PipelineEvent", event))
            return
        stream = stored.originator_id
        self.motions[stream] = evolve(self.motions.get(stream), event, stream)
        self.recent.append(event)


async def test_replay_at_every_position_equals_a_fold(sqlite_address: str) -> None:
    past = Past()
    async with opened(sqlite_address, settings=SETTINGS) as played:
        await eventful(played)
        replayer = played.flow.audit.replayer
        for stored in await whole_log(played.flow.store):
            past.add(stored, played.flow.mapper.to_event(stored))
            moment = await replayer.moment(position=stored.id)
            halt = past.pipeline.halt
            expected = {
                motion.id: summarise(motion, past.pipeline).at(moment.as_of, halt)
                for motion in past.motions.values()
            }
            shown = [motion async for motion in replayer.motions(moment)]
            assert {motion.motion_id: motion for motion in shown} == expected
            status = await replayer.status(moment)
            states = [motion.state for motion in past.motions.values()]
            assert status.motions_by_state == {state: states.count(state) for state in S}
            assert status.admitted == sum(state in ADMITTED_STATES for state in states)
            assert status.blocked_motions == sum(bool(m.block) for m in past.motions.values())
            assert status.halted == past.pipeline.halted
            assert status.position == stored.id
            for motion_id in list(expected)[-2:]:
                assert await replayer.motion(motion_id, moment) == expected[motion_id]


async def test_a_replay_of_the_present_is_the_status(store_address: str) -> None:
    async with opened(store_address, settings=SETTINGS) as played:
        await eventful(played)
        replayed = await played.flow.audit.replayer.status(
            await played.flow.audit.replayer.moment()
        )
        status = await played.orchestrator.get_pipeline_status()
    assert replayed == status
    assert replayed.lag == Lag(0, 0.0)
    assert replayed.recent_completions > 0
    assert replayed.recent_failures > 0
    assert replayed.finished_recently > 0


async def test_a_replay_of_the_past_is_the_status_of_then(sqlite_address: str) -> None:
    async with opened(sqlite_address, settings=SETTINGS) as played:
        await eventful(played)
        await played.halt("another storm")
        then = await played.orchestrator.get_pipeline_status()
        at = played.clock.now()
        played.clock.advance(hours=30)
        await played.resume()
        await played.introduce()
        replayer = played.flow.audit.replayer
        assert await replayer.status(await replayer.moment(at=at)) == then
        by_position = await replayer.status(await replayer.moment(position=then.position))
        assert replace(by_position, as_of=then.as_of) == then
        later = await replayer.moment(at=at + timedelta(hours=29))
        assert later.position == then.position
        status = await replayer.status(later)
        assert status.recent_completions == 0
        assert status.halted


async def test_a_moment_is_found_by_commit_time(store_address: str) -> None:
    async with opened(store_address, settings=SETTINGS) as played:
        await eventful(played)
        log = await whole_log(played.flow.store)
        replayer = played.flow.audit.replayer
        for stored in log:
            at = (
                START
                + timedelta(microseconds=stored.committed_at_us)
                - timedelta(microseconds=log[0].committed_at_us)
            )
            position = max(e.id for e in log if e.committed_at_us <= stored.committed_at_us)
            assert (await replayer.moment(at=at)).position == position
        before = await replayer.moment(at=START - timedelta(microseconds=1))
        assert before.position == 0
        assert (await replayer.status(before)).motions_by_state == dict.fromkeys(S, 0)
        nothing = await replayer.status(await replayer.moment(position=0))
        assert nothing.as_of == START - timedelta(microseconds=1)
        assert nothing.oldest_motion_age == timedelta()


async def test_moments_that_make_no_sense_are_refused(sqlite_address: str) -> None:
    async with opened(sqlite_address) as played:
        motion = await played.introduce()
        replayer = played.flow.audit.replayer
        head = await played.flow.store.head()
        now = played.clock.now()
        for wrong, words in (
            ({"position": head.position + 1}, "it goes from 0 .* to"),
            ({"position": -1}, "there is no position -1"),
            ({"position": 1, "at": now}, "not both"),
            ({"at": now + timedelta(seconds=1)}, "still to come"),
            ({"at": now.replace(tzinfo=None)}, "offset"),
        ):
            with pytest.raises(InvalidInput, match=words):
                await replayer.moment(**cast("Any", wrong))
        with pytest.raises(UnknownMotion):
            await replayer.motion(uuid4(), await replayer.moment())
        with pytest.raises(UnknownMotion, match="at position 0"):
            await replayer.motion(motion, await replayer.moment(position=0))


async def test_free_places_are_those_of_the_configuration_of_then(sqlite_address: str) -> None:
    async with opened(sqlite_address, settings=SETTINGS) as played:
        await played.idle()
        await played.reach(S.PLANNING)
        position = (await played.flow.store.head()).position
        clock = played.clock
    async with opened(
        sqlite_address, clock=clock, settings={"max_concurrent_motions": 50}
    ) as played:
        await played.idle()
        replayer = played.flow.audit.replayer
        then = await replayer.status(await replayer.moment(position=position))
        now = await replayer.status(await replayer.moment())
    assert then.free_places == PLACES - 1
    assert now.free_places == 50 - now.admitted


async def test_what_cannot_be_read_is_neither_replayed_nor_exported(sqlite_address: str) -> None:
    async with opened(sqlite_address) as played:
        await played.reach(S.PLANNING)
        motion = await played.introduce()
        done = (await played.stored(motion))[-1]

        spoilt = StoredEvent(motion, done.originator_version + 1, "MOTION_ROUTED", b"nothing")
        await played.flow.store.append(Append(motion, done.originator_version, (spoilt,)))
        replayer = played.flow.audit.replayer
        with pytest.raises(CorruptStream, match="cannot be read"):
            await replayer.status(await replayer.moment())
        with pytest.raises(CorruptStream, match="cannot be read"):
            await lines_of(played)
        report = await played.flow.audit.auditor.verify()
    assert report.first_fault is not None
    assert report.first_fault.stream_id == str(motion)
    assert report.first_fault.version == done.originator_version + 1
