"""Motions that are admitted with their introduction: when, and when rather not."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from governance_flow.application.services import motion_commands
from governance_flow.domain.errors import ConcurrencyConflict, MotionAlreadyExists
from governance_flow.domain.events import MotionIntroduced, TransitionWitnessed
from governance_flow.domain.states import GovernanceState
from tests.support.flows import PlayedFlow, Scripted, ScriptedKnight, cast, opened
from tests.support.workers import (
    Failing,
    Gate,
    assignment,
    assignments,
    replaced,
    soon,
    until,
    working,
)

S = GovernanceState
CONCLAVE = "conclave_service"


async def at_rest(flow: PlayedFlow) -> None:
    """Let the worker look once more; then it waits for something to happen."""
    doorway = flow.flow.worker._agenda._doorway
    await until(lambda: doorway._hands is not None)


def gated() -> tuple[Gate, dict[str, Any]]:
    """Return services of which the Conclave waits until it is let."""
    gate = Gate()
    return gate, {**cast(), CONCLAVE: gate}


async def test_it_is_admitted_with_its_introduction_and_begun_without_a_claim() -> None:
    gate, services = gated()
    async with opened(branches=services) as flow, working(flow):
        await at_rest(flow)
        store = flow.flow.assignments
        with (
            flow.appends() as appends,
            replaced(store, "claim", None),
            replaced(store, "claim_docket", None),
        ):
            motion = await flow.introduce()
            begun = await gate.has_begun()
        assert begun.motion_id == motion
        assert [
            [event.topic for event in append.events]
            for append in appends
            if append.stream_id == motion
        ] == [["MOTION_INTRODUCED", "TRANSITION_WITNESSED", "MOTION_ROUTED"]]
        introduced, admitted, routed = await flow.events(motion)
        assert admitted.causation_id == routed.causation_id == introduced.event_id
        assert admitted.correlation_id == introduced.correlation_id
        assert admitted.actor.id == "orchestrator" != introduced.actor.id
        assert (await assignment(flow)).lease.owner is not None
        gate.open.set()
        await _comes_to(flow, motion, S.ACKNOWLEDGED)


async def _comes_to(flow: PlayedFlow, motion: UUID, state: GovernanceState) -> None:
    async def has() -> bool:
        return await flow.state(motion) is state

    await until(has)


async def test_without_a_worker_it_goes_to_the_docket() -> None:
    async with opened() as flow:
        assert await flow.length(await flow.introduce()) == 1
        await flow.idle()
        # Nor when the worker has left.
        assert await flow.length(await flow.introduce()) == 1


async def test_not_past_those_who_wait_nor_beyond_the_places_there_are() -> None:
    gate, services = gated()
    settings = {"max_concurrent_motions": 2}
    async with opened(branches=services, settings=settings) as flow, working(flow):
        await at_rest(flow)
        motions = []
        for _ in range(4):
            motions.append(await flow.introduce())
            flow.clock.advance(0.001)
        assert [await flow.length(motion) for motion in motions] == [3, 3, 1, 1]
        assert (await flow.flow.store.head()).admitted == 2
        gate.open.set()
        for motion in motions:
            await _comes_to(flow, motion, S.ACKNOWLEDGED)
        admissions = [
            event.id
            for motion in motions
            for event in (await flow.stored(motion))
            if event.topic == TransitionWitnessed.topic and event.originator_version == 2
        ]
        assert admissions == sorted(admissions)


async def test_one_that_another_process_introduced_meanwhile_comes_first() -> None:
    _, services = gated()
    async with opened(branches=services) as flow, working(flow):
        await at_rest(flow)
        worker = flow.flow.worker
        with replaced(worker._assignments, "due", lambda _: asyncio.Event().wait()):
            introducing = flow.orchestrator._introducing
            with replaced(introducing._doorway, "_hands", None):
                first = await flow.introduce("first")
            second = await flow.introduce("second")
            assert [await flow.length(motion) for motion in (first, second)] == [1, 1]
            # It has learnt of it, and tries no more until it has looked again.
            assert introducing._doorway._hands is None


async def test_not_while_the_pipeline_is_halted() -> None:
    async with opened() as flow, working(flow):
        await at_rest(flow)
        await flow.halt()
        motion = await flow.introduce()
        assert await flow.length(motion) == 1


async def test_a_halt_by_somebody_else_in_the_last_moment_counts() -> None:
    async with opened() as flow, working(flow):
        await at_rest(flow)
        async with opened(clock=flow.clock) as other:
            pipelines = flow.flow.pipelines
            append = flow.flow.store.append

            async def halted_before(asked: Any) -> Any:
                if asked.in_turn:
                    await type(pipelines).halt(pipelines, (await _chair(other)), "a storm")
                return await append(asked)

            with replaced(flow.flow.store, "append", halted_before):
                motion = await flow.introduce()
        assert await flow.length(motion) == 1


async def _chair(flow: PlayedFlow) -> Any:
    motion = await flow.introduce()
    [introduced] = await flow.events(motion)
    return introduced.actor


@pytest.mark.parametrize("why", ["fails", "hangs"])
async def test_a_knight_who_does_not_witness_keeps_nobody_from_introducing(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(motion_commands, "WITNESSED_WITHIN_SECONDS", 0.0)
    knight = ScriptedKnight()
    hangs = asyncio.Event()

    async def hang(_: object) -> None:
        await hangs.wait()

    async with opened(knight=knight) as flow, working(flow):
        await at_rest(flow)
        knight.then(hang if why == "hangs" else RuntimeError("no ink"))
        motion = await soon(flow.introduce())
        [introduced, *_] = await flow.events(motion)
        assert isinstance(introduced, MotionIntroduced)
        # The worker asks him again, and then nothing is in the way.
        await _comes_to(flow, motion, S.ACKNOWLEDGED)
        assert "ORCHESTRATOR_ERROR" not in [event.topic for event in await flow.stored(motion)]


async def test_a_configuration_that_cannot_be_recorded_now_keeps_nobody_from_introducing() -> None:
    async with opened() as flow, working(flow):
        await at_rest(flow)
        crowded = Failing(flow.flow.pipelines.adopt, ConcurrencyConflict("others were quicker"))
        with replaced(flow.flow.pipelines, "adopt", crowded):
            motion = await flow.introduce()
            assert crowded.calls
            await _comes_to(flow, motion, S.ACKNOWLEDGED)


async def test_put_forward_twice_it_is_there_once() -> None:
    gate, services = gated()
    async with opened(branches=services) as flow, working(flow):
        await at_rest(flow)
        motion = await flow.introduce()
        assert await flow.introduce(motion_id=motion) == motion
        with pytest.raises(MotionAlreadyExists):
            await flow.introduce("Another", motion_id=motion)
        assert await flow.length(motion) == 3
        assert len(gate.calls) <= 1
        gate.open.set()


async def test_what_nobody_is_left_to_begin_on_is_given_back() -> None:
    services = cast()
    async with opened(branches=services) as flow:
        worker = flow.flow.worker
        async with working(flow):
            await at_rest(flow)
            append, held = flow.flow.store.append, asyncio.Event()
            begun = asyncio.Event()

            async def slow(asked: Any) -> Any:
                if asked.in_turn:
                    begun.set()
                    await held.wait()
                return await append(asked)

            with replaced(flow.flow.store, "append", slow):
                introducing = asyncio.create_task(flow.introduce())
                await soon(begun.wait())
                worker.stop()
                await until(lambda: not worker._running)
                held.set()
                motion = await soon(introducing)
        conclave: Scripted = services[CONCLAVE]
        assert await flow.state(motion) is S.DELIBERATING
        await until(lambda: not worker._dispatcher.busy)
        [row] = await assignments(flow)
        assert (row.lease.owner, row.lease.losses) == (None, 0)
        assert conclave.calls == []
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
