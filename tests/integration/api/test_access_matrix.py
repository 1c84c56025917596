"""Every role against every operation, made from the routes that there are: none can be forgotten.

Whether somebody was let in is seen by what became of the request, and by the denials on record.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import AsyncMock, patch
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, FastAPI, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel

from governance_flow.api.access_rules import ACCESS_RULES, Open, Rule
from governance_flow.api.app import build_app
from governance_flow.api.guard import GuardedRoute
from governance_flow.api.service import Service, ServiceOptions
from governance_flow.application.access.permissions import ROLES, Permission, Role
from governance_flow.dashboard.access_rules import DASHBOARD_RULES
from governance_flow.dashboard.app import build_service_app
from tests.support.api import ALL_BRANCHES, InProcess, in_process, motion, motion_id_of
from tests.support.workers import table

NOBODY = ("no token", "expired", "revoked", "forged")

SAMPLES: dict[str, Any] = {
    # Of whatever has no example of its own: a value that the operation takes.
    "motion_id": str(UUID(int=1)),
    "routing_id": str(UUID(int=1)),
    "size": 1,
    "name": "weather",
    "old": 1,
    "new": 1,
    "text": "bridge",
    "token": "gf_0123456789abcdef_" + "0" * 64,
    "decision": "retry",
    "reason": "a storm",
    "notes": "",
    "path": "style.css",
    "version": 1,
}


@dataclass(frozen=True)
class Call:
    """One operation, and a request that it takes."""

    operation: str
    method: str
    path: str
    request: dict[str, Any]


def calls(app: FastAPI, more: Mapping[str, Any] = SAMPLES) -> Iterator[Call]:
    """Yield a request for every method of every route; fails for one that it cannot make."""
    samples = {**SAMPLES, **more}
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        assert isinstance(route, APIRoute), f"{context.path} is no operation"
        query = {
            field.alias: samples[field.name]
            for field in get_flat_params(route.dependant)
            if field.field_info.is_required() and isinstance(field.field_info, params.Query)
        }
        for method in sorted(context.methods or ()):
            path = str(context.path_format)
            for param in route.dependant.path_params:
                path = path.replace(f"{{{param.name}}}", str(samples[param.name]))
            assert "{" not in path, f"no sample for {path}"
            request = {"params": query} | body_of(route, samples)
            yield Call(str(context.name), method, path, request)


def body_of(route: APIRoute, samples: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a route takes as its body, if anything."""
    if route.body_field is None:
        return {}
    if isinstance(route.body_field.field_info, params.Form):
        fields = route.dependant.body_params
        return {
            "data": {
                field.alias: samples[field.name]
                for field in fields
                if field.field_info.is_required() or field.name in samples
            }
        }
    model = route.body_field.field_info.annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    extra = model.model_config.get("json_schema_extra")
    if isinstance(extra, dict) and isinstance(examples := extra.get("examples"), list):
        return {"json": examples[0]}
    return {
        "json": {
            name: (field.examples or [samples.get(name)])[0]
            for name, field in model.model_fields.items()
            if field.is_required()
        }
    }


# -- Asking ----------------------------------------------------------------------------------------


@pytest.fixture
async def api(sqlite_address: str) -> AsyncIterator[InProcess]:
    """Return the whole service. It is about to stop: what waits or streams ends at once."""
    options = ServiceOptions(denials_per_minute=10_000)
    async with in_process(sqlite_address, build=build_service_app, options=options) as api:
        api.service.stopping.set()
        yield api


async def denied_operations(api: InProcess) -> dict[str, int]:
    rows = await api.played.flow.gatekeeper.denials(limit=10_000)
    return {denied.operation: denied.count for _, denied in rows}


async def outcomes(api: InProcess, http: httpx.AsyncClient) -> dict[tuple[str, str], str]:
    """Call every operation; return what became of each: let in, or denied."""
    found = {}
    # Signing in is open to everybody; a token that is accepted comes in its form.
    samples = {"token": await api.token("somebody who signs in", Permission.READ)}
    for call in calls(api.app, samples):
        before = (await denied_operations(api)).get(call.operation, 0)
        events = (await api.played.flow.store.head()).position
        answer = await http.request(call.method, call.path, **call.request)
        denied = (await denied_operations(api)).get(call.operation, 0) > before
        if call.method == "GET" and answer.headers.get("Location", "").startswith("/sign-in"):
            denied = True  # A first visit: shown the way in, it is on no record.
        assert answer.status_code < 500, (call, answer.text)
        if denied:
            assert answer.status_code in (401, 403, 303), (call, "denied, and answered")
            head = (await api.played.flow.store.head()).position
            assert head == events, (call, "denied, and done")
            if answer.status_code == 303:
                assert answer.headers["Location"].startswith("/sign-in"), call
        else:
            assert answer.status_code != 401 or call.operation == "sign_in", (call, answer.text)
        found[call.operation, call.method] = "denied" if denied else "let in"
    return found


def expected(api: InProcess, permissions: frozenset[Permission] | None) -> dict[Any, str]:
    """Return what the tables say; permissions None: of somebody who is not known."""
    rules: dict[str, Rule] = {**ACCESS_RULES, **DASHBOARD_RULES}
    return {
        (call.operation, call.method): _expected(rules[call.operation], permissions)
        for call in calls(api.app)
    }


def _expected(rule: Rule, permissions: frozenset[Permission] | None) -> str:
    if rule is Open.TO_EVERYBODY:
        return "let in"
    if permissions is None:
        return "denied"
    return "let in" if rule is Open.TO_BEARERS or rule in permissions else "denied"


