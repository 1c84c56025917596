"""Workers as real processes: killed, stopped, racing, restarted, without their database.

Nothing here waits for a time to pass: a process is told what time it is when it starts (its clock
stands still), and says when it has come to the point that matters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from governance_flow.application.audit.statements import StatementCheck
from governance_flow.application.ports.assignments import LeasedAssignment
from governance_flow.domain.events import (
    PIPELINE_ID,
    BranchCompleted,
    MotionEvent,
    MotionRouted,
    OrchestratorError,
    PipelineHalted,
    PipelineResumed,
    TransitionWitnessed,
)
from governance_flow.domain.states import GovernanceState, admitted_delta
from tests.support.clock import START, ManualClock
from tests.support.flows import PlayedFlow, opened
from tests.support.private_postgres import private_postgres
from tests.support.processes import WorkerProcess, wait_until, worker_process
from tests.support.workers import agenda, assignments

S = GovernanceState
CONCLAVE, DUKE = "conclave_service", "duke_service"

STEPS = ["deliberate", "plan", "execute", "judge", "record", "acknowledge"]
WAY = [
    "INTRODUCED",
    "DELIBERATING",
    "RATIFIED",
    "PLANNING",
    "EXECUTING",
    "JUDGING",
    "WITNESSING",
    "ACKNOWLEDGED",
]

STORES = [
    "sqlite_address",
    pytest.param("postgres_database", marks=pytest.mark.postgres),
]

pytestmark = pytest.mark.slow


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(getattr(request, "param", "sqlite_address")))


on_every_store = pytest.mark.parametrize("address", STORES, indirect=True)


async def introduced(address: str, count: int, now: datetime = START) -> list[UUID]:
    """Put so many motions into a store, and leave it to others."""
    async with opened(address, clock=ManualClock(now)) as flow:
        return [await flow.introduce(title=f"No. {number}") for number in range(count)]


async def require_sound(flow: PlayedFlow, motions: Sequence[UUID]) -> None:
    """Every motion went its whole way, each step once, every statement binding all before it."""
    for motion_id in motions:
        stored = await flow.stored(motion_id)
        folded = flow.flow.reconciler._motions.fold(None, stored)
        assert folded is not None
        assert folded.motion.state is S.ACKNOWLEDGED
        events: list[MotionEvent] = await flow.events(motion_id)
        check = StatementCheck(motion_id)
        faults = [f for e, s in zip(events, stored, strict=True) for f in check.add(e, s)]
        assert [*faults, *check.finish()] == []
        moves = [e for e in events if isinstance(e, TransitionWitnessed)]
        assert [moves[0].from_state, *(move.to_state for move in moves)] == WAY
        assert [done.purpose for done in await flow.completions(motion_id)] == STEPS
        routings = [e.routing_id for e in events if isinstance(e, MotionRouted)]
        assert len(routings) == len(STEPS)
    report = await flow.flow.audit.auditor.verify()
    assert report.faults == ()


async def only_assignment(flow: PlayedFlow) -> LeasedAssignment:
    [row] = await assignments(flow)
    return row


# -- Killed ------------------------------------------------------------------------------------


@on_every_store
async def test_another_worker_goes_on_after_one_was_killed_and_nothing_is_lost_or_repeated(
    address: str,
) -> None:
    motions = await introduced(address, 3)
    with worker_process(address, now=START, script={DUKE: ["hold"] * 3}) as first:
        for _ in motions:
            first.wait_for("begun", service=DUKE)
        first.kill()
    # By its clock, the leases of the dead have run out.
    later = START + timedelta(minutes=1)
    with worker_process(address, now=later, until_idle=True) as second:
        second.ends()
    again = second.routings("begun", DUKE)
    assert sorted(again) == sorted(first.routings("begun", DUKE))
    assert set(second.routings("done")).isdisjoint(first.routings("done"))
    async with opened(address, clock=ManualClock(later)) as flow:
        await require_sound(flow, motions)


@on_every_store
async def test_workers_that_are_killed_again_and_again_bring_every_motion_to_its_end(
    address: str,
) -> None:
    motions = await introduced(address, 6)
    now = START
    for lines in (3, 20, 11):
        with worker_process(address, now=now) as doomed:
            # Wherever it is by then: whatever it was about to record is lost, or it is not.
            await asyncio.to_thread(wait_until, partial(_has_said, doomed, lines))
            doomed.kill()
        now += timedelta(minutes=1)
    with worker_process(address, now=now, until_idle=True) as survivor:
        survivor.ends()
    async with opened(address, clock=ManualClock(now)) as flow:
        await require_sound(flow, motions)


def _has_said(worker: WorkerProcess, lines: int) -> bool:
    return len(worker.said) >= lines


async def test_what_is_done_again_after_its_worker_was_killed_counts_as_a_loss_of_the_lease(
    address: str,
) -> None:
    await introduced(address, 1)
    with worker_process(address, now=START, script={DUKE: ["hold"]}) as first:
        first.wait_for("begun", service=DUKE)
        first.kill()
    later = START + timedelta(minutes=1)
    async with opened(address, clock=ManualClock(later)) as flow:
        row = await only_assignment(flow)
        assert row.lease.owner is not None
        [claimed] = await flow.flow.assignments.claim(
            [DUKE], owner="another", limit=1, lease_seconds=60
        )
        assert claimed.lease_losses == 1


# -- Stopped -----------------------------------------------------------------------------------


async def test_a_worker_that_is_told_to_stop_finishes_what_is_in_hand_and_begins_nothing(
    address: str,
) -> None:
    [motion] = await introduced(address, 1)
    with worker_process(address, now=START, script={DUKE: ["hold"]}) as worker:
        worker.wait_for("begun", service=DUKE)
        worker.terminate()
        worker.go()
        worker.ends()
    assert worker.routings("begun")[-1] == worker.routings("done")[-1]
    async with opened(address) as flow:
        assert await flow.state(motion) is S.JUDGING
        row = await only_assignment(flow)
        assert (row.service, row.lease.owner) == ("prince_service", None)


async def test_a_worker_that_is_told_to_stop_gives_back_what_it_cannot_finish(
    address: str,
) -> None:
    motions = await introduced(address, 2)
    settings = {"worker": {"drain_seconds": 0.0}}
    with worker_process(
        address, now=START, script={DUKE: ["hold"] * 2}, settings=settings
    ) as worker:
        for _ in motions:
            worker.wait_for("begun", service=DUKE)
        worker.terminate()
        worker.ends()
    # At the same moment by the store's clock: nobody has to wait for a lease to run out.
    async with opened(address) as flow:
        rows = await assignments(flow)
        assert [(row.lease.owner, row.lease.losses) for row in rows] == [(None, 0)] * 2
        await flow.idle()
        await require_sound(flow, motions)


# -- Restarted ---------------------------------------------------------------------------------


async def test_retries_deadlines_and_dates_are_kept_by_whoever_comes_next(address: str) -> None:
    outside = {"branches": {"prince_service": {"kind": "external"}}}
    services = [CONCLAVE, DUKE, "king_service", "president_service", "knight_witness_service"]
    async with opened(address, settings=outside) as flow:
        retried = await flow.reach(S.EXECUTING)
        await flow.fails(retried, "timeout_error")
        overdue = await flow.reach(S.JUDGING)
        tabled = await flow.reach(S.DELIBERATING)
        until = START + timedelta(hours=49)
        await flow.succeeds(tabled, {"until": until.isoformat()}, S.TABLED)
        await agenda(flow)
    orders = {"until_idle": True, "settings": outside, "services": services}
    with worker_process(address, now=START + timedelta(seconds=5), **orders) as first:
        first.ends()
    assert [line["motion_id"] for line in first.said if line["said"] == "begun"] == [str(retried)]
    with worker_process(address, now=until, **orders) as second:
        second.ends()
    async with opened(address, clock=ManualClock(until), settings=outside) as flow:
        assert await flow.state(retried) is S.JUDGING
        error = await flow.last(overdue, OrchestratorError)
        assert (error.error_type, error.purpose) == ("timeout_error", "judge")
        assert (await flow.routing(overdue)).attempt == 2
        assert await flow.state(tabled) is S.JUDGING
    # The retry's own deadline is missed as well, but that of what has just come back is not.
    assert second.routings("begun", CONCLAVE)


# -- Together ----------------------------------------------------------------------------------


@on_every_store
async def test_two_workers_share_the_work_and_do_nothing_twice(address: str) -> None:
    motions = await introduced(address, 8)
    settings = {"worker": {"max_concurrent_assignments": 4}}
    orders = {"now": START, "until_idle": True, "settings": settings}
    with ExitStack() as stack:
        script = {CONCLAVE: ["hold"] * 4}
        workers = [
            stack.enter_context(worker_process(address, script=script, **orders)) for _ in range(2)
        ]
        for worker in workers:
            for _ in range(4):
                worker.wait_for("begun", service=CONCLAVE)
        for worker in workers:
            worker.go()
        for worker in workers:
            worker.ends()
    done = [routing for worker in workers for routing in worker.routings("done")]
    assert len(done) == len(set(done)) == len(motions) * len(STEPS)
    async with opened(address) as flow:
        await require_sound(flow, motions)


CAPACITY = 3
HALTS = 12


@on_every_store
async def test_halts_and_the_number_of_places_are_exact_while_three_workers_race(
    address: str,
) -> None:
    motions = await introduced(address, 24)
    settings = {"max_concurrent_motions": CAPACITY, "worker": {"poll_seconds": 0.05}}
    orders = {"now": START, "settings": settings, "script": {DUKE: ["hold"] * CAPACITY}}
    with ExitStack() as stack:
        workers = [stack.enter_context(worker_process(address, **orders)) for _ in range(3)]

        def held() -> int:
            return sum(len(worker.routings("begun", DUKE)) for worker in workers)

        async with opened(address, settings=settings) as flow:
            # Every place is taken by a motion that the Duke holds up, whoever plays him.
            await asyncio.to_thread(wait_until, lambda: held() == CAPACITY, *workers)
            await flow.halt()
            halted_at = (await flow.flow.store.head()).position
            for worker in workers:
                worker.go()
            await all_recorded(flow, halted_at)
            await flow.resume()
            for _ in range(HALTS - 1):
                await flow.halt()
                await flow.resume()
            await all_ended(flow, motions)
            for worker in workers:
                worker.terminate()
            for worker in workers:
                await asyncio.to_thread(worker.ends)
            await require_exact(flow)
            await require_sound(flow, motions)


async def all_recorded(flow: PlayedFlow, start: int) -> None:
    """Wait until what was in hand at position ``start`` has been recorded."""
    async with asyncio.timeout(60):
        while True:
            log = await flow.flow.store.read_all(after_position=start, limit=1000)
            if sum(stored.topic == BranchCompleted.topic for stored in log) == CAPACITY:
                return
            await flow.flow.store.wait_for_append(
                after_position=start + len(log), timeout_seconds=1
            )


async def all_ended(flow: PlayedFlow, motions: Sequence[UUID]) -> None:
    """Wait until every motion has come to its end."""
    waiting = list(motions)
    async with asyncio.timeout(60):
        while waiting:
            head = await flow.flow.store.head()
            waiting = [m for m in waiting if await flow.state(m) is not S.ACKNOWLEDGED]
            if waiting:
                await flow.flow.store.wait_for_append(
                    after_position=head.position, timeout_seconds=1
                )


async def require_exact(flow: PlayedFlow) -> None:
    """Replay the log: never too many admitted, and nothing moves while the pipeline is halted."""
    admitted, most, halts, halted = 0, 0, 0, False
    log = await flow.flow.store.read_all(after_position=0, limit=100_000)
    assert [stored.id for stored in log] == list(range(1, len(log) + 1))
    for stored in log:
        event = flow.flow.mapper.to_event(stored)
        if stored.originator_id == PIPELINE_ID:
            halts += isinstance(event, PipelineHalted)
            halted = (halted or isinstance(event, PipelineHalted)) and not isinstance(
                event, PipelineResumed
            )
        if isinstance(event, TransitionWitnessed | MotionRouted):
            assert not halted, f"{event.topic} at {stored.id} while the pipeline is halted"
        if isinstance(event, TransitionWitnessed):
            admitted += admitted_delta(event.from_state, event.to_state)
            most = max(most, admitted)
            assert admitted <= CAPACITY, f"{admitted} admitted at position {stored.id}"
    assert (halts, most) == (HALTS, CAPACITY)
    assert (await flow.flow.store.head()).admitted == admitted == 0


# -- Without a database ------------------------------------------------------------------------


@pytest.mark.postgres
async def test_a_worker_goes_on_after_its_database_has_crashed_and_come_back() -> None:
    with private_postgres() as server:
        motions = await introduced(server.address, 3)
        # Results are handed in anew for some twelve seconds: longer than it takes to start.
        settings = {"worker": {"poll_seconds": 0.2}}
        script = {DUKE: ["hold"] * 3}
        with worker_process(server.address, script=script, settings=settings) as worker:
            for _ in motions:
                worker.wait_for("begun", service=DUKE)
            server.crash()
            worker.wait_for("log", event="the worker failed and goes on")
            # What is finished meanwhile is recorded when there is somewhere to record it.
            worker.go()
            worker.wait_for("log", event="result not recorded yet")
            server.start()
            async with opened(server.address) as flow:
                await all_ended(flow, motions)
                worker.terminate()
                await asyncio.to_thread(worker.ends)
                await require_sound(flow, motions)
    duke = worker.routings("begun", DUKE)
    assert len(duke) == len(set(duke)) == len(motions)


def test_a_process_that_says_nothing_more_fails_the_test(sqlite_address: str) -> None:
    process = WorkerProcess(sqlite_address, until_idle=True)
    try:
        process.ends()
        with pytest.raises(AssertionError, match="without saying"):
            process.wait_for("begun")
    finally:
        process.close()
