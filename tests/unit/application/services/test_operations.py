"""From events to work: the rows always say what each motion waits for, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from governance_flow.application.ports.assignments import Keep
from governance_flow.application.services.operations import decode_alert
from governance_flow.application.times import from_us, to_us
from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.domain.states import GovernanceState
from tests.support.clock import START, ManualClock
from tests.support.flows import ZOE, PlayedFlow, opened
from tests.support.workers import agenda, assignment, assignments, change_work, table

S = GovernanceState
Setup = Callable[[PlayedFlow], Awaitable[UUID]]

NOON_US = to_us(START)
TABLES = ("assignments", "agenda", "alerts_outbox")


# -- One row for each kind of waiting ----------------------------------------------------------


async def introduced(flow: PlayedFlow) -> UUID:
    return await flow.introduce()


async def tabled_with_a_date(flow: PlayedFlow) -> UUID:
    motion = await flow.reach(S.DELIBERATING)
    until = (flow.clock.now() + timedelta(days=1)).isoformat()
    await flow.succeeds(motion, {"until": until}, S.TABLED)
    return motion


async def tabled(flow: PlayedFlow) -> UUID:
    return await flow.reach(S.TABLED)


async def recorded_while_halted(flow: PlayedFlow) -> UUID:
    motion = await flow.reach(S.PLANNING)
    await flow.halt()
    await flow.succeeds(motion)
    return motion


async def blocked(flow: PlayedFlow) -> UUID:
    motion = await flow.reach(S.EXECUTING)
    await flow.fails(motion, "system_error")
    return motion


async def resolved_while_halted(flow: PlayedFlow) -> UUID:
    motion = await blocked(flow)
    await flow.halt()
    await flow.orchestrator.resolve_escalation(motion, ZOE, "review")
    return motion


async def reviewed(flow: PlayedFlow) -> UUID:
    motion = await flow.reach(S.EXECUTING)
    await flow.fails(motion, "permission_error")
    return motion


async def sent_back_to_the_king(flow: PlayedFlow) -> UUID:
    motion = await flow.reach(S.DELIBERATING)
    await flow.fails(motion, "validation_error")
    return motion


async def executing(flow: PlayedFlow) -> UUID:
    return await flow.reach(S.EXECUTING)


async def ended(flow: PlayedFlow) -> UUID:
    return await flow.reach(S.ACKNOWLEDGED)


DAY_US = 86_400_000_000


@pytest.mark.parametrize(
    ("setup", "service", "item"),
    [
        (introduced, None, ("admit", NOON_US)),
        (tabled_with_a_date, None, ("admit", NOON_US + DAY_US)),
        (tabled, None, None),
        (recorded_while_halted, None, ("apply", 0)),
        (resolved_while_halted, None, ("apply", 0)),
        (blocked, None, None),
        (reviewed, "conclave_service", None),
        (sent_back_to_the_king, "king_service", None),
        (executing, "duke_service", None),
        (ended, None, None),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
async def test_the_rows_say_what_the_motion_waits_for(
    setup: Setup, service: str | None, item: tuple[str, int] | None
) -> None:
    async with opened() as flow:
        motion = await setup(flow)
        routings = [(row.motion_id, row.service) for row in await assignments(flow)]
        assert routings == ([(motion, service)] if service else [])
        assert await agenda(flow) == ({motion: item} if item else {})


@pytest.mark.parametrize("setup", [introduced, recorded_while_halted, executing, blocked])
async def test_rows_that_no_longer_hold_are_gone_once_the_motion_has_moved(setup: Setup) -> None:
    async with opened() as flow:
        motion = await setup(flow)
        if (await flow.orchestrator.get_pipeline_status()).halted:
            await flow.resume()
        if (await flow.motion(motion)).block is not None:
            await flow.orchestrator.retry_motion(motion, ZOE)
        await flow.orchestrator.process_motion(motion)
        await flow.reach(S.ACKNOWLEDGED, motion)
        assert await assignments(flow) == []
        assert await agenda(flow) == {}


async def test_an_assignment_holds_what_a_worker_must_know() -> None:
    settings = {"branches": {"duke_service": {"attempt_timeout_seconds": 77, "kind": "builtin"}}}
    async with opened(settings=settings) as flow:
        motion = await flow.reach(S.EXECUTING)
        routed = await flow.routing(motion)
        row = await assignment(flow)
        assert row.routing_id == routed.routing_id
        assert (row.state, row.purpose, row.attempt) == ("EXECUTING", "execute", 1)
        assert row.attempt_timeout_seconds == 77
        assert routed.deadline is not None
        assert row.deadline_us == to_us(routed.deadline)
        assert row.opened_at_us == row.not_before_us == NOON_US


async def test_a_retry_may_not_be_claimed_before_its_backoff_is_over() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "timeout_error")
        row = await assignment(flow)
        assert (row.attempt, row.not_before_us) == (2, NOON_US + 5_000_000)


async def test_an_assignment_keeps_the_rules_it_was_routed_under() -> None:
    strict = {"branches": {"duke_service": {"kind": "builtin", "attempt_timeout_seconds": 11}}}
    lax = {"branches": {"duke_service": {"kind": "builtin", "attempt_timeout_seconds": 99}}}
    async with opened(settings=strict) as flow:
        motion = await flow.motion(await flow.reach(S.EXECUTING))
        assert (await assignment(flow)).attempt_timeout_seconds == 11
        async with opened(settings=lax) as other:
            # The other process meets the routing before it has read of the configuration.
            pipeline = await flow.flow.pipelines.refresh()
            change = other.flow.pipelines.operations.after(motion, pipeline)
            assert change.assignment is not None
            assert change.assignment.attempt_timeout_seconds == 11


async def test_somebody_outside_has_until_the_deadline_or_the_end_of_the_attempt() -> None:
    duke = {"kind": "external", "attempt_timeout_seconds": 60.0}
    async with opened(settings={"branches": {"duke_service": duke}}) as flow:
        await flow.reach(S.EXECUTING)
        row = await assignment(flow)
        assert row.deadline_us == NOON_US + 60_000_000


# -- Deadlines stand still while the pipeline is halted ----------------------------------------


async def halt_for(flow: PlayedFlow, **span: float) -> None:
    await flow.halt()
    flow.clock.advance(**span)
    await flow.resume()


async def deadline_us(flow: PlayedFlow) -> int:
    row = await assignment(flow)
    assert row.deadline_us is not None
    return row.deadline_us


async def test_a_halt_moves_the_deadlines_of_what_was_open() -> None:
    async with opened() as flow:
        await flow.reach(S.EXECUTING)
        before = await deadline_us(flow)
        await halt_for(flow, hours=3)
        assert await deadline_us(flow) == before + 3 * 3_600_000_000


async def test_each_halt_moves_them_once_even_if_two_end_at_the_same_moment() -> None:
    async with opened() as flow:
        await flow.reach(S.EXECUTING)
        before = await deadline_us(flow)
        await halt_for(flow, hours=1)
        await halt_for(flow)
        assert await deadline_us(flow) == before + 3_600_000_000


async def test_a_halt_that_ended_before_the_routing_moves_nothing() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.PLANNING)
        await halt_for(flow, hours=1)
        await flow.succeeds(motion)
        assert await deadline_us(flow) == to_us(flow.clock.now()) + 168 * 3_600_000_000


async def test_what_moved_in_the_same_batch_as_the_halt_is_not_moved_twice() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        routed = await flow.routing(motion)
        assert routed.deadline is not None
        await halt_for(flow, hours=1)
        assert await deadline_us(flow) == to_us(routed.deadline) + 3_600_000_000


async def test_a_halt_resumed_by_a_clock_that_is_behind_takes_no_time_away() -> None:
    async with opened() as flow:
        await flow.reach(S.EXECUTING)
        before = await deadline_us(flow)
        await flow.halt()
        flow.clock.set_back(60)
        await flow.resume()
        assert await deadline_us(flow) == before


# -- Worked out anew ---------------------------------------------------------------------------


async def test_what_is_worked_out_anew_is_what_stands_there(store_address: str) -> None:
    clock = ManualClock()
    async with opened(store_address, clock=clock) as flow:
        motions: list[UUID] = []

        async def again() -> None:
            """Do it once more, as whoever restores a row does."""
            before = [await table(flow, name) for name in TABLES]
            pipeline = await flow.flow.pipelines.refresh()
            operations = flow.flow.pipelines.operations
            changes = [operations.after(await flow.motion(m), pipeline) for m in motions]
            await change_work(flow, *changes)
            assert [await table(flow, name) for name in TABLES] == before

        for setup in (introduced, tabled_with_a_date, executing, blocked, reviewed, ended):
            motions.append(await setup(flow))
            clock.advance(1)
        assert len(await table(flow, "assignments")) == 2
        assert len(await table(flow, "agenda")) == 2
        await again()
        await flow.flow.assignments.claim(["duke_service"], owner="w", limit=1, lease_seconds=60)
        await halt_for(flow, hours=2)
        await again()


# -- Whoever keeps what follows ----------------------------------------------------------------


def terms(*services: str) -> Keep:
    return Keep(frozenset(services), owner="w", token=1, lease_seconds=60)


async def kept_by(flow: PlayedFlow, motion: UUID, keep: Keep) -> Keep | None:
    """Return the terms under which the motion's assignment would be kept."""
    pipeline = await flow.flow.pipelines.refresh()
    operations = flow.flow.pipelines.operations
    return operations.after(await flow.motion(motion), pipeline, keep=keep).keep


