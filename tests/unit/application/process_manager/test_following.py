"""Following the events: one worker for all, in large batches, and nobody who asks has to wait."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from governance_flow.application.ports.transparency_log import SignedCheckpoint
from governance_flow.application.process_manager.following import (
    BATCH,
    BATCHES_MAX,
    CHECKPOINT_RETRY,
    FOLLOW_EVERY,
    LEASE_SECONDS,
    Following,
)
from governance_flow.domain.errors import KeyUnavailable, LogInconsistent, StoreUnavailable
from tests.support.flows import PlayedFlow, opened
from tests.support.workers import Failing, replaced

EVERY_SECONDS = FOLLOW_EVERY.total_seconds()


class Log:
    """A follower of a log of which only the length matters."""

    def __init__(self) -> None:
        self.position = 0
        self.head = 0
        self.batches: list[int] = []

    async def run_once(self, limit: int) -> bool:
        """Apply a batch."""
        batch = min(limit, self.head - self.position)
        if batch:
            self.batches.append(batch)
        self.position += batch
        return batch > 0

    async def catch_up(self, position: int) -> None:
        """Apply all."""
        self.position = max(self.position, position)


class Signing:
    """Signs checkpoints of that log, unless it is told to fail; notes their sizes."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.error: Exception | None = None
        self.sizes: list[int] = []

    async def sign(self) -> SignedCheckpoint:
        """Sign what there is, or fail."""
        if self.error is not None:
            raise self.error
        self.sizes.append(self.log.position + 1)
        return SignedCheckpoint(self.log.position + 1, b"", "", 0)


class Office:
    """Workers that follow one log, each under a name of its own."""

    def __init__(self, flow: PlayedFlow) -> None:
        self.flow = flow
        self.log = Log()
        self.signing = Signing(self.log)

    def worker(self, name: str = "w") -> Following:
        log: Any = self.log
        signing: Any = self.signing
        return Following(log, signing, self.flow.flow.assignments, self.flow.clock, name)

    async def grows(self, events: int, *workers: Following) -> list[int]:
        """Let the log grow; return the batches that the workers applied, each in its round."""
        self.log.head += events
        self.log.batches.clear()
        for worker in workers:
            await worker.follow(self.log.head)
        return list(self.log.batches)


async def test_the_first_events_are_followed_at_once_and_the_next_in_a_batch() -> None:
    async with opened() as flow:
        office = Office(flow)
        worker = office.worker()
        assert await office.grows(3, worker) == [3]
        flow.clock.advance(EVERY_SECONDS - 0.001)
        assert await office.grows(4, worker) == []
        assert worker.rest_seconds(office.log.head) == pytest.approx(0.001)
        flow.clock.advance(0.001)
        assert worker.rest_seconds(office.log.head) == 0
        assert await office.grows(5, worker) == [9]
        assert worker.rest_seconds(office.log.head) is None


async def test_a_full_batch_is_followed_before_its_time() -> None:
    async with opened() as flow:
        office = Office(flow)
        worker = office.worker()
        await office.grows(1, worker)
        assert await office.grows(BATCH - 1, worker) == []
        assert await office.grows(1, worker) == [BATCH]


async def test_no_more_batches_are_followed_in_a_round_than_leave_room_for_other_work() -> None:
    async with opened() as flow:
        office = Office(flow)
        worker = office.worker()
        assert await office.grows(BATCH * (BATCHES_MAX + 3), worker) == [BATCH] * BATCHES_MAX
        assert await office.grows(0, worker) == [BATCH] * 3


async def test_a_clock_that_was_set_back_keeps_nobody_from_following() -> None:
    async with opened() as flow:
        office = Office(flow)
        worker = office.worker()
        await office.grows(1, worker)
        flow.clock.set_back(3600)
        assert await office.grows(1, worker) == [1]


async def test_nobody_asks_for_the_duty_while_there_is_nothing_to_follow() -> None:
    async with opened() as flow:
        office = Office(flow)
        store = flow.flow.assignments
        asked = Failing(store.take_duty)
        with replaced(store, "take_duty", asked):
            worker = office.worker()
            assert await office.grows(0, worker) == []
            assert asked.calls == 0
            # And once it is ours, not in every round.
            for _ in range(3):
                flow.clock.advance(EVERY_SECONDS)
                assert await office.grows(1, worker) == [1]
            assert asked.calls == 1


async def test_one_worker_follows_for_all_as_long_as_it_goes_on() -> None:
    async with opened() as flow:
        office = Office(flow)
        busy, idle = office.worker("busy"), office.worker("idle")
        await office.grows(1, busy)
        for _ in range(int(2 * 3 * LEASE_SECONDS)):
            flow.clock.advance(0.5)
            assert await office.grows(2, idle) == []
            assert await office.grows(0, busy) == [2]
        assert idle.rest_seconds(office.log.head + 1) is None


