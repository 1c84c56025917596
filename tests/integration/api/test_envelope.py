"""What is around every request: its id, its bounds, its headers; and what is no operation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from governance_flow.api.envelope import SECURITY_HEADERS, Envelope
from governance_flow.api.service import ServiceOptions
from governance_flow.application.access.permissions import Permission
from governance_flow.domain.events import PIPELINE_ID, Event
from tests.support.api import InProcess, fields, in_process, motion, motion_id_of, problem
from tests.support.workers import Failing, replaced

MOTIONS = "/api/v1/motions"
CORRELATION = "X-Correlation-ID"


# -- Correlation -----------------------------------------------------------------------------------


async def test_a_correlation_id_goes_in_through_and_out(api: InProcess) -> None:
    ada = await api.anybody()
    given = uuid4()

    answer = await ada.post(MOTIONS, json=motion(), headers={CORRELATION: str(given)})

    assert answer.headers[CORRELATION] == str(given)
    [event] = await api.played.events(motion_id_of(answer))
    assert event.correlation_id == given


async def test_what_a_motion_goes_through_keeps_the_id_that_it_began_under(
    api: InProcess,
) -> None:
    ada = await api.anybody()
    began, later = uuid4(), uuid4()
    answer = await ada.post(MOTIONS, json=motion(), headers={CORRELATION: str(began)})
    motion_id = motion_id_of(answer)

    await ada.patch(
        f"{MOTIONS}/{motion_id}", json={"title": "Anew"}, headers={CORRELATION: str(later)}
    )

    assert {event.correlation_id for event in await api.played.events(motion_id)} == {began}


async def test_halting_goes_on_record_under_the_id_of_the_request(api: InProcess) -> None:
    ada = await api.anybody()
    given = uuid4()

    await ada.post(
        "/api/v1/pipeline/halt", json={"reason": "a storm"}, headers={CORRELATION: str(given)}
    )

    events: list[Event] = await api.played.pipeline_events()
    assert [(event.topic, event.correlation_id) for event in events] == [("PIPELINE_HALTED", given)]
    assert events[0].actor.id == "Ada"
    assert await api.played.length(PIPELINE_ID) >= 1


async def test_log_lines_carry_the_id_and_who_asks(api: InProcess) -> None:
    ada = await api.anybody()
    given = uuid4()
    store: Any = api.played.flow.store
    failing = Failing(store.append, ZeroDivisionError("a mistake"))

    with (
        capture_logs([merge_contextvars]) as lines,
        replaced(store, "append", failing),
    ):
        answer = await ada.post(MOTIONS, json=motion(), headers={CORRELATION: str(given)})

    assert answer.status_code == 500
    [line] = [line for line in lines if line["event"] == "a request could not be answered"]
    assert (line["correlation_id"], line["bearer"]) == (str(given), "Ada")


@pytest.mark.parametrize("given", ["17", "", "x" * 5000, "'; DROP TABLE events"])
async def test_an_id_that_is_none_is_replaced(api: InProcess, given: str) -> None:
    ada = await api.anybody()

    answer = await ada.get(MOTIONS, headers={CORRELATION: given})

    assert str(UUID(answer.headers[CORRELATION])) != given


async def test_each_request_has_an_id_of_its_own(api: InProcess) -> None:
    ada = await api.anybody()

    ids = {(await ada.get("/livez")).headers[CORRELATION] for _ in range(3)}

    assert len(ids) == 3


# -- Bounds ----------------------------------------------------------------------------------------


@pytest.fixture
async def small(sqlite_address: str) -> AsyncIterator[InProcess]:
    async with in_process(sqlite_address, options=ServiceOptions(body_bytes_max=1000)) as api:
        yield api


async def chunks(total: int) -> AsyncIterator[bytes]:
    yield b'{"title": "a", "text": "'
    for _ in range(total // 100):
        yield b"x" * 100
    yield b'"}'


async def test_a_body_that_says_it_is_too_large_is_not_read(small: InProcess) -> None:
    ada = await small.anybody()
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"{}"

    answer = await ada.post(MOTIONS, content=body(), headers={"Content-Length": "1001"})

    told = problem(answer, 413, "too-large")
    assert "1000 bytes" in told["detail"]
    assert not read


async def test_a_body_that_turns_out_too_large_is_refused(small: InProcess) -> None:
    ada = await small.anybody()
    headers = {"Content-Type": "application/json"}

    problem(await ada.post(MOTIONS, content=chunks(2000), headers=headers), 413, "too-large")
    answer = await ada.post(MOTIONS, content=chunks(500), headers=headers)

    assert answer.status_code == 201


async def test_a_body_that_never_came_in_full_is_no_request(small: InProcess) -> None:
    messages: list[Any] = [
        {"type": "http.request", "body": b'{"title": "a", "text": "b"}', "more_body": True},
        {"type": "http.disconnect"},
    ]
    token = await small.token("Ada", Permission.INTRODUCE)
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": MOTIONS,
        "raw_path": MOTIONS.encode(),
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {token}".encode()),
            (b"content-type", b"application/json"),
        ],
        "client": ("10.0.0.7", 1),
        "server": ("service", 80),
        "scheme": "http",
        "http_version": "1.1",
    }
    await small.app(scope, receive, send)

    assert (await small.played.flow.store.head()).position == 0, "introduced half a request"
    assert sent == []


# -- What is no operation --------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/api/v1", "/api/v1/nothing", "/api/v1/motions/", "/docs"])
async def test_a_path_that_is_not_there_is_a_problem(api: InProcess, path: str) -> None:
    ada = await api.anybody()

    told = problem(await ada.get(path), 404, "not-found")

    assert "/api/v1/openapi.json" in told["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", MOTIONS),
        ("DELETE", f"{MOTIONS}/{UUID(int=7).hex}"),
        ("OPTIONS", MOTIONS),
        ("TRACE", MOTIONS),
        ("POST", "/livez"),
        ("GET", "/api/v1/pipeline/halt"),
    ],
    ids=str,
)
async def test_a_method_that_a_path_has_not_is_a_problem(
    api: InProcess, method: str, path: str
) -> None:
    ada = await api.anybody()

    answer = await ada.request(method, path)

    told = problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"]
    assert answer.headers["Allow"] in told["detail"]


async def test_nobody_gets_round_the_door_by_another_method(api: InProcess) -> None:
    stranger = api.http()

    for method in ("HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "get", "CONNECT"):
        answer = await stranger.request(method, MOTIONS)
        assert answer.status_code in (401, 405), method
        assert "motions" not in answer.text.replace(MOTIONS, "")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-HTTP-Method-Override": "PATCH"},
        {"X-Original-URL": "/livez"},
        {"X-Rewrite-URL": "/livez"},
        {"X-Forwarded-Prefix": "/livez"},
    ],
    ids=str,
)
async def test_nobody_gets_round_the_door_by_a_header(
    api: InProcess, headers: dict[str, str]
) -> None:
    problem(await api.http().get(MOTIONS, headers=headers), 401, "unauthenticated")


@pytest.mark.parametrize(
    "path",
    ["//api/v1/motions", "/api/v1//motions", "/api/v1/./motions", "/livez/../api/v1/motions",
     "/api/v1/motions%2f", "/API/V1/MOTIONS", "/api/v1/motions;x=1"],
)  # fmt: skip
async def test_nobody_gets_round_the_door_by_another_spelling(api: InProcess, path: str) -> None:
    answer = await api.http().get(f"http://service{path}")

    assert answer.status_code in (401, 404, 422), answer.text


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml", "json"]
)
async def test_a_body_of_another_kind_is_a_problem(api: InProcess, media_type: str) -> None:
    ada = await api.anybody()

    answer = await ada.post(
        MOTIONS, content=b'{"title": "a", "text": "b"}', headers={"Content-Type": media_type}
    )

    told = problem(answer, 415, "wrong-media-type")
    assert "application/json" in told["detail"]
    assert (await api.played.flow.store.head()).position == 0


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 422, "invalid-request"),
        (b"{", 422, "invalid-request"),
        (b"null", 422, "invalid-request"),
        (b"[]", 422, "invalid-request"),
        (b'{"title": "\xff", "text": "b"}', 400, "unreadable"),
        (b'{"title": "a", "metadata": {"n": ' + b"9" * 5000 + b"}}", 400, "unreadable"),
        (b'{"a":' * 50_000, 400, "unreadable"),
        (b'{"title": "a", "text": "b", "metadata": {"n": NaN}}', 422, "invalid-request"),
        (b'{"title": "\\ud800", "text": "b"}', 422, "invalid-request"),
        (b'{"title": "a", "text": "b", "\\ud800": 1}', 422, "invalid-request"),
        (b'{"title": "a", "text": "b", "metadata": {"\\ud800": 1}}', 422, "invalid-request"),
    ],
    ids=["empty", "cut", "null", "list", "no-utf8", "digits", "deep", "nan", "surrogate",
         "surrogate-name", "surrogate-inside"],
)  # fmt: skip
async def test_a_body_that_is_no_request_is_a_problem(
    api: InProcess, body: bytes, status: int, kind: str
) -> None:
    ada = await api.anybody()

    answer = await ada.post(MOTIONS, content=body, headers={"Content-Type": "application/json"})

    problem(answer, status, kind)
    assert (await api.played.flow.store.head()).position == 0


async def test_a_parameter_that_nobody_reads_is_refused(api: InProcess) -> None:
    ada = await api.anybody()

    told = problem(await ada.get(MOTIONS, params={"stat": "PLANNING"}), 422, "invalid-request")

    assert fields(told) == ["query.stat"]
    assert "state" in told["detail"], "which did they mean?"


async def test_nonsense_does_not_come_back_in_full(api: InProcess) -> None:
    ada = await api.anybody()

    answer = await ada.post(MOTIONS, json={f"name {number}": 1 for number in range(10_000)})

    assert len(fields(problem(answer, 422, "invalid-request"))) <= 20
    assert len(answer.content) < 10_000


# -- Headers ---------------------------------------------------------------------------------------


async def test_every_answer_has_the_headers_that_protect_it(api: InProcess) -> None:
    ada, stranger = await api.anybody(), api.http()
    store: Any = api.played.flow.store
    answers: list[httpx.Response] = [
        await ada.get(MOTIONS),
        await ada.post(MOTIONS, json=motion()),
        await ada.post(MOTIONS, json={}),
        await ada.get("/nothing"),
        await ada.put(MOTIONS),
        await stranger.get(MOTIONS),
        await stranger.get("/livez"),
    ]
    with replaced(store, "append", Failing(store.append, ZeroDivisionError("a mistake"))):
        answers.append(await ada.post(MOTIONS, json=motion()))

    assert {answer.status_code for answer in answers} == {200, 201, 401, 404, 405, 422, 500}
    for answer in answers:
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value, (answer.status_code, name)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "'unsafe" not in answer.headers["Content-Security-Policy"]
        assert CORRELATION in answer.headers


async def test_a_mistake_around_the_operations_is_told_as_any_other(api: InProcess) -> None:
    ada = await api.anybody()

    with patch.object(Envelope, "_bounded", side_effect=ZeroDivisionError("oh")):
        answer = await ada.get("/livez")

    problem(answer, 500, "internal-error")
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "oh" not in answer.text
