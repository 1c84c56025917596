"""The HTTP application over an open pipeline."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from governance_flow.api.access_rules import ACCESS_RULES, Rule, without_rule
from governance_flow.api.description import describe
from governance_flow.api.envelope import Envelope
from governance_flow.api.guard import GuardedRoute, told
from governance_flow.api.paths import PREFIX
from governance_flow.api.routes import (
    access,
    audit,
    escalations,
    health,
    motions,
    pipeline,
    projections,
    work,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from governance_flow.api.service import Service


def build_app(
    service: Service,
    *,
    routers: Sequence[APIRouter] = (),
    rules: Mapping[str, Rule] | None = None,
) -> FastAPI:
    """Return the application; ``routers``, with their ``rules``, are served beside the API.

    Raises ValueError for an operation that no rule speaks of, for it would be denied to everybody;
    for one that is not behind the door, for it would be open to everybody; and for a rule of
    theirs that would take the place of one of ours.
    """
    app = FastAPI(
        title="Governance Flow",
        version=version("governance-flow"),
        # Nobody is sent elsewhere on the strength of a Host header that anybody can write.
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.service = service
    app.state.access_rules = _rules(rules or {})
    ours = (motions, work, escalations, pipeline, projections, audit, access, health)
    for router in (*(module.router for module in ours), description, *routers):
        app.include_router(router)
    _check_doors(app)
    for kind in (HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _told)
    service.flow.metrics.http.serves(
        route.path for route in iter_route_contexts(app.routes) if route.path
    )
    app.add_middleware(
        Envelope,
        metrics=service.flow.metrics.http,
        body_bytes_max=service.options.body_bytes_max,
    )
    return app


def _rules(more: Mapping[str, Rule]) -> Mapping[str, Rule]:
    if twice := ACCESS_RULES.keys() & more.keys():
        raise ValueError(f"there is an access rule already for {', '.join(sorted(twice))}")
    return {**ACCESS_RULES, **more}


def _check_doors(app: FastAPI) -> None:
    if forgotten := without_rule(app.routes, app.state.access_rules):
        raise ValueError(f"no access rule for {', '.join(forgotten)}")
    unguarded = [
        str(route.path)
        for route in iter_route_contexts(app.routes)
        if not isinstance(route.original_route, GuardedRoute)
    ]
    if unguarded:
        raise ValueError(f"not behind the door (GuardedRoute): {', '.join(unguarded)}")


# At the module's level, as every operation is: FastAPI remembers each one it has looked at, and
# with it an application that one of them holds on to.
description = APIRouter(prefix=PREFIX, route_class=GuardedRoute, include_in_schema=False)


@description.get("/openapi.json")
async def openapi(request: Request) -> dict[str, Any]:
    """Return the description of the API."""
    return describe(cast("FastAPI", request.app))


async def _told(request: Request, error: Exception) -> Response:
    return told(error, request)
