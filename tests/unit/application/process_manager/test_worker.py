"""A worker that runs: it goes on whatever happens, and stops when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from governance_flow.application.process_manager.following import BATCHES_MAX
from governance_flow.domain.errors import StoreUnavailable
from governance_flow.domain.states import GovernanceState
from tests.support.flows import PATIENCE_SECONDS, PlayedFlow, cast, opened
from tests.support.workers import Failing, Gate, assignment, replaced, soon, until, working

S = GovernanceState
DUKE = "duke_service"
QUICK = {"poll_seconds": 0.001}


async def acknowledged(flow: PlayedFlow, motion: Any) -> None:
    """Wait until the motion has reached its end, without a look at the clock."""
    position = 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await flow.state(motion) is not S.ACKNOWLEDGED:
            await flow.flow.store.wait_for_append(after_position=position, timeout_seconds=1)
            position = (await flow.flow.store.head()).position


# -- Whatever happens --------------------------------------------------------------------------


async def nothing(_flow: PlayedFlow) -> None:
    """Let there be nothing to do."""


async def a_motion_to_admit(flow: PlayedFlow) -> None:
    await flow.introduce()


async def an_assignment_to_claim(flow: PlayedFlow) -> None:
    await flow.reach(S.EXECUTING)


async def a_report_to_apply(flow: PlayedFlow) -> None:
    motion = await flow.reach(S.PLANNING)
    await flow.halt()
    await flow.succeeds(motion)
    await flow.resume()


async def an_alert_to_send(flow: PlayedFlow) -> None:
    await flow.fails(await flow.reach(S.EXECUTING), "system_error")


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), RuntimeError("a mistake")])
@pytest.mark.parametrize(
    ("part", "method", "occasion"),
    [
        ("assignments", "due", nothing),
        ("assignments", "reserve_token", nothing),
        ("assignments", "claim", an_assignment_to_claim),
        ("assignments", "claim_agenda", a_report_to_apply),
        ("assignments", "claim_docket", a_motion_to_admit),
        ("assignments", "claim_alerts", an_alert_to_send),
        ("assignments", "take_duty", a_motion_to_admit),
        ("assignments", "wait_for_work", nothing),
        ("store", "wait_for_append", nothing),
        ("runner", "run_once", a_motion_to_admit),
        ("reconciler", "reconcile_page", nothing),
    ],
)
async def test_a_worker_survives_a_failure_of_any_part_and_says_so(
    part: str,
    method: str,
    occasion: Callable[[PlayedFlow], Awaitable[None]],
    error: Exception,
) -> None:
    async with opened(settings={"worker": QUICK}) as flow:
        await occasion(flow)
        owner = getattr(flow.flow, part)
        failing = Failing(getattr(owner, method), error)
        with replaced(owner, method, failing), capture_logs() as logs:
            async with working(flow):
                await until(lambda: not failing.errors)
                motion = await flow.introduce()
                await acknowledged(flow, motion)
        said = [line for line in logs if line["event"] == "the worker failed and goes on"]
        assert [line["error"] for line in said] == [f"{type(error).__name__}: {error}"]
        assert said[0]["exc_info"] is isinstance(error, RuntimeError)


async def test_a_worker_waits_longer_after_each_failure_and_begins_anew_after_a_success() -> None:
    async with opened(settings={"worker": QUICK}) as flow:
        store = flow.flow.assignments
        failing = Failing(store.due, *(StoreUnavailable("gone") for _ in range(3)))
        with replaced(store, "due", failing), capture_logs() as logs:
            async with working(flow):
                await until(lambda: failing.calls > 4)
                failing.errors.append(StoreUnavailable("gone"))
                await until(lambda: not failing.errors)
                seen = failing.calls
                await until(lambda: failing.calls > seen)
        delays = [line["delay_seconds"] for line in logs if "goes on" in line["event"]]
        assert delays == [0.002, 0.004, 0.008, 0.002]


async def test_a_mistake_in_the_work_on_one_motion_stops_nothing_and_is_logged() -> None:
    async with opened(settings={"worker": {"lease_seconds": 60.0}}) as flow:
        reporting = flow.flow.worker._dispatcher._reporting
        failing = Failing(reporting.report, RuntimeError("a mistake"))
        with replaced(reporting, "report", failing), capture_logs() as logs:
            async with working(flow):
                first = await flow.introduce()
                await until(lambda: not failing.errors)
                second = await flow.introduce()
                await acknowledged(flow, second)
                flow.clock.advance(60)
                flow.flow.worker._wake.set()
                await acknowledged(flow, first)
        assert any(line["event"].startswith("failed") for line in logs)


async def test_a_heartbeat_that_fails_is_said_and_does_not_stop_the_next() -> None:
    settings = {"worker": {"heartbeat_seconds": 0.001}}
    async with opened(settings=settings) as flow:
        dispatcher = flow.flow.worker._dispatcher
        # Nor does it ever come to believe that it was held up, and beat before it claims.
        dispatcher._extended_at = float("inf")
        failing = Failing(dispatcher.heartbeat, StoreUnavailable("gone"), RuntimeError("a mistake"))
        with replaced(dispatcher, "heartbeat", failing), capture_logs() as logs:
            async with working(flow):
                await until(lambda: failing.calls >= 4)
        said = [line["error"] for line in logs if "extended" in line["event"]]
        assert said == ["StoreUnavailable: gone", "RuntimeError: a mistake"]


async def test_a_lost_wake_up_costs_no_more_than_a_poll() -> None:
    async def never(**_: Any) -> int:
        await asyncio.Event().wait()
        raise AssertionError

    async with opened(settings={"worker": QUICK}) as flow:
        with (
            replaced(flow.flow.store, "wait_for_append", never),
            replaced(flow.flow.assignments, "wait_for_work", never),
        ):
            async with working(flow):
                motion = await flow.introduce()

                async def ended() -> bool:
                    return await flow.state(motion) is S.ACKNOWLEDGED

                await until(ended)


async def test_a_log_that_grows_all_the_time_keeps_the_worker_from_nothing_else() -> None:
    async with opened() as flow:
        await flow.idle()
        motion = await flow.introduce()
        rounds = []

        async def endless(_limit: int) -> bool:
            rounds.append(1)
            return True

        with replaced(flow.flow.runner, "run_once", endless):
            moved, _ = await flow.flow.worker.step()
        assert moved
        assert len(rounds) == BATCHES_MAX
        assert await flow.state(motion) is not S.INTRODUCED
        await flow.idle()


# -- Stopping ----------------------------------------------------------------------------------


async def test_a_worker_that_is_stopped_finishes_what_it_can() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        motion = await flow.introduce()
        async with working(flow) as task:
            await gate.has_begun()
            flow.flow.worker.stop()
            await asyncio.sleep(0)
            gate.open.set()
            await soon(task)
        # It did not begin on what followed.
        assert await flow.state(motion) is S.JUDGING
        assert (await assignment(flow)).lease.owner is None


async def test_a_worker_that_is_stopped_gives_back_what_does_not_finish_in_time() -> None:
    gate = Gate()
    settings = {"worker": {"drain_seconds": 0.0}}
    async with opened(branches={**cast(), DUKE: gate}, settings=settings) as flow:
        motion = await flow.introduce()
        async with working(flow):
            await gate.has_begun()
        assert gate.cancelled.is_set()
        row = await assignment(flow)
        assert (row.lease.owner, row.lease.losses) == (None, 0)
        gate.open.set()
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_a_worker_that_is_cancelled_gives_back_at_once() -> None:
    gate = Gate()
    settings = {"worker": {"drain_seconds": 10 * PATIENCE_SECONDS}}
    async with opened(branches={**cast(), DUKE: gate}, settings=settings) as flow:
        await flow.introduce()
        running = asyncio.create_task(flow.flow.worker.run())
        await gate.has_begun()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(running)
        assert gate.cancelled.is_set()
        assert (await assignment(flow)).lease.owner is None


async def test_a_worker_that_is_stopped_before_it_runs_does_nothing_and_can_run_again() -> None:
    async with opened() as flow:
        motion = await flow.introduce()
        flow.flow.worker.stop()
        await soon(flow.flow.worker.run())
        assert await flow.state(motion) is S.INTRODUCED
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_a_worker_that_waits_after_a_failure_stops_at_once() -> None:
    async with opened(settings={"worker": {"poll_seconds": 30.0}}) as flow:
        store = flow.flow.assignments
        failing = Failing(store.due, StoreUnavailable("gone"))
        with replaced(store, "due", failing):
            async with working(flow):
                await until(lambda: failing.calls > 0)


async def test_nothing_is_left_running_once_a_worker_has_stopped() -> None:
    async with opened() as flow:
        before = asyncio.all_tasks()
        await flow.introduce()
        async with working(flow):
            await asyncio.sleep(0)
        await flow.idle()
        assert asyncio.all_tasks() == before
