"""What a person on duty does, in a real browser: watch, decide, halt, and carry proof away."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from governance_flow.application.access.permissions import Role
from governance_flow.dashboard.app import build_service_app
from governance_flow.domain.branches import DUKE_SERVICE, GovernanceBranch
from governance_flow.domain.states import GovernanceState
from scripts.screenshots.chromium import settled
from tests.support.clock import ManualClock
from tests.support.flows import PATIENCE_SECONDS, ZOE, PlayedFlow
from tests.support.keys import LOG
from tests.support.service import Served, served
from tests.support.visitor import Visitor, visiting

pytestmark = [pytest.mark.slow, pytest.mark.browser]

S = GovernanceState

VERIFY_BUNDLE = Path(__file__).parents[3] / "scripts" / "verify_bundle.py"


def standing(page: Page, state: GovernanceState) -> Locator:
    """Return the number of motions in a state, as the board shows it."""
    return page.locator(f"#state-{state.lower()} .count")


async def fetched(http: httpx.AsyncClient) -> dict[str, Any]:
    """Return the assignment that the Duke's people fetch, as soon as there is one."""
    answer = await http.post("/api/v1/assignments/fetch", json={"wait_seconds": 20})
    (assignment,) = answer.raise_for_status().json()["assignments"]
    return {key: assignment[key] for key in ("motion_id", "branch", "routing_id", "lease_token")}


async def report(
    http: httpx.AsyncClient, assignment: dict[str, Any], how: str, **said: Any
) -> None:
    """Complete or fail an assignment."""
    routing_id = assignment.pop("routing_id")
    answer = await http.post(f"/api/v1/assignments/{routing_id}/{how}", json={**assignment, **said})
    answer.raise_for_status()


async def blocked(played: PlayedFlow, title: str, error_type: str = "system_error") -> UUID:
    """Return a motion that waits for a person."""
    motion_id = await played.reach(S.EXECUTING, await played.introduce(title))
    await played.fails(motion_id, error_type, f"{title.lower()} fell over")
    return motion_id


@pytest.mark.postgres
async def test_a_motion_is_watched_from_its_introduction_over_a_block_to_its_end(
    browser: Browser, postgres_database: str
) -> None:
    async with (
        served(
            postgres_database, build=build_service_app, worker=True, external=[DUKE_SERVICE]
        ) as service,
        service.http(await service.token("ada", Role.MEMBER)) as ada,
        service.http(
            await service.token("works", Role.BRANCH, branches=[GovernanceBranch.DUKE])
        ) as works,
        visiting(browser, service.url) as zoe,
    ):
        page = zoe.page
        await zoe.sign_in(await service.token(ZOE, Role.OPERATOR))
        await expect(standing(page, S.EXECUTING)).to_have_text("0 motions")
        await zoe.mark()

        motion = {"title": "A bridge of larch", "text": "Before the flood."}
        (await ada.post("/api/v1/motions", json=motion)).raise_for_status()
        await expect(standing(page, S.EXECUTING)).to_have_text("1 motion")
        await expect(page.locator("#state-executing").get_by_role("link")).to_have_count(2)
        await zoe.require_not_reloaded()

        await page.get_by_label("Search motions").fill("larch bridge")
        await page.keyboard.press("Enter")
        await page.locator("#list").get_by_role("link", name="A bridge of larch").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("A bridge of larch")
        await settled(page)
        await zoe.mark()

        await report(
            works, await fetched(works), "fail", error_type="system_error", error="no larch"
        )
        await expect(page.locator("#next")).to_contain_text("Blocked for")
        await expect(page.locator("#next")).to_contain_text("system_error: no larch")
        await zoe.require_not_reloaded()
        await _is_quicker(service, zoe)
        await report(
            works, await fetched(works), "fail", error_type="system_error", error="no oak either"
        )
        await expect(page.locator("#next")).to_contain_text("no oak either")
        await page.get_by_label("Notes, for the record").fill("spruce will do")
        await page.get_by_role("button", name="Retry").click()
        await expect(page.get_by_text("the work is tried again")).to_be_visible()
        assert "done=" not in page.url
        await expect(page.locator("#timeline")).to_contain_text("spruce will do")
        await settled(page)
        await zoe.mark()

        await report(works, await fetched(works), "complete", output={"wood": "spruce"})
        await expect(page.locator("#next")).to_contain_text("Nobody: it ended as acknowledged")
        await expect(page.locator("#stands li.done")).to_have_count(7)
        await expect(page.locator("#timeline")).to_contain_text("was acknowledged")
        await zoe.require_not_reloaded()


