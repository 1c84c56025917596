"""The agenda: admissions in order, what was recorded applied, deadlines, a starved docket."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from governance_flow.application.ports.alerts import AlertKind
from governance_flow.application.ports.event_store import Append, Head, StoredEvent
from governance_flow.application.process_manager.agenda import BATCH, AgendaKeeper
from governance_flow.domain.errors import ConcurrencyConflict, CorruptStream, StoreUnavailable
from governance_flow.domain.events import OrchestratorError
from governance_flow.domain.states import GovernanceState
from tests.support.clock import ManualClock
from tests.support.flows import (
    ZOE,
    PlayedFlow,
    Postbox,
    cast,
    failing,
    opened,
    tabling,
)
from tests.support.workers import Failing, agenda, assignments, due, follow, replaced, table

S = GovernanceState
ONE_PLACE: dict[str, Any] = {"max_concurrent_motions": 1}


def keeper_of(flow: PlayedFlow) -> AgendaKeeper:
    return flow.flow.worker._agenda


async def attend(flow: PlayedFlow) -> bool:
    return await keeper_of(flow).attend(await due(flow))


async def spoil(flow: PlayedFlow, motion: UUID) -> None:
    """Append something to the motion that nobody can read."""
    version = await flow.length(motion)
    bad = StoredEvent(motion, version + 1, "MOTION_ROUTED", b"no event at all")
    await flow.flow.store.append(Append(motion, version, (bad,)))
    flow.flow.reconciler._motions.forget(motion)


# -- Admission ---------------------------------------------------------------------------------


async def test_motions_are_admitted_in_the_order_of_the_docket_as_places_become_free() -> None:
    services = cast()
    async with opened(branches=services, settings=ONE_PLACE) as flow:
        motions = []
        for number in range(4):
            motions.append(await flow.introduce(title=f"No. {number}"))
            flow.clock.advance(1)
        await flow.idle()
        assert [await flow.state(m) for m in motions] == [S.ACKNOWLEDGED] * 4
        asked = [
            c.motion_id for c in services["conclave_service"].calls if c.purpose == "deliberate"
        ]
        assert asked == motions


async def test_no_more_are_admitted_than_there_are_places() -> None:
    async with opened(settings={"max_concurrent_motions": 3}) as flow:
        motions = [await flow.introduce() for _ in range(5)]
        assert await attend(flow)
        assert not await attend(flow)
        states = [await flow.state(motion) for motion in motions]
        assert (states.count(S.DELIBERATING), states.count(S.INTRODUCED)) == (3, 2)
        assert (await flow.flow.store.head()).admitted == 3


async def test_a_motion_that_found_no_place_after_all_is_first_in_line_again() -> None:
    async with opened(settings=ONE_PLACE) as flow:
        first, second = await flow.introduce(), await flow.introduce()
        seen = await due(flow)
        await flow.orchestrator.process_motion(second)

        async def of_old() -> Head:
            return seen.head

        # Between the look at the head and the append, somebody else took the only place.
        with replaced(flow.flow.store, "head", of_old):
            assert not await keeper_of(flow).attend(seen)
        assert flow.flow.worker._failures.take() == []
        assert (await agenda(flow)).keys() == {first}
        await flow.reach(S.ACKNOWLEDGED, second)
        # At once, not when some lease has run out.
        assert await attend(flow)
        assert await flow.state(first) is S.DELIBERATING


async def test_places_that_others_took_meanwhile_are_not_asked_for() -> None:
    async with opened(settings={"max_concurrent_motions": 2}) as flow:
        for _ in range(3):
            await flow.introduce()
        seen = await due(flow)
        await flow.orchestrator.process_motion(next(iter(await agenda(flow))))
        assert await keeper_of(flow).attend(seen)
        assert (await flow.flow.store.head()).admitted == 2
        assert [row[-1] for row in await table(flow, "agenda")] == [None]


async def test_a_motion_that_is_not_due_by_the_workers_clock_holds_up_no_other() -> None:
    """The store's clock is ahead of the worker's, as another machine's may be."""
    async with opened() as flow:
        database: Any = flow.flow.database
        flow.clock.advance(60)
        early = await flow.introduce()
        database._clock = ManualClock(flow.clock.now())
        flow.clock.set_back(60)
        late = await flow.introduce()
        assert await attend(flow)
        assert await flow.state(late) is S.DELIBERATING
        assert await flow.state(early) is S.INTRODUCED
        assert not await attend(flow)
        flow.clock.advance(60)
        assert await attend(flow)
        assert await flow.state(early) is S.DELIBERATING


