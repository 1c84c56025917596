"""What holds on every page, for everybody: whatever a motion is called, however one looks at it."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

from governance_flow.application.access.permissions import Role
from governance_flow.dashboard.app import build_service_app
from governance_flow.domain.states import GovernanceState
from scripts.screenshots.example import example, token
from scripts.screenshots.serving import paths, serving
from tests.support.flows import ZOE
from tests.support.service import served
from tests.support.visitor import NARROW, WIDE, Visitor, visiting

pytestmark = [pytest.mark.slow, pytest.mark.browser]

S = GovernanceState

HOSTILE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(2)>'\"--></bdi></title><h1>Hi",
    "direction": "\u202egnorw eht yaw dnuor\u2066 \u0645\u0631\u062d\u0628\u0627",
    "length": "W" * 2000,
    "templates": "{{ 7 * 7 }} {% raw %} ${alert(3)} %s",
}

# What axe calls minor or moderate is advice; these two keep people out.
GRAVE = ("serious", "critical")


async def test_whatever_a_motion_is_called_it_is_shown_as_text_and_breaks_no_page(
    browser: Browser, sqlite_address: str
) -> None:
    async with (
        served(
            sqlite_address,
            build=build_service_app,
            settings={"max_concurrent_motions": 2 * len(HOSTILE)},
        ) as service,
        visiting(browser, service.url) as zoe,
    ):
        page, played = zoe.page, service.played
        shown = {}
        for kind, text in HOSTILE.items():
            person = text[:150]
            introduced = {"text": text * 2, "introduced_by": person, "reference": text[:500]}
            shown[kind] = await played.introduce(text, ballots={person: "yes"}, **introduced)
            await played.introduce(text, **introduced)
            await service.token(person, Role.VIEWER)
            await played.reach(S.EXECUTING, shown[kind])
            await played.fails(shown[kind], text[:100], text)
            await played.reach(S.TABLED, await played.introduce(text, **introduced))
        await played.reach(S.ACKNOWLEDGED, await played.introduce(HOSTILE["length"]))
        await played.halt(HOSTILE["markup"])
        await zoe.sign_in(await service.token("Z" * 150, Role.OPERATOR))

        zoe.expecting("status of 422")
        found = [f"/motions/{motion_id}" for motion_id in shown.values()]
        found += [f"{path}/story" for path in found]
        found += ["/", "/motions", "/motions?q=script", "/docket", "/audit", "/access"]
        for path in [*found, f"/motions/{HOSTILE['length'][:200]}", "/attention"]:
            await zoe.open(path)
            await zoe.require_fits()
        for text in HOSTILE.values():
            titles = page.locator("#waiting h3").get_by_text(text, exact=True)
            await expect(titles).to_have_count(2)
        await page.locator("details").evaluate_all("(all) => all.forEach((one) => one.open = true)")
        await zoe.require_fits()
        await page.get_by_role("button", name="Have them all reviewed").click()
        await expect(page.get_by_role("heading", name="Decided together")).to_be_visible()
        await zoe.require_fits()

        await zoe.open(f"/motions/{shown['markup']}")
        await expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE["markup"])
        assert (await page.title()).startswith(HOSTILE["markup"])
        await page.locator("details").evaluate_all("(all) => all.forEach((one) => one.open = true)")
        await zoe.require_fits()


async def test_nobody_is_kept_out_by_how_a_page_is_made(browser: Browser, tmp_path: Path) -> None:
    async with (
        example(f"sqlite:///{tmp_path / 'example.db'}") as flow,
        serving(flow) as url,
        visiting(browser, url, color_scheme="light", viewport=WIDE) as by_day,
        visiting(browser, url, color_scheme="dark", viewport=NARROW) as at_night,
    ):
        secret = await token(flow, ZOE, Role.OPERATOR)
        faults = []
        for visitor in (by_day, at_night):
            await visitor.page.goto("/sign-in")
            faults += await _faults(visitor)
            await visitor.sign_in(secret)
            visitor.expecting("status of 404")
            for path in (await paths(flow)).values():
                await visitor.open(path)
                faults += await _faults(visitor)
                if visitor is by_day:
                    await visitor.require_fits()
        await by_day.open("/")
        await flow.orchestrator.halt_pipeline("the chair", "a storm")
        for visitor in (by_day, at_night):
            await visitor.open("/")
            faults += await _faults(visitor)
            await visitor.require_fits()
        assert faults == []


async def _faults(visitor: Visitor) -> list[str]:
    """Return what axe finds that is grave, with everything opened that can be."""
    page = visitor.page
    await page.locator("details").evaluate_all("(all) => all.forEach((one) => one.open = true)")
    found = await Axe().run(page)
    return [
        f"{page.url}: {fault['id']} ({fault['help']}): {node['html'][:200]}"
        for fault in found.response["violations"]
        if fault["impact"] in GRAVE
        for node in fault["nodes"]
    ]
