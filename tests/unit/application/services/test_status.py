"""What people are shown: one motion, the pipeline, lists; never older than the question."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from freezegun import freeze_time

from governance_flow.application.ports.flow_orchestrator import ActionKind, GovernanceState
from governance_flow.bootstrap import open_flow
from governance_flow.domain.errors import InvalidInput
from governance_flow.domain.states import TERMINAL_STATES
from tests.support.clock import START, ManualClock
from tests.support.flows import ZOE, PlayedFlow, cast, failing, opened
from tests.support.motions import INTRODUCER, failing_knight, honest_knight

S = GovernanceState


# -- One motion ------------------------------------------------------------------------------------


async def test_a_motion_is_shown_with_every_field(clock: ManualClock) -> None:
    async with opened(clock=clock) as flow:
        motion = await flow.introduce(reference="B/1")
        clock.advance(hours=1)
        await flow.reach(S.EXECUTING, motion)
        entered = clock.now()
        clock.advance(60)
        await flow.fails(motion, "timeout_error", "the ferry is late")
        clock.advance(30)
        shown = await flow.status(motion)
        assert shown.motion_id == motion
        assert (shown.title, shown.reference) == ("Mend the bridge", "B/1")
        assert (shown.introduced_by, shown.introduced_at) == (INTRODUCER, START)
        assert shown.current_state is S.EXECUTING
        assert shown.entered_state_at == entered
        assert shown.time_in_state == timedelta(seconds=90)
        assert shown.expected_completion == entered + timedelta(hours=168)
        assert (shown.owner, shown.attempt) == ("duke_service", 2)
        assert shown.blocking_issues == ()
        assert shown.last_error == "timeout_error: the ferry is late"
        assert shown.version == await flow.length(motion)
        assert shown.parked is None
        action = shown.next_action
        assert action is not None
        assert (action.kind, action.who) == ("branch", "duke_service")
        assert action.what == "execute, attempt 2, not before 2026-01-01 13:01:05 UTC"
        assert action.by == shown.expected_completion
        assert str(action).startswith("duke_service: execute, attempt 2, not before")
        assert str(action).endswith("by 2026-01-08 13:00 UTC")


async def test_a_motion_is_shown_as_its_stream_has_it_whoever_wrote_it(
    sqlite_address: str, clock: ManualClock
) -> None:
    async with (
        opened(sqlite_address, clock=clock) as one,
        opened(sqlite_address, clock=clock) as two,
    ):
        motion = await one.introduce()
        assert (await two.status(motion)).version == 1
        await one.reach(S.PLANNING, motion)
        shown = await two.status(motion)
        assert shown.current_state is S.PLANNING
        assert shown == await one.status(motion)


# -- What happens next -----------------------------------------------------------------------------


async def _in_docket(flow: PlayedFlow) -> UUID:
    return await flow.introduce()


async def _tabled(flow: PlayedFlow) -> UUID:
    return await flow.reach(S.TABLED)


async def _dated(flow: PlayedFlow) -> UUID:
    motion = await flow.reach(S.DELIBERATING)
    until = flow.clock.now() + timedelta(days=1)
    await flow.succeeds(motion, {"until": until.isoformat()}, next_state=S.TABLED)
    return motion


async def _deliberating(flow: PlayedFlow) -> UUID:
    return await flow.reach(S.DELIBERATING)


async def _halted(flow: PlayedFlow) -> UUID:
    motion = await flow.reach(S.JUDGING)
    await flow.fails(motion, "system_error", "the roof fell in")
    return motion


async def _reviewed(flow: PlayedFlow) -> UUID:
    motion = await flow.reach(S.JUDGING)
    await flow.fails(motion, "permission_error")
    return motion


async def _recorded(flow: PlayedFlow) -> UUID:
    motion = await flow.reach(S.JUDGING)
    await flow.halt()
    await flow.succeeds(motion)
    await flow.resume()
    return motion


async def _on_the_kings_desk(flow: PlayedFlow) -> UUID:
    motion = await flow.reach(S.DELIBERATING)
    await flow.fails(motion, "validation_error")
    return motion


NEXT: dict[str, tuple[Callable[[PlayedFlow], Awaitable[UUID]], str, str, str, bool]] = {
    "waits for a place": (_in_docket, "place", "the docket", "admit it as soon as", False),
    "is tabled": (_tabled, "taking_up", "a named person", "take it up (retry)", False),
    "is tabled until a date": (_dated, "date", "the docket", "take it up on its date", True),
    "is deliberated": (_deliberating, "branch", "conclave_service", "deliberate, attempt 1", True),
    "is revised": (_on_the_kings_desk, "branch", "king_service", "revise, attempt 1", False),
    "is reviewed": (_reviewed, "branch", "conclave_service", "review, attempt 1", False),
    "waits for a person": (
        _halted,
        "person",
        "a named person",
        "resolve (retry, return or review) system_error: the roof fell in",
        False,
    ),
    "is to be applied": (_recorded, "orchestrator", "the orchestrator", "apply what was", False),
}


@pytest.mark.parametrize("rest", NEXT)
async def test_every_live_motion_says_who_must_do_what_and_by_when(rest: str) -> None:
    bring, kind, who, what, dated = NEXT[rest]
    async with opened() as flow:
        motion = await bring(flow)
        shown = await flow.status(motion)
        action = shown.next_action
        assert action is not None
        assert (action.kind, action.who) == (kind, who)
        assert action.what.startswith(what)
        assert (action.by is not None) is dated
        # The read model says the very same.
        [listed] = (await flow.orchestrator.list_motions()).motions
        assert listed == shown
        # And so it does while the pipeline is halted: never a motion that waits for nobody.
        await flow.halt()
        shown = await flow.status(motion)
        assert shown.next_action is not None
        [listed] = (await flow.orchestrator.list_motions()).motions
        assert listed == shown


@pytest.mark.parametrize("state", sorted(TERMINAL_STATES))
async def test_a_motion_that_has_ended_waits_for_nothing(state: S) -> None:
    async with opened() as flow:
        shown = await flow.status(await flow.reach(state))
        assert (shown.next_action, shown.expected_completion, shown.owner) == (None, None, None)


# -- The pipeline ----------------------------------------------------------------------------------


async def test_an_empty_pipeline(store_address: str, clock: ManualClock) -> None:
    async with opened(store_address, clock=clock) as flow:
        status = await flow.orchestrator.get_pipeline_status()
        assert status.active_motions == status.blocked_motions == status.waiting_motions == 0
        assert status.motions_by_state == dict.fromkeys(S, 0)
        assert status.oldest_motion_age == timedelta(0)
        assert status.recent_completions == status.recent_failures == 0
        assert status.finished_recently == status.admitted == 0
        assert (status.free_places, status.active) == (100, ())
        assert (status.halted, status.halt_reason, status.halted_since) == (False, None, None)
        assert (status.position, status.lag.events, status.lag.seconds) == (0, 0, 0.0)
        assert status.as_of == clock.now()


async def test_the_pipeline_is_shown_with_every_field(
    store_address: str, clock: ManualClock
) -> None:
    settings = {"max_concurrent_motions": 4}
    async with opened(store_address, clock=clock, settings=settings) as flow:
        blocked = await flow.reach(S.EXECUTING)
        clock.advance(hours=1)
        await flow.fails(blocked, "system_error")
        reviewed = await flow.reach(S.JUDGING)
        await flow.fails(reviewed, "permission_error")
        tabled, ended = await flow.reach(S.TABLED), await flow.reach(S.ACKNOWLEDGED)
        late = await flow.reach(S.PLANNING)
        await flow.fails(late, "timeout_error")
        waiting = await flow.introduce()
        clock.advance(hours=1)
        await flow.halt("a storm")
        clock.advance(60)
        status = await flow.orchestrator.get_pipeline_status()
        assert status.active_motions == 5
        assert {state: n for state, n in status.motions_by_state.items() if n} == {
            S.EXECUTING: 1,
            S.JUDGING: 1,
            S.TABLED: 1,
            S.ACKNOWLEDGED: 1,
            S.PLANNING: 1,
            S.INTRODUCED: 1,
        }
        assert status.blocked_motions == 2
        assert status.waiting_motions == 1
        assert status.oldest_motion_age == timedelta(hours=2, seconds=60)
        # Each completion that succeeded: 2 + 3 + 1 + 6 + 1; each error the orchestrator recorded.
        assert (status.recent_completions, status.recent_failures) == (13, 3)
        assert status.finished_recently == 1
        assert (status.admitted, status.free_places) == (3, 1)
        assert (status.halted, status.halt_reason) == (True, "a storm")
        assert status.halted_since == clock.now() - timedelta(seconds=60)
        head = await flow.flow.store.head()
        assert (status.position, status.lag.events) == (head.position, 0)
        shown = {motion.motion_id for motion in status.active}
        assert shown == {blocked, reviewed, tabled, late, waiting}
        assert ended not in shown
        for motion in status.active:
            assert motion == await flow.status(motion.motion_id)


async def test_a_writer_reads_its_own_writes_without_a_worker(store_address: str) -> None:
    async with opened(store_address) as flow:
        for number in range(1, 4):
            await flow.introduce(f"motion {number}")
            status = await flow.orchestrator.get_pipeline_status()
            assert status.motions_by_state[S.INTRODUCED] == number
            assert len((await flow.orchestrator.list_motions()).motions) == number


async def test_an_answer_is_never_older_than_what_another_process_wrote(
    sqlite_address: str, clock: ManualClock
) -> None:
    async with (
        opened(sqlite_address, clock=clock) as one,
        opened(sqlite_address, clock=clock) as two,
    ):
        for number in range(3):
            await one.introduce(f"motion {number}")
            written = (await one.flow.store.head()).position
            status = await two.orchestrator.get_pipeline_status(at_least=written)
            assert status.position >= written
            assert status.active_motions == number + 1
            page = await two.orchestrator.list_motions(at_least=written)
            assert len(page.motions) == number + 1
        await one.halt("a storm")
        assert (await two.orchestrator.get_pipeline_status()).halt_reason == "a storm"


async def test_the_first_page_of_active_motions_has_twenty(clock: ManualClock) -> None:
    async with opened(clock=clock) as flow:
        motions = []
        for number in range(25):
            clock.advance(1)
            motions.append(await flow.introduce(f"motion {number}"))
        await flow.orchestrator.withdraw_motion(motions[0], INTRODUCER)
        status = await flow.orchestrator.get_pipeline_status()
        assert [motion.motion_id for motion in status.active] == motions[1:21]
        assert status.active_motions == 24


async def test_counts_are_of_the_last_24_hours(clock: ManualClock) -> None:
    async with opened(clock=clock) as flow:
        ended = await flow.reach(S.ACKNOWLEDGED)
        blocked = await flow.reach(S.EXECUTING)
        await flow.fails(blocked, "system_error")
        assert await flow.state(ended) is S.ACKNOWLEDGED

        async def counted() -> tuple[int, int, int]:
            status = await flow.orchestrator.get_pipeline_status()
            return status.recent_completions, status.recent_failures, status.finished_recently

        assert await counted() == (8, 1, 1)
        clock.advance(hours=23)
        later = await flow.reach(S.PLANNING)
        await flow.fails(later, "timeout_error")
        assert await counted() == (9, 2, 1)
        clock.advance(hours=1)
        assert await counted() == (9, 2, 1)
        clock.advance(1)
        assert await counted() == (1, 1, 0)
        clock.advance(hours=24)
        assert await counted() == (0, 0, 0)
        # What was counted lately comes and goes; what there is stays.
        status = await flow.orchestrator.get_pipeline_status()
        assert (status.active_motions, status.blocked_motions) == (2, 1)


async def test_counts_by_the_machines_own_clock() -> None:
    with freeze_time("2026-05-01 12:00:00", tz_offset=0, real_asyncio=True) as frozen:
        async with open_flow("memory:", branches=cast(), alert_sinks=[], environ={}) as flow:
            await flow.orchestrator.introduce_motion(
                title="Mend the bridge", text="Before the flood.", introduced_by="ada"
            )
            await flow.worker.run_until_idle()
            status = await flow.orchestrator.get_pipeline_status()
            assert status.as_of == datetime(2026, 5, 1, 12, tzinfo=UTC)
            assert (status.recent_completions, status.finished_recently) == (6, 1)
            frozen.tick(timedelta(hours=24))
            status = await flow.orchestrator.get_pipeline_status()
            assert (status.recent_completions, status.finished_recently) == (6, 1)
            frozen.tick(timedelta(seconds=1))
            status = await flow.orchestrator.get_pipeline_status()
            assert (status.recent_completions, status.finished_recently) == (0, 0)
            assert status.motions_by_state[S.ACKNOWLEDGED] == 1


# -- Lists -----------------------------------------------------------------------------------------


async def some(flow: PlayedFlow) -> dict[str, UUID]:
    """Return motions in several states, introduced in this order."""
    motions = {}
    for name, state in {
        "waiting": S.INTRODUCED,
        "planned": S.PLANNING,
        "stuck": S.PLANNING,
        "ended": S.ACKNOWLEDGED,
        "tabled": S.TABLED,
        "planned too": S.PLANNING,
    }.items():
        flow.clock.advance(1)
        motions[name] = await flow.reach(state, await flow.introduce(name))
    await flow.fails(motions["stuck"], "system_error")
    return motions


async def listed(flow: PlayedFlow, **asked: Any) -> list[str]:
    return [m.title for m in (await flow.orchestrator.list_motions(**asked)).motions]


async def test_lists_are_in_order_of_introduction_and_filtered(store_address: str) -> None:
    async with opened(store_address) as flow:
        motions = await some(flow)
        assert await listed(flow) == list(motions)
        assert await listed(flow, state=S.PLANNING) == ["planned", "stuck", "planned too"]
        assert await listed(flow, state="PLANNING") == ["planned", "stuck", "planned too"]
        assert await listed(flow, blocked=True) == ["stuck"]
        assert await listed(flow, blocked=False) == [name for name in motions if name != "stuck"]
        assert await listed(flow, state=S.PLANNING, blocked=False) == ["planned", "planned too"]
        assert await listed(flow, state=S.TABLED, blocked=True) == []
        assert await listed(flow, state=S.REJECTED) == []
        for shown in (await flow.orchestrator.list_motions()).motions:
            assert shown == await flow.status(shown.motion_id)


async def test_lists_come_in_pages(store_address: str) -> None:
    async with opened(store_address) as flow:
        motions = await some(flow)
        for limit in (1, 2, 4, 5, 6, 7):
            seen, after, pages = [], None, 0
            while True:
                page = await flow.orchestrator.list_motions(limit=limit, after=after)
                seen += [motion.title for motion in page.motions]
                assert len(page.motions) <= limit
                pages, after = pages + 1, page.next_after
                if after is None:
                    break
            assert seen == list(motions)
            assert pages == -(-len(motions) // limit)


async def test_pages_are_stable_while_motions_come_and_go() -> None:
    async with opened() as flow:
        motions = await some(flow)
        first = await flow.orchestrator.list_motions(limit=3)
        flow.clock.advance(1)
        await flow.introduce("a newcomer")
        await flow.orchestrator.withdraw_motion(motions["tabled"], INTRODUCER)
        await flow.reach(S.WITNESSING, motions["planned too"])
        rest = await flow.orchestrator.list_motions(limit=10, after=first.next_after)
        assert [motion.title for motion in (*first.motions, *rest.motions)] == [
            *motions,
            "a newcomer",
        ]


async def test_motions_introduced_at_the_same_moment_are_all_listed() -> None:
    async with opened() as flow:
        names = {f"motion {number}" for number in range(7)}
        for name in names:
            await flow.introduce(name)
        seen: list[str] = []
        after = None
        while True:
            page = await flow.orchestrator.list_motions(limit=2, after=after)
            seen += [motion.title for motion in page.motions]
            after = page.next_after
            if after is None:
                break
        assert len(seen) == 7
        assert set(seen) == names


BEYOND = urlsafe_b64encode(f"{10**30}:{UUID(int=0)}".encode()).decode()
"""A place further away than any time can be."""


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": -1}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "10"}, "limit"),
        ({"limit": 2.5}, "limit"),
        ({"limit": None}, "limit"),
        ({"state": "LIMBO"}, "state"),
        ({"state": 7}, "state"),
        ({"after": ""}, "after"),
        ({"after": "page 2"}, "after"),
        ({"after": "\ud800"}, "after"),
        ({"after": BEYOND}, "after"),
        ({"after": 7}, "after"),
        ({"at_least": "head"}, "at_least"),
        ({"at_least": -1}, "at_least"),
    ],
)
async def test_a_list_that_cannot_be_given_is_refused_naming_the_field(
    asked: dict[str, Any], field: str
) -> None:
    async with opened() as flow:
        await flow.introduce()
        with pytest.raises(InvalidInput) as refusal:
            await flow.orchestrator.list_motions(**asked)
        assert refusal.value.field == field
        assert field in str(refusal.value) or field == "after"


@pytest.mark.parametrize("at_least", ["head", -1, 2.5])
async def test_a_status_that_cannot_be_given_is_refused(at_least: Any) -> None:
    async with opened() as flow:
        with pytest.raises(InvalidInput) as refusal:
            await flow.orchestrator.get_pipeline_status(at_least=at_least)
        assert refusal.value.field == "at_least"


# -- Counters never drift --------------------------------------------------------------------------


async def test_the_counters_agree_with_a_replay_after_every_kind_of_event(
    store_address: str, clock: ManualClock
) -> None:
    branches = cast(
        conclave=[failing("validation_error")],
        duke=[failing("timeout_error"), failing("system_error"), failing("permission_error")],
        prince=[failing("validation_error")],
    )
    settings = {"max_concurrent_motions": 3}
    async with opened(store_address, clock=clock, branches=branches, settings=settings) as flow:
        motions = []
        for number in range(6):
            clock.advance(1)
            motions.append(await flow.introduce(f"motion {number}"))
        flow.knight.then(honest_knight, failing_knight)
        await flow.orchestrator.withdraw_motion(motions[5], INTRODUCER)
        for _ in range(4):
            await flow.idle()
            await agrees(flow, motions)
            for motion in motions:
                if any("system_error" in i for i in (await flow.status(motion)).blocking_issues):
                    await flow.orchestrator.retry_motion(motion, ZOE)
            await agrees(flow, motions)
            clock.advance(5)
        assert (await flow.orchestrator.get_pipeline_status()).finished_recently == 6


async def agrees(flow: PlayedFlow, motions: list[UUID]) -> None:
    """Compare the counters with what the streams say, motion by motion."""
    replayed = [await flow.motion(motion) for motion in motions]
    status = await flow.orchestrator.get_pipeline_status()
    for state in S:
        there = sum(motion.state is state for motion in replayed)
        assert status.motions_by_state[state] == there, state
    assert status.blocked_motions == sum(motion.block is not None for motion in replayed)
    assert status.active_motions == sum(not motion.terminal for motion in replayed)
    shown = [await flow.status(motion) for motion in motions]
    waiting = [m for m in shown if m.next_action and m.next_action.kind is ActionKind.PLACE]
    assert status.waiting_motions == len(waiting)
