"""The pipeline over HTTP: at a glance, halted and resumed, watched as it changes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from governance_flow.application.access.permissions import Permission, Role
from governance_flow.application.process_manager.worker import Worker
from governance_flow.domain.errors import StoreUnavailable
from governance_flow.domain.events import PipelineHalted, PipelineResumed
from governance_flow.domain.states import GovernanceState
from tests.support.api import InProcess, fields, motion, problem
from tests.support.service import Served, served
from tests.support.workers import Failing, replaced, soon, until

S = GovernanceState
PIPELINE = "/api/v1/pipeline"
READS = ["", "/board", "/series", "/docket", "/configuration"]


@pytest.fixture
async def zoe(api: InProcess) -> httpx.AsyncClient:
    return api.http(await api.token("zoe", Role.OPERATOR))


async def test_the_pipeline_at_a_glance(api: InProcess, zoe: httpx.AsyncClient) -> None:
    await api.played.reach(S.PLANNING)
    await api.played.introduce()

    status = (await zoe.get(PIPELINE)).json()
    board = (await zoe.get(f"{PIPELINE}/board")).json()
    docket = (await zoe.get(f"{PIPELINE}/docket")).json()

    assert status["active_motions"] == 2
    assert status["motions_by_state"]["PLANNING"] == 1
    assert {one["state"]: one["motions"] for one in board["states"]}["PLANNING"] == 1
    assert len(docket["motions"]) == 1
    assert (await zoe.get(f"{PIPELINE}/series")).json()["hours"]


async def test_the_configuration_in_force_is_what_events_refer_to(
    api: InProcess, zoe: httpx.AsyncClient
) -> None:
    motion_id = await api.played.reach(S.PLANNING)

    shown = (await zoe.get(f"{PIPELINE}/configuration")).json()

    assert shown["digest"] == (await api.played.routing(motion_id)).configuration
    assert shown["configuration"]["max_concurrent_motions"] == 100


@pytest.mark.parametrize("path", READS)
async def test_what_is_read_can_be_asked_to_know_a_position(
    api: InProcess, zoe: httpx.AsyncClient, path: str
) -> None:
    await api.played.introduce()
    head = (await api.played.flow.store.head()).position

    assert (await zoe.get(f"{PIPELINE}{path}", params={"at_least": head})).status_code == 200
    told = problem(
        await zoe.get(f"{PIPELINE}{path}", params={"at_least": head + 1}), 422, "invalid-request"
    )
    assert fields(told) == ["query.at_least"]
    assert str(head) in told["detail"]


async def test_an_operator_halts_and_resumes(api: InProcess, zoe: httpx.AsyncClient) -> None:
    halted = await zoe.post(f"{PIPELINE}/halt", json={"reason": "the vote is contested"})
    status = (await zoe.get(PIPELINE)).json()
    resumed = await zoe.post(f"{PIPELINE}/resume", json={"reason": "it is settled"})

    assert (halted.status_code, halted.content) == (204, b"")
    assert (resumed.status_code, resumed.content) == (204, b"")
    assert status["halted"] is True
    assert status["halt_reason"] == "the vote is contested"
    events = await api.played.pipeline_events()
    assert [type(event) for event in events] == [PipelineHalted, PipelineResumed]
    assert {event.actor.id for event in events} == {"zoe"}
    position = (await api.played.flow.store.head()).position
    assert resumed.headers["Governance-Flow-Position"] == str(position)


@pytest.mark.parametrize("what", ["halt", "resume"])
async def test_what_is_so_already_is_refused(
    api: InProcess, zoe: httpx.AsyncClient, what: str
) -> None:
    if what == "halt":
        await api.played.halt("a storm")

    told = problem(
        await zoe.post(f"{PIPELINE}/{what}", json={"reason": "once more"}), 409, "refused"
    )

    assert "halted" in told["detail"]


@pytest.mark.parametrize("what", ["halt", "resume"])
@pytest.mark.parametrize(
    "body", [{}, {"reason": " "}, {"reason": "x" * 10_001}, {"reason": None}], ids=str
)
async def test_a_reason_must_be_given(
    api: InProcess, zoe: httpx.AsyncClient, what: str, body: Any
) -> None:
    told = problem(await zoe.post(f"{PIPELINE}/{what}", json=body), 422, "invalid-request")

    assert fields(told) == ["body.reason"]
    assert await api.played.pipeline_events() == []


# -- Watching --------------------------------------------------------------------------------------


class Watching:
    """Reads server-sent events, one at a time."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def news(self) -> dict[str, Any]:
        """Return what the next event says."""
        event: dict[str, str] = {}
        async for line in self._lines:
            if not line and "data" in event:
                assert event["event"] == "changed"
                told: dict[str, Any] = json.loads(event["data"])
                assert event["id"] == str(told["position"])
                return told
            name, _, value = line.partition(": ")
            event[name] = value
        raise EOFError

    async def ends(self) -> None:
        """Return once there is nothing more."""
        async for _ in self._lines:
            pass


