"""Requests that are sent again: under the same key they do nothing twice."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import httpx
import pytest

from governance_flow.api import idempotency
from governance_flow.application.access.permissions import Permission
from governance_flow.domain.errors import StoreUnavailable
from governance_flow.domain.states import GovernanceState
from tests.support.api import InProcess, fields, motion, motion_id_of, problem
from tests.support.workers import Failing, replaced, soon

S = GovernanceState
MOTIONS = "/api/v1/motions"
KEY = {"Idempotency-Key": "5f0e4a77-8a36-4f0f-9c6d-1b112a3e4d5c"}
REPLAYED = "Idempotency-Replayed"


async def position(api: InProcess) -> int:
    return (await api.played.flow.store.head()).position


async def test_the_same_request_under_its_key_gets_the_same_answer(stored_api: InProcess) -> None:
    api = stored_api
    ada = await api.anybody()
    first = await ada.post(MOTIONS, json=motion(), headers=KEY)

    second = await ada.post(MOTIONS, json=motion(), headers=KEY)

    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    for name in ("ETag", "Location", "Governance-Flow-Position", "Content-Type"):
        assert first.headers[name] == second.headers[name]
    assert (REPLAYED in first.headers, second.headers[REPLAYED]) == (False, "true")
    assert await position(api) == 1


async def test_without_a_key_the_same_request_is_another_one(api: InProcess) -> None:
    ada = await api.anybody()

    first, second = [await ada.post(MOTIONS, json=motion()) for _ in range(2)]

    assert motion_id_of(first) != motion_id_of(second)


async def test_a_key_serves_one_request_only(api: InProcess) -> None:
    ada = await api.anybody()
    first = await ada.post(MOTIONS, json=motion(), headers=KEY)
    path = f"{MOTIONS}/{motion_id_of(first)}"

    others = [
        await ada.post(MOTIONS, json=motion(title="Another"), headers=KEY),
        await ada.post(f"{MOTIONS}?x=1", json=motion(), headers=KEY),
        await ada.patch(path, json={"title": "Anew"}, headers=KEY),
        await ada.post(MOTIONS, json=motion(), headers=KEY | {"If-Match": '"1"'}),
    ]

    for answer in others:
        told = problem(answer, 422, "idempotency-key-reused")
        assert "use a new one" in told["detail"]
    assert await position(api) == 1


async def test_a_key_is_its_bearers_own(api: InProcess) -> None:
    ada, bo = await api.anybody("Ada"), await api.anybody("Bo")
    again = await api.anybody("Ada")

    answers = [await http.post(MOTIONS, json=motion(), headers=KEY) for http in (ada, bo, again)]

    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({motion_id_of(answer) for answer in answers}) == 3


async def test_what_the_pipeline_refuses_is_an_answer_too(api: InProcess) -> None:
    ada = await api.anybody()
    path = f"{MOTIONS}/{uuid4()}"
    first = await ada.patch(path, json={"title": "Anew"}, headers=KEY)

    second = await ada.patch(path, json={"title": "Anew"}, headers=KEY)

    assert first.status_code == second.status_code == 404
    assert first.content == second.content
    assert second.headers["Content-Type"] == "application/problem+json"
    assert second.headers[REPLAYED] == "true"


async def test_an_answer_without_content_is_given_again_without(api: InProcess) -> None:
    ada = await api.anybody()
    first, second = [
        await ada.post("/api/v1/pipeline/halt", json={"reason": "a storm"}, headers=KEY)
        for _ in range(2)
    ]

    assert (first.status_code, second.status_code) == (204, 204)
    assert second.headers[REPLAYED] == "true"
    assert "Content-Type" not in second.headers
    assert len(await api.played.pipeline_events()) == 1


async def test_a_request_that_failed_for_want_of_the_store_may_be_sent_again(
    api: InProcess,
) -> None:
    ada = await api.anybody()
    store: Any = api.played.flow.store
    failing = Failing(store.append, StoreUnavailable("gone for lunch"))
    with replaced(store, "append", failing):
        told = problem(
            await ada.post(MOTIONS, json=motion(), headers=KEY), 503, "store-unavailable"
        )
        assert told["detail"] == "gone for lunch"

    answer = await ada.post(MOTIONS, json=motion(), headers=KEY)

    assert answer.status_code == 201
    assert REPLAYED not in answer.headers


async def test_a_request_that_met_a_mistake_of_ours_may_be_sent_again(api: InProcess) -> None:
    ada = await api.anybody()
    store: Any = api.played.flow.store
    with replaced(store, "append", Failing(store.append, ZeroDivisionError("a mistake"))):
        told = problem(await ada.post(MOTIONS, json=motion(), headers=KEY), 500, "internal-error")
        assert "a mistake" not in told["detail"]

    assert (await ada.post(MOTIONS, json=motion(), headers=KEY)).status_code == 201


async def test_too_many_denials_are_no_answer_to_keep(api: InProcess) -> None:
    api.service.denial_limit._per_minute = 0
    worker = api.http(await api.token("duke", Permission.WORK, branches=["duke"]))  # type: ignore[list-item]
    wish = {"branches": ["president"]}
    problem(
        await worker.post("/api/v1/assignments/fetch", json=wish, headers=KEY),
        429,
        "too-many-denials",
    )
    api.service.denial_limit._per_minute = 100

    answer = await worker.post("/api/v1/assignments/fetch", json=wish, headers=KEY)

    problem(answer, 403, "forbidden")


async def test_while_a_request_is_answered_its_key_is_busy(stored_api: InProcess) -> None:
    api = stored_api
    ada = await api.anybody()
    begun, go_on = asyncio.Event(), asyncio.Event()
    introducing: Any = api.played.flow.introducing
    introduce = introducing.introduce

    async def slow(*args: Any, **named: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await introduce(*args, **named)

    with replaced(introducing, "introduce", slow):
        first = asyncio.create_task(ada.post(MOTIONS, json=motion(), headers=KEY))
        await soon(begun.wait())
        told = problem(
            await ada.post(MOTIONS, json=motion(), headers=KEY), 409, "idempotency-key-busy"
        )
        assert "wait" in told["detail"]
        go_on.set()
        answer = await soon(first)

    assert answer.status_code == 201
    assert await position(api) == 1


async def test_a_request_that_died_with_its_process_is_answered_when_sent_again(
    stored_api: InProcess,
) -> None:
    api = stored_api
    ada = await api.anybody()

    async def dies(*_: Any) -> None:
        raise SystemExit

    # The motion is introduced; the process dies before it can keep the answer.
    with (
        patch.object(api.played.flow.access, "answer_key", dies),
        pytest.raises(SystemExit),
    ):
        await ada.post(MOTIONS, json=motion(), headers=KEY)
    assert await position(api) == 1
    problem(await ada.post(MOTIONS, json=motion(), headers=KEY), 409, "idempotency-key-busy")

    api.played.clock.advance(idempotency.RETRY_SECONDS + 1)
    answer = await ada.post(MOTIONS, json=motion(), headers=KEY)

    assert answer.status_code == 200
    assert answer.json()["new"] is False
    assert await position(api) == 1, "introduced twice"


async def test_answers_are_kept_for_a_day(api: InProcess) -> None:
    ada = await api.anybody()
    await ada.post("/api/v1/pipeline/halt", json={"reason": "a storm"}, headers=KEY)

    api.played.clock.advance(hours=23)
    again = await ada.post("/api/v1/pipeline/halt", json={"reason": "a storm"}, headers=KEY)
    api.played.clock.advance(hours=2)
    anew = await ada.post("/api/v1/pipeline/halt", json={"reason": "a storm"}, headers=KEY)

    assert again.status_code == 204
    problem(anew, 409, "refused")


@pytest.mark.parametrize("key", ["", " ", "a b", "ä".encode(), "x" * 201, "a\tb"], ids=repr)
async def test_a_key_that_is_none_is_refused(api: InProcess, key: Any) -> None:
    ada = await api.anybody()

    told = problem(
        await ada.post(MOTIONS, json=motion(), headers={"Idempotency-Key": key}),
        422,
        "invalid-request",
    )

    assert fields(told) == ["header.Idempotency-Key"]
    assert await position(api) == 0


async def test_reads_need_no_key_and_heed_none(api: InProcess) -> None:
    ada = await api.anybody()

    answers = [await ada.get(path, headers=KEY) for path in (MOTIONS, "/api/v1/pipeline")]

    assert [answer.status_code for answer in answers] == [200, 200]


async def test_a_fetch_whose_answer_was_lost_is_answered_the_same(api: InProcess) -> None:
    worker: httpx.AsyncClient = await api.anybody("worker")
    await api.played.reach(S.PLANNING)
    wish = {"branches": ["president"], "lease_seconds": 600}
    first = await worker.post("/api/v1/assignments/fetch", json=wish, headers=KEY)

    second = await worker.post("/api/v1/assignments/fetch", json=wish, headers=KEY)

    assert len(first.json()["assignments"]) == 1
    assert second.json() == first.json()
