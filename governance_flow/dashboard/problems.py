"""Problems as a person is told of them: a page that says what to do, or the way to sign in."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import Request, Response
from starlette.datastructures import URL

from governance_flow.api.guard import SAFE_METHODS, SESSION_COOKIE, GuardedRoute, told
from governance_flow.api.service import service_of
from governance_flow.application.access.denials import AccessDenied, DenialReason
from governance_flow.dashboard.pages import Frame, render, see

HEADERS_KEPT = ("Retry-After",)
_OF_A_MOTION = re.compile(r"^(/motions/[0-9a-f-]{36})/")


class PageRoute(GuardedRoute):
    """A page behind the same door as the API's operations; who is unknown is asked to sign in."""

    @staticmethod
    def tell(error: Exception, request: Request) -> Response:
        """Return the page that tells of an error, or send an unknown person to sign in."""
        if isinstance(error, AccessDenied) and error.reason.is_about_identity:
            return _to_sign_in(error, request)
        return told_on_page(error, request)


def told_on_page(error: Exception, request: Request) -> Response:
    """Return the page that tells of an error."""
    answer = told(error, request)
    problem = json.loads(bytes(answer.body))
    page = render(
        _frame(request),
        "problem.html",
        title=problem["title"],
        status=answer.status_code,
        detail=problem["detail"],
        remedy=_remedy(HTTPStatus(answer.status_code)),
        correlation_id=problem["correlation_id"],
        back=_back(request),
    )
    for name in HEADERS_KEPT:
        if name in answer.headers:
            page.headers[name] = answer.headers[name]
    return page


def _to_sign_in(error: AccessDenied, request: Request) -> Response:
    wanted = request.url if request.method in SAFE_METHODS else URL(_back(request))
    following = wanted.path + (f"?{wanted.query}" if wanted.query else "")
    why = {} if error.reason is DenialReason.NO_CREDENTIALS else {"why": error.reason.value}
    answer = see("/sign-in", next=following, **why)
    if SESSION_COOKIE in request.cookies:
        # It is good for nothing any more, and would be denied anew with every request.
        answer.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def _frame(request: Request) -> Frame:
    # What has gone wrong may be the store: nothing is asked of it.
    return Frame(
        request=request,
        service=service_of(request),
        bearer=getattr(request.state, "bearer", None),
        csrf=getattr(request.state, "csrf", ""),
        position=0,
        halted=False,
        now=datetime.now(UTC),
    )


def _back(request: Request) -> str:
    """Return the page from which what went wrong was asked for."""
    path = request.url.path
    of_a_motion = _OF_A_MOTION.match(path)
    if of_a_motion:
        return of_a_motion[1]
    first = path.split("/")[1]
    return f"/{first}" if first in ("attention", "audit", "motions", "docket", "access") else "/"


def _remedy(status: HTTPStatus) -> str:
    match status:
        case HTTPStatus.PRECONDITION_FAILED:
            return "Somebody else, or a branch, was quicker. Look at the motion again, then decide."
        case HTTPStatus.FORBIDDEN:
            return "Nothing was changed. Go back, or sign in with a token that allows it."
        case HTTPStatus.NOT_FOUND:
            return "Look at the address again, or find what you want from the board."
        case HTTPStatus.CONFLICT:
            return "Nothing was changed. Go back and look at how things stand now."
        case HTTPStatus.UNPROCESSABLE_ENTITY | HTTPStatus.BAD_REQUEST:
            return "Nothing was changed. Go back, mend what is named above, and send it again."
        case HTTPStatus.TOO_MANY_REQUESTS:
            return "Wait a minute, then try again."
        case HTTPStatus.SERVICE_UNAVAILABLE | HTTPStatus.INSUFFICIENT_STORAGE:
            return "Nothing was changed. Try again in a moment; if it stays, call the operator."
        case HTTPStatus.INTERNAL_SERVER_ERROR:
            return "Give the operator the id below: the log has more under it."
        case _:
            return "Go back and try again."
