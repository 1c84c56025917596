"""Who comes in and how they leave, in a real browser; and what those see who may only look."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Page, expect

from governance_flow.application.access.permissions import Role
from governance_flow.dashboard.app import build_service_app
from governance_flow.domain.states import GovernanceState
from tests.support.flows import ZOE
from tests.support.service import served
from tests.support.visitor import require_chromium, visiting

pytestmark = [pytest.mark.slow, pytest.mark.browser]

S = GovernanceState

ACTS = re.compile("retry|return|review|take up|halt|resume|decide|withdraw", re.IGNORECASE)


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until a link, button or field of this name has the focus."""
    wanted = page.get_by_role("link", name=name).or_(page.get_by_role("button", name=name)).first
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await wanted.evaluate("(one) => one === document.activeElement"):
            return
    raise AssertionError(f"{name} cannot be reached with the keyboard on {page.url}")


async def test_with_the_keyboard_alone_somebody_signs_in_looks_round_and_leaves(
    browser: Browser,
) -> None:
    async with (
        served(build=build_service_app) as service,
        visiting(browser, service.url) as zoe,
    ):
        page, keys = zoe.page, zoe.page.keyboard
        token = await service.token(ZOE, Role.OPERATOR)

        await page.goto("/docket")
        await expect(page.get_by_label("Access token")).to_be_focused()
        zoe.expecting("status of 401")
        await keys.type(f"{token[:-4]}0000")
        await keys.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("Not signed in")
        await expect(page.get_by_role("alert")).to_contain_text("no such token was made out")
        await expect(page.get_by_label("Access token")).to_be_focused()
        await keys.type(token)
        await tab_to(page, "Sign in")
        await keys.press("Enter")
        await expect(page.get_by_role("heading", name="Docket", level=1)).to_be_visible()

        await page.reload()
        await keys.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await keys.press("Enter")
        await expect(page.locator("main")).to_be_focused()
        await page.reload()
        await tab_to(page, "Board")
        await keys.press("Enter")
        await expect(page.get_by_role("heading", name="Board", level=1)).to_be_visible()
        await expect(page.get_by_role("link", name="Board", exact=True)).to_have_attribute(
            "aria-current", "page"
        )
        await tab_to(page, "Sign out")
        await keys.press("Enter")
        await expect(page.get_by_role("status").filter(has_text="signed out")).to_be_visible()
        assert await zoe.context.cookies() == []

        await page.go_back()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await page.goto("/attention")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_who_may_only_look_sees_everything_and_changes_nothing(browser: Browser) -> None:
    async with (
        served(build=build_service_app) as service,
        visiting(browser, service.url) as bo,
    ):
        page, played = bo.page, service.played
        motion_id = await played.reach(S.EXECUTING)
        await played.fails(motion_id, "system_error", "the crane fell over")
        await bo.sign_in(await service.token("bo", Role.VIEWER))
        before = (await played.flow.store.head()).position

        for path in ("/", "/attention", f"/motions/{motion_id}"):
            await bo.open(path)
            await expect(page.get_by_text("Mend the bridge").first).to_be_visible()
            await expect(
                page.locator("main").locator("button, summary", has_text=ACTS)
            ).to_have_count(0)
            assert await page.locator("form[method=post]").count() == 1, "only to sign out"
        await expect(page.get_by_role("link", name="Audit")).to_have_count(0)
        await expect(page.get_by_role("link", name="Access")).to_have_count(0)

        bo.expecting("status of 403")
        for path in ("/audit", "/access", f"/audit/bundle?motion_id={motion_id}"):
            await page.goto(path)
            await expect(page.get_by_text("that takes the permission")).to_be_visible()
        for action, fields in (
            ("/halt", {"reason": "because I can"}),
            (f"/motions/{motion_id}/decision", {"decision": "retry"}),
            ("/attention", {"decision": "retry", "error_type": ""}),
        ):
            await page.goto("/")
            await page.evaluate(_FORGE, [action, fields])
            await expect(page.get_by_text("that takes the permission")).to_be_visible()
        assert (await played.flow.store.head()).position == before


_FORGE = """([action, fields]) => {
  const form = document.querySelector("form[action='/sign-out']");
  form.action = action;
  for (const [name, value] of Object.entries(fields)) {
    const field = form.appendChild(document.createElement("input"));
    field.name = name;
    field.value = value;
  }
  form.submit();
}"""


async def test_a_session_ends_when_its_token_is_revoked(browser: Browser) -> None:
    async with (
        served(build=build_service_app) as service,
        visiting(browser, service.url) as zoe,
    ):
        token = await service.token(ZOE, Role.OPERATOR)
        await zoe.sign_in(token)
        await service.played.flow.gatekeeper.revoke(token.split("_")[1])
        zoe.expecting("status of 401")  # The stream has ended, and is asked for once more.

        # News, for which the page is fetched again, but not for the one who looks any more.
        await service.played.introduce("What nobody who is signed out may see")

        await expect(zoe.page.locator("#live")).to_have_text("Signed out")
        await expect(zoe.page.get_by_text("Load the page again to sign in")).to_be_visible()
        await expect(zoe.page.get_by_text("What nobody who is")).to_have_count(0)
        await zoe.page.reload()
        await expect(zoe.page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert await zoe.context.cookies() == []


def test_without_a_browser_the_tests_are_skipped_but_not_in_a_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="install Chromium"):
        require_chromium()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="install Chromium"):
        require_chromium()
