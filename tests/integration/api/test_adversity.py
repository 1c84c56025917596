"""What must hold when somebody means ill, or the store fails at the worst of moments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import httpx
import pytest
from structlog.testing import capture_logs

from governance_flow.api import server
from governance_flow.api.service import ServiceOptions
from governance_flow.application.access.permissions import Permission, Role
from governance_flow.domain.branches import PRESIDENT_SERVICE, GovernanceBranch
from governance_flow.domain.errors import StoreUnavailable, WitnessFailed
from governance_flow.domain.events import MotionAmended
from governance_flow.domain.states import GovernanceState
from tests.support.api import InProcess, in_process, motion, problem
from tests.support.clock import ManualClock
from tests.support.service import served
from tests.support.workers import assignments, until

S = GovernanceState
B = GovernanceBranch
MOTIONS = "/api/v1/motions"
JSON = {"Content-Type": "application/json"}
FETCH = "/api/v1/assignments/fetch"


async def unreachable(*_: Any, **__: Any) -> Any:
    raise StoreUnavailable("the cable is out at /var/lib/flow.db", where="/var/lib/flow.db")


# -- What was done is done -------------------------------------------------------------------------


@pytest.mark.parametrize("fails", ["position", "keeping"])
async def test_a_write_that_was_committed_is_never_told_as_one_that_failed(
    api: InProcess, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    http = await api.anybody()
    introduced = await http.post(MOTIONS, json=motion())
    path = introduced.headers["Location"]
    if fails == "position":
        monkeypatch.setattr(api.service.flow.store, "head", unreachable)
    else:
        monkeypatch.setattr(api.service.flow.access, "answer_key", unreachable)

    key = {"Idempotency-Key": "once"}
    amended = await http.patch(path, json={"title": "Anew"}, headers=key)
    await http.patch(path, json={"title": "Anew"}, headers=key)

    assert amended.status_code == httpx.codes.OK
    monkeypatch.undo()
    stored = await api.service.flow.reader.events(UUID(introduced.json()["motion_id"]))
    assert sum(isinstance(record.event, MotionAmended) for record in stored) == 1


async def test_what_was_claimed_for_nobody_is_free_again(
    api: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await api.played.reach(S.PLANNING)
    http = await api.worker_of(B.PRESIDENT)
    motions = api.service.flow.external._motions
    load, loads = motions.load, 0

    async def failing(*args: Any, **more: Any) -> Any:
        nonlocal loads
        loads += 1
        return await (unreachable() if loads == 3 else load(*args, **more))

    monkeypatch.setattr(motions, "load", failing)
    answer = await http.post(FETCH, json={"limit": 10, "lease_seconds": 1000})
    problem(answer, 503, "store-unavailable")
    assert [row.lease.owner for row in await assignments(api.played)] == [None] * 3


async def test_many_decisions_are_all_told_though_one_cannot_be_witnessed(
    api: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await api.played.fails(await api.played.reach(S.PLANNING), "system_error")
    http = await api.anybody("zoe")
    orchestrator = api.service.flow.orchestrator
    resolve, asked = orchestrator.resolve_escalation, 0

    async def once_unwitnessed(*args: Any, **more: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise WitnessFailed("the Knight is away")
        return await resolve(*args, **more)

    monkeypatch.setattr(type(orchestrator), "resolve_escalation", staticmethod(once_unwitnessed))
    answer = await http.post("/api/v1/escalations/resolutions", json={"decision": "retry"})
    told = answer.json()["decided"]
    assert sorted(one["done"] for one in told) == [False, True, True]
    assert [one["refusal"] for one in told if not one["done"]] == ["the Knight is away"]


# -- Whoever is let in no more ---------------------------------------------------------------------


async def test_a_revoked_token_gets_no_work_that_it_waited_for(sqlite_address: str) -> None:
    async with served(sqlite_address, external=[PRESIDENT_SERVICE]) as service:
        made, text = await service.played.flow.gatekeeper.make_out(
            "works", {Permission.WORK}, {B.PRESIDENT}
        )
        async with service.http(text) as http:
            wish = {"wait_seconds": 30, "lease_seconds": 1000}
            fetching = asyncio.create_task(http.post(FETCH, json=wish))
            await until(lambda: service.played.flow.desk.waiting == 1)
            await service.played.flow.gatekeeper.revoke(made.token_id)
            await service.played.reach(S.PLANNING)
            answer = await fetching
        assert answer.status_code == httpx.codes.UNAUTHORIZED
        [row] = await assignments(service.played)
        assert row.lease.owner is None


async def test_a_stream_ends_with_the_news_after_its_token_was_revoked(
    sqlite_address: str,
) -> None:
    async with served(sqlite_address) as service:
        made, text = await service.played.flow.gatekeeper.make_out("eyes", {Permission.READ})
        async with (
            service.http(text) as http,
            http.stream("GET", "/api/v1/pipeline/stream") as stream,
        ):
            lines = stream.aiter_lines()
            assert "changed" in await anext(lines)
            await service.played.flow.gatekeeper.revoke(made.token_id)
            motion_id = await service.played.introduce()
            assert str(motion_id) not in "\n".join([line async for line in lines])


# -- Floods ----------------------------------------------------------------------------------------


@pytest.fixture
async def strict(sqlite_address: str, clock: ManualClock) -> AsyncIterator[InProcess]:
    options = ServiceOptions(denials_per_minute=3)
    async with in_process(sqlite_address, clock=clock, options=options) as api:
        yield api


async def test_denials_beyond_the_limit_are_counted_and_written_together(
    strict: InProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    http, writes = strict.http(), 0
    record = strict.service.flow.access.record_denial

    async def counted(*args: Any, **more: Any) -> None:
        nonlocal writes
        writes += 1
        await record(*args, **more)

    monkeypatch.setattr(strict.service.flow.gatekeeper._store, "record_denial", counted)
    with capture_logs() as logs:
        answers = [(await http.get("/api/v1/pipeline")).status_code for _ in range(50)]
    assert answers == [401] * 3 + [429] * 47
    assert writes == 3
    assert len(logs) == 3

    [(_, denial)] = await strict.service.flow.gatekeeper.denials(limit=10)
    assert denial.count == 50


async def test_denials_of_long_ago_are_forgotten(strict: InProcess, clock: ManualClock) -> None:
    await strict.http().get("/api/v1/pipeline")
    clock.advance(91 * 24 * 3600)
    await strict.http().get("/api/v1/motions")
    [(_, denial)] = await strict.service.flow.gatekeeper.denials(limit=10)
    assert denial.operation == "list_motions"


async def test_a_network_counts_as_one_caller(strict: InProcess) -> None:
    answers = [
        await strict.http(client=(f"2001:db8::{host:x}", 1)).get("/api/v1/pipeline")
        for host in range(1, 6)
    ]
    assert [answer.status_code for answer in answers] == [401] * 3 + [429] * 2


async def test_no_form_is_large(api: InProcess) -> None:
    answer = await api.http().post(
        MOTIONS,
        content=b"&" * 70_000,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    problem(answer, 413, "too-large")


async def test_whoever_connects_and_says_nothing_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "SILENT_SECONDS", 0.05)
    async with served() as service:
        url = httpx.URL(service.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(b"GET /livez HTTP/1.1\r\nHost: service\r\nX-More: ", id="one header"),
        pytest.param(
            b"POST /livez HTTP/1.1\r\nHost: service\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\nx\r\n0\r\nX-More: ",
            id="a trailer",
        ),
    ],
)
async def test_whoever_sends_headers_without_end_is_hung_up_on(beginning: bytes) -> None:
    async with served() as service:
        url = httpx.URL(service.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(beginning)
        answered = asyncio.create_task(reader.read())
        sent = 0
        while not answered.done() and sent < 10 * 2**20:
            writer.write(b"x" * 16_384)
            sent += 16_384
            await asyncio.sleep(0)
            with suppress(ConnectionError):
                await writer.drain()
        with suppress(ConnectionError):
            assert b"larger than" in await answered or b"405" in answered.result()
        assert sent < 2**20
        writer.close()


async def test_a_large_body_in_many_chunks_is_no_header() -> None:
    async with served() as service:

        async def chunks() -> AsyncIterator[bytes]:
            yield b'{"title": "Repair the bridge", "text": "Whereas."'
            for _ in range(100):
                yield b" " * 2_000
            yield b"}"

        async with service.http(await service.token("Ada", Role.MEMBER)) as http:
            answer = await http.post(MOTIONS, content=chunks(), headers=JSON)
    assert answer.status_code == httpx.codes.CREATED, answer.text


async def test_more_connections_than_can_be_held_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "connections_max", lambda: 1)
    async with served() as service:
        url = httpx.URL(service.url)
        first, held = await asyncio.open_connection(url.host, url.port)
        held.write(b"GET /livez HTTP/1.1\r\nHost: service\r\n\r\n")
        assert b"200" in await first.readline()
        async with service.http() as http:
            with pytest.raises(httpx.TransportError):
                await http.get("/livez")
        held.close()


async def test_replays_are_made_one_at_a_time(api: InProcess) -> None:
    http = await api.anybody()
    async with api.service.replaying:
        answer = await http.get("/api/v1/audit/replay")
    problem(answer, 503, "busy")
    assert answer.headers["Retry-After"]
    assert (await http.get("/api/v1/audit/replay")).status_code == httpx.codes.OK


# -- Who is told what ------------------------------------------------------------------------------


async def test_what_is_wrong_with_the_store_is_logged_and_told_to_no_stranger(
    api: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await api.token("Ada", Role.VIEWER)
    monkeypatch.setattr(api.service.flow.access, "find_token", unreachable)
    with capture_logs() as logs:
        answer = await api.http(token).get("/api/v1/pipeline")
    told = problem(answer, 503, "store-unavailable")
    assert "flow.db" not in answer.text
    assert [line for line in logs if "flow.db" in str(line)]
    assert told["correlation_id"]
