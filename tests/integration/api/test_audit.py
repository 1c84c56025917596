"""The audit over HTTP: promises, proofs, the past, everything verified; and rebuilding."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import httpx
import pytest

from governance_flow.api.service import Jobs
from governance_flow.application.access.permissions import Role
from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.states import GovernanceState
from tests.support.api import InProcess, fields, problem
from tests.support.workers import soon

S = GovernanceState
AUDIT = "/api/v1/audit"
PROJECTIONS = "/api/v1/projections"


@pytest.fixture
async def zoe(api: InProcess) -> httpx.AsyncClient:
    return api.http(await api.token("zoe", Role.OPERATOR))


async def job_of(jobs: Jobs, name: str) -> None:
    job = jobs.latest(name)
    assert job is not None
    assert job.task is not None
    await soon(asyncio.wait([job.task]))


# -- Checkpoints -----------------------------------------------------------------------------------


async def test_a_checkpoint_promises_every_event_there_is(
    api: InProcess, zoe: httpx.AsyncClient
) -> None:
    await api.played.introduce()

    latest = (await zoe.get(f"{AUDIT}/checkpoint")).json()
    head = (await api.played.flow.store.head()).position
    kept = (await zoe.get(f"{AUDIT}/checkpoints/{latest['size']}")).json()

    assert latest["events"] == head
    assert latest["current"] is True
    assert latest["note"].startswith("governance-flow")
    assert kept["note"] == latest["note"]


async def test_a_checkpoint_that_was_never_signed_is_not_found(zoe: httpx.AsyncClient) -> None:
    told = problem(await zoe.get(f"{AUDIT}/checkpoints/17"), 404, "not-found")

    assert "17" in told["detail"]


async def test_one_checkpoint_is_proved_to_be_the_beginning_of_another(
    api: InProcess, zoe: httpx.AsyncClient
) -> None:
    await api.played.introduce()
    old = (await zoe.get(f"{AUDIT}/checkpoint")).json()
    await api.played.introduce()
    new = (await zoe.get(f"{AUDIT}/checkpoint")).json()

    answer = await zoe.get(f"{AUDIT}/consistency", params={"old": old["size"], "new": new["size"]})

    told = answer.json()
    assert (told["old_root"], told["new_root"]) == (old["root"], new["root"])
    assert told["proof"]


@pytest.mark.parametrize(
    ("params", "field"),
    [({"old": 0, "new": 1}, "query.old"), ({"old": 1}, "query.new"), ({"old": 1, "new": "x"}, "")],
    ids=str,
)
async def test_what_cannot_be_proved_names_the_field(
    api: InProcess, zoe: httpx.AsyncClient, params: Any, field: str
) -> None:
    await zoe.get(f"{AUDIT}/checkpoint")

    told = problem(await zoe.get(f"{AUDIT}/consistency", params=params), 422, "invalid-request")

    assert field in fields(told)[0]


async def test_of_a_checkpoint_that_was_never_signed_nothing_is_proved(
    api: InProcess, zoe: httpx.AsyncClient
) -> None:
    await api.played.introduce()
    await zoe.get(f"{AUDIT}/checkpoint")

    answer = await zoe.get(f"{AUDIT}/consistency", params={"old": 1, "new": 99})

    assert "size 1" in problem(answer, 404, "not-found")["detail"]


async def test_a_motions_bundle_is_what_the_audit_proves(
    api: InProcess, zoe: httpx.AsyncClient
) -> None:
    motion_id = await api.played.reach(S.PLANNING)

    answer = await zoe.get(f"{AUDIT}/motions/{motion_id}/bundle")

    bundle, _ = await api.played.flow.audit.prove(motion_id)
    assert answer.json() == bundle
    assert answer.headers["Content-Disposition"] == (
        f'attachment; filename="motion-{motion_id}.json"'
    )


# -- The past --------------------------------------------------------------------------------------


async def test_the_pipeline_is_shown_as_it_stood(api: InProcess, zoe: httpx.AsyncClient) -> None:
    await api.played.introduce()
    then = api.played.clock.now()
    api.played.clock.advance(60)
    await api.played.introduce()

    by_position = (await zoe.get(f"{AUDIT}/replay", params={"position": 1})).json()
    by_time = (await zoe.get(f"{AUDIT}/replay", params={"at": then.isoformat()})).json()
    now = (await zoe.get(f"{AUDIT}/replay")).json()

    assert by_position["active_motions"] == by_time["active_motions"] == 1
    assert now["active_motions"] == 2


async def test_a_motion_is_shown_as_it_stood(api: InProcess, zoe: httpx.AsyncClient) -> None:
    motion_id = await api.played.reach(S.PLANNING)

    answer = await zoe.get(f"{AUDIT}/motions/{motion_id}/replay", params={"position": 1})

    assert answer.json()["position"] == 1
    assert answer.json()["motion"]["current_state"] == "INTRODUCED"


@pytest.mark.parametrize("path", ["bundle", "replay"])
@pytest.mark.parametrize("motion_id", [uuid4(), PIPELINE_ID], ids=["nobody", "pipeline"])
async def test_a_motion_that_is_not_there_is_not_found(
    api: InProcess, zoe: httpx.AsyncClient, path: str, motion_id: UUID
) -> None:
    await api.played.halt()

    problem(await zoe.get(f"{AUDIT}/motions/{motion_id}/{path}"), 404, "unknown-motion")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"position": -1}, "query.position"),
        ({"position": 99}, "query.position"),
        ({"position": 2**63}, "query.position"),
        ({"at": "2026-01-01T12:00:00"}, "query.at"),
        ({"at": "noon"}, "query.at"),
        ({"at": "2026-01-01T12:00:00Z", "position": 1}, "query.at"),
    ],
    ids=str,
)
async def test_a_moment_that_is_none_names_the_field(
    api: InProcess, zoe: httpx.AsyncClient, params: Any, field: str
) -> None:
    motion_id = await api.played.introduce()

    for path in ("replay", f"motions/{motion_id}/replay"):
        told = problem(await zoe.get(f"{AUDIT}/{path}", params=params), 422, "invalid-request")
        assert fields(told) == [field]


# -- Jobs ------------------------------------------------------------------------------------------


async def test_the_record_is_verified(api: InProcess, zoe: httpx.AsyncClient) -> None:
    await api.played.reach(S.PLANNING)
    problem(await zoe.get(f"{AUDIT}/verification"), 404, "not-found")

    begun = await zoe.post(f"{AUDIT}/verification")
    await job_of(api.service.jobs, "verification")
    answer = (await zoe.get(f"{AUDIT}/verification")).json()

    assert begun.status_code == 202
    assert answer["running"] is False
    assert answer["error"] is None
    assert answer["result"]["passed"] is True, answer


async def test_a_verification_that_failed_says_so(api: InProcess, zoe: httpx.AsyncClient) -> None:
    verified = "governance_flow.api.routes.audit.verified"
    with patch(verified, side_effect=ZeroDivisionError("it broke")):
        await zoe.post(f"{AUDIT}/verification")
        await job_of(api.service.jobs, "verification")

    answer = (await zoe.get(f"{AUDIT}/verification")).json()
    assert answer["running"] is False
    assert answer["error"] == "it broke"


async def test_a_verification_is_not_begun_twice(api: InProcess, zoe: httpx.AsyncClient) -> None:
    await zoe.post(f"{AUDIT}/verification")
    first = api.service.jobs.latest("verification")

    again = await zoe.post(f"{AUDIT}/verification")

    assert again.status_code == 202
    assert api.service.jobs.latest("verification") is first
    await job_of(api.service.jobs, "verification")


async def test_a_projection_is_rebuilt(api: InProcess, zoe: httpx.AsyncClient) -> None:
    await api.played.introduce()
    listed = (await zoe.get(PROJECTIONS)).json()["projections"]
    assert {one["rebuild"] for one in listed} == {None}

    begun = await zoe.post(f"{PROJECTIONS}/motions/rebuild")
    await job_of(api.service.jobs, "rebuild motions")
    listed = (await zoe.get(PROJECTIONS)).json()["projections"]

    assert begun.status_code == 202
    [rebuilt] = [one["rebuild"] for one in listed if one["name"] == "motions"]
    assert (rebuilt["running"], rebuilt["error"]) == (False, None)
    assert rebuilt["result"]["generation"] == 2
    assert len((await zoe.get("/api/v1/motions")).json()["motions"]) == 1


async def test_a_projection_that_is_not_there_is_not_found(zoe: httpx.AsyncClient) -> None:
    told = problem(await zoe.post(f"{PROJECTIONS}/weather/rebuild"), 404, "not-found")

    assert "motions" in told["detail"], "which are there?"


async def test_how_far_behind_is_told(api: InProcess, zoe: httpx.AsyncClient) -> None:
    await api.played.introduce()

    listed = (await zoe.get(PROJECTIONS)).json()["projections"]

    assert {one["behind_events"] for one in listed} == {1}
