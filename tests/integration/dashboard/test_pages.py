"""Every page for every kind of motion: well formed, safe under the policy, and with what is due."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest

from governance_flow.application.access.permissions import Role
from governance_flow.dashboard.views import motion as motion_view
from governance_flow.domain.states import TERMINAL_STATES, GovernanceState
from tests.support.flows import ZOE
from tests.support.motions import INTRODUCER
from tests.support.pages import Browser, Site, require_sound, visited

S = GovernanceState

PLACES = ("/", "/motions", "/attention", "/docket", "/audit", "/access")
HOSTILE = "</bdi><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e{{ 7*7 }}&amp;"

STANDING = {
    S.INTRODUCED: "dc.....",
    S.DELIBERATING: "dc.....",
    S.PLANNING: "ddc....",
    S.EXECUTING: "dddc...",
    S.JUDGING: "ddddc..",
    S.WITNESSING: "dddddc.",
    S.TABLED: "dc.....",
    S.ACKNOWLEDGED: "ddddddd",
    S.REJECTED: "de.....",
    S.WITHDRAWN: "de.....",
}
"""How far the seven steps are in each state in which motions stay: done, current, ended."""


@pytest.mark.parametrize("path", PLACES)
async def test_every_page_shows_an_empty_store(zoe: Browser, path: str) -> None:
    page = await zoe.open(path)

    assert (page.status, page.path) == (200, path)
    require_sound(page)


async def test_the_page_before_anybody_is_known_is_sound(site: Site) -> None:
    page = await site.browser().open("/")

    assert page.has_form("/sign-in")
    require_sound(page)


@pytest.mark.parametrize("state", list(STANDING))
async def test_every_page_shows_motions_in_every_state(site: Site, state: S) -> None:
    browser = await site.signed_in(INTRODUCER, Role.OPERATOR, Role.MEMBER)
    motion_id = await site.played.reach(state)

    for path in (*PLACES, f"/motions/{motion_id}/story", f"/motions?state={state}"):
        page = await browser.open(path)
        assert (page.status, page.path) == (200, path)
        require_sound(page)
        if "state=" in path:
            assert page.links()["Mend the bridge"] == f"/motions/{motion_id}"
    page = await browser.open(f"/motions/{motion_id}")
    assert page.status == 200
    require_sound(page)
    action = (await site.played.orchestrator.get_motion_status(motion_id)).next_action
    said = page.by_id("next").text
    if action is None:
        assert "Nobody: it ended as" in said
    else:
        assert action.what in said
    withdrawable = state in (S.INTRODUCED, S.DELIBERATING, S.TABLED)
    assert page.has_form(f"/motions/{motion_id}/withdrawal") == withdrawable


@pytest.mark.parametrize("state", list(STANDING))
async def test_the_seven_steps_tell_how_far_a_motion_is(site: Site, zoe: Browser, state: S) -> None:
    motion_id = await site.played.reach(state)

    page = await zoe.open(f"/motions/{motion_id}")

    steps = list(page.by_id("stands").all("li"))
    short = {"done": "d", "current": "c", "ended": "e", "ahead": "."}
    assert "".join(short[step["class"] or ""] for step in steps) == STANDING[state]
    assert [step["aria-current"] for step in steps].count("step") == (
        0 if state in TERMINAL_STATES else 1
    )


async def test_acknowledging_is_the_last_step(site: Site, zoe: Browser) -> None:
    motion_id = await site.played.reach(S.WITNESSING)
    await site.played.succeeds(motion_id)

    page = await zoe.open(f"/motions/{motion_id}")

    last = page.by_id("stands").all("li")[-1]
    assert (last["class"], last["aria-current"]) == ("current", "step")


@pytest.mark.parametrize("error_type", ["system_error", "validation_error", "permission_error"])
async def test_pages_show_motions_in_trouble(site: Site, zoe: Browser, error_type: str) -> None:
    motion_id = await site.played.reach(S.EXECUTING)
    await site.played.fails(motion_id, error_type, "the crane broke\nat line 1")

    for path in ("/", "/motions", "/attention", f"/motions/{motion_id}"):
        page = await zoe.open(path)
        assert page.status == 200
        require_sound(page)
    page = await zoe.open(f"/motions/{motion_id}")
    assert "the crane broke" in page.by_id("timeline").text
    blocked = error_type != "validation_error"
    assert ("Blocked" in page.by_id("next").text) == blocked


async def test_a_refused_act_is_marked_on_the_timeline(site: Site, zoe: Browser) -> None:
    motion_id = await site.played.reach(S.PLANNING)
    await site.played.succeeds(motion_id, actor=INTRODUCER)

    page = await zoe.open(f"/motions/{motion_id}")

    refused = [tag for tag in page.by_id("timeline").all("li") if tag["class"] == "k-refusal"]
    assert len(refused) == 1
    assert "refused" in refused[0].text
    assert INTRODUCER in refused[0].text


async def test_the_timeline_shows_statements_and_the_checkpoints_that_cover_them(
    site: Site, zoe: Browser
) -> None:
    motion_id = await site.played.reach(S.PLANNING)
    before = await site.played.flow.reader.events(motion_id)
    await site.played.flow.audit.proofs.latest()
    await site.played.succeeds(motion_id)

    page = await zoe.open(f"/motions/{motion_id}")

    entries = {tag["id"]: tag for tag in page.by_id("timeline").all("li")}
    records = await site.played.flow.reader.events(motion_id)
    assert list(entries) == [f"v{record.version}" for record in reversed(records)]
    first = entries["v1"]
    size = re.search(r"in the checkpoint of ([0-9]+) events", first.text)
    assert size is not None
    checkpoint = await site.played.flow.audit.proofs.of_size(int(size[1]) + 1)
    assert checkpoint.size > records[0].position
    # The very first checkpoint was signed right behind the last event there was.
    last = before[-1]
    assert f"in the checkpoint of {last.position} events" in entries[f"v{last.version}"].text
    alone = await site.played.flow.audit.proofs.covering([last.position])
    assert alone[last.position].size == last.position + 1
    assert "in no checkpoint yet" in entries[f"v{records[-1].version}"].text
    moved = [record for record in records if record.topic == "TRANSITION_WITNESSED"]
    for record in records:
        statement = f"statement-{record.version}"
        has_one = any(tag["id"] == statement for tag in entries[f"v{record.version}"].all())
        assert has_one == (record in moved)
    assert "governance-flow/witness-statement/v1" in page.by_id("timeline").text


async def test_a_long_timeline_is_shown_in_pages(
    site: Site, zoe: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(motion_view, "ENTRIES", 3)
    motion_id = await site.played.reach(S.PLANNING)
    total = len(await site.played.flow.reader.events(motion_id))

    seen: list[str] = []
    page = await zoe.open(f"/motions/{motion_id}")
    while True:
        seen += [tag["id"] or "" for tag in page.by_id("timeline").all("li")]
        older = page.links().get("Older entries")
        if older is None:
            break
        page = await zoe.open(older)

    assert seen == [f"v{version}" for version in range(total, 0, -1)]


@pytest.mark.parametrize("place", ["title", "reference", "introduced_by", "text", "ballots"])
async def test_hostile_texts_stay_texts(site: Site, zoe: Browser, place: str) -> None:
    value: Any = {HOSTILE: "yes"} if place == "ballots" else HOSTILE
    motion_id = await site.played.introduce(**{place: value})

    for path in ("/", "/motions", "/docket", f"/motions/{motion_id}/story", "/motions?q=mend"):
        page = await zoe.open(path)
        assert page.status == 200
        require_sound(page)
        assert page.root.all("img") == page.root.all("header")[0].all("img")
    page = await zoe.open(f"/motions/{motion_id}")
    require_sound(page)
    assert " ".join(HOSTILE.split()) in page.text
    shown = [tag for tag in page.root.all("bdi") if tag.text == " ".join(HOSTILE.split())]
    assert shown != []


async def test_what_branches_say_stays_text(site: Site, zoe: Browser) -> None:
    motion_id = await site.played.reach(S.EXECUTING)
    await site.played.succeeds(motion_id, {"said": HOSTILE})
    await site.played.fails(motion_id, "system_error", HOSTILE)

    for path in ("/", "/motions", "/attention", f"/motions/{motion_id}"):
        page = await zoe.open(path)
        assert page.status == 200
        require_sound(page)


async def test_lists_go_on_where_the_page_before_ended(site: Site, zoe: Browser) -> None:
    await site.played.halt()
    made = [await site.played.introduce(f"motion {number}") for number in range(60)]

    for path, per_page in (("/motions", 50), ("/docket", 50), ("/motions?q=motion", 50)):
        shown: list[UUID] = []
        page = await zoe.open(path)
        while True:
            rows = [tag for tag in page.root.all("tr") if (tag["id"] or "").startswith("m-")]
            assert len(rows) <= per_page
            shown += [UUID((row["id"] or "")[2:]) for row in rows]
            following = page.links().get("Next page")
            if following is None:
                break
            page = await zoe.open(following)
            assert "First page" in page.links()
        assert sorted(shown) == sorted(made)
    page = await zoe.open("/docket")
    page = await zoe.open(page.links()["Next page"])
    assert next(tag.text for tag in page.root.all("td") if tag["class"] == "number") == "51"


async def test_the_list_is_filtered_and_searched(site: Site, zoe: Browser) -> None:
    tabled = await site.played.reach(S.TABLED, await site.played.introduce("A statue"))
    blocked = await site.played.reach(S.EXECUTING, await site.played.introduce("A crane"))
    await site.played.fails(blocked, "system_error")
    other = await site.played.introduce("A ferry", introduced_by="Bo")

    async def shown(path: str) -> set[UUID]:
        page = await zoe.open(path)
        assert (page.status, page.path) == (200, path)
        rows = [tag["id"] or "" for tag in page.root.all("tr")]
        return {UUID(row[2:]) for row in rows if row.startswith("m-")}

    assert await shown("/motions") == {tabled, blocked, other}
    assert await shown("/motions?state=TABLED&only=&introduced_by=") == {tabled}
    assert await shown("/motions?only=blocked") == {blocked}
    assert await shown("/motions?only=waits_for_person") == {tabled, blocked}
    assert await shown("/motions?only=waiting") == {other}
    assert await shown("/motions?introduced_by=Bo") == {other}
    assert await shown("/motions?q=stat") == {tabled}
    assert await shown(f"/motions?q={other}") == {other}
    page = await zoe.open("/motions?state=NOWHERE")
    assert (page.status, "NOWHERE" in page.text) == (422, True)
    require_sound(page)


async def test_the_board_counts_what_is_blocked_and_overdue(site: Site) -> None:
    blocked = await site.played.reach(S.EXECUTING)
    await site.played.fails(blocked, "system_error")
    late = await site.played.reach(S.PLANNING)
    site.played.clock.advance(hours=100)
    zoe = await site.signed_in(ZOE, Role.OPERATOR)

    page = await zoe.open("/")

    assert "1 blocked" in page.by_id("state-executing").text
    assert "1 overdue" in page.by_id("state-planning").text
    oldest = page.by_id("state-planning").all("a")[-1]
    assert oldest["href"] == f"/motions/{late}"
    assert "4 d 4 h" in page.by_id("state-planning").text
    assert {f"/motions/{blocked}", f"/motions/{late}"} <= {
        tag["href"] for tag in page.by_id("stuck").all("a")
    }
    assert "Wait for a person 1" in page.by_id("numbers").text


async def test_every_chart_has_its_numbers_in_a_table(site: Site, zoe: Browser) -> None:
    await site.played.reach(S.ACKNOWLEDGED)

    page = await zoe.open("/")

    charts = [tag for tag in page.root.all("figure") if tag["data-chart"]]
    assert len(charts) == 5
    for chart in charts:
        assert len(chart.all("canvas")) == 1
        rows = chart.all("table")[0].all("tbody")[0].all("tr")
        assert rows != []
        for row in rows:
            assert {cell.name for cell in row.all("th", "td")} == {"th", "td"}
    hours = page.by_id("chart-hours").all("tbody")[0].all("tr")
    assert [cell.text for cell in hours[-1].all("td")] == ["1", "6", "0", "1"]
    scripts = [tag["src"] or "" for tag in page.root.all("script")]
    assert any(address.startswith("/static/chart.js?v=") for address in scripts)
    motions = await zoe.open("/motions")
    assert not any("chart" in (tag["src"] or "") for tag in motions.root.all("script"))


async def test_what_is_not_there_is_told_on_a_page(site: Site, zoe: Browser) -> None:
    unknown = f"/motions/{UUID(int=7)}"
    for path, status in ((unknown, 404), ("/motions/rubbish", 422), ("/nowhere", 404)):
        page = await zoe.open(path)
        assert page.status == status
        assert page.text
        require_sound(page)
    answer = await zoe.http.get("/nowhere")
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_the_navigation_leads_only_where_one_may_go(site: Site) -> None:
    for role, expected in (
        (Role.VIEWER, ["Board", "Motions", "Attention", "Docket"]),
        (Role.AUDITOR, ["Board", "Motions", "Attention", "Docket", "Audit"]),
        (Role.OPERATOR, ["Board", "Motions", "Attention", "Docket", "Audit", "Access"]),
    ):
        browser = await site.signed_in(role, role)
        page = await browser.open("/docket")
        assert [tag.text for tag in page.root.all("nav")[0].all("a")] == expected
        here = [tag.text for tag in page.root.all("a") if tag["aria-current"] == "page"]
        assert here == ["Docket"]
        for place in set(PLACES) - {tag["href"] for tag in page.root.all("nav")[0].all("a")}:
            refused = await browser.open(place)
            assert refused.status == 403
            require_sound(refused)
            assert "permission" in refused.text


async def test_who_may_not_even_look_is_told_so_and_can_sign_out(site: Site) -> None:
    browser = site.browser()
    page = await browser.open("/sign-in")
    token = await site.token("grafana", Role.SCRAPER)

    page = await browser.submit(page.form("/sign-in"), token=token)

    assert page.status == 403
    require_sound(page)
    assert page.has_form("/sign-out")


async def test_a_review_shows_who_must_answer_it() -> None:
    async with visited(branches=None) as site:
        zoe = await site.signed_in(ZOE, Role.OPERATOR)
        motion_id = await site.played.reach(S.EXECUTING)
        await site.played.fails(motion_id, "permission_error")

        page = await zoe.open(f"/motions/{motion_id}")

        assert "Conclave (conclave_service)" in page.by_id("next").text
        assert not page.has_form(f"/motions/{motion_id}/decision")


async def test_a_motion_tells_who_is_at_work_on_it(site: Site, zoe: Browser) -> None:
    motion_id = await site.played.reach(S.PLANNING)
    page = await zoe.open(f"/motions/{motion_id}")
    assert "Nobody has fetched it yet." in page.text
    await site.played.flow.external.fetch(
        ["president_service"], by="the planning office", limit=1, lease_seconds=600
    )
    page = await zoe.open(f"/motions/{motion_id}")
    assert "At work on it: the planning office" in page.text
