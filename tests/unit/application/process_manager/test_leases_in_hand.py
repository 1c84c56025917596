"""Leases: kept alive while work goes on, and what happens to work whose lease is lost."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from governance_flow.application.ports.assignments import ClaimedAssignment
from governance_flow.application.process_manager.dispatching import Dispatcher
from governance_flow.domain.events import BranchCompleted, MotionRouted, OrchestratorError
from governance_flow.domain.states import GovernanceState
from tests.support.flows import PlayedFlow, cast, opened, success
from tests.support.workers import Gate, assignment, due, follow, soon, until, working

S = GovernanceState
DUKE = "duke_service"
LEASE_SECONDS = 15.0


def dispatcher_of(flow: PlayedFlow) -> Dispatcher:
    return flow.flow.worker._dispatcher


async def claim(flow: PlayedFlow) -> bool:
    return await dispatcher_of(flow).claim(await due(flow))


async def claimed_by_another(flow: PlayedFlow) -> list[ClaimedAssignment]:
    return await flow.flow.assignments.claim(
        [DUKE], owner="another", limit=1, lease_seconds=LEASE_SECONDS
    )


async def test_a_heartbeat_keeps_the_lease_for_as_long_as_the_work_takes() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await claim(flow)
        await gate.has_begun()
        for _ in range(5):
            flow.clock.advance(LEASE_SECONDS - 1)
            await dispatcher_of(flow).heartbeat()
            assert await claimed_by_another(flow) == []
        gate.open.set()
        await dispatcher_of(flow).drain(30)
        assert await flow.state(motion) is S.JUDGING


async def test_a_running_worker_beats_by_itself() -> None:
    gate = Gate()
    settings = {"worker": {"heartbeat_seconds": 0.001}}
    async with opened(branches={**cast(), DUKE: gate}, settings=settings) as flow:
        await flow.introduce()
        async with working(flow):
            await gate.has_begun()
            store = flow.flow.assignments
            for _ in range(3):
                before = (await assignment(flow)).lease.expires_at_us
                flow.clock.advance(LEASE_SECONDS - 1)

                async def extended(before: int | None = before) -> bool:
                    return (await store.list_open(limit=1))[0].lease.expires_at_us != before

                await until(extended)
            assert (await assignment(flow)).lease.losses == 0
            gate.open.set()


async def test_a_heartbeat_stops_the_work_on_what_was_taken_over() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await claim(flow)
        await gate.has_begun()
        flow.clock.advance(LEASE_SECONDS)
        assert len(await claimed_by_another(flow)) == 1
        with capture_logs() as logs:
            await dispatcher_of(flow).heartbeat()
            await soon(gate.cancelled.wait())
            await dispatcher_of(flow).drain(30)
        assert any(line["event"].startswith("lease lost") for line in logs)
        assert (await flow.motion(motion)).answers.keys() == {
            c.routing_id for c in await flow.completions(motion)
        }
        assert await flow.state(motion) is S.EXECUTING


async def test_a_heartbeat_stops_the_work_on_what_somebody_else_has_answered() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await claim(flow)
        await gate.has_begun()
        given = gate.calls[0]
        await flow.succeeds(motion, lease_token=given.lease_token)
        await follow(flow)
        await dispatcher_of(flow).heartbeat()
        await soon(gate.cancelled.wait())
        await dispatcher_of(flow).drain(30)
        assert await flow.state(motion) is S.JUDGING


async def test_what_is_reported_under_a_lost_lease_is_refused_and_the_new_one_counts() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await claim(flow)
        await gate.has_begun()
        flow.clock.advance(LEASE_SECONDS)
        [theirs] = await claimed_by_another(flow)
        gate.open.set()
        with capture_logs() as logs:
            await dispatcher_of(flow).drain(30)
        assert [line["routing_id"] for line in logs if line["event"] == "completion refused"] == [
            str(theirs.routing_id)
        ]
        assert await flow.state(motion) is S.EXECUTING
        await flow.succeeds(motion, {"by": "the other"}, lease_token=theirs.lease_token)
        completed = await flow.last(motion, BranchCompleted)
        assert completed.output == {"by": "the other"}


async def test_the_fifth_lost_lease_is_a_system_error_and_the_service_is_not_called_again() -> None:
    services = cast()
    async with opened(branches=services) as flow:
        motion = await flow.reach(S.EXECUTING)
        await follow(flow)
        for deaths in range(5):
            [row] = await claimed_by_another(flow)
            assert row.lease_losses == deaths
            flow.clock.advance(LEASE_SECONDS)
        await flow.idle()
        assert services[DUKE].calls == []
        error = await flow.last(motion, OrchestratorError)
        assert (error.error_type, error.strategy) == ("system_error", "halt_and_alert")
        assert "5 workers lost their lease" in error.message
        assert (await flow.motion(motion)).block is not None


async def test_after_four_lost_leases_the_work_is_done() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await follow(flow)
        for _ in range(4):
            await claimed_by_another(flow)
            flow.clock.advance(LEASE_SECONDS)
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_a_retried_routing_starts_with_no_losses() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await follow(flow)
        for _ in range(5):
            await claimed_by_another(flow)
            flow.clock.advance(LEASE_SECONDS)
        await flow.idle()
        await flow.orchestrator.retry_motion(motion, "zoe")
        assert (await assignment(flow)).lease.losses == 0
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


# -- A worker that was held up for longer than its leases last ---------------------------------


async def test_a_worker_that_was_held_up_extends_its_leases_before_it_claims() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        await flow.reach(S.EXECUTING)
        await claim(flow)
        await gate.has_begun()
        flow.clock.advance(LEASE_SECONDS)
        dispatcher_of(flow)._extended_at -= LEASE_SECONDS
        assert not await claim(flow)
        assert (await assignment(flow)).lease.losses == 0
        gate.open.set()
        await dispatcher_of(flow).drain(30)
        assert len(gate.calls) == 1


async def test_a_worker_that_takes_over_from_itself_stops_its_former_work() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await claim(flow)
        await gate.has_begun()
        dispatcher_of(flow)._extended_at = asyncio.get_running_loop().time()
        flow.clock.advance(LEASE_SECONDS)
        assert await claim(flow)
        await soon(gate.cancelled.wait())
        second = await gate.has_begun()
        assert second.routing_id == gate.calls[0].routing_id
        # The end of the former work must not make it forget the present one.
        await until(lambda: len(dispatcher_of(flow)._tasks) == 1)
        flow.clock.advance(LEASE_SECONDS - 1)
        await dispatcher_of(flow).heartbeat()
        flow.clock.advance(LEASE_SECONDS - 1)
        assert await claimed_by_another(flow) == []
        gate.open.set()
        await dispatcher_of(flow).drain(30)
        assert await flow.state(motion) is S.JUDGING
        assert len(await flow.completions(motion)) == 3


async def test_a_deadline_missed_while_the_work_goes_on_ends_that_work() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        motion = await flow.introduce()
        async with working(flow):
            first = await gate.has_begun()
            flow.clock.advance(hours=168)
            flow.flow.worker._wake.set()
            await flow.orchestrator.process_motion(motion)
            await follow(flow)
            await dispatcher_of(flow).heartbeat()
            await soon(gate.cancelled.wait())
            gate.open.set()
        routed = await flow.last(motion, MotionRouted)
        assert routed.attempt == 2
        late = success(motion, first.branch, first.purpose, routing_id=first.routing_id)
        assert (await flow.motion(motion)).answers.get(late.routing_id) is None  # type: ignore[arg-type]
