"""Lists over many pages, a motion whole, its record, and the stream of what changes."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from governance_flow.application.access.permissions import Role
from governance_flow.application.ports.flow_orchestrator import MotionPage
from governance_flow.client import Change, Unreachable
from governance_flow.client.answers import read
from governance_flow.client.errors import UnexpectedAnswer
from governance_flow.domain.branches import Purpose
from governance_flow.domain.states import GovernanceState as S


async def test_a_list_goes_on_over_all_pages(scene: Any) -> None:
    async with scene() as it, it.client("vi", Role.VIEWER) as vi:
        introduced = []
        for number in range(7):
            it.service.played.clock.advance(1)
            introduced.append(await it.service.played.introduce(f"Motion {number}"))
        seen = [motion.motion_id async for motion in vi.list_motions(page=3)]
        assert seen == introduced
        lists = [one for one in it.network.requests if one.url.path.endswith("/motions")]
        assert [one.url.params.get("limit") for one in lists] == ["3"] * 3


async def test_a_list_shows_what_was_asked_for(scene: Any) -> None:
    async with scene() as it, it.client("vi", Role.VIEWER) as vi:
        played = it.service.played
        executing, blocked = await played.reach(S.EXECUTING), await played.reach(S.EXECUTING)
        await played.fails(blocked, "system_error")
        assert [m.motion_id async for m in vi.list_motions(blocked=True)] == [blocked]
        assert [m.motion_id async for m in vi.list_motions(blocked=False)] == [executing]
        assert [m.motion_id async for m in vi.list_motions(waits_for_person=True)] == [blocked]
        assert [m async for m in vi.list_motions(state=S.PLANNING)] == []
        assert [m async for m in vi.list_motions(introduced_by="nobody")] == []


async def test_a_motion_is_shown_whole_and_its_record_in_order(scene: Any) -> None:
    async with scene() as it, it.client("vi", Role.VIEWER) as vi:
        motion_id = await it.service.played.reach(S.EXECUTING)
        whole = await vi.get_motion(motion_id)
        assert (whole.status.current_state, whole.text) == (S.EXECUTING, "Before the flood.")
        assert whole.outputs[Purpose.PLAN] == {"did": "plan"}
        record = [event async for event in vi.events(motion_id, page=2)]
        assert [event.version for event in record] == list(range(1, whole.status.version + 1))
        assert record[0].event["title"] == "Mend the bridge"


async def test_one_reads_what_one_wrote(scene: Any) -> None:
    async with scene() as it, it.client("ada", Role.MEMBER) as ada:
        await ada.introduce("Plant lime trees", "Forty.", reference="2026/17")
        found = await ada.search("lime", at_least=ada.position)
        assert [motion.reference for motion in found.motions] == ["2026/17"]
        assert (await ada.status(at_least=ada.position)).position >= ada.position > 0


async def test_ones_own_motion_is_amended_and_withdrawn(scene: Any) -> None:
    async with scene() as it, it.client("ada", Role.MEMBER) as ada:
        motion_id = (await ada.introduce("Plant trees", "Forty.")).motion_id
        amended = await ada.amend(motion_id, title="Plant more trees", if_version=1)
        assert amended.title == "Plant more trees"
        withdrawn = await ada.withdraw(motion_id, "too many", if_version=amended.version)
        assert withdrawn.current_state is S.WITHDRAWN


async def test_changes_are_told_as_they_happen(scene: Any) -> None:
    async with (
        scene() as it,
        it.client("vi", Role.VIEWER) as vi,
        asyncio.timeout(30),
        aclosing(vi.watch()) as changes,
    ):
        assert not (await anext(changes)).halted
        await it.service.played.halt()
        while not (change := await anext(changes)).halted:
            pass
        assert isinstance(change, Change)
        assert change.position > 0


async def test_a_stream_is_asked_for_anew_a_bounded_number_of_times(scene: Any) -> None:
    async with scene() as it, it.client("vi", Role.VIEWER) as vi, asyncio.timeout(30):
        it.network.refused["/stream"] = 7
        async with aclosing(vi.watch()) as changes:
            await anext(changes)
        assert len(it.sleeps.seconds) == 7
        it.network.refused["/stream"] = 8
        with pytest.raises(Unreachable):
            await anext(vi.watch())


def test_what_a_newer_service_says_in_addition_does_no_harm() -> None:
    request = httpx.Request("GET", "https://flow.example.org/api/v1/pipeline/stream?token=x")
    newer = {"motions": [], "next_after": "x", "weather": "fine"}
    page = read(MotionPage, httpx.Response(200, json=newer, request=request))
    assert page.next_after == "x"
    with pytest.raises(UnexpectedAnswer, match="stream answered") as told:
        read(Change, httpx.Response(200, json={"position": "?"}, request=request))
    assert "token" not in str(told.value)
