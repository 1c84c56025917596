"""Who is let in: tokens, browser sessions, denials on record and bounded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from governance_flow.api.app import build_app
from governance_flow.api.guard import GuardedRoute
from governance_flow.api.service import Service, ServiceOptions
from governance_flow.application.access.permissions import Permission, Role
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.errors import StoreUnavailable
from tests.support.api import InProcess, in_process, motion, problem
from tests.support.workers import Failing, replaced, table

B = GovernanceBranch
ME = "/api/v1/access/me"
MOTIONS = "/api/v1/motions"


# -- Tokens ----------------------------------------------------------------------------------------


async def test_a_bearer_is_told_what_the_token_allows(api: InProcess) -> None:
    token = await api.token("harbour works", Role.BRANCH, branches=[B.DUKE])

    told = (await api.http(token).get(ME)).json()

    assert told == {
        "token_id": token.split("_")[1],
        "name": "harbour works",
        "permissions": ["work"],
        "branches": ["duke"],
    }


async def test_without_a_token_nobody_is_let_in(api: InProcess) -> None:
    answer = await api.http().get(MOTIONS)

    told = problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert told["reason"] == "no_credentials"
    assert "Authorization: Bearer" in told["detail"]


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("", "malformed"),
        ("Basic QWRhOnNlY3JldA==", "malformed"),
        ("Bearer", "malformed"),
        ("Bearer ", "malformed"),
        ("Bearer gf", "malformed"),
        ("Bearer gf__", "malformed"),
        ("Bearer gf_\x01_\x01", "malformed"),
        ("Bearer gf_" + "é" * 16 + "_" + "é" * 64, "malformed"),
        ("Bearer " + "gf_0123456789abcdef_" + "0" * 100_000, "malformed"),
        ("Bearer gf_0123456789abcdef_" + "0" * 64, "unknown"),
    ],
    ids=lambda text: text[:30].encode("ascii", "backslashreplace").decode(),
)
async def test_what_is_no_token_is_turned_away(
    stored_api: InProcess, authorization: str, reason: str
) -> None:
    http = stored_api.http(headers={"Authorization": authorization.encode("latin-1")})

    told = problem(await http.get(MOTIONS), 401, "unauthenticated")

    assert told["reason"] == reason
    assert "0000" not in told["detail"]


async def test_a_token_with_another_secret_is_turned_away(api: InProcess) -> None:
    mine, other = [await api.token("Ada", Role.OPERATOR) for _ in range(2)]
    forged = f"{mine.rpartition('_')[0]}_{other.rpartition('_')[2]}"

    told = problem(await api.http(forged).get(ME), 401, "unauthenticated")

    assert told["reason"] == "unknown"


async def test_a_token_that_expired_is_turned_away(api: InProcess) -> None:
    http = api.http(await api.token("Ada", Role.VIEWER, lifetime=timedelta(hours=1)))
    assert (await http.get(MOTIONS)).status_code == 200

    api.played.clock.advance(hours=1)

    told = problem(await http.get(MOTIONS), 401, "unauthenticated")
    assert told["reason"] == "expired"


async def test_a_token_revoked_elsewhere_is_turned_away_within_a_second(
    stored_api: InProcess,
) -> None:
    api = stored_api
    token = await api.token("Ada", Role.VIEWER)
    http = api.http(token)
    assert (await http.get(MOTIONS)).status_code == 200

    # As another process does it: this one's gatekeeper hears of it from the store alone.
    assert await api.played.flow.access.revoke_token(token.split("_")[1])
    api.played.clock.advance(1)

    told = problem(await http.get(MOTIONS), 401, "unauthenticated")
    assert told["reason"] == "revoked"


async def test_tokens_are_listed_without_their_secrets(api: InProcess) -> None:
    token = await api.token("zoe", Role.OPERATOR)
    await api.token("duke", Role.BRANCH, branches=[B.DUKE])

    answer = await api.http(token).get("/api/v1/access/tokens")

    assert {one["name"] for one in answer.json()["tokens"]} == {"zoe", "duke"}
    assert token.split("_")[2] not in answer.text
    assert "secret" not in answer.text


async def test_if_the_store_is_away_nobody_is_let_in(api: InProcess) -> None:
    token = await api.token("Ada", Role.VIEWER)
    store: Any = api.played.flow.access
    with replaced(store, "find_token", Failing(store.find_token, StoreUnavailable("away"))):
        answer = await api.http(token).get(MOTIONS)

    problem(answer, 503, "store-unavailable")
    assert answer.headers["Retry-After"] == "1"


# -- Denials ---------------------------------------------------------------------------------------


async def test_denials_are_on_record_and_hold_no_secret(api: InProcess) -> None:
    viewer = await api.token("Cy", Role.VIEWER)
    forged = f"{viewer.rpartition('_')[0]}_{'ab' * 32}"
    await api.http(viewer).post(MOTIONS, json=motion())
    await api.http(viewer).post(MOTIONS, json=motion())
    await api.http(forged).get(MOTIONS)
    zoe = api.http(await api.token("zoe", Role.OPERATOR))

    answer = await zoe.get("/api/v1/access/denials")

    shown = [
        (one["reason"], one["name"], one["operation"], one["count"], one["client"])
        for one in answer.json()["denials"]
    ]
    assert shown == [
        ("unknown", "", "list_motions", 1, "10.0.0.7"),
        ("not_permitted", "Cy", "introduce_motion", 2, "10.0.0.7"),
    ]
    rows = str(await table(api.played, "access_denials"))
    for secret in (viewer.split("_")[2], "ab" * 32):
        assert secret not in rows
        assert secret not in answer.text


async def test_denials_come_in_pages(api: InProcess) -> None:
    for _ in range(3):
        await api.http().get(MOTIONS)
        api.played.clock.advance(60)
    zoe = api.http(await api.token("zoe", Role.OPERATOR))
    minutes: list[str] = []
    before: int | None = None

    while True:
        params = {"limit": 2} | ({} if before is None else {"before": before})
        page = (await zoe.get("/api/v1/access/denials", params=params)).json()
        minutes += [one["minute"] for one in page["denials"]]
        before = page["next_before"]
        if before is None:
            break

    assert len(minutes) == 3
    assert minutes == sorted(minutes, reverse=True)


async def test_too_many_denials_from_one_place_are_told_to_wait(sqlite_address: str) -> None:
    async with in_process(sqlite_address, options=ServiceOptions(denials_per_minute=3)) as api:
        stranger = api.http()
        for _ in range(3):
            problem(await stranger.get(MOTIONS), 401, "unauthenticated")

        answer = await stranger.get(MOTIONS)

        problem(answer, 429, "too-many-denials")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        elsewhere = api.http(client=("10.0.0.8", 1))
        problem(await elsewhere.get(MOTIONS), 401, "unauthenticated")
        known = api.http(await api.token("Ada", Role.VIEWER))
        assert (await known.get(MOTIONS)).status_code == 200, "who is known is not punished"
        api.played.clock.advance(60)
        problem(await stranger.get(MOTIONS), 401, "unauthenticated")


async def test_a_denial_that_cannot_be_kept_is_one_all_the_same(api: InProcess) -> None:
    store: Any = api.played.flow.access
    failing = Failing(store.record_denial, StoreUnavailable("away"))
    with replaced(store, "record_denial", failing):
        problem(await api.http().get(MOTIONS), 401, "unauthenticated")

    assert failing.calls == 1


# -- Sessions --------------------------------------------------------------------------------------


async def session(api: InProcess, *roles: Role) -> tuple[httpx.AsyncClient, str]:
    """Return a browser that has signed in, and what its pages must send back."""
    opened = await api.played.flow.gatekeeper.open_session(
        await api.token("zoe", *(roles or (Role.OPERATOR,)))
    )
    http = api.http(cookies={"gf_session": opened.cookie})
    return http, opened.session.csrf


HALT = "/api/v1/pipeline/halt"


async def test_a_session_reads_without_more(api: InProcess) -> None:
    browser, _ = await session(api)

    assert (await browser.get(MOTIONS)).status_code == 200


async def test_a_session_changes_nothing_without_what_its_own_page_holds(api: InProcess) -> None:
    browser, csrf = await session(api)
    _, anothers = await session(api)

    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": anothers}, {"X-CSRF-Token": "é"}):
        encoded = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        told = problem(
            await browser.post(HALT, json={"reason": "a storm"}, headers=encoded), 403, "forbidden"
        )
        assert told["reason"] == "forged_request"
    assert await api.played.pipeline_events() == []

    answer = await browser.post(HALT, json={"reason": "a storm"}, headers={"X-CSRF-Token": csrf})
    assert answer.status_code == 204


async def test_a_form_of_another_site_changes_nothing(api: InProcess) -> None:
    browser, _ = await session(api)

    for data in ({"reason": "a storm"}, {"reason": "a storm", "csrf": "guessed"}):
        problem(await browser.post(HALT, data=data), 403, "forbidden")

    assert await api.played.pipeline_events() == []


async def test_a_session_that_ended_is_turned_away(api: InProcess) -> None:
    browser, _ = await session(api)

    api.played.clock.advance(hours=12)

    problem(await browser.get(MOTIONS), 401, "unauthenticated")


async def test_a_session_ends_with_its_token(api: InProcess) -> None:
    browser, _ = await session(api)
    [token] = await api.played.flow.gatekeeper.tokens()

    await api.played.flow.gatekeeper.revoke(token.token_id)

    problem(await browser.get(MOTIONS), 401, "unauthenticated")


async def test_a_made_up_session_is_turned_away(api: InProcess) -> None:
    for cookie in ("", "x", "0" * 64):
        problem(await api.http(cookies={"gf_session": cookie}).get(MOTIONS), 401, "unauthenticated")


async def test_a_token_that_is_refused_is_not_saved_by_a_session(api: InProcess) -> None:
    browser, _ = await session(api)

    answer = await browser.get(MOTIONS, headers={"Authorization": "Bearer gf_1_2"})

    problem(answer, 401, "unauthenticated")


# -- The table of rules ----------------------------------------------------------------------------


def built_with(router: APIRouter, **rules: Any) -> Any:
    def build(service: Service) -> FastAPI:
        return build_app(service, routers=[router], rules=rules)

    return build


async def anything() -> dict[str, str]:
    return {"secret": "told"}


async def test_an_operation_without_a_rule_cannot_be_served() -> None:
    router = APIRouter(prefix="/extra", route_class=GuardedRoute)
    router.add_api_route("/forgotten", anything, name="forgotten")

    with pytest.raises(ValueError, match="no access rule for forgotten"):
        async with in_process(build=built_with(router)):
            pass


async def test_an_operation_without_a_rule_is_found_behind_other_routers() -> None:
    inner = APIRouter(route_class=GuardedRoute)
    inner.add_api_route("/forgotten", anything, name="forgotten")
    outer = APIRouter(prefix="/extra", route_class=GuardedRoute)
    outer.include_router(inner)

    with pytest.raises(ValueError, match="no access rule for forgotten"):
        async with in_process(build=built_with(outer)):
            pass


async def test_an_operation_that_is_not_behind_the_door_cannot_be_served() -> None:
    router = APIRouter(prefix="/extra")
    router.add_api_route("/open", anything, name="open_by_mistake")

    with pytest.raises(ValueError, match=r"not behind the door.*/extra/open"):
        async with in_process(build=built_with(router, open_by_mistake=Permission.READ)):
            pass


async def test_a_rule_of_ours_cannot_be_replaced() -> None:
    with pytest.raises(ValueError, match="already for halt_pipeline"):
        async with in_process(build=built_with(APIRouter(), halt_pipeline=Permission.READ)):
            pass