async def test_a_tabled_motion_goes_to_the_docket_on_its_date() -> None:
    async with opened() as flow:
        motion = await flow.introduce()
        until = flow.clock.now() + timedelta(days=2)
        script = flow.flow.worker._dispatcher._services["conclave_service"].script  # type: ignore[attr-defined]
        script.append(tabling(until=until.isoformat()))
        await flow.idle()
        assert await flow.state(motion) is S.TABLED
        flow.clock.advance(hours=47)
        await flow.idle()
        assert await flow.state(motion) is S.TABLED
        flow.clock.advance(hours=1)
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


# -- Applying ----------------------------------------------------------------------------------


async def test_what_was_recorded_while_halted_is_applied_after_the_resumption() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.PLANNING)
        await flow.halt()
        await flow.succeeds(motion)
        await flow.idle()
        assert await flow.state(motion) is S.PLANNING
        await flow.resume()
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_what_was_claimed_as_the_pipeline_was_halted_is_applied_at_once_afterwards() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.PLANNING)
        await flow.halt()
        await flow.succeeds(motion)
        await flow.resume()
        seen = await due(flow)
        await flow.halt()
        assert not await keeper_of(flow).attend(seen)
        await flow.resume()
        assert await attend(flow)
        assert await flow.state(motion) is S.EXECUTING


async def test_what_was_in_hand_as_the_pipeline_was_halted_is_applied_at_once_afterwards(
    sqlite_address: str,
) -> None:
    async with opened(sqlite_address) as flow:
        motion = await flow.reach(S.PLANNING)
        await flow.halt()
        async with opened(sqlite_address, clock=flow.clock) as other:
            await other.succeeds(motion)
        await flow.resume()
        motions = flow.flow.reconciler._motions
        load = motions.load

        async def halted_meanwhile(motion_id: UUID, *, fresh: bool = False) -> Any:
            loaded = await load(motion_id, fresh=fresh)
            if fresh:
                await flow.halt()
            return loaded

        with replaced(motions, "load", halted_meanwhile):
            assert not await attend(flow)
        await flow.resume()
        assert await attend(flow)
        assert await flow.state(motion) is S.EXECUTING


async def test_a_remembered_motion_that_has_moved_on_is_looked_at_anew(sqlite_address: str) -> None:
    async with opened(sqlite_address) as flow:
        motion = await flow.reach(S.PLANNING)
        await flow.halt()
        async with opened(sqlite_address, clock=flow.clock) as other:
            await other.succeeds(motion)
        await flow.resume()
        assert await attend(flow)
        assert await flow.state(motion) is S.EXECUTING


# -- Deadlines ---------------------------------------------------------------------------------


async def test_a_missed_deadline_is_a_timeout_and_tried_again_after_the_backoff() -> None:
    settings = {"branches": {"duke_service": {"kind": "external"}}}
    services = cast()
    del services["duke_service"]
    async with opened(branches=services, settings=settings) as flow:
        motion = await flow.introduce()
        await flow.idle()
        flow.clock.advance(hours=167.9)
        await flow.idle()
        assert (await flow.motion(motion)).last_error is None
        flow.clock.advance(hours=0.1)
        await flow.idle()
        error = await flow.last(motion, OrchestratorError)
        assert (error.error_type, error.strategy) == ("timeout_error", "retry_with_backoff")
        routed = await flow.routing(motion)
        assert (routed.attempt, routed.not_before) == (2, flow.clock.now() + timedelta(seconds=5))


