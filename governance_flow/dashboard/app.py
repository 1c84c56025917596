"""The whole service: the API, and the dashboard beside it."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from governance_flow.api.app import build_app
from governance_flow.api.guard import told
from governance_flow.api.service import Service
from governance_flow.dashboard import assets
from governance_flow.dashboard.access_rules import DASHBOARD_RULES
from governance_flow.dashboard.problems import told_on_page
from governance_flow.dashboard.views import (
    access,
    attention,
    audit,
    board,
    docket,
    motion,
    motions,
    signing_in,
)

PAGES = (board, motions, motion, attention, docket, audit, access, signing_in, assets)


def build_service_app(service: Service) -> FastAPI:
    """Return the application that ``governance-flow serve`` serves."""
    app = build_app(service, routers=[module.router for module in PAGES], rules=DASHBOARD_RULES)
    app.add_exception_handler(HTTPException, _no_such_path)
    return app


async def _no_such_path(request: Request, error: Exception) -> Response:
    """Tell a person who asks for what is not there with a page, and a program as the API does."""
    is_person = "text/html" in request.headers.get("Accept", "")
    path = request.url.path
    if is_person and not path.startswith("/api/"):
        if isinstance(error, HTTPException) and error.status_code == HTTPStatus.NOT_FOUND:
            error = HTTPException(HTTPStatus.NOT_FOUND, f"there is no page at {path}")
        return told_on_page(error, request)
    return told(error, request)
