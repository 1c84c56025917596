"""Until idle: what is waited for, what is not, and that waiting costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest

from governance_flow.application.process_manager.following import FOLLOW_EVERY
from governance_flow.domain.errors import StoreUnavailable
from governance_flow.domain.states import GovernanceState
from tests.support.flows import PlayedFlow, cast, failing, opened
from tests.support.workers import Failing, Gate, assignment, follow, replaced, soon, until, working

S = GovernanceState
DUKE = "duke_service"
QUICK = {"poll_seconds": 0.001}
# So long that nothing in these tests happens because some time was up.
PATIENT: dict[str, Any] = {
    "poll_seconds": 3000.0,
    "heartbeat_seconds": 3000.0,
    "lease_seconds": 4000.0,
}


class Counter:
    """Counts the transactions on a database."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def watching(self, flow: PlayedFlow) -> Iterator[None]:
        """Count within the block."""
        database: Any = flow.flow.database

        def counting(method: Any) -> Any:
            def counted(*args: Any) -> Any:
                self.count += 1
                return method(*args)

            return counted

        with ExitStack() as stack:
            for name in ("_write", "_read"):
                stack.enter_context(replaced(database, name, counting(getattr(database, name))))
            yield

    async def comes_to_rest(self) -> None:
        """Wait until the database is left alone; fail if it never is."""
        for _ in range(1000):
            before = self.count
            for _ in range(50):
                await asyncio.sleep(0)
            if self.count == before:
                return
        raise AssertionError(f"{self.count} transactions, and no end to it: the worker spins")


@asynccontextmanager
async def at_rest(flow: PlayedFlow) -> AsyncIterator[Counter]:
    """Let a worker run in the block that has come to rest already."""
    counter = Counter()
    with counter.watching(flow):
        async with working(flow):
            await counter.comes_to_rest()
            yield counter


# -- Waiting costs nothing ---------------------------------------------------------------------


async def test_a_worker_without_work_rests_until_there_is_some() -> None:
    async with opened(settings={"worker": PATIENT}) as flow, at_rest(flow) as counter:
        motion = await flow.introduce()
        await counter.comes_to_rest()
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_a_worker_of_a_halted_pipeline_rests_until_it_is_resumed() -> None:
    async with opened(settings={"worker": PATIENT}) as flow:
        motions = [await flow.introduce(), await flow.reach(S.EXECUTING)]
        await flow.halt()
        async with at_rest(flow) as counter:
            assert [await flow.state(m) for m in motions] == [S.INTRODUCED, S.EXECUTING]
            # Until the read model has the alert's delivery too, it looks up for that.
            flow.clock.advance(FOLLOW_EVERY.total_seconds())
            flow.flow.worker._wake.set()
            await counter.comes_to_rest()
            await flow.resume()
            await counter.comes_to_rest()
            assert [await flow.state(m) for m in motions] == [S.ACKNOWLEDGED] * 2


async def test_a_worker_rests_while_every_place_is_taken() -> None:
    settings = {"max_concurrent_motions": 1, "worker": PATIENT}
    services = cast(duke=[failing("system_error")])
    async with opened(branches=services, settings=settings) as flow:
        blocked = await flow.introduce()
        flow.clock.advance(1)
        waiting = await flow.introduce()
        async with at_rest(flow) as counter:
            assert await flow.state(waiting) is S.INTRODUCED
            await flow.orchestrator.retry_motion(blocked, "zoe")
            await counter.comes_to_rest()
            assert await flow.state(waiting) is S.ACKNOWLEDGED


async def test_a_worker_rests_while_it_has_its_hands_full() -> None:
    gate = Gate()
    settings = {"worker": {**PATIENT, "max_concurrent_assignments": 1}}
    async with opened(branches={**cast(), DUKE: gate}, settings=settings) as flow:
        motions = [await flow.reach(S.EXECUTING) for _ in range(2)]
        async with at_rest(flow) as counter:
            assert len(gate.calls) == 1
            gate.open.set()
            await counter.comes_to_rest()
            assert [await flow.state(m) for m in motions] == [S.ACKNOWLEDGED] * 2


async def test_a_worker_rests_while_a_retry_is_not_due_though_the_clock_stands_still() -> None:
    async with opened(settings={"worker": PATIENT}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "timeout_error")
        flow.clock.advance(4.999999)
        # A microsecond by the store's clock, which does not move.
        async with at_rest(flow):
            assert await flow.state(motion) is S.EXECUTING


# -- What is not waited for --------------------------------------------------------------------


async def test_nobody_waits_for_backoffs_deadlines_people_dates_or_a_resumption() -> None:
    settings = {"branches": {DUKE: {"kind": "external"}}}
    services = {name: service for name, service in cast().items() if name != DUKE}
    async with opened(branches=services, settings=settings) as flow:
        backoff = await flow.reach(S.PLANNING)
        await flow.fails(backoff, "timeout_error")
        blocked = await flow.reach(S.PLANNING)
        await flow.fails(blocked, "system_error")
        tabled = await flow.reach(S.TABLED)
        outside = await flow.reach(S.EXECUTING)
        fetched = await flow.reach(S.EXECUTING)
        await flow.flow.external.fetch([DUKE], by="ada", limit=1, lease_seconds=3600)
        await flow.idle()
        states = [await flow.state(m) for m in (backoff, blocked, tabled, outside, fetched)]
        assert states == [S.PLANNING, S.PLANNING, S.TABLED, S.EXECUTING, S.EXECUTING]
        await flow.halt()
        await flow.introduce()
        await flow.idle()


