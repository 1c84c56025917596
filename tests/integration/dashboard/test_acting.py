"""What people do on pages: decide, withdraw, halt, resume, verify; and what is refused."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from uuid import UUID

import pytest

from governance_flow.api.routes.audit import VERIFICATION
from governance_flow.api.service import Job
from governance_flow.application.access.denials import DenialReason
from governance_flow.application.access.permissions import Role
from governance_flow.dashboard.views import attention as attention_view
from governance_flow.domain.events import Authentication, EscalationResolved
from governance_flow.domain.states import GovernanceState
from tests.support.flows import PATIENCE_SECONDS, ZOE
from tests.support.motions import INTRODUCER
from tests.support.pages import Browser, Page, Site, require_sound, visited

S = GovernanceState


async def blocked(site: Site, error_type: str = "system_error", title: str = "A crane") -> UUID:
    """Return a motion that waits for a person."""
    motion_id = await site.played.reach(S.EXECUTING, await site.played.introduce(title))
    await site.played.fails(motion_id, error_type)
    return motion_id


@pytest.mark.parametrize(
    ("decision", "state", "said"),
    [
        ("retry", S.EXECUTING, "the work is tried again"),
        ("return", S.PLANNING, "the motion goes back a step"),
        ("review", S.EXECUTING, "the Conclave reviews the motion"),
    ],
)
@pytest.mark.parametrize("page_of", ["motion", "attention"])
async def test_a_blocked_motion_is_decided_about_on_either_page(  # noqa: PLR0917
    site: Site, zoe: Browser, decision: str, state: S, said: str, page_of: str
) -> None:
    motion_id = await blocked(site)
    path = f"/motions/{motion_id}" if page_of == "motion" else "/attention"

    page = await zoe.open(path)
    form = page.form(f"/motions/{motion_id}/decision")
    assert [words.partition(":")[0].strip() for words in form.buttons] == [
        "Retry",
        "Return",
        "Review",
    ]
    page = await zoe.submit(form, decision=decision, notes="the part is here")

    assert page.path == f"{path}?done={decision}"
    assert said in page.text
    assert await site.played.state(motion_id) is state
    resolved = [
        record.event
        for record in await site.played.flow.reader.events(motion_id)
        if isinstance(record.event, EscalationResolved)
    ]
    assert [(event.decision, event.notes) for event in resolved] == [(decision, "the part is here")]
    assert resolved[0].actor.id == ZOE
    assert resolved[0].actor.authenticated_by is Authentication.TOKEN


async def test_a_tabled_motion_is_taken_up(site: Site, zoe: Browser) -> None:
    motion_id = await site.played.reach(S.TABLED)

    page = await zoe.open("/attention")
    form = page.form(f"/motions/{motion_id}/decision")
    assert [words.partition(":")[0].strip() for words in form.buttons] == ["Take up"]
    page = await zoe.submit(form, decision="take_up")

    assert page.path == "/attention?done=take_up"
    assert "Nothing waits for a person" in page.text


async def test_a_decision_about_what_one_has_not_seen_is_refused(site: Site, zoe: Browser) -> None:
    motion_id = await blocked(site)
    page = await zoe.open(f"/motions/{motion_id}")
    await site.played.orchestrator.retry_motion(motion_id, "somebody quicker")
    await site.played.fails(motion_id, "system_error", "something else")

    page = await zoe.submit(page.form(f"/motions/{motion_id}/decision"), decision="return")

    assert page.status == 412
    assert "Look at the motion again" in page.text
    assert page.links()["Go back"] == f"/motions/{motion_id}"
    assert await site.played.state(motion_id) is S.EXECUTING


async def test_who_has_acted_on_a_motion_is_told_that_somebody_else_must(site: Site) -> None:
    browser = await site.signed_in(INTRODUCER, Role.OPERATOR)
    motion_id = await blocked(site)

    page = await browser.open(f"/motions/{motion_id}")
    assert "somebody else must decide" in page.text
    assert not page.has_form(f"/motions/{motion_id}/decision")

    page = await browser.open("/attention")
    page = await browser.submit(page.form(f"/motions/{motion_id}/decision"), decision="retry")
    assert page.status == 403
    assert "may not resolve it; somebody else must" in page.text


async def test_the_introducer_withdraws_a_motion(site: Site) -> None:
    ada = await site.signed_in(INTRODUCER, Role.MEMBER)
    motion_id = await site.played.introduce()

    page = await ada.open(f"/motions/{motion_id}")
    page = await ada.submit(page.form(f"/motions/{motion_id}/withdrawal"), reason="it rained")

    assert page.path == f"/motions/{motion_id}?done=withdrawn"
    assert await site.played.state(motion_id) is S.WITHDRAWN
    assert "it rained" in page.by_id("timeline").text


async def test_nobody_else_is_offered_to_withdraw_it(site: Site) -> None:
    bo = await site.signed_in("bo", Role.MEMBER)
    motion_id = await site.played.introduce()

    page = await bo.open(f"/motions/{motion_id}")
    assert not page.has_form(f"/motions/{motion_id}/withdrawal")
    answer = await bo.http.post(
        f"/motions/{motion_id}/withdrawal", data={"csrf": page.form("/sign-out").fields["csrf"]}
    )
    assert answer.status_code == 403
    assert await site.played.state(motion_id) is S.INTRODUCED


async def test_the_pipeline_is_halted_and_resumed(site: Site, zoe: Browser) -> None:
    page = await zoe.open("/")
    assert not page.has_form("/resume")
    page = await zoe.submit(page.form("/halt"), reason="a <b>storm</b>")

    assert page.path == "/?done=halted"
    assert "a <b>storm</b>" in page.by_id("halt").text
    assert not page.has_form("/halt")
    assert (await site.played.flow.store.head()).halted
    elsewhere = await zoe.open("/docket")
    assert "The pipeline is halted" in elsewhere.by_id("halted").text

    page = await zoe.submit(page.form("/resume"), reason="it is over")
    assert page.path == "/?done=resumed"
    assert not (await site.played.flow.store.head()).halted


async def test_a_halt_needs_a_reason(site: Site, zoe: Browser) -> None:
    page = await zoe.open("/")
    page = await zoe.submit(page.form("/halt"), reason="")

    assert page.status == 422
    assert "reason" in page.text
    assert not (await site.played.flow.store.head()).halted


async def test_many_are_decided_about_at_once_and_each_refusal_is_told(
    site: Site, zoe: Browser
) -> None:
    cranes = [await blocked(site, title=f"crane {number}") for number in range(3)]
    other = await blocked(site, "disk_on_fire", "A disk")
    acted = await site.played.introduce("Her own", introduced_by=ZOE)
    await site.played.reach(S.EXECUTING, acted)
    await site.played.fails(acted, "system_error")

    page = await zoe.open("/attention")
    choice = page.by_id("many-type").all("option")
    assert {option["value"] for option in choice} == {"", "system_error", "disk_on_fire"}
    page = await zoe.submit(
        page.form("/attention"), decision="retry", error_type="system_error", notes="all of them"
    )

    assert page.status == 200
    assert "3 decided, 1 refused" in page.text
    assert "may not resolve it; somebody else must" in page.text
    for motion_id in cranes:
        assert not (await site.played.orchestrator.get_motion_status(motion_id)).blocking_issues
    assert (await site.played.orchestrator.get_motion_status(other)).blocking_issues
    page = await zoe.open("/attention")
    assert {f"/motions/{other}", f"/motions/{acted}"} == {
        tag["href"] for tag in page.by_id("waiting").all("a")
    }


async def test_very_many_are_decided_about_in_several_goes(
    site: Site, zoe: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_view, "AT_ONCE", 2)
    made = [await blocked(site, title=f"crane {number}") for number in range(3)]

    page = await zoe.open("/attention")
    page = await zoe.submit(page.form("/attention"), decision="retry")
    assert "2 decided" in page.text
    page = await zoe.submit(page.form("/attention"))

    assert "1 decided" in page.text
    assert not page.has_form("/attention")
    for motion_id in made:
        assert not (await site.played.orchestrator.get_motion_status(motion_id)).blocking_issues


async def test_everything_tabled_is_taken_up_at_once(site: Site, zoe: Browser) -> None:
    for number in range(2):
        await site.played.reach(S.TABLED, await site.played.introduce(f"statue {number}"))
    crane = await blocked(site)

    page = await zoe.open("/attention")
    page = await zoe.submit(page.form("/attention"), decision="take_up", error_type="system_error")

    assert "2 decided" in page.text
    assert (await site.played.orchestrator.get_motion_status(crane)).blocking_issues


ACTIONS = ("/halt", "/resume", "/attention", "/audit/verification", "/sign-out")


@pytest.mark.parametrize("forged", ["", "0" * 64, "ümlaut"], ids=["none", "wrong", "rubbish"])
@pytest.mark.parametrize("action", [*ACTIONS, "/motions/{}/decision", "/motions/{}/withdrawal"])
async def test_a_form_that_is_not_ours_changes_nothing(
    site: Site, zoe: Browser, action: str, forged: str
) -> None:
    motion_id = await blocked(site)
    before = (await site.played.flow.store.head()).position

    answer = await zoe.http.post(
        action.format(motion_id),
        data={"csrf": forged, "reason": "x", "decision": "retry", "error_type": ""},
    )

    assert answer.status_code == 403
    assert "load the page again" in answer.text
    assert (await site.played.flow.store.head()).position == before
    assert site.service.jobs.latest(VERIFICATION) is None
    kept = await site.played.flow.gatekeeper.denials(limit=5)
    assert DenialReason.FORGED_REQUEST in [denial.reason for _, denial in kept]
    assert (await zoe.open("/")).status == 200


@pytest.mark.parametrize(
    "action", [*ACTIONS[:-1], "/motions/{}/decision", "/motions/{}/withdrawal"]
)
async def test_who_only_looks_is_offered_nothing_and_refused(site: Site, action: str) -> None:
    viewer = await site.signed_in("bo", Role.VIEWER)
    motion_id = await blocked(site)
    before = (await site.played.flow.store.head()).position

    for path in ("/", "/attention", f"/motions/{motion_id}"):
        page = await viewer.open(path)
        assert {form.action for form in page.forms()} == {"/motions", "/sign-out"}
    page = await viewer.open("/")
    answer = await viewer.http.post(
        action.format(motion_id),
        data={"csrf": page.form("/sign-out").fields["csrf"], "decision": "retry", "reason": "x"},
    )

    assert answer.status_code == 403
    assert "that takes the permission" in answer.text
    assert (await site.played.flow.store.head()).position == before


async def verified(site: Site) -> None:
    """Wait until the verification under way is over."""
    job = site.service.jobs.latest(VERIFICATION)
    assert job is not None
    assert job.task is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        await job.task


async def verify(site: Site, browser: Browser) -> Page:
    """Have the record verified; return the page that tells the result."""
    page = await browser.open("/audit")
    page = await browser.submit(page.form("/audit/verification"))
    assert page.path == "/audit?done=verifying"
    await verified(site)
    return await browser.open("/audit")


async def test_the_record_is_verified_from_the_page(site: Site, zoe: Browser) -> None:
    await site.played.reach(S.ACKNOWLEDGED)

    page = await verify(site, zoe)

    events = (await site.played.flow.store.head()).position
    assert f"in {events} events of 1 motions" in page.by_id("verification").text


async def test_faults_are_told_with_their_place(sqlite_address: str) -> None:
    async with visited(sqlite_address) as site:
        zoe = await site.signed_in(ZOE, Role.OPERATOR)
        motion_id = await site.played.reach(S.ACKNOWLEDGED)
        with closing(sqlite3.connect(sqlite_address.removeprefix("sqlite:///"))) as behind_its_back:
            triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            for (name,) in behind_its_back.execute(triggers).fetchall():
                behind_its_back.execute(f"DROP TRIGGER {name}")
            behind_its_back.execute(
                "UPDATE events SET topic = 'MOTION_FORGED' WHERE stream_id = ? "
                "AND stream_version = 2",
                [str(motion_id)],
            )
            behind_its_back.commit()

        page = await verify(site, zoe)

        said = page.by_id("verification")
        assert "found" in said.text
        assert "No fault" not in said.text
        assert "MOTION_FORGED" in said.text
        require_sound(page)


async def test_a_verification_under_way_shows_how_far_it_is(site: Site, zoe: Browser) -> None:
    over = asyncio.Event()

    async def slow(job: Job) -> None:
        job.show(3, 12)
        await over.wait()

    site.service.jobs.start(VERIFICATION, slow)
    await asyncio.sleep(0)
    page = await zoe.open("/audit")

    region = page.by_id("verification")
    assert "data-poll" in region.attributes
    assert (region.all("progress")[0]["value"], region.all("progress")[0]["max"]) == ("3", "12")
    assert not page.has_form("/audit/verification")
    require_sound(page)
    over.set()


async def test_a_verification_that_failed_says_so(site: Site, zoe: Browser) -> None:
    async def failing(job: Job) -> None:
        raise ValueError("the disk is gone")

    site.service.jobs.start(VERIFICATION, failing)
    await verified(site)
    page = await zoe.open("/audit")

    assert "could not be finished: the disk is gone" in page.by_id("verification").text
    assert page.has_form("/audit/verification")


async def test_a_bundle_is_downloaded_by_the_motions_id(site: Site, zoe: Browser) -> None:
    motion_id = await site.played.reach(S.ACKNOWLEDGED)

    page = await zoe.open("/audit")
    page = await zoe.submit(page.form("/audit/bundle"), motion_id=f" {motion_id} ")

    assert page.answer.headers["Content-Disposition"] == (
        f'attachment; filename="motion-{motion_id}.json"'
    )
    assert page.answer.json()["motion_id"] == str(motion_id)
    page = await zoe.open(f"/motions/{motion_id}")
    address = page.links()["Download the bundle that proves it"]
    assert (await zoe.open(address)).answer.json()["motion_id"] == str(motion_id)
    page = await zoe.submit((await zoe.open("/audit")).form("/audit/bundle"), motion_id="rubbish")
    assert (page.status, "copy it from the motion" in page.text) == (422, True)


async def test_the_audit_page_shows_the_latest_checkpoint(site: Site, zoe: Browser) -> None:
    await site.played.introduce()
    latest = await site.played.flow.audit.proofs.latest()

    page = await zoe.open("/audit")

    notes = [tag for tag in page.root.all("pre") if tag["id"] == "note"]
    assert "".join(notes[0]._texts()) == latest.checkpoint.note