async def test_a_deadline_that_is_missed_four_times_halts_the_motion() -> None:
    settings = {"branches": {"duke_service": {"kind": "external"}}}
    services = cast()
    del services["duke_service"]
    async with opened(branches=services, settings=settings) as flow:
        motion = await flow.introduce()
        await flow.idle()
        for _ in range(4):
            flow.clock.advance(hours=168)
            await flow.idle()
        assert (await flow.status(motion)).blocking_issues
        error = await flow.last(motion, OrchestratorError)
        assert error.strategy == "halt_and_alert"


async def test_an_attempt_outside_that_takes_too_long_is_tried_again() -> None:
    duke = {"kind": "external", "attempt_timeout_seconds": 60.0}
    services = cast()
    del services["duke_service"]
    async with opened(branches=services, settings={"branches": {"duke_service": duke}}) as flow:
        motion = await flow.introduce()
        await flow.idle()
        flow.clock.advance(60)
        await flow.idle()
        assert (await flow.routing(motion)).attempt == 2


async def test_no_deadline_is_missed_while_the_pipeline_is_halted() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.halt()
        flow.clock.advance(hours=1000)
        await flow.idle()
        await flow.resume()
        assert not await attend(flow)
        assert (await flow.motion(motion)).last_error is None


# -- What goes wrong with one motion ------------------------------------------------------------


@pytest.mark.parametrize("state", [S.INTRODUCED, S.EXECUTING], ids=["docket", "deadline"])
async def test_a_motion_that_cannot_be_read_is_dropped_and_stops_nothing_else(state: S) -> None:
    async with opened(branches=cast()) as flow:
        spoilt = await flow.reach(state)
        await follow(flow)
        flow.clock.advance(hours=1000)
        healthy = await flow.introduce()
        await spoil(flow, spoilt)
        with capture_logs() as logs:
            await flow.idle()
        assert await flow.state(healthy) is S.ACKNOWLEDGED
        said = [line for line in logs if line.get("motion_id") == str(spoilt)]
        assert said
        assert await agenda(flow) == {}
        assert await assignments(flow) == []


async def test_a_motion_that_goes_bad_while_it_is_in_hand_is_dropped() -> None:
    async with opened() as flow:
        spoilt, healthy = await flow.introduce(), await flow.introduce()
        await spoil(flow, spoilt)
        with capture_logs() as logs:
            assert await attend(flow)
        assert await flow.state(healthy) is S.DELIBERATING
        said = [line for line in logs if line["event"].startswith("motion dropped")]
        assert [line["motion_id"] for line in said] == [str(spoilt)]
        assert flow.flow.worker._failures.take() == []
        assert str(spoilt) not in {row[0] for row in await table(flow, "agenda")}


async def test_a_mistake_with_one_motion_keeps_no_other_from_being_processed() -> None:
    async with opened() as flow:
        unlucky, lucky = await flow.introduce(), await flow.introduce()
        processing = keeper_of(flow)._processing

        async def process(motion_id: UUID, **how: Any) -> Any:
            if motion_id == unlucky:
                raise RuntimeError("a mistake")
            return await type(processing).process(processing, motion_id, **how)

        with replaced(processing, "process", process), capture_logs() as logs:
            assert await attend(flow)
        assert await flow.state(lucky) is S.DELIBERATING
        [error] = flow.flow.worker._failures.take()
        assert str(error) == "a mistake"
        assert any(str(unlucky) in line.get("what", "") for line in logs)


async def test_a_motion_that_others_move_all_the_time_is_left_to_them() -> None:
    async with opened() as flow:
        await flow.introduce()
        processing = keeper_of(flow)._processing
        busy = Failing(processing.process, ConcurrencyConflict("moved 20 times"))
        with replaced(processing, "process", busy):
            assert await attend(flow)
        assert flow.flow.worker._failures.take() == []


