"""Takes a picture of every page of the dashboard: light and dark, wide and narrow.

    python -m scripts.screenshots FOLDER [--only NAME ...]

Fills a store with an assembly's last three weeks (motions that ended, are blocked, put off, wait in
the docket, or are overdue), serves it, and writes FOLDER/NAME-wide-light.png and so on. To be
looked at by a person: for overlaps, cut-off words, empty space, and colours that cannot be read.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import httpx
import structlog
from playwright.async_api import Browser, BrowserContext, Page

from governance_flow.application.access.permissions import Role
from governance_flow.bootstrap import Flow
from governance_flow.domain.branches import GovernanceBranch
from scripts.screenshots.chromium import HOW_TO_INSTALL, chromium, find_chromium, settled
from scripts.screenshots.example import example, token
from scripts.screenshots.serving import paths, serving

WIDTHS = {"wide": (1280, 800), "narrow": (360, 740)}
COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WHO = "zoe"


@dataclass(frozen=True, slots=True)
class Studio:
    """Where pictures are taken, of which pages, and what for."""

    browser: Browser
    url: str
    token: str
    folder: Path
    only: Collection[str]

    async def take(self, page: Page, name: str, look: str) -> None:
        """Take a picture of the whole of a page as it is now."""
        if self.only and name not in self.only:
            return
        await settled(page)
        await page.screenshot(path=self.folder / f"{name}-{look}.png", full_page=True)

    async def everything(self, flow: Flow) -> None:
        """Take every picture."""
        found = await paths(flow)
        for size, (width, height) in WIDTHS.items():
            for colours in COLOURS:
                context = await self.browser.new_context(
                    base_url=self.url,
                    color_scheme=colours,
                    viewport={"width": width, "height": height},
                    reduced_motion="reduce",
                )
                await self._pages(context, found, f"{size}-{colours}")
                await context.close()

    async def _pages(self, context: BrowserContext, found: dict[str, str], look: str) -> None:
        page = await context.new_page()
        await page.goto("/sign-in")
        await self.take(page, "sign-in", look)
        await page.get_by_label("Access token").fill("gf_mistyped")
        await page.get_by_role("button", name="Sign in").click()
        await self.take(page, "sign-in-refused", look)
        await page.get_by_label("Access token").fill(self.token)
        await page.get_by_role("button", name="Sign in").click()
        for name, path in found.items():
            await page.goto(path)
            await self.take(page, name, look)
        await self._done(page, look)

    async def _done(self, page: Page, look: str) -> None:
        """Take pictures of what is there only after something was done."""
        await page.goto("/audit")
        await page.get_by_role("button", name="Verify now").click()
        await page.locator("#verification").get_by_text("No fault was found").wait_for()
        await self.take(page, "audit-verified", look)
        await page.goto("/")
        await page.get_by_text("Halt the pipeline").click()
        await self.take(page, "board-halting", look)
        await page.get_by_label("Reason, for the record").fill("a storm: the ferry does not run")
        await page.get_by_role("button", name="Halt now").click()
        await self.take(page, "board-halted", look)
        await page.goto("/attention")
        await page.get_by_text("Decide about many at once").click()
        await self.take(page, "attention-halted", look)
        await page.goto("/")
        await page.get_by_label("Reason to resume").fill("it is over")
        await page.get_by_role("button", name="Resume").click()
        await page.get_by_text("Halt the pipeline").wait_for()


def main() -> int:
    """Take the pictures; return 2 if there is nothing to take them with."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.screenshots", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="where the pictures go; made if it is not there")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="only these pages")
    options = parser.parse_args()
    if find_chromium() is None:
        print(HOW_TO_INSTALL, file=sys.stderr)
        return 2
    structlog.configure(processors=[_drop])
    options.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_take(options.folder, options.only))
    print(f"{len(list(options.folder.glob('*.png')))} pictures in {options.folder}")
    return 0


async def _take(folder: Path, only: Collection[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        async with (
            example(f"sqlite:///{place}/example.db") as flow,
            serving(flow) as url,
            chromium() as browser,
        ):
            operator = await token(flow, WHO, Role.OPERATOR)
            await _let_be_denied(flow, url)
            await Studio(browser, url, operator, folder, only).everything(flow)


async def _let_be_denied(flow: Flow, url: str) -> None:
    """Make out a token of every kind, and let some be used for what they do not allow."""
    duke = frozenset({GovernanceBranch.DUKE})
    works = await token(flow, "harbour works", Role.BRANCH, branches=tuple(duke))
    viewer = await token(flow, "the screen in the hall", Role.VIEWER, lifetime=timedelta(days=90))
    await token(flow, "the auditor of the mainland", Role.AUDITOR, lifetime=timedelta(days=7))
    lost = await token(flow, "Bao Nguyen", Role.MEMBER)
    await flow.gatekeeper.revoke(lost.split("_")[1])
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        for shown in (lost, "gf_rubbish", works, viewer, viewer):
            headers = {"Authorization": f"Bearer {shown}"}
            await http.post("/api/v1/pipeline/halt", headers=headers, json={"reason": "a trial"})


def _drop(*_: object) -> str:
    """Let no line of the log out: it is not what was asked for."""
    raise structlog.DropEvent


if __name__ == "__main__":
    sys.exit(main())
