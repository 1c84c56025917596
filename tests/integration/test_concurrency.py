"""Many at once come to what one alone would have come to: in one process, and in several."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

import pytest

from governance_flow.application.ports.flow_orchestrator import GovernanceState
from governance_flow.domain.events import OrchestratorError, TransitionWitnessed
from tests.support.clock import ManualClock
from tests.support.driving import (
    FATES,
    MOTIONS,
    drive,
    drive_all,
    fate_of,
    introduce,
    motion_id,
)
from tests.support.flows import ZOE, PlayedFlow, cast, opened, success, together
from tests.support.motions import told

S = GovernanceState

ROOT = Path(__file__).parents[2]
CROWD = 64


# -- One routing, answered by many ---------------------------------------------------------------


async def test_64_completions_of_one_routing_have_one_effect_and_one_answer(
    store_address: str,
) -> None:
    async with opened(store_address) as flow:
        motion = await flow.reach(S.EXECUTING)
        routed = await flow.routing(motion)
        done = success(motion, routed.branch, routed.purpose, routing_id=routed.routing_id)
        before = (await flow.flow.store.head()).position
        outcomes = await together(
            CROWD, lambda _: flow.orchestrator.handle_completion(motion, done)
        )
        assert outcomes == [outcomes[0]] * CROWD
        assert (outcomes[0].accepted, outcomes[0].state) == (True, S.JUDGING)
        assert (await flow.flow.store.head()).position == before + 3
        assert (await flow.story(motion))[-3:] == [
            "completed: execute by duke_service",
            "moved: EXECUTING > JUDGING (advance)",
            "routed: judge to prince_service",
        ]


@pytest.mark.parametrize("store", ["sqlite_address", "postgres_database"])
async def test_so_it_is_when_they_reach_the_store_by_two_doors(
    store: str, request: pytest.FixtureRequest, clock: ManualClock
) -> None:
    address = request.getfixturevalue(store)
    async with opened(address, clock=clock) as one, opened(address, clock=clock) as two:
        motion = await one.reach(S.EXECUTING)
        routed = await one.routing(motion)
        done = success(motion, routed.branch, routed.purpose, routing_id=routed.routing_id)
        outcomes = await together(
            CROWD,
            lambda number: (one, two)[number % 2].orchestrator.handle_completion(motion, done),
        )
        assert outcomes == [outcomes[0]] * CROWD
        assert len(await one.completions(motion)) == 3


async def test_64_different_completions_of_one_routing_let_one_through(
    store_address: str,
) -> None:
    async with opened(store_address) as flow:
        motion = await flow.reach(S.EXECUTING)
        routed = await flow.routing(motion)
        outcomes = await together(
            CROWD,
            lambda number: flow.orchestrator.handle_completion(
                motion,
                success(
                    motion,
                    routed.branch,
                    routed.purpose,
                    output={"by": number},
                    routing_id=routed.routing_id,
                ),
            ),
        )
        assert outcomes == [outcomes[0]] * CROWD
        [executed] = [d for d in await flow.completions(motion) if d.purpose == "execute"]
        assert (await flow.motion(motion)).outputs[executed.purpose] == executed.output


async def test_64_failures_of_one_routing_escalate_once(store_address: str) -> None:
    async with opened(store_address) as flow:
        motion = await flow.reach(S.EXECUTING)
        routed = await flow.routing(motion)
        outcomes = await together(CROWD, lambda _: flow.fails_as(motion, routed, "system_error"))
        assert outcomes == [outcomes[0]] * CROWD
        errors = [e for e in await flow.events(motion) if isinstance(e, OrchestratorError)]
        assert len(errors) == 1
        assert not (await flow.flow.store.head()).halted


# -- Many motions, driven by many ----------------------------------------------------------------


async def stories_alone() -> list[list[str]]:
    """Return what happens to a motion of each fate when nobody else is there."""
    stories = []
    for number in range(len(FATES)):
        async with opened() as flow:
            await introduce(flow.orchestrator, number)
            await drive(flow.orchestrator, number)
            stories.append(await flow.story(motion_id(number)))
    return stories


async def check(flow: PlayedFlow) -> None:
    """Compare every motion with one of its fate that was alone, and the counters with them."""
    alone = await stories_alone()
    assert len({tuple(story) for story in alone}) == len(FATES)
    ended: Counter[GovernanceState] = Counter()
    for number in range(MOTIONS):
        events = await flow.events(motion_id(number))
        assert [told(event) for event in events] == alone[fate_of(number)], number
        ended[[e for e in events if isinstance(e, TransitionWitnessed)][-1].to_state] += 1
    head = await flow.flow.store.head()
    assert (head.admitted, head.halted) == (0, False)
    status = await flow.orchestrator.get_pipeline_status()
    assert status.motions_by_state == {state: ended[state] for state in S}
    assert (status.active_motions, status.blocked_motions) == (ended[S.TABLED], 0)


@pytest.mark.slow
async def test_64_tasks_drive_500_motions_at_once(store_address: str) -> None:
    async with opened(store_address) as flow:
        await drive_all(flow.orchestrator)
        await check(flow)


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite_address", "postgres_database"])
async def test_two_processes_drive_the_same_500_motions_at_once(
    store: str, request: pytest.FixtureRequest
) -> None:
    address = request.getfixturevalue(store)
    # The schema is there before both begin, as it is in life.
    async with opened(address):
        pass
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.driving",
            address,
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    said = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0, 0], said
    async with opened(address) as flow:
        await check(flow)


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite_address", "postgres_database"])
async def test_two_workers_take_motions_through_together(
    store: str, request: pytest.FixtureRequest, clock: ManualClock
) -> None:
    address = request.getfixturevalue(store)
    first, second = cast(), cast()
    async with (
        opened(address, clock=clock, branches=first) as one,
        opened(address, clock=clock, branches=second) as two,
    ):
        motions = [await one.introduce(f"motion {number}") for number in range(40)]
        await together(2, lambda number: (one, two)[number].idle())
        undisturbed = await one.story(motions[0])
        assert undisturbed[-1] == "moved: WITNESSING > ACKNOWLEDGED (advance)"
        for motion in motions:
            assert await two.story(motion) == undisturbed
    # The work was shared, and nothing was done twice.
    services = [*first.values(), *second.values()]
    asked = [call.routing_id for service in services for call in service.calls]
    assert len(asked) == len(set(asked)) == 40 * 6


async def test_people_who_decide_at_once_decide_once(store_address: str) -> None:
    async with opened(store_address) as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "system_error")
        before = await flow.length(motion)
        decisions = ["retry", "return", "review"]
        await together(
            CROWD,
            lambda number: flow.orchestrator.resolve_escalation(motion, ZOE, decisions[number % 3]),
        )
        story = await flow.story(motion, before)
        assert len([line for line in story if line.startswith("resolved")]) == 1