async def test_an_empty_store_is_idle() -> None:
    async with opened() as flow:
        await flow.idle()
        assert (await flow.flow.store.head()).position == 0


# -- What is waited for ------------------------------------------------------------------------


@asynccontextmanager
async def waits_for_idle(flow: PlayedFlow) -> AsyncIterator[asyncio.Task[None]]:
    """Let a worker work until idle, and see it wait; in the block it is to be let go."""
    store = flow.flow.assignments
    counted = Failing(store.due)
    with replaced(store, "due", counted):
        waiting = asyncio.create_task(flow.flow.worker.run_until_idle())
        await until(lambda: counted.calls >= 5)
        assert not waiting.done()
        yield waiting
        await soon(waiting)


async def test_work_in_hand_is_waited_for() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}, settings={"worker": QUICK}) as flow:
        motion = await flow.introduce()
        async with waits_for_idle(flow):
            gate.open.set()
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_another_workers_live_lease_is_waited_for(sqlite_address: str) -> None:
    async with opened(sqlite_address, settings={"worker": QUICK}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await follow(flow)
        [theirs] = await flow.flow.assignments.claim(
            [DUKE], owner="another", limit=1, lease_seconds=60
        )
        async with waits_for_idle(flow):
            await flow.succeeds(motion, lease_token=theirs.lease_token)
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_another_workers_lease_that_runs_out_is_taken_over(sqlite_address: str) -> None:
    async with opened(sqlite_address, settings={"worker": QUICK}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await follow(flow)
        await flow.flow.assignments.claim([DUKE], owner="dead", limit=1, lease_seconds=60)
        async with waits_for_idle(flow):
            flow.clock.advance(60)
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_what_came_in_while_it_looked_is_seen() -> None:
    """Somebody outside completes in the last moment of a round that found nothing to do."""
    settings = {"branches": {DUKE: {"kind": "external"}}}
    services = {name: service for name, service in cast().items() if name != DUKE}
    async with opened(branches=services, settings=settings) as flow:
        motion = await flow.introduce()
        await flow.idle()
        store = flow.flow.assignments
        look = store.due

        async def and_then_it_happens(services: Any) -> Any:
            seen = await look(services)
            if await flow.state(motion) is S.EXECUTING:
                await flow.succeeds(motion)
            return seen

        with replaced(store, "due", and_then_it_happens):
            await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


# -- Errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), RuntimeError("a mistake")])
@pytest.mark.parametrize("method", ["head", "read_all"])
async def test_what_goes_wrong_is_raised(method: str, error: Exception) -> None:
    async with opened() as flow:
        await flow.introduce()
        store = flow.flow.store
        with (
            replaced(store, method, Failing(getattr(store, method), error)),
            pytest.raises(type(error)),
        ):
            await flow.idle()


async def test_what_went_wrong_in_a_former_run_is_not_raised_in_the_next() -> None:
    async with opened() as flow:
        flow.flow.worker._failures.note("stop", RuntimeError("long ago"))
        await flow.idle()


# -- Several at once ---------------------------------------------------------------------------


async def test_several_may_wait_for_idle_at_once() -> None:
    async with opened(settings={"worker": QUICK}) as flow:
        motions = [await flow.introduce() for _ in range(5)]
        await soon(asyncio.gather(*(flow.flow.worker.run_until_idle() for _ in range(4))))
        assert {await flow.state(motion) for motion in motions} == {S.ACKNOWLEDGED}
        for motion in motions:
            assert len(await flow.completions(motion)) == 6


async def test_one_that_fails_leaves_the_work_in_hand_to_the_others() -> None:
    gate = Gate()
    settings = {"worker": {**QUICK, "drain_seconds": 0.0}}
    async with opened(branches={**cast(), DUKE: gate}, settings=settings) as flow:
        motion = await flow.introduce()
        async with working(flow):
            await gate.has_begun()
            store = flow.flow.assignments
            with (
                replaced(store, "due", Failing(store.due, ValueError("no"))),
                pytest.raises(ValueError, match="no"),
            ):
                await soon(flow.flow.worker.run_until_idle())
            assert not gate.cancelled.is_set()
            gate.open.set()
            await soon(flow.flow.worker.run_until_idle())
            assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_stopping_stops_them_all_and_the_work_in_hand_is_given_back() -> None:
    gate = Gate()
    settings = {"worker": {"drain_seconds": 0.0}}
    async with opened(branches={**cast(), DUKE: gate}, settings=settings) as flow:
        await flow.introduce()
        waiting = [asyncio.create_task(flow.flow.worker.run_until_idle()) for _ in range(3)]
        await gate.has_begun()
        flow.flow.worker.stop()
        await soon(asyncio.gather(*waiting))
        assert (await assignment(flow)).lease.owner is None


async def test_two_workers_on_one_store_share_the_work(sqlite_address: str) -> None:
    theirs, ours = cast(), cast()
    async with (
        opened(sqlite_address, branches=ours, settings={"worker": QUICK}) as flow,
        opened(
            sqlite_address, clock=flow.clock, branches=theirs, settings={"worker": QUICK}
        ) as other,
    ):
        motions = [await flow.introduce() for _ in range(10)]
        await soon(asyncio.gather(flow.idle(), other.idle()))
        assert {await flow.state(motion) for motion in motions} == {S.ACKNOWLEDGED}
        services = [*ours.values(), *theirs.values()]
        calls = [call.routing_id for service in services for call in service.calls]
        assert len(calls) == len(set(calls)) == 60
