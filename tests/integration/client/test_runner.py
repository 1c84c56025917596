"""A branch worker over HTTP: does what there is, keeps what it holds, gives back what it must."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from governance_flow.application.access.permissions import Role
from governance_flow.client import (
    Answer,
    BranchAssignment,
    Client,
    Failed,
    Retries,
    Unauthenticated,
    work,
)
from governance_flow.client.runner import PAUSE_SECONDS
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.states import GovernanceState as S

LEASE_SECONDS = 60.0
BEAT_SECONDS = 20.0
PATIENCE_SECONDS = 30


@dataclass
class Beats:
    """Lets heartbeats come when a test says so; whoever else sleeps wakes up at once."""

    due: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    others: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        if seconds == BEAT_SECONDS:
            await self.due.acquire()
        else:
            self.others.append(seconds)
            await asyncio.sleep(0)

    def beat(self) -> None:
        self.due.release()


class Desk:
    """A handler that a test holds in its hands: it sees what came, and says when it is done."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[BranchAssignment] = asyncio.Queue()
        self.done = asyncio.Event()
        self.stopped: asyncio.Queue[BranchAssignment] = asyncio.Queue()
        self.at_once = 0

    async def __call__(self, assignment: BranchAssignment) -> dict[str, object]:
        self.at_once += 1
        self.came.put_nowait(assignment)
        try:
            await self.done.wait()
        except asyncio.CancelledError:
            self.stopped.put_nowait(assignment)
            raise
        return {"results": {"task-1": "planted"}}


@asynccontextmanager
async def working(client: Client, handler: Any, **more: Any) -> AsyncIterator[asyncio.Task[None]]:
    """Have a worker work for as long as the block lasts, and cancel it then."""
    settings = {"lease_seconds": LEASE_SECONDS, "sleep": Beats(), **more}
    async with asyncio.timeout(PATIENCE_SECONDS):
        task = asyncio.create_task(work(client, handler, **settings))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_motions_go_all_the_way_with_a_branch_that_works_over_http(
    scene: Any, store_address: str
) -> None:
    reported = []

    async def plant(assignment: BranchAssignment) -> dict[str, object]:
        reported.append(assignment.motion_id)
        return {"results": {"task-1": f"planted for {assignment.title}"}}

    async with (
        scene(store_address, worker=True) as it,
        it.client() as client,
        it.client("ada", Role.MEMBER) as ada,
    ):
        async with working(client, plant, concurrency=2):
            ids = [(await ada.introduce(f"Park {n}", "Trees.")).motion_id for n in range(3)]
            async for _ in ada.watch():
                ended = [m async for m in ada.list_motions(state=S.ACKNOWLEDGED)]
                if len(ended) == len(ids):
                    break
        assert sorted(reported) == sorted(ids)
        for motion_id in ids:
            done = [
                one
                for one in await it.service.played.completions(motion_id)
                if one.branch is GovernanceBranch.DUKE
            ]
            assert [one.actor.id for one in done] == ["the planters"]


async def test_a_heartbeat_keeps_the_lease_for_as_long_as_it_takes(scene: Any) -> None:
    desk, beats = Desk(), Beats()
    async with scene() as it, it.client() as client, it.client("others", Role.BRANCH) as others:
        motion_id = await it.service.played.reach(S.EXECUTING)
        async with working(client, desk, sleep=beats):
            await desk.came.get()
            for number in (1, 2, 3):
                it.service.played.clock.advance(LEASE_SECONDS - 1)
                beats.beat()
                await it.network.until_answered("/extend", number)
                assert await others.fetch() == []
            desk.done.set()
            await it.network.until_answered("/complete")
        assert await it.service.played.state(motion_id) is S.JUDGING
        assert desk.at_once == 1