async def bearer(api: InProcess, permissions: frozenset[Permission]) -> httpx.AsyncClient:
    branches = ALL_BRANCHES if Permission.WORK in permissions else ()
    return api.http(await api.token("somebody", *permissions, branches=branches))


# -- The matrix ------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
async def test_a_role_can_use_what_it_is_for_and_nothing_else(api: InProcess, role: Role) -> None:
    http = await bearer(api, ROLES[role])

    assert await outcomes(api, http) == expected(api, ROLES[role])


@pytest.mark.parametrize("permission", Permission)
async def test_a_permission_opens_what_it_is_for_and_nothing_else(
    api: InProcess, permission: Permission
) -> None:
    http = await bearer(api, frozenset({permission}))

    assert await outcomes(api, http) == expected(api, frozenset({permission}))


@pytest.mark.parametrize("who", NOBODY)
async def test_nobody_uses_what_is_not_open_to_everybody(api: InProcess, who: str) -> None:
    everything = ROLES[Role.OPERATOR] | ROLES[Role.MEMBER]
    token: str | None = await api.token("Ada", *everything, lifetime=timedelta(hours=1))
    assert token is not None
    match who:
        case "no token":
            token = None
        case "expired":
            api.played.clock.advance(hours=2)
        case "revoked":
            await api.played.flow.gatekeeper.revoke(token.split("_")[1])
        case _:
            token = token[:-64] + "0" * 64

    assert await outcomes(api, api.http(token)) == expected(api, None)


@pytest.mark.parametrize("role", Role)
async def test_a_browser_can_use_what_its_token_is_for_and_nothing_else(
    api: InProcess, role: Role
) -> None:
    branches = ALL_BRANCHES if role is Role.BRANCH else ()
    token = await api.token("somebody", role, branches=branches)
    opened = await api.played.flow.gatekeeper.open_session(token)
    # Signing out is an operation as well, and must not end what the others are asked with.
    http = api.http(
        headers={"Cookie": f"gf_session={opened.cookie}", "X-CSRF-Token": opened.session.csrf}
    )

    with patch.object(api.played.flow.gatekeeper, "close_session", AsyncMock()):
        assert await outcomes(api, http) == expected(api, ROLES[role])


@pytest.mark.parametrize(
    ("permission", "operations"),
    [
        (Permission.CONTROL, {"halt_pipeline", "resume_pipeline"}),
        (Permission.RESOLVE, {"resolve_escalation", "retry_motion", "resolve_escalations"}),
        (Permission.REBUILD, {"rebuild_projection"}),
        (Permission.ACCESS, {"list_tokens", "list_denials"}),
        (Permission.METRICS, {"metrics"}),
        (Permission.INTRODUCE, {"introduce_motion", "amend_motion", "withdraw_motion"}),
    ],
)
def test_the_table_says_what_is_meant(permission: Permission, operations: set[str]) -> None:
    assert {name for name, rule in ACCESS_RULES.items() if rule is permission} == operations


def test_only_what_tells_nothing_is_open_to_everybody() -> None:
    free = {name for name, rule in ACCESS_RULES.items() if rule is Open.TO_EVERYBODY}

    assert free == {"live", "ready", "problems", "openapi"}


async def test_a_branch_cannot_use_another_ones_assignments(api: InProcess) -> None:
    http = api.http(await api.token("duke", Permission.WORK, branches=["king"]))  # type: ignore[list-item]

    for call in calls(api.app):
        body = call.request.get("json", {})
        if ACCESS_RULES.get(call.operation) is Permission.WORK and "duke" in str(body):
            answer = await http.request(call.method, call.path, **call.request)
            assert answer.status_code == 403, call.operation
            assert answer.json()["reason"] == "other_branch"


async def test_every_rule_is_about_an_operation_that_there_is(api: InProcess) -> None:
    operations = {call.operation for call in calls(api.app)}

    assert operations == ACCESS_RULES.keys() | DASHBOARD_RULES.keys()


async def test_no_two_operations_share_a_name(api: InProcess) -> None:
    seen = [(call.operation, call.method) for call in calls(api.app)]

    assert len(seen) == len(set(seen))
    assert len({call.operation for call in calls(api.app)}) == len(seen)


# -- The matrix itself is tested -------------------------------------------------------------------


async def told() -> dict[str, str]:
    return {"secret": "told"}


class Unlocked(GuardedRoute):
    """A door that somebody forgot to lock."""

    def get_route_handler(self) -> Any:
        return APIRoute.get_route_handler(self)


async def test_an_operation_that_answers_though_its_rule_forbids_is_found(
    sqlite_address: str,
) -> None:
    router = APIRouter(prefix="/extra", route_class=Unlocked)
    router.add_api_route("/secret", told, name="leak")

    def build(service: Service) -> FastAPI:
        return build_app(service, routers=[router], rules={"leak": Permission.ACCESS})

    async with in_process(sqlite_address, build=build) as api:
        api.service.stopping.set()
        http = await bearer(api, ROLES[Role.VIEWER])

        found = await outcomes(api, http)

        assert found["leak", "GET"] == "let in", "it would be reported"
        assert _expected(Permission.ACCESS, ROLES[Role.VIEWER]) == "denied"


async def test_what_is_denied_is_not_done(api: InProcess) -> None:
    ada = await bearer(api, ROLES[Role.MEMBER])
    motion_id = motion_id_of(await ada.post("/api/v1/motions", json=motion()))
    viewer = await bearer(api, ROLES[Role.VIEWER])

    await viewer.patch(f"/api/v1/motions/{motion_id}", json={"title": "Mine"})

    assert await api.played.length(motion_id) == 1
    assert len(await table(api.played, "access_denials")) == 1
