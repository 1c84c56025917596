"""A browser without a screen: pages are read as their tags and texts, forms are filled in and sent.

Tests read as a story::

    async with visited() as site:
        browser = await site.signed_in("zoe", Role.OPERATOR)
        page = await browser.open("/attention")
        page = await browser.submit(page.form("/halt"), reason="a storm")
        assert "halted" in page.text
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI

from governance_flow.api.service import Service, ServiceOptions
from governance_flow.application.access.permissions import ROLES, Permission, Role
from governance_flow.dashboard.app import build_service_app
from tests.support.flows import PlayedFlow, opened

HOST = "http://flow.test"
VOID = frozenset({"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
UNSEEN = frozenset({"script", "style", "title"})
NOT_RUN = ("application/json",)


@dataclass
class Tag:
    """One element: its attributes, and the tags and texts within it, in order."""

    name: str
    attributes: dict[str, str | None]
    inside: list[Tag | str] = field(default_factory=list)

    def __getitem__(self, attribute: str) -> str | None:
        return self.attributes.get(attribute)

    def all(self, *names: str) -> list[Tag]:
        """Return every element within, of these names if any are given."""
        return [tag for tag in self._walk() if not names or tag.name in names]

    @property
    def text(self) -> str:
        """What it says, in single spaces."""
        return " ".join("".join(self._texts()).split())

    def _walk(self) -> Iterator[Tag]:
        for one in self.inside:
            if isinstance(one, Tag):
                yield one
                yield from one._walk()

    def _texts(self) -> Iterator[str]:
        for one in self.inside:
            if isinstance(one, str):
                yield one
            elif one.name not in UNSEEN:
                yield " "
                yield from one._texts()
                yield " "


class _Reader(HTMLParser):
    """Builds the tree; an end tag that closes nothing is a mistake."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Tag("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> says one thing twice"
        found = Tag(tag, dict(attrs))
        self._open[-1].inside.append(found)
        if tag not in VOID:
            self._open.append(found)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].name == tag, f"</{tag}> where <{self._open[-1].name}> is open"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].inside.append(data)

    def read(self, text: str) -> Tag:
        self.feed(text)
        self.close()
        assert len(self._open) == 1, f"<{self._open[-1].name}> is never closed"
        return self.root


@dataclass(frozen=True)
class Form:
    """A form as it stands on a page."""

    action: str
    method: str
    fields: dict[str, str]
    buttons: tuple[str, ...]
    """What the buttons that send it say."""


@dataclass(frozen=True)
class Page:
    """What came back, read."""

    answer: httpx.Response
    root: Tag

    @property
    def status(self) -> int:
        """The status of the answer."""
        return self.answer.status_code

    @property
    def path(self) -> str:
        """Where the browser is, query included."""
        return self.answer.request.url.raw_path.decode()

    @property
    def text(self) -> str:
        """All that it says."""
        return self.root.text

    def by_id(self, name: str) -> Tag:
        """Return the element with an id."""
        found = [tag for tag in self.root.all() if tag["id"] == name]
        assert found, f"nothing is called {name} at {self.path}: {self.text[:300]}"
        return found[0]

    def links(self) -> dict[str, str]:
        """Return where each link leads, by what it says."""
        return {tag.text: tag["href"] or "" for tag in self.root.all("a")}

    def forms(self) -> list[Form]:
        """Return every form."""
        return [_form(tag) for tag in self.root.all("form")]

    def form(self, action: str) -> Form:
        """Return the form that is sent to an address."""
        found = [form for form in self.forms() if form.action == action]
        assert found, f"no form is sent to {action} from {self.path}"
        return found[0]

    def has_form(self, action: str) -> bool:
        """Return whether there is a form that is sent to an address."""
        return any(form.action == action for form in self.forms())


@dataclass(frozen=True)
class Browser:
    """Somebody's browser, which keeps cookies and follows redirects."""

    http: httpx.AsyncClient

    async def open(self, path: str, **headers: str) -> Page:
        """Load a page."""
        return _read(await self.http.get(path, headers={"Accept": "text/html", **headers}))

    async def submit(
        self, form: Form, headers: dict[str, str] | None = None, **fields: Any
    ) -> Page:
        """Send a form with some of its fields filled in; None leaves one out."""
        sent = {key: value for key, value in {**form.fields, **fields}.items() if value is not None}
        if form.method == "get":
            return _read(await self.http.get(form.action, params=sent))
        return _read(await self.http.post(form.action, data=sent, headers=headers))