async def test_whoever_loses_the_lease_is_stopped_and_reports_nothing(scene: Any) -> None:
    desk, beats = Desk(), Beats()
    async with scene() as it, it.client() as client, it.client("others", Role.BRANCH) as others:
        await it.service.played.reach(S.EXECUTING)
        async with working(client, desk, sleep=beats):
            lost = await desk.came.get()
            it.service.played.clock.advance(LEASE_SECONDS + 1)
            (taken,) = await others.fetch()
            beats.beat()
            assert await desk.stopped.get() == lost
        assert it.network.answers("/complete") == it.network.answers("/fail") == []
        assert it.network.answers("/release") == []
        assert (await others.complete(taken, {})).accepted


async def test_a_beat_that_is_not_heard_does_not_stop_the_work(scene: Any) -> None:
    desk, beats = Desk(), Beats()
    async with scene() as it, it.client(retries=Retries(attempts=1)) as client:
        motion_id = await it.service.played.reach(S.EXECUTING)
        async with working(client, desk, sleep=beats):
            await desk.came.get()
            it.network.refused["/extend"] = 1
            beats.beat()
            beats.beat()
            await it.network.until_answered("/extend")
            desk.done.set()
            await it.network.until_answered("/complete")
        assert await it.service.played.state(motion_id) is S.JUDGING


async def test_cancelled_work_is_given_back_at_once(scene: Any, store_address: str) -> None:
    desk = Desk()
    async with (
        scene(store_address) as it,
        it.client() as client,
        it.client("others", Role.BRANCH) as others,
    ):
        for _ in range(2):
            await it.service.played.reach(S.EXECUTING)
        async with working(client, desk, concurrency=2):
            held = {(await desk.came.get()).routing_id for _ in range(2)}
            assert await others.fetch() == []
        assert desk.stopped.qsize() == 2
        assert {one.routing_id for one in await others.fetch(limit=5)} == held


async def test_what_was_fetched_and_not_heard_of_is_given_back_by_whoever_is_cancelled(
    scene: Any, store_address: str
) -> None:
    desk = Desk()
    async with (
        scene(store_address) as it,
        it.client() as client,
        it.client("others", Role.BRANCH) as others,
    ):
        await it.service.played.reach(S.EXECUTING)
        it.network.stalled["/fetch"] = 1
        async with working(client, desk):
            await it.network.until_answered("/fetch")
        assert desk.at_once == 0
        assert len(await others.fetch()) == 1


async def test_work_that_is_done_is_reported_even_by_a_worker_that_is_cancelled(
    scene: Any,
) -> None:
    desk = Desk()
    desk.done.set()
    async with scene() as it, it.client() as client:
        motion_id = await it.service.played.reach(S.EXECUTING)
        it.network.lost["/complete"] = 2
        async with working(client, desk):
            await it.network.until_answered("/complete")
        assert await it.service.played.state(motion_id) is S.JUDGING
        assert it.network.answers("/release") == []


@pytest.mark.parametrize(
    ("raised", "error_type"),
    [
        (TimeoutError("no ferry"), "timeout_error"),
        (PermissionError("no ferry"), "permission_error"),
        (ValueError("no ferry"), "validation_error"),
        (Failed("no ferry", "compliance_error"), "compliance_error"),
        (Failed("no ferry"), None),
        (ZeroDivisionError("no ferry"), "system_error"),
        (ExceptionGroup("no", [TimeoutError(), KeyError("no ferry")]), "system_error"),
    ],
    ids=["timeout", "permission", "validation", "failed", "untyped", "system", "group"],
)
async def test_an_exception_becomes_a_failure_of_its_type(
    scene: Any, raised: Exception, error_type: str | None
) -> None:
    async def row(assignment: BranchAssignment) -> dict[str, object]:
        raise raised

    async with scene() as it, it.client() as client:
        motion_id = await it.service.played.reach(S.EXECUTING)
        async with working(client, row):
            await it.network.until_answered("/fail")
        *_, reported = await it.service.played.completions(motion_id)
        assert not reported.success
        assert reported.error_type == error_type
        assert "no ferry" in (reported.error or "")


