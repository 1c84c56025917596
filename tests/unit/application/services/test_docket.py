"""At most so many motions at once, exactly; the rest wait in the docket, in order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from governance_flow.application.ports.flow_orchestrator import GovernanceState
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.errors import NotRoutable, Refused
from governance_flow.domain.events import MotionIntroduced, TransitionWitnessed
from tests.support.clock import ManualClock
from tests.support.flows import ZOE, PlayedFlow, Postbox, opened, together
from tests.support.motions import INTRODUCER, failing_knight

S = GovernanceState

NOBODY: dict[str, Any] = {"branches": {name: {"kind": "external"} for name in SERVICE_BRANCH}}


def places(count: int, **more: Any) -> dict[str, Any]:
    """Configure so many places, and no service that would free one."""
    return {"settings": {**NOBODY, "max_concurrent_motions": count, **more}, "branches": {}}


async def docket(flow: PlayedFlow, count: int) -> list[UUID]:
    """Introduce so many motions, one second after the other."""
    motions = []
    for number in range(count):
        flow.clock.advance(1)
        motions.append(await flow.introduce(f"motion {number}"))
    return motions


async def admitted(flow: PlayedFlow, motions: list[UUID]) -> list[UUID]:
    """Return those of the motions that are not in the docket."""
    await flow.idle()
    waiting = (S.INTRODUCED, S.TABLED)
    return [motion for motion in motions if await flow.state(motion) not in waiting]


# -- How many ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3])
async def test_exactly_so_many_are_admitted(count: int, store_address: str) -> None:
    async with opened(store_address, **places(count)) as flow:
        motions = await docket(flow, 5)
        assert await admitted(flow, motions) == motions[:count]
        assert (await flow.flow.store.head()).admitted == count
        status = await flow.orchestrator.get_pipeline_status()
        assert (status.admitted, status.free_places) == (count, 0)
        assert status.waiting_motions == 5 - count


async def test_the_store_itself_counts_the_places(store_address: str) -> None:
    async with opened(store_address, **places(3)) as flow:
        motions = await docket(flow, 10)
        routed = await together(
            10, lambda number: flow.orchestrator.route_to_branch(motions[number], S.INTRODUCED)
        )
        assert sum(isinstance(outcome, NotRoutable) for outcome in routed) == 7
        states = [await flow.state(motion) for motion in motions]
        assert states.count(S.DELIBERATING) == 3
        assert (await flow.flow.store.head()).admitted == 3


@pytest.mark.parametrize("store", ["sqlite_address", "postgres_database"])
async def test_two_processes_admit_no_more_together_than_one(
    store: str, request: pytest.FixtureRequest, clock: ManualClock
) -> None:
    address = request.getfixturevalue(store)
    async with (
        opened(address, clock=clock, **places(3)) as one,
        opened(address, clock=clock, **places(3)) as two,
    ):
        motions = await docket(one, 8)
        await together(2, lambda number: (one, two)[number].idle())
        assert await admitted(one, motions) == motions[:3]
        assert (await one.flow.store.head()).admitted == 3


@pytest.mark.parametrize("ending", [S.REJECTED, S.TABLED, S.WITHDRAWN])
async def test_a_motion_that_leaves_frees_its_place_for_the_next(ending: S) -> None:
    async with opened(**places(1)) as flow:
        motions = await docket(flow, 3)
        assert await admitted(flow, motions) == motions[:1]
        if ending is S.WITHDRAWN:
            await flow.orchestrator.withdraw_motion(motions[0], INTRODUCER)
        else:
            await flow.succeeds(motions[0], {}, next_state=ending)
        assert await admitted(flow, motions[1:]) == [motions[1]]


async def test_a_place_is_held_from_deliberating_to_witnessing_and_freed_at_the_end() -> None:
    async with opened(**places(1)) as flow:
        first, second = await docket(flow, 2)
        for state in (S.DELIBERATING, S.PLANNING, S.EXECUTING, S.JUDGING, S.WITNESSING):
            await flow.reach(state, first)
            assert await admitted(flow, [second]) == []
        await flow.succeeds(first)
        assert await admitted(flow, [second]) == []
        await flow.succeeds(first)
        assert await flow.state(first) is S.ACKNOWLEDGED
        assert await admitted(flow, [second]) == [second]


@pytest.mark.parametrize("error_type", ["system_error", "permission_error", "timeout_error"])
async def test_a_blocked_motion_holds_its_place(error_type: str) -> None:
    async with opened(**places(1)) as flow:
        first, second = await docket(flow, 2)
        await flow.reach(S.EXECUTING, first)
        await flow.fails(first, error_type)
        assert await admitted(flow, [second]) == []
        assert (await flow.flow.store.head()).admitted == 1


async def test_an_admission_that_is_not_witnessed_takes_no_place() -> None:
    async with opened(**places(1)) as flow:
        first, second = await docket(flow, 2)
        flow.knight.then(failing_knight)
        assert await admitted(flow, [first, second]) == [second]
        assert await flow.state(first) is S.INTRODUCED


# -- In which order --------------------------------------------------------------------------------


async def order_of_admission(flow: PlayedFlow, motions: list[UUID]) -> list[UUID]:
    """Let motions through, one at a time; return them in the order they came out of the docket."""
    came: list[UUID] = []
    while len(came) < len(motions):
        [motion] = [m for m in await admitted(flow, motions) if m not in came]
        came.append(motion)
        await flow.succeeds(motion, {}, next_state=S.REJECTED)
    return came


async def test_motions_are_admitted_in_the_order_they_were_introduced(store_address: str) -> None:
    async with opened(store_address, **places(1)) as flow:
        motions = await docket(flow, 6)
        assert await order_of_admission(flow, motions) == motions


async def test_a_returned_motion_waits_at_the_end_of_the_docket() -> None:
    async with opened(**places(1)) as flow:
        first, second, third = await docket(flow, 3)
        assert await admitted(flow, [first, second, third]) == [first]
        await flow.fails(first, "validation_error")
        flow.clock.advance(1)
        # The revision comes while the place is free, and does not jump the queue.
        outcome = await flow.succeeds(first, {"text": "Before the flood, in stone."})
        assert (outcome.accepted, outcome.state) == (True, S.INTRODUCED)
        assert (await flow.status(first)).owner is None
        assert await order_of_admission(flow, [first, second, third]) == [second, third, first]


async def test_a_revision_is_taken_while_no_place_is_free(store_address: str) -> None:
    async with opened(store_address, **places(1)) as flow:
        first, second = await docket(flow, 2)
        assert await admitted(flow, [first, second]) == [first]
        await flow.fails(first, "validation_error")
        assert await admitted(flow, [first, second]) == [second]
        outcome = await flow.succeeds(first, {"title": "Mend it well"})
        assert (outcome.accepted, outcome.state) == (True, S.INTRODUCED)
        status = await flow.status(first)
        assert (status.title, status.current_state) == ("Mend it well", S.INTRODUCED)
        assert status.next_action is not None
        assert status.next_action.kind == "place"
        await flow.succeeds(second, {}, next_state=S.REJECTED)
        assert await admitted(flow, [first]) == [first]


async def test_a_motion_that_is_taken_up_goes_to_the_end_of_the_docket() -> None:
    async with opened(**places(1)) as flow:
        tabled, second, third = await docket(flow, 3)
        assert await admitted(flow, [tabled, second, third]) == [tabled]
        await flow.succeeds(tabled, {}, next_state=S.TABLED)
        flow.clock.advance(1)
        # The place is free at this moment, but others have waited longer.
        status = await flow.orchestrator.retry_motion(tabled, ZOE)
        assert status.current_state is S.TABLED
        assert status.next_action is not None
        assert status.next_action.kind == "place"
        assert (await flow.story(tabled))[-1] == "resolved: take_up by zoe"
        with pytest.raises(Refused, match="taken up already and waits in the docket"):
            await flow.orchestrator.retry_motion(tabled, ZOE)
        assert await order_of_admission(flow, [tabled, second, third]) == [second, third, tabled]


async def test_a_motion_tried_again_keeps_its_place_in_the_docket() -> None:
    async with opened(**places(1)) as flow:
        first, second, third = await docket(flow, 3)
        flow.knight.then(failing_knight)
        assert await admitted(flow, [first, second, third]) == [second]
        await flow.orchestrator.retry_motion(first, ZOE)
        await flow.succeeds(second, {}, next_state=S.REJECTED)
        assert await admitted(flow, [first, third]) == [first]


# -- Until a date ----------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["sqlite_address", "postgres_database"])
async def test_a_tabled_motion_comes_back_on_its_date_after_a_restart(
    store: str, request: pytest.FixtureRequest, clock: ManualClock
) -> None:
    address = request.getfixturevalue(store)
    until = clock.now() + timedelta(days=30)
    async with opened(address, clock=clock, **places(1)) as flow:
        motion = await flow.reach(S.DELIBERATING)
        await flow.succeeds(motion, {"until": until.isoformat()}, next_state=S.TABLED)
        moved = await flow.last(motion, TransitionWitnessed)
        assert (moved.to_state, moved.until) == (S.TABLED, until)
    clock.advance(-1, hours=720)
    async with opened(address, clock=clock, **places(1)) as flow:
        assert await admitted(flow, [motion]) == []
        action = (await flow.status(motion)).next_action
        assert action is not None
        assert (action.kind, action.by) == ("date", until)
    clock.advance(1)
    async with opened(address, clock=clock, **places(1)) as flow:
        assert await admitted(flow, [motion]) == [motion]
        assert (await flow.story(motion))[-2:] == [
            "moved: TABLED > DELIBERATING (advance)",
            "routed: deliberate to conclave_service",
        ]


async def test_a_date_gives_no_place_before_those_who_wait_already() -> None:
    async with opened(**places(1)) as flow:
        tabled, second = await docket(flow, 2)
        assert await admitted(flow, [tabled, second]) == [tabled]
        past = (flow.clock.now() - timedelta(days=1)).isoformat()
        flow.clock.advance(1)
        await flow.succeeds(tabled, {"until": past}, next_state=S.TABLED)
        assert await order_of_admission(flow, [tabled, second]) == [second, tabled]


async def test_a_motion_whose_date_has_come_waits_for_a_place_like_any_other() -> None:
    async with opened(**places(1)) as flow:
        dated, other = await docket(flow, 2)
        assert await admitted(flow, [dated, other]) == [dated]
        until = flow.clock.now() + timedelta(days=1)
        await flow.succeeds(dated, {"until": until.isoformat()}, next_state=S.TABLED)
        assert await admitted(flow, [dated, other]) == [other]
        flow.clock.advance(hours=24)
        assert await admitted(flow, [dated]) == []
        action = (await flow.status(dated)).next_action
        assert action is not None
        assert (action.kind, action.what) == ("place", "admit it as soon as a place is free")


async def test_a_tabled_motion_may_be_taken_up_before_its_date() -> None:
    async with opened(**places(1)) as flow:
        motion = await flow.reach(S.DELIBERATING)
        until = flow.clock.now() + timedelta(days=365)
        await flow.succeeds(motion, {"until": until.isoformat()}, next_state=S.TABLED)
        await flow.orchestrator.retry_motion(motion, ZOE)
        assert await admitted(flow, [motion]) == [motion]


async def test_a_motion_tabled_without_a_date_waits_until_somebody_takes_it_up() -> None:
    async with opened(**places(1)) as flow:
        motion = await flow.reach(S.TABLED)
        flow.clock.advance(hours=100_000)
        assert await admitted(flow, [motion]) == []
        assert (await flow.status(motion)).next_action is not None
        # Even whoever acted on it may ask for that: it decides nothing.
        await flow.orchestrator.retry_motion(motion, INTRODUCER)
        assert await admitted(flow, [motion]) == [motion]


# -- When it starves -------------------------------------------------------------------------------


async def test_an_alert_goes_out_when_blocked_motions_starve_the_docket(
    clock: ManualClock,
) -> None:
    postbox = Postbox()
    async with opened(clock=clock, sinks=[postbox], **places(4)) as flow:
        motions = await docket(flow, 6)
        assert await admitted(flow, motions) == motions[:4]
        await flow.fails(motions[0], "system_error")
        clock.advance(61)
        await flow.idle()
        assert [alert.kind for alert in postbox.alerts] == ["motion_halted"]
        await flow.reach(S.EXECUTING, motions[1])
        await flow.fails(motions[1], "permission_error")
        clock.advance(61)
        await flow.idle()
        starved = postbox.alerts[1:]
        assert [alert.kind for alert in starved] == ["docket_starved"]
        assert starved[0].message == (
            "2 motions wait while 2 blocked ones hold places, of 4 taken: resolve the blocked ones"
        )
        # Said once an hour, not once a minute.
        for _ in range(10):
            clock.advance(61)
            await flow.idle()
        assert postbox.alerts[1:] == starved
        clock.advance(hours=1)
        await flow.idle()
        assert [alert.kind for alert in postbox.alerts[1:]] == ["docket_starved"] * 2


async def test_nobody_is_told_of_a_docket_in_which_nobody_waits(clock: ManualClock) -> None:
    postbox = Postbox()
    async with opened(clock=clock, sinks=[postbox], **places(1)) as flow:
        [motion] = await docket(flow, 1)
        assert await admitted(flow, [motion]) == [motion]
        await flow.fails(motion, "system_error")
        clock.advance(61)
        await flow.idle()
        assert [alert.kind for alert in postbox.alerts] == ["motion_halted"]


async def test_the_docket_is_a_matter_of_events() -> None:
    """Nothing but what is recorded decides who waits, and since when."""
    async with opened(**places(1)) as flow:
        first, second = await docket(flow, 2)
        introduced = await flow.last(second, MotionIntroduced)
        assert (await flow.motion(second)).docketed_at == introduced.timestamp
        assert (await flow.motion(first)).docketed_at is not None
        await flow.idle()
        assert (await flow.motion(first)).docketed_at is None
