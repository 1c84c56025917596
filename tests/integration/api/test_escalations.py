"""What waits for a person, over HTTP: found, decided about, in bulk."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from governance_flow.application.access.permissions import Role
from governance_flow.domain.events import Authentication, EscalationResolved
from governance_flow.domain.states import GovernanceState
from tests.support.api import InProcess, fields, problem

S = GovernanceState
ESCALATIONS = "/api/v1/escalations"


@pytest.fixture
async def zoe(api: InProcess) -> httpx.AsyncClient:
    return api.http(await api.token("zoe", Role.OPERATOR))


async def blocked(api: InProcess, error_type: str = "system_error") -> UUID:
    motion_id = await api.played.reach(S.PLANNING)
    await api.played.fails(motion_id, error_type)
    assert (await api.played.status(motion_id)).blocking_issues
    return motion_id


async def test_what_waits_for_a_person_is_listed(api: InProcess, zoe: httpx.AsyncClient) -> None:
    motion_id = await blocked(api)
    await api.played.reach(S.PLANNING)

    [waiting] = (await zoe.get(ESCALATIONS)).json()["motions"]

    assert waiting["motion_id"] == str(motion_id)
    assert waiting["blocking_issues"]


async def test_a_person_decides_and_the_record_says_who(
    api: InProcess, zoe: httpx.AsyncClient
) -> None:
    motion_id = await blocked(api)
    version = (await api.played.status(motion_id)).version

    answer = await zoe.post(
        f"{ESCALATIONS}/{motion_id}/resolution",
        json={"decision": "retry", "notes": "it runs again"},
        headers={"If-Match": f'"{version}"'},
    )

    assert answer.status_code == 200, answer.text
    assert answer.json()["blocking_issues"] == []
    assert answer.headers["ETag"] == f'"{answer.json()["version"]}"'
    resolved = await api.played.last(motion_id, EscalationResolved)
    assert (resolved.actor.id, resolved.notes) == ("zoe", "it runs again")
    assert resolved.actor.authenticated_by is Authentication.TOKEN


async def test_a_blocked_motion_is_tried_again(api: InProcess, zoe: httpx.AsyncClient) -> None:
    motion_id = await blocked(api)

    answer = await zoe.post(f"{ESCALATIONS}/{motion_id}/retry")

    assert answer.status_code == 200, answer.text
    assert answer.json()["blocking_issues"] == []
    assert answer.headers["ETag"]


DECISIONS: list[Any] = [
    pytest.param("resolution", {"decision": "retry"}, id="resolve"),
    pytest.param("retry", None, id="retry"),
]


@pytest.mark.parametrize(("what", "body"), DECISIONS)
async def test_a_decision_about_an_older_version_is_refused_and_records_nothing(
    api: InProcess, zoe: httpx.AsyncClient, what: str, body: Any
) -> None:
    motion_id = await blocked(api)
    events = await api.played.length(motion_id)

    problem(
        await zoe.post(f"{ESCALATIONS}/{motion_id}/{what}", json=body, headers={"If-Match": '"1"'}),
        412,
        "version-moved",
    )

    assert await api.played.length(motion_id) == events


@pytest.mark.parametrize(("what", "body"), DECISIONS)
async def test_what_waits_for_nobody_is_not_decided(
    api: InProcess, zoe: httpx.AsyncClient, what: str, body: Any
) -> None:
    motion_id = await api.played.reach(S.PLANNING)

    told = problem(await zoe.post(f"{ESCALATIONS}/{motion_id}/{what}", json=body), 409, "refused")

    assert told["motion_id"] == str(motion_id)


@pytest.mark.parametrize(("what", "body"), DECISIONS)
async def test_a_motion_that_is_not_there_is_not_found(
    zoe: httpx.AsyncClient, what: str, body: Any
) -> None:
    answer = await zoe.post(f"{ESCALATIONS}/{uuid4()}/{what}", json=body)

    problem(answer, 404, "unknown-motion")


async def test_whoever_acted_on_the_motion_does_not_decide(api: InProcess) -> None:
    motion_id = await blocked(api)
    introducer = (await api.played.motion(motion_id)).introduced_by
    http = api.http(await api.token(introducer, Role.OPERATOR))

    told = problem(
        await http.post(f"{ESCALATIONS}/{motion_id}/resolution", json={"decision": "retry"}),
        403,
        "not-allowed",
    )

    assert introducer in told["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.decision"),
        ({"decision": "pardon"}, "body.decision"),
        ({"decision": "retry", "notes": "x" * 10_001}, "body.notes"),
        ({"decision": "retry", "resolved_by": "the king"}, "body.resolved_by"),
    ],
    ids=str,
)
async def test_a_decision_that_is_none_names_the_field(
    api: InProcess, zoe: httpx.AsyncClient, body: Any, field: str
) -> None:
    motion_id = await blocked(api)

    told = problem(
        await zoe.post(f"{ESCALATIONS}/{motion_id}/resolution", json=body), 422, "invalid-request"
    )

    assert fields(told) == [field]


# -- Many at once ----------------------------------------------------------------------------------


async def test_what_is_refused_about_one_stops_no_other(
    api: InProcess, zoe: httpx.AsyncClient
) -> None:
    ours, theirs = await blocked(api), await api.played.introduce(introduced_by="zoe")
    await api.played.reach(S.PLANNING, theirs)
    await api.played.fails(theirs, "system_error")

    answer = await zoe.post(f"{ESCALATIONS}/resolutions", json={"decision": "retry"})

    assert answer.status_code == 200, answer.text
    by_motion = {one["motion_id"]: one for one in answer.json()["decided"]}
    assert by_motion[str(ours)]["done"] is True
    assert by_motion[str(ours)]["current_state"] == "PLANNING"
    assert by_motion[str(theirs)]["done"] is False
    assert "zoe" in by_motion[str(theirs)]["refusal"]
    assert answer.json()["next_after"] is None
    assert (await api.played.status(theirs)).blocking_issues


@pytest.mark.parametrize(
    ("selection", "meant"),
    [
        ({}, ["first", "second"]),
        ({"error_type": "system_error"}, ["first", "second"]),
        ({"error_type": "compliance_error"}, []),
        ({"state": "PLANNING"}, ["first", "second"]),
        ({"state": "EXECUTING"}, []),
        ({"blocked_since": "2026-01-01T12:30:00Z"}, ["second"]),
    ],
    ids=str,
)
async def test_only_what_is_selected_is_decided(
    api: InProcess, zoe: httpx.AsyncClient, selection: dict[str, Any], meant: list[str]
) -> None:
    names = {str(await blocked(api)): "first"}
    api.played.clock.advance(hours=1)
    names[str(await blocked(api))] = "second"

    answer = await zoe.post(f"{ESCALATIONS}/resolutions", json={"decision": "retry", **selection})

    assert sorted(names[one["motion_id"]] for one in answer.json()["decided"]) == meant


async def test_a_selection_is_decided_page_by_page(api: InProcess, zoe: httpx.AsyncClient) -> None:
    motions = {str(await blocked(api)) for _ in range(3)}
    decided: list[str] = []
    after: str | None = None

    for _ in range(10):
        body = {"decision": "retry", "limit": 2, "after": after}
        page = (await zoe.post(f"{ESCALATIONS}/resolutions", json=body)).json()
        decided += [one["motion_id"] for one in page["decided"] if one["done"]]
        after = page["next_after"]
        if after is None:
            break

    assert sorted(decided) == sorted(motions)


async def test_tabled_motions_are_taken_up_together(api: InProcess, zoe: httpx.AsyncClient) -> None:
    motion_id = await api.played.reach(S.TABLED)

    answer = await zoe.post(f"{ESCALATIONS}/resolutions", json={"decision": "take_up"})

    [one] = answer.json()["decided"]
    assert (one["motion_id"], one["done"]) == (str(motion_id), True), one


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"decision": "retry", "limit": 101}, "body.limit"),
        ({"decision": "retry", "blocked_since": "2026-01-01T00:00:00"}, "body.blocked_since"),
        ({"decision": "retry", "after": "nowhere"}, "body.after"),
    ],
    ids=str,
)
async def test_a_selection_that_is_none_names_the_field(
    zoe: httpx.AsyncClient, body: Any, field: str
) -> None:
    answer = await zoe.post(f"{ESCALATIONS}/resolutions", json=body)

    assert fields(problem(answer, 422, "invalid-request")) == [field]
