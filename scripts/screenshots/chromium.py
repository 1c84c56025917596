"""The browser of the machine: which one there is, and how it is started."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Page, async_playwright, expect

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW_TO_INSTALL = (
    f"no browser was found: install Chromium (apt install chromium, or any of {', '.join(NAMES)} "
    "on the PATH)"
)
LIVE_MS = 20_000


def find_chromium() -> str | None:
    """Return the path of an installed Chromium, None if there is none."""
    return next((path for path in map(shutil.which, NAMES) if path is not None), None)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start the browser, without a window; raises LookupError if none is installed."""
    path = find_chromium()
    if path is None:
        raise LookupError(HOW_TO_INSTALL)
    async with async_playwright() as playwright:
        # Builds run as root, for whom its sandbox does not work; it sees nothing but our pages.
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


async def settled(page: Page) -> None:
    """Wait until a page has all it needs and, if it is one that keeps itself current, is live."""
    await page.wait_for_load_state("load")
    if await page.locator("script[src*='live.js']").count():
        await expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=LIVE_MS)
