"""Motions over HTTP: put before the assembly, changed under their version, found again."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from governance_flow.application.access.permissions import Role
from governance_flow.domain.events import PIPELINE_ID, Authentication, MotionIntroduced
from governance_flow.domain.states import GovernanceState
from tests.support.api import InProcess, fields, motion, motion_id_of, problem

S = GovernanceState
MOTIONS = "/api/v1/motions"


@pytest.fixture
async def ada(api: InProcess) -> httpx.AsyncClient:
    return await api.anybody("Ada")


async def introduced(http: httpx.AsyncClient, **more: Any) -> UUID:
    answer = await http.post(MOTIONS, json=motion(**more))
    assert answer.status_code == 201, answer.text
    return motion_id_of(answer)


# -- Introducing -----------------------------------------------------------------------------------


async def test_a_motion_is_introduced_by_whom_the_token_names(
    api: InProcess, ada: httpx.AsyncClient
) -> None:
    answer = await ada.post(
        MOTIONS, json=motion(reference="2026/17", ballots={"Bo": "yes"}, metadata={"tasks": ["a"]})
    )

    motion_id = motion_id_of(answer)
    assert answer.status_code == 201
    assert answer.json() == {"motion_id": str(motion_id), "new": True}
    assert answer.headers["Location"] == f"{MOTIONS}/{motion_id}"
    assert answer.headers["ETag"] == '"1"'
    [event] = await api.played.events(motion_id)
    assert isinstance(event, MotionIntroduced)
    assert event.introduced_by == "Ada"
    assert event.actor.authenticated_by is Authentication.TOKEN
    assert (event.reference, event.ballots, event.metadata) == (
        "2026/17",
        {"Bo": "yes"},
        {"tasks": ["a"]},
    )
    assert answer.headers["Governance-Flow-Position"] == str(
        (await api.played.flow.store.head()).position
    )


async def test_the_same_motion_under_the_same_id_is_one_motion(
    api: InProcess, ada: httpx.AsyncClient
) -> None:
    motion_id = str(uuid4())
    await ada.post(MOTIONS, json=motion(motion_id=motion_id))

    again = await ada.post(MOTIONS, json=motion(motion_id=motion_id))

    assert (again.status_code, again.json()) == (200, {"motion_id": motion_id, "new": False})
    assert await api.played.length(UUID(motion_id)) == 1


async def test_another_motion_under_an_id_that_is_taken_is_refused(
    api: InProcess, ada: httpx.AsyncClient
) -> None:
    motion_id = str(uuid4())
    await ada.post(MOTIONS, json=motion(motion_id=motion_id))

    told = problem(
        await ada.post(MOTIONS, json=motion(motion_id=motion_id, title="Another")), 409, "id-taken"
    )

    assert told["motion_id"] == motion_id
    assert await api.played.length(UUID(motion_id)) == 1


async def test_the_same_motion_by_somebody_else_is_another_one(
    api: InProcess, ada: httpx.AsyncClient
) -> None:
    motion_id = str(uuid4())
    await ada.post(MOTIONS, json=motion(motion_id=motion_id))
    bo = await api.anybody("Bo")

    problem(await bo.post(MOTIONS, json=motion(motion_id=motion_id)), 409, "id-taken")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": "b"}, "body.title"),
        ({"title": "", "text": "b"}, "body.title"),
        ({"title": " \t", "text": "b"}, "body.title"),
        ({"title": "a" * 2001, "text": "b"}, "body.title"),
        ({"title": "a\x00", "text": "b"}, "body.title"),
        ({"title": "a", "text": 3}, "body.text"),
        (motion(motion_id="17"), "body.motion_id"),
        (motion(motion_id=str(PIPELINE_ID)), "body.motion_id"),
        (motion(reference=""), "body.reference"),
        (motion(ballots={"Bo": "maybe"}), "body.ballots.Bo"),
        (motion(ballots={"": "yes"}), "body.ballots"),
        (motion(metadata=[]), "body.metadata"),
        (motion(metadata={"a": "\x00"}), "body.metadata"),
        (motion(introduced_by="Bo"), "body.introduced_by"),
        (motion(actor="Bo"), "body.actor"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
async def test_what_cannot_be_introduced_names_the_field(
    api: InProcess, ada: httpx.AsyncClient, body: Any, field: str
) -> None:
    told = problem(await ada.post(MOTIONS, json=body), 422, "invalid-request")

    assert any(named.startswith(field) for named in fields(told)), told
    assert (await api.played.flow.store.head()).position == 0, "recorded all the same"


# -- Looking at one --------------------------------------------------------------------------------


async def test_a_motion_tells_where_it_stands_and_its_version(
    api: InProcess, ada: httpx.AsyncClient
) -> None:
    motion_id = await introduced(ada)

    answer = await ada.get(f"{MOTIONS}/{motion_id}")

    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"1"'
    assert answer.json()["status"]["current_state"] == "INTRODUCED"
    assert answer.json()["status"]["next_action"]["what"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["", "/events", "/story"])
async def test_a_motion_that_is_not_there_is_not_found(ada: httpx.AsyncClient, path: str) -> None:
    nobody = uuid4()

    told = problem(await ada.get(f"{MOTIONS}/{nobody}{path}"), 404, "unknown-motion")

    assert told["motion_id"] == str(nobody)


@pytest.mark.parametrize("path", ["", "/events", "/story"])
async def test_the_pipelines_own_stream_is_no_motion(
    api: InProcess, ada: httpx.AsyncClient, path: str
) -> None:
    await api.played.halt()

    problem(await ada.get(f"{MOTIONS}/{PIPELINE_ID}{path}"), 404, "unknown-motion")


async def test_an_id_that_is_none_names_the_field(ada: httpx.AsyncClient) -> None:
    told = problem(await ada.get(f"{MOTIONS}/17"), 422, "invalid-request")

    assert fields(told) == ["path.motion_id"]


async def test_events_come_in_pages_in_their_order(api: InProcess, ada: httpx.AsyncClient) -> None:
    motion_id = await api.played.reach(S.PLANNING)
    total = await api.played.length(motion_id)
    versions: list[int] = []
    after: int | None = 0

    while after is not None:
        answer = await ada.get(
            f"{MOTIONS}/{motion_id}/events", params={"after_version": after, "limit": 2}
        )
        page = answer.json()
        assert len(page["events"]) <= 2
        versions += [event["version"] for event in page["events"]]
        after = page["next_after"]

    assert versions == list(range(1, total + 1))


async def test_events_are_the_record_statements_included(
    api: InProcess, ada: httpx.AsyncClient
) -> None:
    motion_id = await api.played.reach(S.PLANNING)

    answer = await ada.get(f"{MOTIONS}/{motion_id}/events")

    shown = [event["event"] for event in answer.json()["events"]]
    stored = [event.model_dump(mode="json") for event in await api.played.events(motion_id)]
    assert shown == stored
    assert any("statement" in event for event in shown)


async def test_the_story_says_who_did_what_and_what_comes_next(
    api: InProcess, ada: httpx.AsyncClient
) -> None:
    motion_id = await introduced(ada)

    story = (await ada.get(f"{MOTIONS}/{motion_id}/story")).json()

    assert "Ada" in story["sentences"][0]["told"]
    assert story["next"]


# -- Changing one ----------------------------------------------------------------------------------


async def test_an_amendment_moves_the_version(api: InProcess, ada: httpx.AsyncClient) -> None:
    motion_id = await introduced(ada)

    answer = await ada.patch(f"{MOTIONS}/{motion_id}", json={"title": "Mend both bridges"})

    assert answer.status_code == 200, answer.text
    assert answer.headers["ETag"] == '"2"'
    details = await ada.get(f"{MOTIONS}/{motion_id}")
    assert details.headers["ETag"] == '"2"'
    assert (await api.played.motion(motion_id)).title == "Mend both bridges"


@pytest.mark.parametrize("body", [{}, {"ballots": {"Bo": "yes"}}, {"title": None, "text": None}])
async def test_an_amendment_of_nothing_is_refused(ada: httpx.AsyncClient, body: Any) -> None:
    motion_id = await introduced(ada)

    told = problem(await ada.patch(f"{MOTIONS}/{motion_id}", json=body), 422, "invalid-request")

    assert fields(told), told


async def test_only_its_introducer_amends_and_withdraws(
    api: InProcess, ada: httpx.AsyncClient
) -> None:
    motion_id = await introduced(ada)
    bo = await api.anybody("Bo")

    for answer in (
        await bo.patch(f"{MOTIONS}/{motion_id}", json={"title": "Mine"}),
        await bo.post(f"{MOTIONS}/{motion_id}/withdrawal", json={}),
    ):
        told = problem(answer, 403, "not-allowed")
        assert "Ada" in told["detail"]
    assert await api.played.length(motion_id) == 1


async def test_a_motion_is_withdrawn_and_stays_so(api: InProcess, ada: httpx.AsyncClient) -> None:
    motion_id = await introduced(ada)

    answer = await ada.post(f"{MOTIONS}/{motion_id}/withdrawal", json={"reason": "no money"})

    assert answer.json()["current_state"] == "WITHDRAWN"
    problem(await ada.patch(f"{MOTIONS}/{motion_id}", json={"title": "Once more"}), 409, "refused")


async def test_what_has_been_ratified_cannot_be_withdrawn(
    api: InProcess, ada: httpx.AsyncClient
) -> None:
    motion_id = await introduced(ada)
    await api.played.reach(S.PLANNING, motion_id)

    told = problem(await ada.post(f"{MOTIONS}/{motion_id}/withdrawal", json={}), 409, "refused")

    assert told["motion_id"] == str(motion_id)


CHANGES: list[Any] = [
    pytest.param("PATCH", "", {"title": "Anew"}, id="amend"),
    pytest.param("POST", "/withdrawal", {}, id="withdraw"),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
async def test_a_decision_about_an_older_version_is_refused_and_records_nothing(
    api: InProcess, ada: httpx.AsyncClient, method: str, path: str, body: Any
) -> None:
    motion_id = await introduced(ada)
    await ada.patch(f"{MOTIONS}/{motion_id}", json={"title": "Meanwhile"})

    told = problem(
        await ada.request(
            method, f"{MOTIONS}/{motion_id}{path}", json=body, headers={"If-Match": '"1"'}
        ),
        412,
        "version-moved",
    )

    assert told["version"] == 2
    assert "look at it again" in told["detail"]
    assert await api.played.length(motion_id) == 2


@pytest.mark.parametrize("condition", ['"1"', "*"])
@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
async def test_a_decision_about_the_version_there_is_is_taken(
    ada: httpx.AsyncClient, method: str, path: str, body: Any, condition: str
) -> None:
    motion_id = await introduced(ada)

    answer = await ada.request(
        method, f"{MOTIONS}/{motion_id}{path}", json=body, headers={"If-Match": condition}
    )

    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"2"'


@pytest.mark.parametrize("condition", ["1", 'W/"1"', '"1", "2"', '"-1"', '"x"', "", '"' + "9" * 30])
async def test_a_condition_that_is_none_is_refused(
    api: InProcess, ada: httpx.AsyncClient, condition: str
) -> None:
    motion_id = await introduced(ada)

    told = problem(
        await ada.patch(
            f"{MOTIONS}/{motion_id}", json={"title": "Anew"}, headers={"If-Match": condition}
        ),
        422,
        "invalid-request",
    )

    assert fields(told) == ["header.if-match"]
    assert await api.played.length(motion_id) == 1


async def test_a_condition_is_not_met_by_a_motion_that_is_not_there(
    ada: httpx.AsyncClient,
) -> None:
    answer = await ada.patch(
        f"{MOTIONS}/{uuid4()}", json={"title": "Anew"}, headers={"If-Match": "*"}
    )

    problem(answer, 404, "unknown-motion")


# -- Lists -----------------------------------------------------------------------------------------


async def test_lists_come_in_pages_and_lose_none(ada: httpx.AsyncClient) -> None:
    made = {str(await introduced(ada, title=f"Motion {number}")) for number in range(5)}
    seen: list[str] = []
    after: str | None = ""

    while after is not None:
        params = {"limit": 2} | ({"after": after} if after else {})
        page = (await ada.get(MOTIONS, params=params)).json()
        seen += [one["motion_id"] for one in page["motions"]]
        after = page["next_after"]

    assert sorted(seen) == sorted(made)


async def test_lists_are_filtered(api: InProcess, ada: httpx.AsyncClient) -> None:
    bo = await api.anybody("Bo")
    first, second = await introduced(ada), await introduced(bo)
    await api.played.reach(S.PLANNING, first)

    async def listed(**params: Any) -> list[str]:
        page = (await ada.get(MOTIONS, params=params)).json()
        return [one["motion_id"] for one in page["motions"]]

    assert await listed(state="PLANNING") == [str(first)]
    assert await listed(introduced_by="Bo") == [str(second)]
    assert await listed(blocked=True) == []
    assert await listed(waiting=True) == [str(second)]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": 0}, "query.limit"),
        ({"limit": 201}, "query.limit"),
        ({"state": "lost"}, "query.state"),
        ({"after": "nowhere"}, "after"),
        ({"blocked": "perhaps"}, "query.blocked"),
        ({"at_least": -1}, "query.at_least"),
        ({"at_least": 2**63}, "query.at_least"),
        ({"at_least": 17}, "query.at_least"),
    ],
    ids=str,
)
async def test_what_cannot_be_listed_names_the_field(
    ada: httpx.AsyncClient, params: Any, field: str
) -> None:
    told = problem(await ada.get(MOTIONS, params=params), 422, "invalid-request")

    assert field in fields(told)[0]


async def test_a_list_knows_everything_up_to_the_position_asked_for(
    api: InProcess, ada: httpx.AsyncClient
) -> None:
    answer = await ada.post(MOTIONS, json=motion())
    position = int(answer.headers["Governance-Flow-Position"])

    listed = await ada.get(MOTIONS, params={"at_least": position})

    assert len(listed.json()["motions"]) == 1
    assert (await api.played.flow.runner.lag())["motions"].events == 0


async def test_motions_are_found_by_words_and_by_id(ada: httpx.AsyncClient) -> None:
    motion_id = await introduced(ada, title="Forty lime trees", reference="2026/17")
    await introduced(ada, title="A bridge")

    for words in ("lime", "trees for", str(motion_id), "2026/17"):
        answer = await ada.get(f"{MOTIONS}/search", params={"text": words})
        assert answer.status_code == 200, answer.text
        found = [one["motion_id"] for one in answer.json()["motions"]]
        assert found == [str(motion_id)], words


async def test_a_search_for_nothing_names_the_field(ada: httpx.AsyncClient) -> None:
    told = problem(await ada.get(f"{MOTIONS}/search"), 422, "invalid-request")

    assert fields(told) == ["query.text"]


async def test_a_member_introduces_and_a_viewer_does_not(api: InProcess) -> None:
    member = api.http(await api.token("Bo", Role.MEMBER))
    viewer = api.http(await api.token("Cy", Role.VIEWER))

    assert (await member.post(MOTIONS, json=motion())).status_code == 201
    problem(await viewer.post(MOTIONS, json=motion()), 403, "forbidden")
