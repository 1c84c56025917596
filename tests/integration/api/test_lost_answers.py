"""Callers that hang up, over real connections: nothing stays locked, and nothing is done twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Self

import httpx
import pytest

from governance_flow.application.access.permissions import Permission, Role
from governance_flow.domain.branches import PRESIDENT_SERVICE, GovernanceBranch
from governance_flow.domain.states import GovernanceState
from tests.support.service import Served, served
from tests.support.workers import assignments, replaced, soon, until

S = GovernanceState
B = GovernanceBranch
FETCH = "/api/v1/assignments/fetch"
WISH = {"branches": ["president"], "wait_seconds": 50, "lease_seconds": 600}


@pytest.fixture
async def service(sqlite_address: str) -> AsyncIterator[Served]:
    async with served(sqlite_address, external=[PRESIDENT_SERVICE]) as service:
        yield service


async def president(service: Served, name: str = "the president") -> str:
    return await service.token(name, Role.BRANCH, branches=[B.PRESIDENT])


async def owners(service: Served) -> list[str | None]:
    return [row.lease.owner for row in await assignments(service.played)]


class Connection:
    """One connection, on which requests are written by hand."""

    def __init__(self, service: Served) -> None:
        self._address = httpx.URL(service.url)
        self.reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self.reader, self._writer = await asyncio.open_connection(
            self._address.host, self._address.port
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()

    async def send(self, raw: bytes) -> None:
        self._writer.write(raw)
        await self._writer.drain()

    async def fetch(self, token: str, wish: dict[str, Any], *headers: str) -> None:
        body = json.dumps(wish, separators=(",", ":")).encode()  # as httpx does
        head = [
            f"POST {FETCH} HTTP/1.1",
            "Host: service",
            f"Authorization: Bearer {token}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *headers,
        ]
        await self.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    async def status(self) -> int:
        """Return the status of the next answer."""
        line = await soon(self.reader.readline())
        return int(line.split()[1]) if line else 0

    async def all(self) -> bytes:
        """Return everything until the service hangs up."""
        return await soon(self.reader.read())

    async def hang_up(self) -> None:
        self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()


async def test_a_fetch_waits_for_the_first_assignment(service: Served) -> None:
    async with service.http(await president(service)) as http:
        waiting = asyncio.create_task(http.post(FETCH, json=WISH))
        await until(lambda: service.played.flow.desk.waiting == 1)

        motion_id = await service.played.reach(S.PLANNING)

        answer = await soon(waiting)
    [assignment] = answer.json()["assignments"]
    assert assignment["motion_id"] == str(motion_id)


async def test_whoever_hangs_up_while_waiting_leaves_nothing_locked(service: Served) -> None:
    async with Connection(service) as connection:
        await connection.fetch(await president(service), WISH)
        await until(lambda: service.played.flow.desk.waiting == 1)

        await connection.hang_up()
        await until(lambda: service.played.flow.desk.waiting == 0)
        await service.played.reach(S.PLANNING)

        async with service.http(await president(service, "another")) as http:
            answer = await http.post(FETCH, json={})
        assert len(answer.json()["assignments"]) == 1


async def test_whoever_hangs_up_while_it_is_claimed_leaves_nothing_locked(
    service: Served,
) -> None:
    async with Connection(service) as connection:
        store: Any = service.played.flow.assignments
        claim, claimed, go_on = store.claim_each, asyncio.Event(), asyncio.Event()

        async def slow(*args: Any, **named: Any) -> Any:
            rows = await claim(*args, **named)
            if any(rows):
                claimed.set()
                await go_on.wait()
            return rows

        await service.played.reach(S.PLANNING)
        with replaced(store, "claim_each", slow):
            await connection.fetch(await president(service), WISH)
            await soon(claimed.wait())
            assert await owners(service) == ["the president"]
            await connection.hang_up()
            go_on.set()
            await until(lambda: _free(service))


async def _free(service: Served) -> bool:
    return await owners(service) == [None]


async def test_whoever_hangs_up_may_ask_again_with_the_same_key(service: Served) -> None:
    token = await president(service)
    async with Connection(service) as connection:
        await connection.fetch(token, WISH, "Idempotency-Key: k1")
        await until(lambda: service.played.flow.desk.waiting == 1)
        await connection.hang_up()
        await until(lambda: service.played.flow.desk.waiting == 0)
        await service.played.reach(S.PLANNING)

        async with service.http(token) as http:
            headers = {"Idempotency-Key": "k1"}
            answer: httpx.Response | None = None

            async def answered() -> bool:
                nonlocal answer
                answer = await http.post(FETCH, json=WISH, headers=headers)
                return answer.status_code == 200

            # Until the first request has ended, its key is busy.
            await until(answered)
            assert answer is not None
            assert len(answer.json()["assignments"]) == 1


async def test_an_answer_that_was_lost_is_given_again(service: Served) -> None:
    await service.played.reach(S.PLANNING)
    token = await president(service)
    async with Connection(service) as connection:
        await connection.fetch(token, WISH, "Idempotency-Key: k1")
        # It was answered, but the answer got lost on its way: nobody read it.
        assert await connection.status() == 200
        await connection.hang_up()

        async with service.http(token) as http:
            answer = await http.post(FETCH, json=WISH, headers={"Idempotency-Key": "k1"})

        assert answer.status_code == 200, answer.text
        assert len(answer.json()["assignments"]) == 1
        assert answer.headers["Idempotency-Replayed"] == "true"
        assert await owners(service) == ["the president"]


async def test_whoever_waits_is_answered_when_the_service_stops(service: Served) -> None:
    async with service.http(await president(service)) as http:
        waiting = asyncio.create_task(http.post(FETCH, json=WISH))
        await until(lambda: service.played.flow.desk.waiting == 1)

        service.service.stopping.set()

        answer = await soon(waiting)
    assert answer.json() == {"assignments": []}


async def test_a_completion_is_recorded_though_nobody_waits_for_the_answer(
    service: Served,
) -> None:
    motion_id = await service.played.reach(S.PLANNING)
    token = await president(service)
    async with service.http(token) as http:
        [assignment] = (await http.post(FETCH, json=WISH)).json()["assignments"]
        body = {name: assignment[name] for name in ("motion_id", "branch", "lease_token")}
        path = f"/api/v1/assignments/{assignment['routing_id']}/complete"
        raw = json.dumps(body).encode()
        async with Connection(service) as connection:
            await connection.send(
                f"POST {path} HTTP/1.1\r\nHost: s\r\nAuthorization: Bearer {token}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n".encode()
                + raw
            )
            await until(lambda: _is_in(service, motion_id, S.EXECUTING))
            await connection.hang_up()

            again = await http.post(path, json=body)

    assert again.status_code == 200
    assert len(await service.played.completions(motion_id)) == 2  # the vote, and this


async def _is_in(service: Served, motion_id: Any, state: GovernanceState) -> bool:
    return await service.played.state(motion_id) is state


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}{}{}",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 1e3\r\n\r\n{}",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Content-Length : 2\r\n\r\n{}",
        b"X" * 70_000 + b": 1\r\n\r\n",
    ],
    ids=["both", "two", "negative", "exponent", "gzip", "unknown", "space", "long"],
)
async def test_a_request_that_two_could_read_differently_does_nothing(
    service: Served, framing: bytes
) -> None:
    token = await service.token("Ada", Permission.INTRODUCE)
    async with Connection(service) as connection:
        await connection.send(
            f"POST /api/v1/motions HTTP/1.1\r\nHost: s\r\nAuthorization: Bearer {token}\r\n"
            "Connection: close\r\nContent-Type: application/json\r\n".encode()
            + framing
        )
        answers = await connection.all()

        assert answers.count(b"HTTP/1.1 ") <= 1, answers
        assert b"HTTP/1.1 2" not in answers, answers
        assert (await service.played.flow.store.head()).position == 0


async def test_an_interrupted_body_is_no_request(service: Served) -> None:
    token = await service.token("Ada", Permission.INTRODUCE)
    async with Connection(service) as connection:
        body = b'{"title": "a", "text": "b"}'
        await connection.send(
            f"POST /api/v1/motions HTTP/1.1\r\nHost: s\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            f"{len(body):x}\r\n".encode()
            + body
            + b"\r\n"
        )

        await connection.hang_up()

        async with service.http(token) as http:
            assert (await http.get("/livez")).status_code == 200
        assert (await service.played.flow.store.head()).position == 0
