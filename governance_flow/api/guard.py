"""Every operation's door: who asks, whether they may, and whether they have asked before."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException

from governance_flow.api.access_rules import ACCESS_RULES, Open, Rule
from governance_flow.api.idempotency import answered_once, drop_answer
from governance_flow.api.problems import (
    RATE_LIMITED,
    STRANGERS_DETAIL,
    Expected,
    Problematic,
    kind_of,
    problem_response,
    respond,
)
from governance_flow.api.service import Service, service_of
from governance_flow.api.shape import Shape
from governance_flow.application.access.bearers import Bearer
from governance_flow.application.access.denials import AccessDenied, DenialReason
from governance_flow.domain.errors import GovernanceFlowError, InvalidInput, StoreError

SESSION_COOKIE = "gf_session"
CSRF_HEADER = "X-CSRF-Token"
SERVER_ERRORS = HTTPStatus.INTERNAL_SERVER_ERROR
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

log = structlog.get_logger(__name__)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class GuardedRoute(APIRoute):
    """A route behind the door. Its name is looked up in the table of rules; without one: denied."""

    def get_route_handler(self) -> Handler:
        """Return the handler, with the door in front of it."""
        handle = super().get_route_handler()
        operation, tell, shape = self.name, self.tell, Shape(self)

        async def answer(request: Request) -> Response:
            try:
                shape.check(request)
                return await handle(request)
            except InvalidInput as error:
                return tell(shape.located(error), request)
            except Exception as error:  # noqa: BLE001 - told, and recorded if it is a mistake
                return tell(error, request)

        async def guarded(request: Request) -> Response:
            service = service_of(request)
            try:
                bearer = await admitted(request, service, operation)
            except Exception as error:  # noqa: BLE001 - as above
                return tell(error, request)
            if bearer is None or request.method in SAFE_METHODS:
                return await answer(request)
            try:
                return await answered_once(request, service.flow.access, bearer, answer)
            except Exception as error:  # noqa: BLE001 - as above
                return tell(error, request)

        return guarded

    @staticmethod
    def tell(error: Exception, request: Request) -> Response:
        """Return the answer that tells of an error; pages do so in another way than programs."""
        return told(error, request)


def told(error: Exception, request: Request) -> Response:
    """Return the answer that tells of an error; what is no expected one goes on record as well."""
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_methods(request))
        error = HTTPException(error.status_code, headers={"Allow": allowed})
    if not isinstance(error, Expected):
        log.error("a request could not be answered", path=request.url.path, exc_info=error)
    response = problem_response(error, request.url.path)
    if isinstance(error, GovernanceFlowError) and response.status_code >= SERVER_ERRORS:
        log.error("a request could not be answered", path=request.url.path, error=str(error))
        if not hasattr(request.state, "bearer"):
            # Where the store is, and what is wrong with it, is nobody's business who is not let in.
            return respond(kind_of(error), STRANGERS_DETAIL, request.url.path)
    return response


def _methods(request: Request) -> list[str]:
    """Return every method of the path that was asked for, whichever operation each belongs to."""
    path = request.url.path
    routes = [
        context.original_route
        for context in iter_route_contexts(request.app.routes)
        if isinstance(context.original_route, APIRoute)
    ]
    there = [route for route in routes if route.path == path] or [
        route for route in routes if route.path_regex.match(path)
    ]
    return sorted({method for route in there for method in route.methods or ()})


async def admitted(request: Request, service: Service, operation: str) -> Bearer | None:
    """Let in whoever may use the operation; None if everybody may.

    Sets ``request.state.bearer``, and for a browser's session ``request.state.csrf``. Raises
    AccessDenied, which has been recorded then, or Problematic for too many of them.
    """
    rules: Mapping[str, Rule] = getattr(request.app.state, "access_rules", ACCESS_RULES)
    rule = rules.get(operation)
    if rule is Open.TO_EVERYBODY:
        return None
    try:
        bearer = await _known(request, service)
        request.state.bearer = bearer
        if rule is None or (rule is not Open.TO_BEARERS and not bearer.may(rule)):
            needed = "nobody may" if rule is None else f"that takes the permission {rule}"
            msg = f"{bearer.name} may not use {operation}: {needed}; ask the operator for a token"
            raise denial(bearer, msg, DenialReason.NOT_PERMITTED)
    except AccessDenied as error:
        if not (error.reason is DenialReason.NO_CREDENTIALS and _visits(request)):
            await turned_away(request, service, operation, error)
        raise
    structlog.contextvars.bind_contextvars(bearer=bearer.name)
    return bearer


def _visits(request: Request) -> bool:
    """Whether a browser comes to a page for the first time: shown the way in, nobody is denied."""
    path = request.url.path
    return request.method in SAFE_METHODS and path != "/metrics" and not path.startswith("/api/")


async def turned_away(
    request: Request, service: Service, operation: str, error: AccessDenied
) -> None:
    """Record a denial; raises Problematic if there were too many from the same place."""
    flow = service.flow
    drop_answer(request)  # Denied each time anew, and counted.
    client = _client(request)
    flow.metrics.http.denied(error.reason.value)
    wait_seconds = service.denial_limit.exceeded(client, flow.gatekeeper.now())
    try:
        await flow.gatekeeper.record(
            error, client=client, operation=operation, quietly=wait_seconds is not None
        )
    except StoreError as problem:
        # They are turned away all the same; the log has it.
        log.error("a denial could not be kept", error=str(problem))  # noqa: TRY400
    if wait_seconds is not None:
        msg = (
            f"more than {service.options.denials_per_minute} requests from here were denied in "
            f"this minute; the last because: {error.message}"
        )
        raise Problematic(RATE_LIMITED, msg, retry_after_seconds=ceil(wait_seconds))


def _client(request: Request) -> str:
    """Return where a request comes from; of an IPv6 address the network: it is one customer's."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and not address.is_loopback:
        return str(IPv6Network((address, 64), strict=False))
    return host


def denial(bearer: Bearer, message: str, reason: DenialReason) -> AccessDenied:
    """Return the error for somebody we know."""
    return AccessDenied(message, reason, token_id=bearer.token_id, name=bearer.name)


async def _known(request: Request, service: Service) -> Bearer:
    authorization = request.headers.get("Authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            msg = "the Authorization header must say: Bearer, a space, and the token"
            raise AccessDenied(msg, DenialReason.MALFORMED)
        return await service.flow.gatekeeper.bearer_of(token.strip())
    cookie = request.cookies.get(SESSION_COOKIE)
    if not cookie:
        msg = "send a token as Authorization: Bearer gf_...; governance-flow token makes one out"
        raise AccessDenied(msg, DenialReason.NO_CREDENTIALS)
    bearer, session = await service.flow.gatekeeper.bearer_of_session(cookie)
    request.state.csrf = session.csrf
    if request.method not in SAFE_METHODS:
        shown = request.headers.get(CSRF_HEADER) or await _csrf_field(request)
        if not hmac.compare_digest(shown.encode(), session.csrf.encode()):
            msg = "the request does not show that it comes from our own page: load the page again"
            raise denial(bearer, msg, DenialReason.FORGED_REQUEST)
    return bearer


async def _csrf_field(request: Request) -> str:
    if request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        await request.body()  # Kept, so that whoever answers can read it as well.
        form = await request.form()
        value = form.get("csrf", "")
        return value if isinstance(value, str) else ""
    return ""