async def test_only_what_one_serves_oneself_and_what_can_begin_at_once_is_kept() -> None:
    async with opened() as flow:
        motion = await executing(flow)
        ours = terms("duke_service", "king_service")
        assert await kept_by(flow, motion, ours) is ours
        assert await kept_by(flow, motion, terms("king_service")) is None
        await flow.fails(motion, "timeout_error")
        # A retry waits for its time, and is anybody's then.
        assert await kept_by(flow, motion, ours) is None
        waiting = await introduced(flow)
        assert await kept_by(flow, waiting, ours) is None


# -- Alerts ------------------------------------------------------------------------------------


async def test_an_alert_goes_to_every_sink_when_a_motion_halts_and_when_the_pipeline_does() -> None:
    async with opened() as flow:
        motion = await blocked(flow)
        await flow.halt("a storm")
        rows = await flow.flow.assignments.claim_alerts(limit=10, lease_seconds=1)
        alerts = sorted((decode_alert(row.body) for row in rows), key=lambda alert: alert.kind)
        assert [(alert.kind, alert.motion_id) for alert in alerts] == [
            ("motion_halted", motion),
            ("pipeline_halted", None),
        ]
        assert "it broke" in alerts[0].message
        assert "a storm" in alerts[1].message
        assert alerts[0].raised_at == START


async def test_no_alert_goes_out_for_what_takes_care_of_itself() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "timeout_error")
        await reviewed(flow)
        assert await table(flow, "alerts_outbox") == []


def test_times_survive_the_database_exactly() -> None:
    moment = START + timedelta(microseconds=1)
    assert from_us(to_us(moment)) == moment


def test_the_default_configuration_has_a_limit_for_every_attempt_of_a_worker() -> None:
    branches = FlowConfiguration().branches.values()
    assert all(branch.attempt_timeout_seconds for branch in branches)
