"""When a worker dies, others take over what it was doing: the projections, and its assignments.

Here time passes: a lease runs out by the store's own clock, and the seconds are what is measured.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from itertools import pairwise

import pytest

from governance_flow.application.process_manager import following
from governance_flow.domain.branches import DUKE_SERVICE
from governance_flow.domain.configuration import WorkerPolicy
from tests.support.fleets import (
    Batch,
    fleet,
    introduced,
    require_sound,
    wait_for_end,
    watching,
)
from tests.support.flows import PlayedFlow, opened
from tests.support.processes import WorkerProcess, wait_until

pytestmark = pytest.mark.slow

LEASE_SECONDS = 2.0
HEARTBEAT_SECONDS = 0.5
SETTINGS = {"worker": {"lease_seconds": LEASE_SECONDS, "heartbeat_seconds": HEARTBEAT_SECONDS}}
POLL_SECONDS = WorkerPolicy().poll_seconds

TAKEOVER_SECONDS = LEASE_SECONDS + POLL_SECONDS
"""What is promised: no assignment that a dead worker held is held up for longer."""

FOLLOWING_SECONDS = following.LEASE_SECONDS + POLL_SECONDS
"""What is promised: the read model never stands still for longer because a worker has died."""

SLACK_SECONDS = 3.0
"""What a loaded machine may take on top of that."""

log = logging.getLogger(__name__)


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


on_every_store = pytest.mark.parametrize(
    ("address", "count"),
    [
        pytest.param("sqlite_address", 2, id="2-on-one-file"),
        pytest.param("postgres_database", 4, id="4-on-postgresql", marks=pytest.mark.postgres),
    ],
    indirect=["address"],
)


@pytest.mark.postgres
async def test_each_projection_is_applied_by_one_at_a_time_and_taken_over_from_the_dead(
    postgres_database: str,
) -> None:
    motions = await introduced(postgres_database, 40, settings=SETTINGS)
    with watching(postgres_database) as watch:
        watch.close_gate()
        with fleet(postgres_database, 4, settings=SETTINGS) as workers:
            # It is killed in the middle of a batch: applied, and not committed.
            doomed = await watch.caught()
            number = int(doomed.removeprefix("worker-"))
            workers.pop(number).kill()
            died_at = watch.now_seconds()
            watch.open_gate()
            taken_over = await watch.batch_of_another(doomed, died_at)
            seconds = taken_over.at_seconds - died_at
            log.info("projections taken over after %.3f s", seconds)
            assert seconds < FOLLOWING_SECONDS + SLACK_SECONDS
            async with opened(postgres_database, settings=SETTINGS) as flow:
                await wait_for_end(flow, motions)
            for worker in workers:
                worker.terminate()
                await asyncio.to_thread(worker.ends)
        batches = watch.batches()
    require_one_at_a_time(batches)
    assert doomed not in {batch.worker for batch in batches}
    await require_sound(postgres_database, settings=SETTINGS)


def require_one_at_a_time(batches: list[Batch]) -> None:
    """Each batch of a projection begins where the one before it ended, whoever applied it."""
    applied = defaultdict(list)
    for batch in batches:
        applied[batch.name, batch.generation].append(batch)
    assert applied
    for of_one in applied.values():
        assert all(after.was == before.position for before, after in pairwise(of_one))
        assert all(batch.was < batch.position for batch in of_one)


async def test_on_one_file_the_other_applies_what_the_dead_one_has_not(sqlite_address: str) -> None:
    motions = await introduced(sqlite_address, 12, settings=SETTINGS)
    async with opened(sqlite_address, settings=SETTINGS) as flow:
        with fleet(sqlite_address, 1, settings=SETTINGS) as [doomed]:
            # While it is alone, nobody else can have followed the events.
            await applied(flow, 30)
            with fleet(sqlite_address, 1, settings=SETTINGS) as [survivor]:
                doomed.kill()
                died_at = time.monotonic()
                # Something that the dead one cannot have applied.
                motions.append(await flow.introduce("One more"))
                await applied(flow, (await flow.flow.store.head()).position)
                seconds = time.monotonic() - died_at
                log.info("projections taken over after %.3f s", seconds)
                assert seconds < FOLLOWING_SECONDS + SLACK_SECONDS
                await wait_for_end(flow, motions)
                survivor.terminate()
                await asyncio.to_thread(survivor.ends)
    await require_sound(sqlite_address, settings=SETTINGS)


async def applied(flow: PlayedFlow, position: int) -> None:
    """Wait until every projection has been brought to a position, by somebody else."""
    async with asyncio.timeout(60):
        while True:
            head = (await flow.flow.store.head()).position
            behind = max(lag.events for lag in (await flow.flow.runner.lag()).values())
            if head - behind >= position:
                return
            await asyncio.sleep(0)


@on_every_store
async def test_what_a_dead_worker_held_is_begun_anew_when_its_lease_has_run_out(
    address: str, count: int
) -> None:
    [motion] = await introduced(address, 1, settings=SETTINGS)
    script = {DUKE_SERVICE: ["hold"]}
    with fleet(address, count, settings=SETTINGS, script=script) as workers:
        await asyncio.to_thread(wait_until, lambda: len(at_the_duke(workers)) == 1, *workers)
        [doomed] = [worker for worker in workers if at_the_duke([worker])]
        others = [worker for worker in workers if worker is not doomed]
        doomed.kill()
        died_at = time.monotonic()
        await asyncio.to_thread(wait_until, lambda: len(at_the_duke(others)) == 1, *others)
        seconds = time.monotonic() - died_at
        assert at_the_duke(others) == at_the_duke([doomed])
        log.info("assignment taken over after %.3f s", seconds)
        assert LEASE_SECONDS - HEARTBEAT_SECONDS <= seconds < TAKEOVER_SECONDS + SLACK_SECONDS
        for worker in others:
            worker.go()
        async with opened(address, settings=SETTINGS) as flow:
            await wait_for_end(flow, [motion])
        for worker in others:
            worker.terminate()
            await asyncio.to_thread(worker.ends)
    await require_sound(address, settings=SETTINGS)


def at_the_duke(workers: list[WorkerProcess]) -> list[str]:
    """Return the routings that these workers have begun for the Duke."""
    return [routing for worker in workers for routing in worker.routings("begun", DUKE_SERVICE)]
