"""Signing in with a token, and out: a browser's session."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response

from governance_flow.api.guard import SESSION_COOKIE, turned_away
from governance_flow.api.problems import Problematic
from governance_flow.application.access.denials import AccessDenied, DenialReason
from governance_flow.dashboard.pages import Frame, TheFrame, render, see
from governance_flow.dashboard.problems import PageRoute

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PATH_CHARACTERS_MAX = 2000
REASONS = {
    DenialReason.EXPIRED.value: "The session has ended: sign in again.",
    DenialReason.REVOKED.value: "The token was revoked: ask the operator for another.",
    "signed_out": "You are signed out.",
}


@router.get("/sign-in")
async def show_sign_in(frame: TheFrame, next: str = "/", why: str = "") -> Response:  # noqa: A002
    """Show the form for a token."""
    return _form(frame, own_path(next), reason=REASONS.get(why))


@router.post("/sign-in")
async def sign_in(
    request: Request,
    frame: TheFrame,
    token: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002
) -> Response:
    """Open a session for whoever shows a token, and go where they wanted to."""
    following = own_path(next)
    gatekeeper = frame.service.flow.gatekeeper
    try:
        _require_own_page(request)
        opened = await gatekeeper.open_session(token.strip())
    except AccessDenied as error:
        return await _denied(request, frame, error, following)
    answer = see(following)
    answer.set_cookie(
        SESSION_COOKIE,
        opened.cookie,
        max_age=max(0, int((opened.session.expires_at - gatekeeper.now()).total_seconds())),
        path="/",
        secure=frame.service.options.secure_cookies,
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/sign-out")
async def sign_out(request: Request, frame: TheFrame) -> Response:
    """Close the session."""
    await frame.service.flow.gatekeeper.close_session(request.cookies.get(SESSION_COOKIE, ""))
    answer = see("/sign-in", why="signed_out")
    answer.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def own_path(text: str) -> str:
    """Return a path if it leads to a page of ours, otherwise that of the board."""
    parts = urlsplit(text) if _is_plain(text) else None
    if parts is None or parts.scheme or parts.netloc or parts.path.startswith("/sign-"):
        return "/"
    return text


def _is_plain(text: str) -> bool:
    # Browsers take a backslash for a slash, and leave out what cannot be printed.
    return (
        text.startswith("/")
        and not text.startswith("//")
        and "\\" not in text
        and text.isascii()
        and text.isprintable()
        and len(text) <= PATH_CHARACTERS_MAX
    )


def _require_own_page(request: Request) -> None:
    """Raise AccessDenied if another site's page has sent the form.

    It could sign somebody in as somebody else, and see in the record what they thought they did.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        own = site == "same-origin"
    else:
        # Browsers leave the first out where there is no TLS; programs leave out both.
        own = origin is None or urlsplit(origin).netloc == request.headers.get("Host")
    if not own:
        msg = "the form was not sent from our own page: open this page itself and sign in there"
        raise AccessDenied(msg, DenialReason.FORGED_REQUEST)


async def _denied(request: Request, frame: Frame, error: AccessDenied, following: str) -> Response:
    try:
        await turned_away(request, frame.service, "sign_in", error)
    except Problematic as problem:
        answer = _form(frame, following, refusal=problem.detail, status=problem.kind.status)
        answer.headers["Retry-After"] = str(problem.retry_after_seconds)
        return answer
    status = 401 if error.reason.is_about_identity else 403
    return _form(frame, following, refusal=error.message, status=status)


def _form(
    frame: Frame,
    following: str,
    *,
    refusal: str | None = None,
    reason: str | None = None,
    status: int = 200,
) -> Response:
    answer = render(
        frame,
        "sign_in.html",
        title="Sign in",
        status=status,
        following=following,
        refusal=refusal,
        reason=reason,
        # A strict cookie does not come with a link on another site, but with the next click.
        from_elsewhere=frame.request.headers.get("Sec-Fetch-Site") == "cross-site",
    )
    # With no-referrer, browsers would not say that the form comes from here.
    answer.headers["Referrer-Policy"] = "same-origin"
    return answer
