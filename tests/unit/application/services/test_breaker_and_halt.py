"""The breaker halts the whole pipeline; a halted one keeps what is reported, and then goes on."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    GovernanceState,
)
from governance_flow.domain.errors import InvalidInput, NotRoutable, Refused
from governance_flow.domain.events import PipelineHalted, PipelineResumed
from tests.support.clock import ManualClock
from tests.support.flows import (
    CHAIR,
    ZOE,
    PlayedFlow,
    Postbox,
    cast,
    failing,
    opened,
    succeeding,
    together,
)
from tests.support.motions import INTRODUCER, failing_knight

S = GovernanceState


async def break_one(flow: PlayedFlow, error_type: str | None = "system_error") -> UUID:
    """Let a new motion fail."""
    motion = await flow.reach(S.EXECUTING)
    await flow.fails(motion, error_type)
    return motion


async def is_halted(flow: PlayedFlow) -> bool:
    return (await flow.flow.store.head()).halted


# -- The breaker -------------------------------------------------------------------------------


@pytest.mark.parametrize("error_type", ["system_error", None, "cosmic_ray"])
async def test_the_fifth_system_error_in_ten_minutes_halts_the_pipeline(
    error_type: str | None, store_address: str
) -> None:
    async with opened(store_address) as flow:
        for _ in range(4):
            await break_one(flow, error_type)
            flow.clock.advance(149)
        assert not await is_halted(flow)
        await break_one(flow, error_type)
        assert await is_halted(flow)
        [halted] = await flow.pipeline_events()
        assert isinstance(halted, PipelineHalted)
        assert halted.reason == "the breaker tripped: 5 system errors within 600 s"
        assert halted.actor.authenticated_by == "system"


@pytest.mark.parametrize(("seconds", "halts"), [(599.9, True), (600, False)])
async def test_older_errors_do_not_count(seconds: float, halts: bool) -> None:
    async with opened() as flow:
        await break_one(flow)
        flow.clock.advance(seconds)
        for _ in range(4):
            await break_one(flow)
        assert await is_halted(flow) is halts


@pytest.mark.parametrize("error_type", ["validation_error", "permission_error", "timeout_error"])
async def test_other_errors_do_not_count(error_type: str) -> None:
    settings = {"retry": {"max_attempts": 0}}
    async with opened(settings=settings) as flow:
        for _ in range(6):
            await break_one(flow, error_type)
        assert not await is_halted(flow)


async def test_many_other_errors_in_between_hide_none() -> None:
    settings = {"retry": {"max_attempts": 200, "backoff_seconds": [0.0]}}
    async with opened(settings=settings) as flow:
        for _ in range(4):
            await break_one(flow)
        late = await flow.reach(S.EXECUTING)
        for _ in range(120):
            await flow.fails(late, "timeout_error")
        assert not await is_halted(flow)
        await break_one(flow)
        assert await is_halted(flow)


async def test_a_knight_who_fails_counts() -> None:
    async with opened() as flow:
        for _ in range(5):
            motion = await flow.introduce()
            flow.knight.then(failing_knight)
            await flow.orchestrator.process_motion(motion)
        assert await is_halted(flow)


async def test_how_many_and_how_fast_is_configured() -> None:
    settings = {"breaker": {"system_errors": 2, "window_seconds": 10}}
    async with opened(settings=settings) as flow:
        await break_one(flow)
        flow.clock.advance(11)
        await break_one(flow)
        assert not await is_halted(flow)
        flow.clock.advance(9)
        await break_one(flow)
        assert await is_halted(flow)


async def test_only_errors_since_the_last_resume_count() -> None:
    async with opened() as flow:
        for _ in range(5):
            await break_one(flow)
        await flow.resume()
        flow.clock.advance(1)
        for _ in range(4):
            await break_one(flow)
        assert not await is_halted(flow)
        await break_one(flow)
        assert await is_halted(flow)
        halts = [type(event) for event in await flow.pipeline_events()]
        assert halts == [PipelineHalted, PipelineResumed, PipelineHalted]


async def test_it_counts_over_all_processes_on_one_store(
    sqlite_address: str, clock: ManualClock
) -> None:
    async with (
        opened(sqlite_address, clock=clock) as one,
        opened(sqlite_address, clock=clock) as two,
    ):
        for flow in (one, two, one, two):
            await break_one(flow)
        assert not await is_halted(one)
        motion = await two.reach(S.EXECUTING)
        await break_one(one)
        assert await is_halted(two)
        # The other process learns of it from the store, at its next step.
        assert (await two.succeeds(motion)).status == "recorded"


async def test_errors_at_the_same_moment_trip_it_once(store_address: str) -> None:
    async with opened(store_address, settings={"breaker": {"system_errors": 8}}) as flow:
        motions = [await flow.reach(S.EXECUTING) for _ in range(8)]
        await together(8, lambda number: flow.fails(motions[number], "system_error"))
        assert await is_halted(flow)
        assert len(await flow.pipeline_events()) == 1


async def test_a_worker_that_meets_the_breaker_stops_and_says_so() -> None:
    postbox = Postbox()
    branches = cast(duke=[failing("system_error")] * 5)
    settings = {"worker": {"max_concurrent_assignments": 1}}
    async with opened(branches=branches, sinks=[postbox], settings=settings) as flow:
        motions = [await flow.introduce(f"motion {number}") for number in range(8)]
        await flow.idle()
        assert await is_halted(flow)
        assert len(branches["duke_service"].calls) == 5
        kinds = [alert.kind.value for alert in postbox.alerts]
        assert (kinds.count("motion_halted"), kinds.count("pipeline_halted")) == (5, 1)
        flow.clock.advance(1)
        await flow.resume()
        for motion in motions:
            if (await flow.status(motion)).blocking_issues:
                await flow.orchestrator.retry_motion(motion, ZOE)
        await flow.idle()
        for motion in motions:
            assert await flow.state(motion) is S.ACKNOWLEDGED


# -- Halted by a person ------------------------------------------------------------------------


async def test_a_person_halts_and_resumes_and_both_are_recorded(store_address: str) -> None:
    postbox = Postbox()
    async with opened(store_address, sinks=[postbox]) as flow:
        await flow.halt("the archive burns")
        with pytest.raises(Refused, match=r"halted already since .* UTC \(the archive burns\)"):
            await flow.halt("again")
        await flow.idle()
        await flow.resume("it is out")
        with pytest.raises(Refused, match="is not halted: there is nothing to resume"):
            await flow.resume()
        events = [e for e in await flow.pipeline_events() if e.topic != "ALERT_DELIVERED"]
        halted, resumed = events
        assert isinstance(halted, PipelineHalted)
        assert isinstance(resumed, PipelineResumed)
        assert (halted.actor.id, halted.reason) == (CHAIR, "the archive burns")
        assert (resumed.actor.id, resumed.reason) == (CHAIR, "it is out")
        [alert] = postbox.alerts
        assert (alert.kind, alert.motion_id) == ("pipeline_halted", None)
        assert alert.message == "the pipeline was halted by the chair: the archive burns"


@pytest.mark.parametrize("nothing", ["", "  "])
async def test_whoever_halts_says_who_and_why(nothing: str) -> None:
    async with opened() as flow:
        for act in (flow.orchestrator.halt_pipeline, flow.orchestrator.resume_pipeline):
            with pytest.raises(InvalidInput) as unsaid:
                await act(CHAIR, nothing)
            assert unsaid.value.field == "reason"
            with pytest.raises(InvalidInput) as unnamed:
                await act(nothing, "why")
            assert unnamed.value.field == "by"


async def test_halted_at_once_by_many_is_halted_once(store_address: str) -> None:
    async with opened(store_address) as flow:
        outcomes = await together(8, lambda _: flow.halt())
        assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 7
        assert len(await flow.pipeline_events()) == 1


async def test_while_halted_nothing_moves_but_people_may_introduce_and_decide() -> None:
    async with opened() as flow:
        blocked = await break_one(flow)
        deliberating = await flow.reach(S.DELIBERATING)
        await flow.halt()
        introduced = await flow.introduce()
        with pytest.raises(NotRoutable, match="the pipeline is halted"):
            await flow.orchestrator.withdraw_motion(deliberating, INTRODUCER)
        decided = await flow.orchestrator.retry_motion(blocked, ZOE)
        assert decided.blocking_issues == ()
        await flow.orchestrator.amend_motion(introduced, INTRODUCER, title="Mend it well")
        await flow.idle()
        for motion, state in (
            (blocked, S.EXECUTING),
            (deliberating, S.DELIBERATING),
            (introduced, S.INTRODUCED),
        ):
            assert await flow.state(motion) is state
        for motion in (blocked, introduced):
            action = (await flow.status(motion)).next_action
            assert action is not None
            assert (action.kind, action.what) == (
                "person",
                "resume the pipeline, halted because a storm",
            )
        await flow.resume()
        await flow.idle()
        for motion in (blocked, deliberating, introduced):
            assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_what_is_in_hand_when_the_halt_comes_is_recorded_alone() -> None:
    working, go_on = asyncio.Event(), asyncio.Event()

    async def slow(assignment: BranchAssignment) -> BranchResult:
        working.set()
        await go_on.wait()
        result: BranchResult = succeeding()(assignment)
        return result

    branches = cast(duke=[slow])
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        running = asyncio.create_task(flow.idle())
        await working.wait()
        await flow.halt()
        go_on.set()
        await running
        assert (await flow.story(motion))[-1] == "completed: execute by duke_service"
        assert await flow.state(motion) is S.EXECUTING
        await flow.resume()
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
        assert len(branches["duke_service"].calls) == 1


@pytest.mark.parametrize("after_completions", range(1, 6))
async def test_resume_continues_exactly_where_it_stood(
    after_completions: int, sqlite_address: str, clock: ManualClock
) -> None:
    """With a halt and a restart anywhere in between, the story is the same as without."""
    async with opened(clock=clock) as flow:
        undisturbed = await flow.introduce()
        await flow.idle()
        expected = await flow.story(undisturbed)
    async with opened(sqlite_address, clock=clock) as flow:
        motion = await flow.introduce()
        await flow.orchestrator.process_motion(motion)
        for _ in range(after_completions):
            await flow.succeeds(motion)
        await flow.halt()
        await flow.succeeds(motion)
    async with opened(sqlite_address, clock=clock) as flow:
        await flow.idle()
        assert await flow.state(motion) is not S.ACKNOWLEDGED
        await flow.resume()
        await flow.idle()
        assert await flow.story(motion) == expected


async def test_failures_reported_while_halted_escalate_afterwards() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.halt()
        outcome = await flow.fails(motion, "validation_error")
        assert (outcome.status, outcome.strategy) == ("recorded", None)
        await flow.resume()
        await flow.idle()
        assert "moved: EXECUTING > PLANNING (return)" in await flow.story(motion)
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_decisions_taken_while_halted_are_carried_out_afterwards() -> None:
    async with opened() as flow:
        returned, reviewed = await break_one(flow), await break_one(flow)
        await flow.halt()
        before = await flow.length(returned)
        await flow.orchestrator.resolve_escalation(returned, ZOE, "return")
        await flow.orchestrator.resolve_escalation(reviewed, ZOE, "review")
        assert await flow.story(returned, before) == ["resolved: return by zoe"]
        with pytest.raises(Refused):
            await flow.orchestrator.resolve_escalation(returned, ZOE, "retry")
        await flow.resume()
        await flow.idle()
        assert (await flow.story(returned, before))[1:3] == [
            "moved: EXECUTING > PLANNING (return)",
            "routed: plan to president_service",
        ]
        assert "routed: review to conclave_service" in await flow.story(reviewed)
        for motion in (returned, reviewed):
            assert await flow.state(motion) is S.ACKNOWLEDGED
