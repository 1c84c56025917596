"""Pages: what is around each, who looks at it, and how it is written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from governance_flow.api.service import Service, service_of
from governance_flow.application.access.bearers import Bearer
from governance_flow.application.access.permissions import Permission
from governance_flow.dashboard import assets, words
from governance_flow.domain.errors import InvalidInput

SEE_OTHER = 303


class Place(NamedTuple):
    """A page that the navigation leads to."""

    name: str
    path: str
    title: str
    permission: Permission


PLACES = (
    Place("board", "/", "Board", Permission.READ),
    Place("motions", "/motions", "Motions", Permission.READ),
    Place("attention", "/attention", "Attention", Permission.READ),
    Place("docket", "/docket", "Docket", Permission.READ),
    Place("audit", "/audit", "Audit", Permission.AUDIT),
    Place("access", "/access", "Access", Permission.ACCESS),
)

NOTICES: Mapping[str, str] = MappingProxyType(
    {
        "retry": "Decided: the work is tried again.",
        "return": "Decided: the motion goes back a step.",
        "review": "Decided: the Conclave reviews the motion.",
        "take_up": "Taken up: the motion waits in the docket for a place.",
        "withdrawn": "The motion is withdrawn.",
        "halted": "The pipeline is halted: nothing moves until a named person resumes it.",
        "resumed": "The pipeline goes on.",
        "verifying": "The whole record is being verified; this page shows how far it is.",
    }
)
"""What a page says after an action. Only these: an address must not put words in our mouth."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What is around a page. ``position`` is the log's before the page was made.

    ``bearer`` is None on the pages that are for everybody; ``csrf`` is empty without a session.
    """

    request: Request
    service: Service
    bearer: Bearer | None
    csrf: str
    position: int
    halted: bool
    now: datetime

    def may(self, permission: str) -> bool:
        """Return whether who looks at the page has a permission."""
        return self.bearer is not None and self.bearer.may(Permission(permission))

    @property
    def places(self) -> list[Place]:
        """The pages that are open to who looks."""
        return [place for place in PLACES if self.may(place.permission)]

    @property
    def notice(self) -> str | None:
        """What has just been done, if the page is shown after an action."""
        return NOTICES.get(self.request.query_params.get("done", ""))


async def framed(request: Request) -> Frame:
    """Return what is around the page that a request asks for; raises StoreError."""
    service = service_of(request)
    head = await service.flow.store.head()
    return Frame(
        request=request,
        service=service,
        bearer=getattr(request.state, "bearer", None),
        csrf=getattr(request.state, "csrf", ""),
        position=head.position,
        halted=head.halted,
        now=service.flow.gatekeeper.now(),
    )


TheFrame = Annotated[Frame, Depends(framed)]


def render(
    frame: Frame, template: str, *, title: str, here: str = "", status: int = 200, **more: Any
) -> HTMLResponse:
    """Return a page. ``here`` is the name of its place in the navigation."""
    text = (
        environment()
        .get_template(template)
        .render(frame=frame, now=frame.now, title=title, here=here, **more)
    )
    # Lone surrogates can be in a store, but not in UTF-8.
    return HTMLResponse(text.encode(errors="replace"), status_code=status)


def see(path: str, **query: str) -> RedirectResponse:
    """Send the browser on to a page of ours."""
    return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, SEE_OTHER)


def link(path: str, query: Mapping[str, Any], **changes: Any) -> str:
    """Return an address with a query, some of it changed; what is empty is left out."""
    merged = {key: value for key, value in {**query, **changes}.items() if value}
    return f"{path}?{urlencode(merged)}" if merged else path


def chosen(name: str, value: str, allowed: Sequence[str]) -> str | None:
    """Return what was chosen in a form, None if nothing was; raises InvalidInput for rubbish."""
    if not value:
        return None
    if value not in allowed:
        raise InvalidInput(f"{name}: {value!r:.60} is none of {', '.join(allowed)}", field=name)
    return value


@cache
def environment() -> Environment:
    """Return what fills in templates: everything escaped, nothing that is missing passed over."""
    made = Environment(
        loader=PackageLoader("governance_flow.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "span": words.span,
        "absolute": words.absolute,
        "thousands": words.thousands,
        "state_title": words.state_title,
        "service_title": words.service_title,
        "action_title": words.action_title,
        "known_by": words.known_by,
        "as_json": words.as_json,
        "shortened": words.shortened,
    }
    made.globals |= {"asset": assets.address, "relative": words.relative, "link": link}
    return made
