"""Whatever the network loses, nothing is lost and nothing is done twice."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from governance_flow.application.access.permissions import Role
from governance_flow.client import Retries, ServerMistake, Unavailable, Unreachable
from governance_flow.domain.errors import StoreUnavailable
from governance_flow.domain.events import MotionIntroduced, PipelineHalted
from governance_flow.domain.states import GovernanceState as S
from tests.support.lossy import LossyNetwork


async def test_a_motion_whose_introduction_was_not_heard_of_is_introduced_once(
    scene: Any, store_address: str
) -> None:
    async with scene(store_address) as it, it.client("ada", Role.MEMBER) as ada:
        it.network.lost["/motions"] = 2
        introduced = await ada.introduce("Plant trees", "Forty of them.")
        assert introduced.new
        assert [motion.title async for motion in ada.list_motions()] == ["Plant trees"]
        assert len(it.network.keys("/motions")) == 3
        assert len(set(it.network.keys("/motions"))) == 1
        (event,) = await it.service.played.events(introduced.motion_id)
        assert isinstance(event, MotionIntroduced)
        assert event.introduced_by == "ada"


async def test_a_fetch_whose_answer_was_lost_is_answered_with_the_same_assignments(
    scene: Any, store_address: str
) -> None:
    async with scene(store_address) as it, it.client() as client:
        for _ in range(3):
            await it.service.played.reach(S.EXECUTING)
        it.network.lost["/fetch"] = 2
        fetched = await client.fetch(limit=2)
        assert len(fetched) == 2
        first, *again = [answer.json() for answer in it.network.answers("/fetch")]
        assert again == [first, first]
        assert len(await client.fetch(limit=3)) == 1


async def test_a_completion_whose_answer_was_lost_counts_once(
    scene: Any, store_address: str
) -> None:
    async with scene(store_address) as it, it.client() as client:
        motion_id = await it.service.played.reach(S.EXECUTING)
        (assignment,) = await client.fetch()
        before = len(await it.service.played.completions(motion_id))
        it.network.lost["/complete"] = 1
        outcome = await client.complete(assignment, {"results": {}})
        assert (outcome.accepted, outcome.state) == (True, S.JUDGING)
        assert len(await it.service.played.completions(motion_id)) == before + 1
        assert client.position > 0


async def test_acts_that_would_be_refused_the_second_time_are_done_once_and_not_refused(
    scene: Any,
) -> None:
    async with scene() as it, it.client("zoe", Role.OPERATOR) as zoe:
        it.network.lost.update({"/halt": 1, "/resume": 1, "/retry": 1})
        await zoe.halt("a storm")
        assert (await zoe.status()).halted
        await zoe.resume("it is over")
        halted = [
            e for e in await it.service.played.pipeline_events() if isinstance(e, PipelineHalted)
        ]
        assert len(halted) == 1
        played = it.service.played
        motion_id = await played.reach(S.EXECUTING)
        await played.fails(motion_id, "system_error")
        assert (await played.status(motion_id)).blocking_issues
        assert not (await zoe.retry(motion_id)).blocking_issues


async def test_a_lease_that_was_extended_or_released_unheard_is_no_error(scene: Any) -> None:
    async with scene() as it, it.client() as client:
        await it.service.played.reach(S.EXECUTING)
        (assignment,) = await client.fetch(lease_seconds=10)
        it.network.lost.update({"/extend": 1, "/release": 1})
        await client.extend(assignment, 100)
        it.service.played.clock.advance(50)
        assert await client.fetch() == []
        await client.release(assignment)
        assert len(await client.fetch()) == 1


async def test_a_store_that_cannot_serve_is_asked_again_when_it_says(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene() as it, it.client("ada", Role.MEMBER) as ada:
        introducing = it.service.played.flow.introducing
        introduce, failures = type(introducing).introduce, [StoreUnavailable("it restarts")] * 2

        async def unavailable_at_first(*args: Any, **named: Any) -> Any:
            if failures:
                raise failures.pop()
            return await introduce(*args, **named)

        monkeypatch.setattr(type(introducing), "introduce", unavailable_at_first)
        assert (await ada.introduce("Plant trees", "Forty.")).new
        # Half of what the doubling would come to is less than what the service asks for.
        assert it.sleeps.seconds == [1.0, 1.0]


async def test_a_request_that_is_still_being_answered_is_waited_for_and_not_begun_anew(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene() as it:
        introducing = it.service.played.flow.introducing
        introduce, begun = type(introducing).introduce, []
        came, going = asyncio.Event(), asyncio.Event()

        async def slow(*args: Any, **named: Any) -> Any:
            begun.append(named["title"])
            came.set()
            await going.wait()
            return await introduce(*args, **named)

        async def sleep(_: float) -> None:
            going.set()
            await first

        monkeypatch.setattr(type(introducing), "introduce", slow)
        async with it.client("ada", Role.MEMBER, sleep=sleep) as ada, asyncio.timeout(30):
            first = asyncio.create_task(ada.introduce("Plant trees", "Forty.", key="k"))
            await came.wait()
            again = await ada.introduce("Plant trees", "Forty.", key="k")
        assert (again, begun) == (await first, ["Plant trees"])
        busy = it.network.answers("/motions")[0].json()
        assert busy["type"] == "/problems#idempotency-key-busy"


async def test_what_cannot_be_reached_is_asked_a_bounded_number_of_times(scene: Any) -> None:
    retries = Retries(attempts=5, first_seconds=1, most_seconds=3)
    async with scene() as it, it.client("ada", Role.MEMBER, retries=retries) as ada:
        it.network.refused["/motions"] = 5
        with pytest.raises(Unreachable, match=r"POST http.*/motions got no answer: nobody") as told:
            await ada.introduce("Plant trees", "Forty.")
        assert it.sleeps.seconds == [1, 2, 3, 3]
        asked = {request.headers["X-Correlation-ID"] for request in it.network.requests}
        assert asked == {told.value.correlation_id}
        assert (await ada.introduce("Plant trees", "Forty.")).new


async def test_a_service_that_stays_away_is_told_of_in_its_own_words(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene() as it, it.client("ada", Role.VIEWER, retries=Retries(attempts=2)) as ada:
        orchestrator = it.service.played.orchestrator

        async def gone(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("the database is being moved")

        monkeypatch.setattr(type(orchestrator), "get_pipeline_status", gone)
        with pytest.raises(Unavailable, match="the database is being moved") as told:
            await ada.status()
        assert (told.value.status, told.value.type) == (503, "store-unavailable")
        assert len(it.sleeps.seconds) == 1


async def test_a_mistake_of_the_service_is_not_repeated(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene() as it, it.client("ada", Role.VIEWER) as ada:
        orchestrator = it.service.played.orchestrator

        async def mistaken(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError

        monkeypatch.setattr(type(orchestrator), "get_pipeline_status", mistaken)
        with pytest.raises(ServerMistake, match="correlation id") as told:
            await ada.status()
        assert told.value.correlation_id == it.network.requests[0].headers["X-Correlation-ID"]
        assert it.sleeps.seconds == []


async def test_a_key_of_ones_own_survives_the_process_that_made_it(
    scene: Any, store_address: str
) -> None:
    key = f"import-{uuid4()}"
    async with scene(store_address) as it:
        token = await it.service.token("ada", Role.MEMBER)
        async with it.client(token=token) as before:
            first = await before.introduce("Plant trees", "Forty.", key=key)
        async with it.client(token=token, transport=LossyNetwork()) as after:
            assert await after.introduce("Plant trees", "Forty.", key=key) == first
            assert len([motion async for motion in after.list_motions()]) == 1
