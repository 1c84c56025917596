"""For those who watch from outside: alive, ready, measured; each tells the truth."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock

import pytest

from governance_flow.api.service import ServiceOptions
from governance_flow.application.access.permissions import Role
from governance_flow.domain.errors import StoreUnavailable
from tests.support.api import InProcess, in_process, problem
from tests.support.private_postgres import private_postgres
from tests.support.workers import Failing, replaced


async def readiness(api: InProcess) -> tuple[int, str, dict[str, Any]]:
    answer = await api.http().get("/readyz")
    told = answer.json()
    return answer.status_code, told["status"], told["checks"]


async def test_a_process_that_answers_is_alive_whatever_becomes_of_the_store(
    api: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = AsyncMock(side_effect=StoreUnavailable("gone"))
    for what in ("head", "read_all", "read_stream"):
        monkeypatch.setattr(api.played.flow.store, what, gone)

    answer = await api.http().get("/livez")

    assert (answer.status_code, answer.json()) == (200, {"status": "pass"})


async def test_a_service_that_can_answer_truly_is_ready(stored_api: InProcess) -> None:
    await stored_api.played.introduce()

    status, finding, checks = await readiness(stored_api)

    assert (status, finding) == (200, "pass")
    assert {name: check["status"] for name, check in checks.items()} == {
        "store": "pass",
        "projections": "pass",
        "pipeline": "pass",
    }


async def test_a_store_that_cannot_be_reached_is_said_without_saying_where(api: InProcess) -> None:
    store: Any = api.played.flow.store
    error = StoreUnavailable("postgresql://boss@secret-host/flow: cannot connect")
    with replaced(store, "head", Failing(store.head, error)):
        status, finding, checks = await readiness(api)

    assert (status, finding) == (503, "fail")
    assert checks["store"]["status"] == "fail"
    assert "unreachable" in checks["store"]["detail"]
    assert "secret-host" not in str(checks), "everybody may ask"


async def test_a_store_that_does_not_answer_is_not_waited_for(
    api: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("governance_flow.api.routes.health.STORE_PATIENCE_SECONDS", 0.01)

    async def never() -> Any:
        await asyncio.Event().wait()

    with replaced(api.played.flow.store, "head", never):
        status, _, checks = await readiness(api)

    assert (status, checks["store"]["status"]) == (503, "fail")


@pytest.mark.slow
@pytest.mark.postgres
async def test_a_server_that_stops_and_comes_back_is_seen() -> None:
    with private_postgres() as server:
        async with in_process(server.address) as api:
            assert (await readiness(api))[0] == 200
            server.crash()
            status, _, checks = await readiness(api)
            assert (status, checks["store"]["status"]) == (503, "fail")
            server.start()
            assert (await readiness(api))[0] == 200


async def test_a_halted_pipeline_answers_and_warns(api: InProcess) -> None:
    await api.played.halt("a storm")

    status, finding, checks = await readiness(api)

    assert (status, finding) == (200, "warn")
    assert "halted" in checks["pipeline"]["detail"]


@pytest.mark.parametrize(("behind", "status"), [(31, 503), (29, 200)])
async def test_a_read_model_that_is_far_behind_is_not_ready(
    sqlite_address: str, behind: float, status: int
) -> None:
    options = ServiceOptions(lag_seconds_max=30)
    async with in_process(sqlite_address, options=options) as api:
        await api.played.introduce()
        await api.played.flow.runner.catch_up(1)
        api.played.clock.advance(behind)
        await api.played.introduce()

        found, _, checks = await readiness(api)

        assert found == status
        assert checks["projections"]["status"] == ("fail" if status == 503 else "pass")
        assert "1 events behind" in checks["projections"]["detail"]


async def test_a_worker_that_died_is_said(api: InProcess) -> None:
    async def dies() -> None:
        raise ZeroDivisionError

    api.service.worker = asyncio.create_task(dies())
    await asyncio.wait([api.service.worker])

    status, _, checks = await readiness(api)

    assert (status, checks["worker"]["status"]) == (503, "fail")
    assert isinstance(api.service.worker.exception(), ZeroDivisionError)


async def test_a_worker_at_work_is_said(api: InProcess) -> None:
    api.service.worker = asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]

    status, _, checks = await readiness(api)
    api.service.worker.cancel()

    assert (status, checks["worker"]["status"]) == (200, "pass")


async def test_metrics_are_for_those_who_may_scrape(api: InProcess) -> None:
    scraper = api.http(await api.token("prometheus", Role.SCRAPER))
    viewer = api.http(await api.token("Cy", Role.VIEWER))

    problem(await viewer.get("/metrics"), 403, "forbidden")
    answer = await scraper.get("/metrics")

    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "governance_flow_halted 0" in answer.text


async def test_requests_are_counted_by_the_template_of_their_path(api: InProcess) -> None:
    ada = await api.anybody()
    motion_id = await api.played.introduce()
    await ada.get(f"/api/v1/motions/{motion_id}")
    await ada.get(f"/nothing/{motion_id}")

    text = (await ada.get("/metrics")).text

    lines = [line for line in text.splitlines() if "http_requests_total" in line]
    route = 'route="/api/v1/motions/{motion_id}"'
    assert any(route in line and line.endswith(" 1.0") for line in lines), lines
    assert any('route="other"' in line for line in lines)
    assert str(motion_id) not in text


async def test_denials_are_counted_by_reason(api: InProcess) -> None:
    await api.http().get("/api/v1/motions")

    text = (await (await api.anybody()).get("/metrics")).text

    assert 'governance_flow_access_denied_total{reason="no_credentials"} 1.0' in text


async def test_every_problem_that_is_told_is_in_the_list(api: InProcess) -> None:
    listed = {one["type"]: one["status"] for one in (await api.http().get("/problems")).json()}
    ada = await api.anybody()

    for answer in (
        await ada.get("/nothing"),
        await ada.get("/api/v1/motions/17"),
        await ada.put("/livez"),
        await ada.post("/api/v1/motions", content=b"", headers={"Content-Type": "x/y"}),
        await api.http().get("/metrics"),
    ):
        assert listed[answer.json()["type"]] == answer.status_code