async def returned_nothing(_: BranchAssignment) -> Any:
    return None


async def returned_no_number(_: BranchAssignment) -> Any:
    return {"results": float("nan")}


async def returned_an_object(_: BranchAssignment) -> Any:
    return {"results": object()}


async def cancelled_itself(_: BranchAssignment) -> Any:
    raise asyncio.CancelledError


async def returned_far_too_much(_: BranchAssignment) -> Any:
    return Answer({"results": "x" * 5_000_000})


@pytest.mark.parametrize(
    ("handler", "error_type", "why"),
    [
        (returned_nothing, "system_error", "returned NoneType"),
        (returned_no_number, "system_error", "no JSON"),
        (returned_an_object, "system_error", "not JSON serializable"),
        (cancelled_itself, "system_error", "cancelled itself"),
        (
            returned_far_too_much,
            "validation_error",
            "unusable result: a request of this kind may have at most",
        ),
    ],
    ids=["nothing", "nan", "object", "cancelled", "too-much"],
)
async def test_a_result_that_is_none_is_a_failure_and_not_done_again_for_ever(
    scene: Any, handler: Any, error_type: str, why: str
) -> None:
    async with scene() as it, it.client() as client:
        motion_id = await it.service.played.reach(S.EXECUTING)
        async with working(client, handler):
            await it.network.until_answered("/fail")
        *_, reported = await it.service.played.completions(motion_id)
        assert reported.error_type == error_type
        assert why in (reported.error or "")


async def test_a_violation_ends_the_assignment_and_not_the_worker(scene: Any) -> None:
    async def skip(_: BranchAssignment) -> Answer:
        return Answer({}, next_state=S.ACKNOWLEDGED)

    async with scene() as it, it.client() as client:
        await it.service.played.reach(S.EXECUTING)
        async with working(client, skip) as task:
            await it.network.until_answered("/complete")
            await it.service.played.reach(S.EXECUTING)
            await it.network.until_answered("/complete", 2)
            assert not task.done()


async def test_as_many_are_done_at_once_as_were_asked_for(scene: Any) -> None:
    desk = Desk()
    async with scene() as it, it.client() as client, it.client("others", Role.BRANCH) as others:
        for _ in range(4):
            await it.service.played.reach(S.EXECUTING)
        async with working(client, desk, concurrency=3):
            for _ in range(3):
                await desk.came.get()
            assert len(await others.fetch(limit=4)) == 1
            desk.done.set()
            await it.network.until_answered("/complete", 3)


async def test_a_service_that_is_away_for_long_is_waited_for(scene: Any) -> None:
    desk, beats = Desk(), Beats()
    async with scene() as it, it.client(retries=Retries(attempts=2)) as client:
        await it.service.played.reach(S.EXECUTING)
        it.network.refused["/fetch"] = 10
        async with working(client, desk, sleep=beats):
            await desk.came.get()
        assert beats.others == [PAUSE_SECONDS] * 5


async def test_a_token_that_is_not_accepted_any_more_ends_the_worker(scene: Any) -> None:
    desk = Desk()
    async with scene() as it, it.client("others", Role.BRANCH) as others:
        token = await it.service.token("brief", Role.BRANCH, branches=[GovernanceBranch.DUKE])
        async with it.client(token=token) as client, working(client, desk) as task:
            await it.service.played.reach(S.EXECUTING)
            await desk.came.get()
            await it.service.played.flow.gatekeeper.revoke(token.split("_")[1])
            desk.done.set()
            with pytest.raises(Unauthenticated, match="was revoked"):
                await task
        # What it held is free once its lease ends, as with any worker that dies.
        it.service.played.clock.advance(LEASE_SECONDS + 1)
        assert len(await others.fetch()) == 1


async def test_a_worker_does_one_thing_at_least() -> None:
    async with Client("https://flow.example.org", "gf_1_2") as client:
        with pytest.raises(ValueError, match="one assignment at a time"):
            await work(client, returned_nothing, concurrency=0)