async def _is_quicker(service: Served, zoe: Visitor) -> None:
    """Let somebody else decide while zoe writes: she loses neither her words nor her place."""
    page = zoe.page
    notes = page.get_by_label("Notes, for the record")
    await notes.press_sequentially("Ask the forester wheth")
    motion_id = UUID(await page.locator("#motion-id").inner_text())
    await service.played.orchestrator.retry_motion(motion_id, "a quicker one")

    await expect(page.locator("#timeline")).to_contain_text("a quicker one")
    await expect(notes).to_be_focused()
    await expect(notes).to_have_value("Ask the forester wheth")
    await notes.press_sequentially("er oak would do")
    await expect(notes).to_have_value("Ask the forester whether oak would do")
    await zoe.require_not_reloaded()

    zoe.expecting("status of 412")
    await page.get_by_role("button", name="Return").click()
    await expect(page.get_by_text("Somebody else, or a branch, was quicker")).to_be_visible()
    await page.get_by_role("link", name="Go back").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("A bridge of larch")
    await settled(page)


async def test_what_waits_for_a_person_is_decided_one_by_one_and_many_at_once(
    browser: Browser, sqlite_address: str
) -> None:
    async with (
        served(sqlite_address, build=build_service_app) as service,
        visiting(browser, service.url) as zoe,
    ):
        page, played = zoe.page, service.played
        first = await blocked(played, "A crane")
        others = [await blocked(played, title) for title in ("A winch", "A pump")]
        odd = await blocked(played, "A disk", "disk_on_fire")
        tabled = await played.reach(S.TABLED, await played.introduce("A statue"))
        await zoe.sign_in(await service.token(ZOE, Role.OPERATOR))
        await expect(page.locator("#stuck")).to_contain_text("A crane")
        await page.locator("#numbers").get_by_role("link", name="5").click()

        card = page.locator(f"#m-{first}")
        await expect(card).to_contain_text("system_error: a crane fell over")
        await card.get_by_label("Notes about A crane").fill("the crane stands again")
        await card.get_by_role("button", name="Retry").click()
        await expect(page.get_by_text("the work is tried again")).to_be_visible()
        await expect(card).to_have_count(0)
        assert await played.state(first) is S.EXECUTING
        assert "the crane stands again" in str(await played.events(first))

        await page.get_by_text("Decide about many at once").click()
        await page.get_by_label("Which").select_option(value="system_error")
        await page.get_by_label("Notes, for the record").fill("all of them stand again")
        await settled(page)
        late = await blocked(played, "A late one", "disk_on_fire")
        await expect(page.locator(f"#m-{late}")).to_be_visible()
        await expect(page.get_by_label("Notes, for the record")).to_have_value(
            "all of them stand again"
        )
        await page.get_by_role("button", name="Retry them all").click()
        await expect(page.get_by_role("heading", name="Decided together")).to_be_visible()
        await expect(page.get_by_text("2 decided")).to_be_visible()
        for motion_id in others:
            assert not (await played.status(motion_id)).blocking_issues
            assert "all of them stand again" in str(await played.events(motion_id))

        await page.get_by_role("link", name="Back to what waits").click()
        await expect(page.locator(".card")).to_have_count(3)
        await page.locator(f"#m-{tabled}").get_by_role("button", name="Take up").click()
        await expect(page.get_by_text("waits in the docket for a place")).to_be_visible()
        await expect(page.locator(".card")).to_have_count(2)
        await page.get_by_role("link", name="Docket", exact=True).click()
        await expect(page.get_by_role("link", name="A statue")).to_be_visible()
        assert (await played.status(odd)).blocking_issues


