"""Lists by what motions wait for, in the order that belongs to each, page by page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from governance_flow.application.ports.flow_orchestrator import MotionPage
from governance_flow.application.ports.overview import MotionFilter
from governance_flow.domain.errors import InvalidInput
from governance_flow.domain.states import GovernanceState
from projections import lists
from tests.support.clock import ManualClock
from tests.support.flows import ZOE, PlayedFlow, opened
from tests.support.motions import INTRODUCER

S = GovernanceState


async def page(flow: PlayedFlow, limit: int = 50, after: str | None = None, **w: Any) -> MotionPage:
    return await flow.flow.status.motions(MotionFilter(**w), limit=limit, after=after)


async def titles(flow: PlayedFlow, **wanted: Any) -> list[str]:
    return [motion.title for motion in (await page(flow, **wanted)).motions]


async def in_pages(flow: PlayedFlow, limit: int, **wanted: Any) -> list[str]:
    """Return a whole list, read page by page."""
    seen: list[str] = []
    after = None
    while True:
        found = await page(flow, limit, after, **wanted)
        assert len(found.motions) <= limit
        seen += [motion.title for motion in found.motions]
        after = found.next_after
        if after is None:
            return seen


async def admitted_next(flow: PlayedFlow) -> list[UUID]:
    """Return whom a worker would admit, in its order, and give them back."""
    claimed = await flow.flow.assignments.claim_docket(limit=100, lease_seconds=1)
    for item in claimed:
        await flow.flow.assignments.release_agenda(item.motion_id)
    return [item.motion_id for item in claimed]


async def test_the_docket_is_listed_in_the_order_in_which_motions_are_admitted(
    store_address: str, clock: ManualClock
) -> None:
    async with opened(store_address, clock=clock) as flow:
        undated = await flow.reach(S.TABLED, await flow.introduce("taken up"))
        dated = await flow.introduce("tabled until a date")
        await flow.orchestrator.process_motion(dated)
        until = (clock.now() + timedelta(hours=2)).isoformat()
        await flow.succeeds(dated, {"until": until}, S.TABLED)
        for number in range(3):
            await flow.introduce(f"at once {number}")
        clock.advance(hours=1)
        await flow.introduce("an hour later")
        await flow.reach(S.PLANNING)
        clock.advance(1)
        assert await titles(flow, waiting=True) != []
        assert "tabled until a date" not in await titles(flow, waiting=True)
        await flow.orchestrator.retry_motion(undated, ZOE)
        clock.advance(hours=1)
        await flow.introduce("the last")
        docket = await flow.flow.status.docket()
        assert [m.motion_id for m in docket.motions] == await admitted_next(flow)
        shown = [motion.title for motion in docket.motions]
        assert shown[3:] == ["an hour later", "taken up", "tabled until a date", "the last"]
        assert (docket.next_after, docket.halted, docket.free_places) == (None, False, 99)
        for limit in (1, 2, 7, 8):
            assert await in_pages(flow, limit, waiting=True) == shown
        for motion in docket.motions:
            assert motion == await flow.status(motion.motion_id)


async def late(flow: PlayedFlow) -> dict[str, UUID]:
    """Return motions with deadlines that pass 24, 48, 72, 72 and 168 hours after noon."""
    motions = {}
    for name, state in {
        "planned": S.PLANNING,
        "judged": S.JUDGING,
        "executed": S.EXECUTING,
        "planned too": S.PLANNING,
        "recorded": S.WITNESSING,
        "blocked": S.PLANNING,
        "waiting": S.INTRODUCED,
        "ended": S.ACKNOWLEDGED,
    }.items():
        motions[name] = await flow.reach(state, await flow.introduce(name))
        flow.clock.advance(1)
    await flow.fails(motions["blocked"], "system_error")
    return motions


async def test_overdue_motions_are_listed_the_one_longest_overdue_first(
    store_address: str, clock: ManualClock
) -> None:
    async with opened(store_address, clock=clock) as flow:
        motions = await late(flow)
        assert await titles(flow, overdue=True) == []
        clock.advance(hours=72)
        assert await titles(flow, overdue=True) == ["recorded", "judged", "planned", "planned too"]
        assert await titles(flow, overdue=True, state=S.PLANNING) == ["planned", "planned too"]
        assert await titles(flow, overdue=True, blocked=True) == []
        assert await titles(flow, overdue=True, waiting=True) == []
        clock.advance(hours=96)
        overdue = ["recorded", "judged", "planned", "planned too", "executed"]
        for limit in (1, 2, 4, 5, 6):
            assert await in_pages(flow, limit, overdue=True) == overdue
        await flow.succeeds(motions["judged"])
        assert await titles(flow, overdue=True) == [name for name in overdue if name != "judged"]


async def test_a_deadline_is_missed_to_the_second(store_address: str, clock: ManualClock) -> None:
    async with opened(store_address, clock=clock) as flow:
        motion = await flow.reach(S.PLANNING)
        deadline = (await flow.status(motion)).expected_completion
        assert deadline is not None
        clock.advance((deadline - clock.now()).total_seconds() - 1)
        assert await titles(flow, overdue=True) == []
        clock.advance(1)
        assert await titles(flow, overdue=True) == ["Mend the bridge"]


async def test_no_deadline_passes_while_the_pipeline_is_halted(
    store_address: str, clock: ManualClock
) -> None:
    async with opened(store_address, clock=clock) as flow:
        early = await flow.reach(S.PLANNING, await flow.introduce("early"))
        clock.advance(hours=71)
        await flow.halt()
        clock.advance(hours=100)
        assert await titles(flow, overdue=True) == []
        await flow.resume()
        later = await flow.reach(S.PLANNING, await flow.introduce("later"))
        clock.advance(hours=1)
        assert await titles(flow, overdue=True) == ["early"]
        await flow.halt()
        clock.advance(hours=100)
        assert await titles(flow, overdue=True) == ["early"]
        await flow.resume()
        clock.advance(hours=71)
        # The halts before it was routed do not count for a motion.
        assert await titles(flow, overdue=True) == ["early", "later"]
        for motion in (early, later):
            shown = (await flow.status(motion)).expected_completion
            assert shown is not None
            assert shown <= clock.now()
        assert (await flow.status(later)).expected_completion == clock.now()


async def test_the_time_a_motion_was_blocked_does_not_count(
    store_address: str, clock: ManualClock
) -> None:
    async with opened(store_address, clock=clock) as flow:
        motion = await flow.reach(S.PLANNING)
        clock.advance(hours=1)
        await flow.fails(motion, "system_error")
        clock.advance(hours=50)
        await flow.halt()
        clock.advance(hours=50)
        await flow.resume()
        await flow.orchestrator.retry_motion(motion, ZOE)
        deadline = (await flow.status(motion)).expected_completion
        assert deadline is not None
        assert deadline > clock.now()
        clock.advance((deadline - clock.now()).total_seconds() - 1)
        assert await titles(flow, overdue=True) == []
        clock.advance(1)
        assert await titles(flow, overdue=True) == ["Mend the bridge"]


async def test_what_waits_for_a_person_is_what_is_blocked_or_to_be_taken_up(
    store_address: str, clock: ManualClock
) -> None:
    async with opened(store_address, clock=clock) as flow:
        motions = await late(flow)
        tabled = await flow.reach(S.TABLED, await flow.introduce("tabled"))
        reviewed = await flow.reach(S.PLANNING, await flow.introduce("reviewed"))
        await flow.fails(reviewed, "permission_error")
        assert await titles(flow, waits_for_person=True) == ["blocked", "tabled"]
        assert await titles(flow, waits_for_person=True, blocked=True) == ["blocked"]
        assert await titles(flow, waits_for_person=True, blocked=False) == ["tabled"]
        assert await titles(flow, waits_for_person=True, state=S.TABLED) == ["tabled"]
        assert await in_pages(flow, 1, waits_for_person=True) == ["blocked", "tabled"]
        await flow.orchestrator.retry_motion(motions["blocked"], ZOE)
        await flow.orchestrator.retry_motion(tabled, ZOE)
        assert await titles(flow, waits_for_person=True) == []


async def test_the_motions_of_one_introducer(store_address: str, clock: ManualClock) -> None:
    async with opened(store_address, clock=clock) as flow:
        await late(flow)
        name = "Zoë \N{SNOWMAN} O'Hara \U0001f600"
        for number in range(5):
            clock.advance(1)
            motion = await flow.introduce(f"hers {number}", introduced_by=name)
            if number % 2:
                await flow.reach(S.PLANNING, motion)
        await flow.introduce("another's", introduced_by=name[:-1])
        hers = [f"hers {number}" for number in range(5)]
        assert await titles(flow, introduced_by=name) == hers
        assert await titles(flow, introduced_by=name, state=S.PLANNING) == ["hers 1", "hers 3"]
        assert await titles(flow, introduced_by=name, waiting=True) == hers[::2]
        assert await titles(flow, introduced_by=INTRODUCER, blocked=True) == ["blocked"]
        assert await titles(flow, introduced_by=name, blocked=True) == []
        assert await titles(flow, introduced_by="nobody") == []
        for limit in (1, 2, 5, 6):
            assert await in_pages(flow, limit, introduced_by=name) == hers


async def test_a_page_looks_at_so_many_motions_and_no_more(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "LOOKED_AT_MAX", 4)
    monkeypatch.setattr(lists, "_CHUNK", 2)
    async with opened(clock=clock) as flow:
        for number in range(20):
            clock.advance(1)
            motion = await flow.introduce(f"motion {number}")
            if number in (3, 12, 19):
                await flow.reach(S.PLANNING, motion)
        wanted = {"introduced_by": INTRODUCER, "state": S.PLANNING}
        first = await page(flow, 3, **wanted)
        assert [motion.title for motion in first.motions] == ["motion 3"]
        assert first.next_after is not None
        second = await page(flow, 3, first.next_after, **wanted)
        assert second.motions == ()
        assert second.next_after is not None
        for limit in (1, 2, 3):
            assert await in_pages(flow, limit, **wanted) == ["motion 3", "motion 12", "motion 19"]


@pytest.mark.parametrize(
    ("wanted", "asked", "field"),
    [
        ({}, {"limit": 0}, "limit"),
        ({}, {"limit": 1001}, "limit"),
        ({}, {"after": "page 2"}, "after"),
        ({}, {"at_least": -1}, "at_least"),
        ({"introduced_by": ""}, {}, "introduced_by"),
        ({"introduced_by": "a\x00"}, {}, "introduced_by"),
        ({"introduced_by": "\ud800"}, {}, "introduced_by"),
        ({"introduced_by": "a" * 201}, {}, "introduced_by"),
    ],
)
async def test_a_list_that_cannot_be_given_is_refused_naming_the_field(
    wanted: dict[str, Any], asked: dict[str, Any], field: str
) -> None:
    async with opened() as flow:
        with pytest.raises(InvalidInput) as refusal:
            await flow.flow.status.motions(MotionFilter(**wanted), **asked)
        assert refusal.value.field == field