@dataclass(frozen=True)
class Site:
    """A dashboard over a played pipeline."""

    played: PlayedFlow
    service: Service
    app: FastAPI

    def browser(self, **more: Any) -> Browser:
        """Return a browser of somebody who has not signed in."""
        transport = httpx.ASGITransport(app=self.app)
        http = httpx.AsyncClient(
            transport=transport, base_url=HOST, **{"follow_redirects": True, **more}
        )
        return Browser(http)

    async def token(self, name: str, *allowed: Role | Permission, **more: Any) -> str:
        """Make out a token for what is allowed, roles and single permissions."""
        permissions = {
            permission
            for one in allowed
            for permission in (ROLES[one] if isinstance(one, Role) else {one})
        }
        _, text = await self.played.flow.gatekeeper.make_out(name, permissions, **more)
        return text

    async def signed_in(self, name: str, *allowed: Role | Permission) -> Browser:
        """Return the browser of somebody who has signed in."""
        browser = self.browser()
        page = await browser.open("/sign-in")
        page = await browser.submit(page.form("/sign-in"), token=await self.token(name, *allowed))
        assert not page.path.startswith("/sign-in"), page.text
        return browser


@asynccontextmanager
async def visited(
    address: str = "memory:", *, options: ServiceOptions | None = None, **more: Any
) -> AsyncIterator[Site]:
    """Open a pipeline, as ``opened`` does, with the whole service over it."""
    async with opened(address, **more) as played:
        service = Service(played.flow, options or ServiceOptions())
        try:
            yield Site(played, service, build_service_app(service))
        finally:
            service.stopping.set()
            await service.jobs.stop()


def _read(answer: httpx.Response) -> Page:
    is_page = answer.headers.get("Content-Type", "").startswith("text/html")
    return Page(answer, _Reader().read(answer.text) if is_page else Tag("", {}))


def _form(tag: Tag) -> Form:
    fields: dict[str, str] = {}
    for one in tag.all("input", "textarea", "select"):
        if one["name"] is None:
            continue
        if one.name == "select":
            options = one.all("option")
            chosen = next((o for o in options if "selected" in o.attributes), options[0])
            fields[one["name"]] = chosen["value"] or ""
        else:
            fields[one["name"]] = one["value"] or ""
    return Form(
        action=tag["action"] or "",
        method=tag["method"] or "get",
        fields=fields,
        buttons=tuple(button.text for button in tag.all("button")),
    )


# -- What holds for every page ---------------------------------------------------------------------


def require_sound(page: Page) -> None:
    """Fail unless the policy lets the page do all it says, and everybody can use it."""
    _require_nothing_inline(page.root)
    _require_own_addresses(page.root)
    _require_outline(page.root)
    _require_names(page.root)
    for form in page.forms():
        assert form.method == "get" or form.fields.get("csrf") or form.action == "/sign-in"


def _require_nothing_inline(root: Tag) -> None:
    for tag in root.all():
        assert tag.name != "style"
        assert tag["style"] is None
        assert [name for name in tag.attributes if name.startswith("on")] == []
        if tag.name == "script" and tag["type"] not in NOT_RUN:
            assert tag["src"]
            assert tag.inside == []


def _require_own_addresses(root: Tag) -> None:
    for tag in root.all():
        for attribute in ("href", "src", "action"):
            address = urlsplit(tag[attribute] or "/")
            assert not address.scheme, f"{tag.name} leads to {tag[attribute]}"
            assert not address.netloc, f"{tag.name} leads to {tag[attribute]}"


def _require_outline(root: Tag) -> None:
    assert [tag.text for tag in root.all("html")] != []
    assert len(root.all("main")) == 1
    levels = [int(tag.name[1]) for tag in root.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    for before, after in itertools.pairwise(levels):
        assert after <= before + 1, f"a heading of level {after} follows one of {before}"


def _require_names(root: Tag) -> None:
    ids = [tag["id"] for tag in root.all() if tag["id"] is not None]
    assert len(set(ids)) == len(ids)
    labelled = {tag["for"] for tag in root.all("label")}
    for tag in root.all("input", "select", "textarea"):
        assert tag["type"] == "hidden" or tag["id"] in labelled
    for table in root.all("table"):
        assert len(table.all("caption")) == 1
        assert [cell for cell in table.all("th") if cell["scope"] not in ("col", "row")] == []
    for tag in root.all():
        for attribute in ("aria-labelledby", "aria-describedby", "for"):
            for name in (tag[attribute] or "").split():
                assert name in ids, f"{attribute} names {name}, which is not there"
    for region in root.all():
        assert "data-live" not in region.attributes or region["id"]