async def viewer_of(service: Served) -> httpx.AsyncClient:
    return service.http(await service.token("Cy", Permission.READ))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("governance_flow.api.changes.INTERVAL_SECONDS", 0.0)


async def test_whoever_watches_is_told_how_things_stand_and_what_changes() -> None:
    async with (
        served() as service,
        await viewer_of(service) as http,
        http.stream("GET", f"{PIPELINE}/stream") as answer,
    ):
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        watching = Watching(answer)
        first = await soon(watching.news())
        motion_id = await service.played.introduce()
        second = await soon(watching.news())
        await service.played.halt()
        third = await soon(watching.news())

    assert first == {"position": 0, "halted": False, "motions": [], "more": False}
    assert second["motions"] == [str(motion_id)]
    assert second["position"] == 1
    assert (third["halted"], third["motions"]) == (True, [])


async def test_all_who_watch_are_told() -> None:
    async with served() as service, await viewer_of(service) as http:
        async with (
            http.stream("GET", f"{PIPELINE}/stream") as one,
            http.stream("GET", f"{PIPELINE}/stream") as another,
        ):
            both = [Watching(one), Watching(another)]
            for watching in both:
                await soon(watching.news())
            await service.played.introduce()
            told = [await soon(watching.news()) for watching in both]
        assert told[0] == told[1]


async def test_a_stream_ends_when_the_service_does() -> None:
    async with (
        served() as service,
        await viewer_of(service) as http,
        http.stream("GET", f"{PIPELINE}/stream") as answer,
    ):
        watching = Watching(answer)
        await soon(watching.news())

        service.service.stopping.set()

        await soon(watching.ends())


async def test_nothing_is_left_of_whoever_stops_watching() -> None:
    async with served() as service, await viewer_of(service) as http:
        async with http.stream("GET", f"{PIPELINE}/stream") as answer:
            await soon(Watching(answer).news())
            assert len(service.service.changes._watchers) == 1

        await until(lambda: not service.service.changes._watchers)
        following = service.service.changes._following
        assert following is not None
        await service.played.introduce()
        await soon(asyncio.wait([following]))


async def test_a_store_that_is_away_for_a_moment_does_not_end_a_stream() -> None:
    async with (
        served() as service,
        await viewer_of(service) as http,
        http.stream("GET", f"{PIPELINE}/stream") as answer,
    ):
        watching = Watching(answer)
        await soon(watching.news())
        store: Any = service.played.flow.store
        with replaced(store, "read_all", Failing(store.read_all, StoreUnavailable("away"))):
            await service.played.introduce()
            assert (await soon(watching.news()))["position"] == 1


async def test_a_stream_whose_store_is_away_at_the_start_ends_and_says_nothing_untrue() -> None:
    async with served() as service, await viewer_of(service) as http:
        store: Any = service.played.flow.store
        with replaced(store, "head", Failing(store.head, StoreUnavailable("away"))):
            async with http.stream("GET", f"{PIPELINE}/stream") as answer:
                body = (await soon(answer.aread())).decode()

    assert "changed" not in body
    assert "away" not in body


async def test_motions_that_move_while_nobody_reads_are_told_together(
    api: InProcess, zoe: httpx.AsyncClient
) -> None:
    assert isinstance(api.played.flow.worker, Worker)
    changes = api.service.changes.follow()
    first = await soon(anext(changes))
    ids = set()
    for number in range(3):
        answer = await zoe.post("/api/v1/motions", json=motion(title=str(number)))
        assert answer.status_code == 403
        ids.add(await api.played.introduce(str(number)))

    seen: set[Any] = set()
    position = first.position
    while position < 3:
        change = await soon(anext(changes))
        assert change.position > position, "told of nothing new"
        position = change.position
        seen |= change.motions
    await changes.aclose()  # type: ignore[attr-defined]

    assert seen == ids
