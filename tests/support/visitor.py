"""Somebody at a real browser; whatever their pages complain of fails the test.

Tests read as a story::

    async with visiting(chromium, service.url) as zoe:
        await zoe.sign_in(await service.token("zoe", Role.OPERATOR))
        await zoe.open("/attention")
        await expect(zoe.page.get_by_text("Nothing waits for a person")).to_be_visible()

What is expected of a page is waited for by Playwright itself, for a bounded time.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    ViewportSize,
    WebError,
    expect,
)

from scripts.screenshots.chromium import HOW_TO_INSTALL, LIVE_MS, find_chromium, settled

WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 360, "height": 740}
SIZES = (WIDE, NARROW)
FRAMES_MAX = 120

expect.set_options(timeout=LIVE_MS)

# Told aloud, so that what the policy forbids is heard even where browsers only keep it in mind.
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`forbidden by the policy: ${event.violatedDirective} ${event.blockedURI}`);
});
"""


def require_chromium() -> None:
    """Skip the test if there is no browser; fail it where there must be one."""
    if find_chromium() is None:
        if os.environ.get("CI"):
            pytest.fail(f"{HOW_TO_INSTALL}; a build must try the dashboard in one")
        pytest.skip(HOW_TO_INSTALL)


@dataclass
class Visitor:
    """One person's browser window, and what it has complained of."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    @property
    def context(self) -> BrowserContext:
        """Where its cookies are."""
        return self.page.context

    def expecting(self, *complaints: str) -> None:
        """Let these complaints, regular expressions, pass from now on."""
        self.expected.extend(complaints)

    def heard(self, complaint: str) -> None:
        """Take note of a complaint, unless it was to be expected."""
        if not any(re.search(expected, complaint) for expected in self.expected):
            self.complaints.append(f"at {self.page.url}: {complaint}")

    async def open(self, path: str) -> None:
        """Load a page, and wait until it is live."""
        await self.page.goto(path)
        await settled(self.page)

    async def sign_in(self, token: str) -> None:
        """Sign in, and wait for the board."""
        await self.page.goto("/sign-in")
        await self.page.get_by_label("Access token").fill(token)
        await self.page.get_by_role("button", name="Sign in").click()
        await expect(self.page.get_by_role("heading", name="Board", level=1)).to_be_visible()
        await settled(self.page)

    async def mark(self) -> None:
        """Leave something in the page that loading it again would remove."""
        await self.page.evaluate("window.marked = true")

    async def require_not_reloaded(self) -> None:
        """Fail if the page was loaded again since it was marked."""
        assert await self.page.evaluate("window.marked === true"), "the page was loaded again"

    async def require_fits(self) -> None:
        """Fail if the page is wider than the window, at either width."""
        before = self.page.viewport_size
        assert before is not None
        for size in SIZES:
            await self.page.set_viewport_size(size)
            wide = await self.page.evaluate(_TOO_WIDE, FRAMES_MAX)
            assert wide == [], f"{self.page.url} is wider than {size['width']} px: {wide}"
        await self.page.set_viewport_size(before)


# Charts follow the window's size a frame or two later.
_TOO_WIDE = """async (frames) => {
  const root = document.documentElement;
  for (let frame = 0; frame < frames; frame += 1) {
    if (root.scrollWidth <= innerWidth) return [];
    await new Promise(requestAnimationFrame);
  }
  return [root.scrollWidth, ...[...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 5).map((one) => one.outerHTML.slice(0, 120))];
}"""


@asynccontextmanager
async def visiting(browser: Browser, url: str, **more: Any) -> AsyncIterator[Visitor]:
    """Open a window of its own, with its own cookies; fail at the end if its pages complained.

    A complaint is: an error on the console or a script's, what the policy forbids, a dialog, and
    a request to any host but ours. ``more`` is as Playwright's ``new_context`` takes it.
    """
    context = await browser.new_context(
        base_url=url, **{"viewport": WIDE, "reduced_motion": "reduce", **more}
    )
    context.set_default_timeout(LIVE_MS)
    await context.add_init_script(_TELL_VIOLATIONS)
    visitor = Visitor(await context.new_page(), url)

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visitor.heard(message.text)

    def on_error(error: WebError) -> None:
        visitor.heard(str(error.error))

    def on_request(request: Request) -> None:
        if not request.url.startswith(f"{url}/"):
            visitor.heard(f"asks another host: {request.url}")

    async def on_dialog(dialog: Dialog) -> None:
        visitor.heard(f"a dialog: {dialog.message}")
        await dialog.dismiss()

    context.on("console", on_console)
    context.on("weberror", on_error)
    context.on("request", on_request)
    context.on("dialog", on_dialog)
    try:
        yield visitor
    finally:
        await context.close()
    assert visitor.complaints == []
