"""What follows from a result is kept by whoever reported it: unclaimed, bounded, and fenced."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from governance_flow.application.ports.assignments import LeaseInfo
from governance_flow.application.process_manager.dispatching import Dispatcher
from governance_flow.domain.events import BranchCompleted
from governance_flow.domain.states import GovernanceState
from tests.support.flows import PlayedFlow, cast, failing, opened
from tests.support.workers import (
    Failing,
    Gate,
    assignment,
    assignments,
    due,
    replaced,
    soon,
    until,
    working,
)

S = GovernanceState
CONCLAVE = "conclave_service"
DUKE = "duke_service"
LEASE_SECONDS = 15.0


def dispatcher_of(flow: PlayedFlow) -> Dispatcher:
    return flow.flow.worker._dispatcher


async def round_of(flow: PlayedFlow) -> None:
    """Do what a worker does in a round, but nothing of what follows the events."""
    dispatcher = dispatcher_of(flow)
    await dispatcher.prepare()
    seen = await due(flow)
    await flow.flow.worker._agenda.attend(seen)
    await dispatcher.claim(seen)


# -- Without a claim ---------------------------------------------------------------------------


@pytest.mark.parametrize("room", [1, 64])
async def test_a_motion_goes_through_all_its_branches_without_being_claimed(room: int) -> None:
    services = cast()
    settings = {"worker": {"max_concurrent_assignments": room}}
    async with opened(branches=services, settings=settings) as flow:
        store = flow.flow.assignments
        claims = Failing(store.claim)
        with replaced(store, "claim", claims):
            motion = await flow.introduce()
            await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
        assert claims.calls == 0
        calls = [call for service in services.values() for call in service.calls]
        assert len({call.routing_id for call in calls}) == len(calls) == 6
        assert len({call.lease_token for call in calls}) == 1
        assert await assignments(flow) == []
        assert dispatcher_of(flow).room == room


async def test_what_was_claimed_is_gone_on_with_in_the_same_way() -> None:
    async with opened() as flow:
        motions = [await flow.reach(S.PLANNING) for _ in range(3)]
        store = flow.flow.assignments
        claims = Failing(store.claim)
        with replaced(store, "claim", claims):
            await flow.idle()
        assert [await flow.state(motion) for motion in motions] == [S.ACKNOWLEDGED] * 3
        assert claims.calls == 1


async def test_a_retry_that_has_to_wait_is_left_to_whoever_comes_first() -> None:
    async with opened(branches=cast(duke=[failing("timeout_error")])) as flow:
        motion = await flow.introduce()
        await flow.idle()
        row = await assignment(flow)
        assert (row.service, row.attempt, row.lease) == (DUKE, 2, LeaseInfo(None, 0, None, 0))
        flow.clock.advance(5)
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_work_that_was_halted_meanwhile_is_not_kept_and_goes_on_afterwards() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        motion = await flow.introduce()
        async with working(flow):
            await gate.has_begun()
            await flow.halt()
            gate.open.set()
            await until(lambda: not dispatcher_of(flow).busy)
            assert await flow.state(motion) is S.EXECUTING
            assert await assignments(flow) == []
            await flow.resume()
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


# -- Room --------------------------------------------------------------------------------------


async def test_no_more_is_kept_than_there_is_room_for_however_many_are_admitted() -> None:
    gate = Gate()
    settings = {"worker": {"max_concurrent_assignments": 2}}
    async with opened(branches={**cast(), CONCLAVE: gate}, settings=settings) as flow:
        motions = [await flow.introduce() for _ in range(5)]
        await round_of(flow)
        for _ in range(2):
            await gate.has_begun()
        assert [await flow.state(motion) for motion in motions] == [S.DELIBERATING] * 5
        assert (await flow.flow.assignments.counts()).leased == 2
        assert dispatcher_of(flow).room == 0
        await round_of(flow)
        assert len(gate.calls) == (await flow.flow.assignments.counts()).leased == 2
        gate.open.set()
        await flow.idle()
        assert [await flow.state(motion) for motion in motions] == [S.ACKNOWLEDGED] * 5
        assert len({call.routing_id for call in gate.calls}) == len(gate.calls) == 10


async def test_room_is_promised_once_and_given_back_when_nothing_came_of_it() -> None:
    settings = {"worker": {"max_concurrent_assignments": 2}}
    async with opened(settings=settings) as flow:
        dispatcher = dispatcher_of(flow)
        await dispatcher.prepare()
        with dispatcher.promise() as first:
            assert first is not None
            assert (dispatcher.room, first.owner) == (1, dispatcher._owner)
            with suppress(LookupError), dispatcher.promise() as second:
                assert second is not None
                assert dispatcher.room == 0
                with dispatcher.promise() as third:
                    assert third is None
                    assert dispatcher.room == 0
                raise LookupError
            assert dispatcher.room == 1
        assert dispatcher.room == 2


async def test_nothing_is_promised_before_a_token_is_reserved_and_one_token_is_enough() -> None:
    async with opened() as flow:
        dispatcher = dispatcher_of(flow)
        with dispatcher.promise() as too_early:
            assert too_early is None
        store = flow.flow.assignments
        reserved = Failing(store.reserve_token)
        with replaced(store, "reserve_token", reserved):
            for _ in range(3):
                await dispatcher.prepare()
        assert reserved.calls == 1


# -- Draining ----------------------------------------------------------------------------------


async def drained_while_reporting(flow: PlayedFlow) -> Any:
    """Let the worker be told to drain when a result is recorded, and not yet acknowledged."""
    dispatcher = dispatcher_of(flow)
    report = dispatcher._reporting.report
    draining: list[asyncio.Task[None]] = []

    async def interrupted(*args: Any) -> Any:
        kept = await report(*args)
        if not draining:
            draining.append(asyncio.create_task(dispatcher.drain(30)))
            await until(lambda: dispatcher._draining)
        return kept

    with replaced(dispatcher._reporting, "report", interrupted):
        await round_of(flow)
        await until(lambda: bool(draining))
        await soon(draining[0])


async def test_what_was_kept_is_given_back_when_the_worker_is_to_end() -> None:
    services = cast()
    async with opened(branches=services) as flow:
        motion = await flow.reach(S.EXECUTING)
        await drained_while_reporting(flow)
        assert await flow.state(motion) is S.JUDGING
        assert services["prince_service"].calls == []
        row = await assignment(flow)
        assert (row.service, row.lease.owner, row.lease.losses) == ("prince_service", None, 0)
        assert not dispatcher_of(flow).busy
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_nothing_is_kept_by_a_worker_that_is_to_end() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        await flow.reach(S.EXECUTING)
        await round_of(flow)
        await gate.has_begun()
        dispatcher = dispatcher_of(flow)
        draining = asyncio.create_task(dispatcher.drain(30))
        await until(lambda: dispatcher._draining)
        with dispatcher.promise() as keep:
            assert keep is None
        gate.open.set()
        with flow.appends() as appends:
            await soon(draining)
        [work] = [append.work for append in appends]
        assert work is not None
        assert work.assignment is not None
        assert work.keep is None
        with dispatcher.promise() as keep:
            assert keep is None
        await round_of(flow)
        with dispatcher.promise() as keep:
            assert keep is not None


@pytest.mark.parametrize("resting", [True, False], ids=["at rest", "in the middle of a round"])
async def test_a_worker_begins_nothing_from_the_moment_it_is_told_to_stop(resting: bool) -> None:
    gate = Gate()
    services: dict[str, Any] = {**cast(), DUKE: gate}
    async with opened(branches=services) as flow:
        motion = await flow.introduce()
        store = flow.flow.assignments
        look, let_look = store.due, asyncio.Event()

        async def slow(asked: Any) -> Any:
            await let_look.wait()
            return await look(asked)

        running = asyncio.create_task(flow.flow.worker.run())
        await gate.has_begun()
        with replaced(store, "due", look if resting else slow):
            flow.flow.worker._wake.set()
            for _ in range(10):
                await asyncio.sleep(0)
            flow.flow.worker.stop()
            gate.open.set()
            if not resting:
                await until(lambda: not dispatcher_of(flow).busy)
            let_look.set()
            await soon(running)
        assert await flow.state(motion) is S.JUDGING
        assert services["prince_service"].calls == []
        assert (await assignment(flow)).lease.owner is None
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


# -- Leases ------------------------------------------------------------------------------------


async def kept_by_us(flow: PlayedFlow, gate: Gate) -> Any:
    """Let a motion come to the Duke under a lease that was kept, not claimed."""
    motion = await flow.introduce()
    await round_of(flow)
    await gate.has_begun()
    row = await assignment(flow)
    keep = dispatcher_of(flow)._keep
    assert keep is not None
    assert (row.lease.owner, row.lease.token) == (dispatcher_of(flow)._owner, keep.token)
    return motion


async def claimed_by_another(flow: PlayedFlow) -> Any:
    return await flow.flow.assignments.claim(
        [DUKE], owner="another", limit=1, lease_seconds=LEASE_SECONDS
    )


async def test_a_kept_lease_lives_on_with_the_heartbeat() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        motion = await kept_by_us(flow, gate)
        for _ in range(5):
            flow.clock.advance(LEASE_SECONDS - 1)
            await dispatcher_of(flow).heartbeat()
            assert await claimed_by_another(flow) == []
        gate.open.set()
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_a_completion_under_a_kept_lease_that_was_taken_over_is_refused() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        motion = await kept_by_us(flow, gate)
        flow.clock.advance(LEASE_SECONDS)
        [theirs] = await claimed_by_another(flow)
        assert theirs.lease_losses == 1
        gate.open.set()
        with capture_logs() as logs:
            await dispatcher_of(flow).drain(30)
        refused = [line for line in logs if line["event"] == "completion refused"]
        assert [line["routing_id"] for line in refused] == [str(theirs.routing_id)]
        assert await flow.state(motion) is S.EXECUTING
        await flow.succeeds(motion, {"by": "the other"}, lease_token=theirs.lease_token)
        assert (await flow.last(motion, BranchCompleted)).output == {"by": "the other"}


async def test_the_work_on_a_kept_assignment_that_was_taken_over_is_stopped() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        await kept_by_us(flow, gate)
        flow.clock.advance(LEASE_SECONDS)
        [theirs] = await claimed_by_another(flow)
        await dispatcher_of(flow).heartbeat()
        await soon(gate.cancelled.wait())
        await dispatcher_of(flow).drain(30)
        assert (await assignment(flow)).lease.token == theirs.lease_token


async def test_a_heartbeat_leaves_alone_what_is_being_reported() -> None:
    """Its row is gone as soon as the result is recorded, before anybody here knows of it."""
    services = cast()
    async with opened(branches=services) as flow:
        motion = await flow.reach(S.EXECUTING)
        dispatcher = dispatcher_of(flow)
        report = dispatcher._reporting.report
        beats = []

        async def with_a_beat(*args: Any) -> Any:
            kept = await report(*args)
            beats.append(
                dispatcher._held.keys() - {row.routing_id for row in await assignments(flow)}
            )
            await dispatcher.heartbeat()
            await asyncio.sleep(0)
            return kept

        with replaced(dispatcher._reporting, "report", with_a_beat), capture_logs() as logs:
            await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
        # At each of the beats a lease was held here that the store did not know any more.
        assert [len(gone) for gone in beats] == [1, 1, 1, 1]
        assert [line for line in logs if "lost" in line["event"]] == []
        purposes = [c.purpose.value for c in await flow.completions(motion)]
        assert purposes[-4:] == ["execute", "judge", "record", "acknowledge"]


async def test_a_worker_that_is_cancelled_gives_back_what_it_kept() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        await flow.introduce()
        running = asyncio.create_task(flow.flow.worker.run())
        await gate.has_begun()
        assert (await assignment(flow)).lease.owner is not None
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(running)
        row = await assignment(flow)
        assert (row.lease.owner, row.lease.losses) == (None, 0)
