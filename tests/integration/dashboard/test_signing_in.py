"""Signing in and out: who gets a session, what is refused, and where the browser goes then."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from governance_flow.api.guard import SESSION_COOKIE
from governance_flow.api.service import ServiceOptions
from governance_flow.application.access.denials import DenialReason
from governance_flow.application.access.gatekeeper import SESSION_LIFETIME
from governance_flow.application.access.permissions import Role
from tests.support.pages import HOST, Browser, Page, Site, visited


async def sign_in(
    browser: Browser, token: str, *, following: str = "", headers: dict[str, str] | None = None
) -> Page:
    page = await browser.open("/sign-in" + (f"?next={quote(following)}" if following else ""))
    return await browser.submit(page.form("/sign-in"), token=token, headers=headers)


async def denials(site: Site) -> list[tuple[str, DenialReason]]:
    found = await site.played.flow.gatekeeper.denials(limit=20)
    return [(denial.operation, denial.reason) for _, denial in found]


async def test_somebody_unknown_signs_in_and_gets_where_they_wanted_to(site: Site) -> None:
    browser = site.browser()

    page = await browser.open("/motions?state=TABLED")
    assert page.path == "/sign-in?next=%2Fmotions%3Fstate%3DTABLED"
    assert "governance-flow token create NAME --role operator" in page.text
    page = await browser.submit(page.form("/sign-in"), token=await site.token("bo", Role.VIEWER))

    assert (page.status, page.path) == (200, "/motions?state=TABLED")
    assert page.by_id("state").all("option") != []


@pytest.mark.parametrize("secure", [True, False])
async def test_the_session_is_a_cookie_for_this_site_and_no_script(secure: bool) -> None:
    async with visited(options=ServiceOptions(secure_cookies=secure)) as site:
        browser = site.browser(follow_redirects=False)
        page = await sign_in(browser, await site.token("bo", Role.VIEWER))

    assert page.status == 303
    name, *said = (part.strip() for part in page.answer.headers["Set-Cookie"].split(";"))
    assert name.startswith(f"{SESSION_COOKIE}=")
    expected = {"HttpOnly", "Path=/", "SameSite=strict"}
    lifetime = f"Max-Age={int(SESSION_LIFETIME.total_seconds())}"
    assert set(said) == expected | {lifetime} | ({"Secure"} if secure else set())


async def test_a_token_that_is_refused_is_told_and_on_record_without_its_secret(
    site: Site,
) -> None:
    token = await site.token("bo", Role.VIEWER)
    wrong = token[:-4] + "0000"

    browser = site.browser()
    page = await sign_in(browser, wrong)

    assert page.status == 401
    assert "no such token was made out for this store" in page.text
    assert page.by_id("token")["value"] is None
    assert SESSION_COOKIE not in browser.http.cookies
    assert ("sign_in", DenialReason.UNKNOWN) in await denials(site)
    kept = await site.played.flow.gatekeeper.denials(limit=20)
    assert wrong.rpartition("_")[2] not in repr(kept)


async def test_who_tries_too_often_is_told_to_wait() -> None:
    async with visited(options=ServiceOptions(denials_per_minute=2)) as site:
        browser = site.browser()
        for _ in range(2):
            assert (await sign_in(browser, "gf_0_0")).status == 401
        page = await sign_in(browser, "gf_0_0")

    assert page.status == 429
    assert int(page.answer.headers["Retry-After"]) > 0
    assert page.has_form("/sign-in")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": HOST},
        {"Origin": "http://elsewhere.test"},
        {"Origin": "null"},
    ],
    ids=["cross-site", "same-site", "site-before-origin", "origin", "null"],
)
async def test_another_sites_form_signs_nobody_in(site: Site, headers: dict[str, str]) -> None:
    browser = site.browser()
    page = await sign_in(browser, await site.token("bo", Role.VIEWER), headers=headers)

    assert page.status == 403
    assert "not sent from our own page" in page.text
    assert SESSION_COOKIE not in browser.http.cookies
    assert ("sign_in", DenialReason.FORGED_REQUEST) in await denials(site)


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "same-origin", "Origin": "null"}, {"Origin": HOST}, {}],
    ids=["same-origin", "origin", "neither"],
)
async def test_our_own_form_signs_in(site: Site, headers: dict[str, str]) -> None:
    page = await sign_in(site.browser(), await site.token("bo", Role.VIEWER), headers=headers)

    assert (page.status, page.path) == (200, "/")


@pytest.mark.parametrize(
    "following",
    [
        "http://elsewhere.test/",
        "//elsewhere.test/",
        "/\\elsewhere.test/",
        "\\\\elsewhere.test/",
        "/\t/elsewhere.test/",
        "javascript:alert(1)",
        "motions",
        "/sign-out",
        "/" + "a" * 5000,
        "/motions\r\nX-Header: 1",
        "",
    ],
    ids=lambda text: f"{text[:12]!a}",
)
async def test_nobody_is_sent_to_another_site(site: Site, following: str) -> None:
    browser = site.browser(follow_redirects=False)
    page = await sign_in(browser, await site.token("bo", Role.VIEWER), following=following)

    assert (page.status, page.answer.headers["Location"]) == (303, "/")


async def test_who_signs_out_is_known_no_more_even_by_the_old_cookie(site: Site) -> None:
    browser = await site.signed_in("bo", Role.VIEWER)
    cookie = browser.http.cookies[SESSION_COOKIE]

    page = await browser.open("/")
    page = await browser.submit(page.form("/sign-out"))

    assert page.path == "/sign-in?why=signed_out"
    assert "You are signed out" in page.text
    assert SESSION_COOKIE not in browser.http.cookies
    browser.http.cookies.set(SESSION_COOKIE, cookie)
    assert (await browser.open("/")).path.startswith("/sign-in")


async def test_a_session_ends_and_its_cookie_is_taken_back(site: Site) -> None:
    browser = await site.signed_in("bo", Role.VIEWER)
    site.played.clock.advance(SESSION_LIFETIME.total_seconds())

    page = await browser.open("/docket")

    assert page.path == "/sign-in?next=%2Fdocket&why=expired"
    assert "The session has ended" in page.text
    assert SESSION_COOKIE not in browser.http.cookies


async def test_who_comes_by_a_link_from_elsewhere_may_be_signed_in_already(site: Site) -> None:
    browser = site.browser()

    page = await browser.open("/docket", **{"Sec-Fetch-Site": "cross-site"})
    assert page.links()["go on to the page"] == "/docket"
    page = await browser.open("/docket", **{"Sec-Fetch-Site": "same-origin"})
    assert "go on to the page" not in page.links()