async def test_a_store_that_fails_is_a_failure_of_the_round() -> None:
    async with opened() as flow:
        await flow.introduce()
        store = flow.flow.store
        with replaced(store, "append", Failing(store.append, StoreUnavailable("gone"))):
            await attend(flow)
        [error] = flow.flow.worker._failures.take()
        assert isinstance(error, StoreUnavailable)


async def test_a_whole_batch_and_more_is_worked_off() -> None:
    async with opened(settings={"max_concurrent_motions": BATCH + 6}) as flow:
        motions = [await flow.introduce() for _ in range(BATCH + 5)]
        assert await attend(flow)
        assert await attend(flow)
        assert not await attend(flow)
        assert {await flow.state(motion) for motion in motions} == {S.DELIBERATING}


# -- A starved docket --------------------------------------------------------------------------


async def starved(flow: PlayedFlow) -> UUID:
    """Let a blocked motion hold the only place, and another wait."""
    blocked = await flow.introduce()
    await flow.idle()
    assert (await flow.motion(blocked)).block is not None
    await flow.introduce()
    return blocked


async def test_an_alert_goes_out_when_blocked_motions_starve_the_docket_once_an_hour() -> None:
    postbox = Postbox()
    services = cast(duke=[failing("system_error")])
    async with opened(branches=services, settings=ONE_PLACE, sinks=[postbox]) as flow:
        blocked = await starved(flow)

        def told() -> list[str]:
            return [alert.alert_id for alert in postbox.alerts if alert.kind == "docket_starved"]

        flow.clock.advance(60)
        await flow.idle()
        assert told() == ["docket-starved/2026-01-01T12"]
        for _ in range(3):
            flow.clock.advance(60)
            await flow.idle()
        assert len(told()) == 1
        flow.clock.advance(hours=1)
        await flow.idle()
        assert len(told()) == 2
        await flow.orchestrator.retry_motion(blocked, ZOE)
        await flow.idle()
        flow.clock.advance(hours=1)
        await flow.idle()
        assert len(told()) == 2


async def test_two_workers_raise_one_alert_between_them(sqlite_address: str) -> None:
    postbox = Postbox()
    services = cast(duke=[failing("system_error")])
    async with (
        opened(sqlite_address, branches=services, settings=ONE_PLACE, sinks=[postbox]) as flow,
        opened(
            sqlite_address, clock=flow.clock, branches=services, settings=ONE_PLACE, sinks=[postbox]
        ) as other,
    ):
        await starved(flow)
        flow.clock.advance(60)
        await flow.idle()
        await other.idle()
        assert [alert.kind for alert in postbox.alerts].count(AlertKind.DOCKET_STARVED) == 1


@pytest.mark.parametrize("share", [0.5, 1.0])
async def test_blocked_motions_that_hold_few_places_starve_nobody(share: float) -> None:
    postbox = Postbox()
    services = cast(duke=[failing("system_error")])
    settings = {
        "max_concurrent_motions": 2,
        "alerts": {"docket_starved_at_blocked_share": share},
        "branches": {"prince_service": {"kind": "external"}},
    }
    del services["prince_service"]
    async with opened(branches=services, settings=settings, sinks=[postbox]) as flow:
        for _ in range(3):
            await flow.introduce()
            await flow.idle()
        flow.clock.advance(60)
        await flow.idle()
        starving = [alert.kind for alert in postbox.alerts].count(AlertKind.DOCKET_STARVED)
        assert starving == (1 if share == 0.5 else 0)


async def test_an_empty_docket_is_not_starved() -> None:
    postbox = Postbox()
    services = cast(duke=[failing("system_error")])
    async with opened(branches=services, settings=ONE_PLACE, sinks=[postbox]) as flow:
        await flow.introduce()
        await flow.idle()
        flow.clock.advance(60)
        await flow.idle()
        assert [alert.kind for alert in postbox.alerts] == ["motion_halted"]


async def test_a_corrupt_stream_is_named_as_such() -> None:
    async with opened() as flow:
        motion = await flow.introduce()
        await spoil(flow, motion)
        with pytest.raises(CorruptStream):
            await flow.orchestrator.process_motion(motion)