async def test_a_halt_is_seen_by_everybody_at_once_and_so_is_its_end(
    browser: Browser, sqlite_address: str
) -> None:
    async with (
        served(sqlite_address, build=build_service_app) as service,
        visiting(browser, service.url) as zoe,
        visiting(browser, service.url) as bo,
    ):
        store = service.played.flow.store
        await zoe.sign_in(await service.token(ZOE, Role.OPERATOR))
        await bo.sign_in(await service.token("bo", Role.VIEWER))
        await bo.open("/motions")
        await bo.mark()

        await zoe.page.get_by_text("Halt the pipeline").click()
        await zoe.page.get_by_label("Reason, for the record").fill("a storm from the north")
        await zoe.page.get_by_role("button", name="Halt now").click()
        await expect(zoe.page.get_by_role("heading", name="The pipeline is halted")).to_be_visible()
        await expect(zoe.page.locator("#halt")).to_contain_text("a storm from the north")
        assert (await store.head()).halted

        await expect(bo.page.locator("#halted")).to_contain_text("The pipeline is halted")
        await expect(bo.page.locator("#news")).to_contain_text("The pipeline is halted")
        await bo.require_not_reloaded()
        await bo.page.get_by_role("link", name="see why").click()
        await expect(bo.page.locator("#halt")).to_contain_text("a storm from the north")
        await expect(bo.page.get_by_role("button", name="Resume")).to_have_count(0)
        await settled(bo.page)
        await bo.mark()

        await zoe.page.get_by_label("Reason to resume").fill("the sun is out")
        await zoe.page.get_by_role("button", name="Resume").click()
        await expect(zoe.page.get_by_text("The pipeline goes on")).to_be_visible()
        await expect(bo.page.get_by_role("heading", name="The pipeline is halted")).to_have_count(0)
        await bo.require_not_reloaded()
        assert not (await store.head()).halted


async def test_the_record_is_verified_and_its_proof_carried_away(
    browser: Browser, sqlite_address: str, tmp_path: Path
) -> None:
    async with (
        served(sqlite_address, build=build_service_app, worker=True) as service,
        visiting(browser, service.url) as eve,
    ):
        page = eve.page
        motion_id = await service.played.introduce("A lighthouse")
        await eve.sign_in(await service.token("eve", Role.AUDITOR))
        await expect(standing(page, S.ACKNOWLEDGED)).to_have_text("1 motion")

        await page.get_by_role("link", name="Audit").click()
        await settled(page)
        await page.get_by_role("button", name="Verify now").click()
        said = page.locator("#verification")
        await expect(said).to_contain_text("No fault was found")
        await expect(said).to_contain_text("events of 1 motions")
        await page.get_by_label("Id of the motion").fill(str(motion_id))
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Download the bundle").click()
        from_audit = tmp_path / (await download.value).suggested_filename
        await (await download.value).save_as(from_audit)

        await eve.open(f"/motions/{motion_id}")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download the bundle").click()
        from_motion = tmp_path / "from-the-motion.json"
        await (await download.value).save_as(from_motion)

    assert from_audit.name == f"motion-{motion_id}.json"
    for bundle in (from_audit, from_motion):
        checked = await _verify(bundle)
        assert checked == (0, checked[1]), checked[1]
        assert str(motion_id) in checked[1]
    from_motion.write_text(from_motion.read_text().replace("A lighthouse", "A dark house"))
    assert (await _verify(from_motion))[0] == 1


async def _verify(bundle: Path) -> tuple[int, str]:
    """Return what the script for auditors exits with, and all that it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(VERIFY_BUNDLE),
        str(bundle),
        "--log-key",
        LOG.vkey,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_page_says_when_it_is_not_live_and_goes_on_when_the_service_is_back(
    browser: Browser, sqlite_address: str
) -> None:
    clock = ManualClock()
    async with served(sqlite_address, build=build_service_app, clock=clock) as service:
        url = service.url
        window = visiting(browser, url)
        zoe = await window.__aenter__()
        await zoe.page.clock.install()
        await zoe.sign_in(await service.token(ZOE, Role.OPERATOR))
        await zoe.mark()
        zoe.expecting("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING")

    live = zoe.page.locator("#live")
    await expect(live).to_have_text("Reconnecting")
    await zoe.page.clock.fast_forward("00:20")
    await expect(live).to_contain_text("Stale since")
    await expect(live).to_have_attribute("data-state", "stale")

    port = int(url.rpartition(":")[2])
    async with served(sqlite_address, build=build_service_app, clock=clock, port=port) as service:
        await service.played.introduce("Introduced meanwhile")
        await expect(live).to_have_text("Live")
        await expect(standing(zoe.page, S.INTRODUCED)).to_have_text("1 motion")
        await zoe.require_not_reloaded()
        await window.__aexit__(None, None, None)
