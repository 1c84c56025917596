"""Several workers on one store share its work, and its rules hold over all of them."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from governance_flow.domain.branches import DUKE_SERVICE, SERVICE_BRANCH
from governance_flow.domain.events import AlertDelivered, BranchCompleted, PipelineResumed
from tests.support.clock import START, ManualClock
from tests.support.fleets import fleet, introduced, require_sound, said, wait_for_end
from tests.support.flows import PlayedFlow, opened
from tests.support.invariants import LogCheck, LogRow, read_log
from tests.support.processes import WorkerProcess, wait_until

STEPS = 6
"""How many assignments a motion has on its way."""

FLEETS = [
    pytest.param("sqlite_address", 2, id="2-on-one-file"),
    pytest.param("postgres_database", 4, id="4-on-postgresql", marks=pytest.mark.postgres),
]

pytestmark = pytest.mark.slow


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


on_every_store = pytest.mark.parametrize(("address", "count"), FLEETS, indirect=["address"])


@on_every_store
async def test_every_worker_takes_its_part_of_the_work(address: str, count: int) -> None:
    each = 5
    settings = {"worker": {"max_concurrent_assignments": each}}
    motions = await introduced(address, count * each, clock=ManualClock())
    script = {service: ["hold"] * each for service in SERVICE_BRANCH}
    with fleet(
        address, count, now=START, until_idle=True, settings=settings, script=script
    ) as workers:
        # Nobody takes more than it may have in hand, so all of it is in all hands.
        await said(*workers, begun=len(motions))
        assert [len(worker.routings("begun")) for worker in workers] == [each] * count
        for worker in workers:
            worker.go()
        for worker in workers:
            await asyncio.to_thread(worker.ends)
    done = Counter(routing for worker in workers for routing in worker.routings("done"))
    assert len(done) == len(motions) * STEPS
    assert set(done.values()) == {1}
    assert all(len(worker.routings("done")) > each for worker in workers)
    await require_sound(address, clock=ManualClock())


HANDS = 2
"""How many assignments each worker may have in hand."""


@on_every_store
async def test_few_places_and_a_halt_in_the_middle_hold_over_all_workers(
    address: str, count: int
) -> None:
    places = HANDS * count
    settings = {
        "max_concurrent_motions": places,
        "worker": {"poll_seconds": 0.05, "max_concurrent_assignments": HANDS},
    }
    motions = await introduced(address, 5 * places, clock=ManualClock(), settings=settings)
    script = {DUKE_SERVICE: ["hold"] * HANDS}
    async with opened(address, clock=ManualClock(), settings=settings) as flow:
        with fleet(address, count, now=START, settings=settings, script=script) as workers:
            # Every place is taken by a motion that some Duke has in hand, and every hand is full.
            await until_held(workers)
            await flow.halt()
            halted_at = (await flow.flow.store.head()).position
            for worker in workers:
                worker.go()
            await recorded(flow, places, since=halted_at)
            await flow.resume()
            for _ in range(5):
                await flow.halt()
                await flow.resume()
            await wait_for_end(flow, motions)
            for worker in workers:
                worker.terminate()
                await asyncio.to_thread(worker.ends)
    log = read_log(address)
    topics = [row.topic for row in log]
    while_halted = Counter(topics[halted_at : topics.index(PipelineResumed.topic)])
    assert while_halted.pop(BranchCompleted.topic) == places
    assert set(while_halted) <= {AlertDelivered.topic}
    assert most_admitted(log) == places
    await require_sound(address, clock=ManualClock(), settings=settings)


async def until_held(workers: list[WorkerProcess]) -> None:
    """Wait until each worker has as much in hand for the Duke as it can have."""

    def full() -> bool:
        return all(len(worker.routings("begun", DUKE_SERVICE)) == HANDS for worker in workers)

    await asyncio.to_thread(wait_until, full, *workers)


async def recorded(flow: PlayedFlow, count: int, *, since: int) -> None:
    """Wait until so many completions were recorded after a position."""
    store = flow.flow.store
    async with asyncio.timeout(60):
        while True:
            log = await store.read_all(after_position=since, limit=1000)
            if sum(stored.topic == BranchCompleted.topic for stored in log) >= count:
                return
            await store.wait_for_append(after_position=since + len(log), timeout_seconds=1)


def most_admitted(log: list[LogRow]) -> int:
    """Return how many motions were admitted at the time when most were."""
    check, most = LogCheck(), 0
    for row in log:
        check.add(row)
        most = max(most, check.admitted)
    return most