async def test_the_duty_of_a_worker_that_died_is_taken_over_when_its_lease_ends() -> None:
    async with opened() as flow:
        office = Office(flow)
        dead, heir = office.worker("dead"), office.worker("heir")
        assert await office.grows(1, dead) == [1]
        assert await office.grows(1, heir) == []
        flow.clock.advance(LEASE_SECONDS - 0.001)
        assert await office.grows(0, heir) == []
        flow.clock.advance(0.001)
        assert await office.grows(0, heir) == [1]


async def test_the_duty_of_a_worker_that_ends_is_free_at_once() -> None:
    async with opened() as flow:
        office = Office(flow)
        first, second = office.worker("first"), office.worker("second")
        await office.grows(1, first)
        await second.lay_down()  # not its to lay down
        assert await flow.flow.assignments.take_duty("follow", owner="x", lease_seconds=1)
        await first.lay_down()
        assert first.rest_seconds(office.log.head + 1) is None
        assert await office.grows(1, second) == [1]
        # It may ask for it again, when it is not somebody else's.
        flow.clock.advance(EVERY_SECONDS)
        assert await office.grows(1, first) == []
        await second.lay_down()
        flow.clock.advance(LEASE_SECONDS)
        assert await office.grows(1, first) == [2]


async def test_a_duty_that_cannot_be_laid_down_is_said_and_ends_with_its_lease() -> None:
    async with opened() as flow:
        office = Office(flow)
        first, second = office.worker("first"), office.worker("second")
        await office.grows(1, first)
        store = flow.flow.assignments
        gone = Failing(store.lay_down_duty, StoreUnavailable("gone"))
        with replaced(store, "lay_down_duty", gone), capture_logs() as logs:
            await first.lay_down()
        assert [line["error"] for line in logs] == ["gone"]
        assert await office.grows(1, second) == []
        flow.clock.advance(LEASE_SECONDS)
        assert await office.grows(0, second) == [1]


async def test_a_clock_that_was_set_back_keeps_nobody_from_asking_for_the_duty() -> None:
    async with opened() as flow:
        office = Office(flow)
        dead, heir = office.worker("dead"), office.worker("heir")
        await office.grows(1, dead)
        assert await office.grows(1, heir) == []
        flow.clock.set_back(3600)
        await dead.lay_down()
        assert await office.grows(0, heir) == [1]


async def test_whoever_asks_the_read_model_waits_for_no_duty() -> None:
    async with opened() as flow:
        assert await flow.flow.assignments.take_duty("follow", owner="x", lease_seconds=1e6) is None
        await flow.introduce()
        assert (await flow.orchestrator.get_pipeline_status()).active_motions == 1
        await flow.idle()
        assert (await flow.orchestrator.get_pipeline_status()).active_motions == 0
        assert flow.flow.runner.position == (await flow.flow.store.head()).position


async def test_a_worker_lays_its_duty_down_when_it_ends() -> None:
    async with opened() as flow:
        await flow.introduce()
        await flow.idle()
        assert await flow.flow.assignments.take_duty("follow", owner="x", lease_seconds=1) is None


async def test_what_was_followed_is_put_under_a_checkpoint_at_once_and_only_once() -> None:
    async with opened() as flow:
        office = Office(flow)
        worker = office.worker()
        await office.grows(3, worker)
        assert office.signing.sizes == [4]
        flow.clock.advance(EVERY_SECONDS)
        await worker.follow(3)
        await worker.catch_up(3)
        assert office.signing.sizes == [4]
        await office.grows(2, worker)
        assert office.signing.sizes == [4, 6]


@pytest.mark.parametrize("error", [KeyUnavailable, LogInconsistent])
async def test_a_checkpoint_that_cannot_be_signed_is_said_and_tried_again_in_a_minute(
    error: type[Exception],
) -> None:
    async with opened() as flow:
        office = Office(flow)
        worker = office.worker()
        office.signing.error = error("not now")
        with capture_logs() as logs:
            assert await office.grows(3, worker) == [3]
        assert [line["why"] for line in logs if line["event"] == "no checkpoint signed"] == [
            "not now"
        ]
        office.signing.error = None
        flow.clock.advance(EVERY_SECONDS)
        assert await office.grows(1, worker) == [1]
        assert office.signing.sizes == []
        flow.clock.advance(CHECKPOINT_RETRY.total_seconds())
        await office.grows(1, worker)
        assert office.signing.sizes == [6]


async def test_whoever_waits_for_everything_is_told_that_nothing_was_signed() -> None:
    async with opened() as flow:
        office = Office(flow)
        office.signing.error = LogInconsistent("not the log that was promised")
        with pytest.raises(LogInconsistent):
            await office.worker().catch_up(3)
