"""Assignments: claimed within bounds, performed, delegated, given up, given back."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from governance_flow.application.ports.assignments import HeldLease, WorkChange
from governance_flow.application.ports.branch_services import CompletesLater
from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult
from governance_flow.application.process_manager import background
from governance_flow.application.process_manager.dispatching import Dispatcher
from governance_flow.domain.errors import CompletionRefused, StoreUnavailable
from governance_flow.domain.events import OrchestratorError
from governance_flow.domain.states import GovernanceState
from tests.support.assignment_rows import an_assignment
from tests.support.clock import ManualClock
from tests.support.flows import PlayedFlow, cast, opened, success
from tests.support.workers import (
    Failing,
    Gate,
    assignment,
    assignments,
    change_table,
    change_work,
    due,
    replaced,
    soon,
)

S = GovernanceState
DUKE = "duke_service"


def dispatcher_of(flow: PlayedFlow) -> Dispatcher:
    return flow.flow.worker._dispatcher


async def claim(flow: PlayedFlow) -> bool:
    return await dispatcher_of(flow).claim(await due(flow))


# -- Bounds ------------------------------------------------------------------------------------


async def test_no_more_is_taken_in_hand_than_the_policy_allows() -> None:
    gate = Gate()
    settings = {"worker": {"max_concurrent_assignments": 2}}
    async with opened(branches={**cast(), DUKE: gate}, settings=settings) as flow:
        for _ in range(3):
            await flow.reach(S.EXECUTING)
        assert await claim(flow)
        await gate.has_begun()
        await gate.has_begun()
        assert not await claim(flow)
        assert (await flow.flow.assignments.counts()).leased == 2
        assert len(gate.calls) == 2
        gate.open.set()
        await flow.idle()
        assert len(gate.calls) == 3


async def test_only_assignments_of_services_that_are_here_are_taken() -> None:
    settings = {"branches": {DUKE: {"kind": "external"}}}
    branches = {name: service for name, service in cast().items() if name != DUKE}
    async with opened(branches=branches, settings=settings) as flow:
        motion = await flow.introduce()
        await flow.idle()
        assert await flow.state(motion) is S.EXECUTING
        assert (await assignment(flow)).lease.owner is None


async def test_a_worker_without_services_takes_nothing_and_is_idle() -> None:
    names = cast()
    settings = {"branches": {name: {"kind": "external"} for name in names}}
    async with opened(branches={}, settings=settings) as flow:
        await flow.introduce()
        await flow.idle()
        assert (await assignment(flow)).service == "conclave_service"


# -- What cannot be performed ------------------------------------------------------------------


async def test_an_assignment_whose_routing_is_not_open_any_more_is_dropped() -> None:
    services = cast()
    async with opened(branches=services) as flow:
        motion = await flow.reach(S.EXECUTING)
        stale = an_assignment(flow.clock, motion_id=motion)
        # As of another motion, it does not take the place of the one that is open.
        await change_work(flow, WorkChange(uuid4(), assignment=stale))
        await flow.idle()
        assert services[DUKE].purposes == ["execute"]
        assert await assignments(flow) == []


@pytest.mark.parametrize("delegated", [False, True])
async def test_an_assignment_whose_motion_cannot_be_read_is_dropped_and_stops_nothing_else(
    delegated: bool,
) -> None:
    async with opened() as flow:
        healthy = await flow.introduce()
        strange = an_assignment(flow.clock, motion_id=uuid4())
        store = flow.flow.assignments
        await change_work(flow, WorkChange(strange.motion_id, assignment=strange))
        if delegated:
            [claimed] = await store.claim([DUKE], owner="w", limit=1, lease_seconds=60)
            held = HeldLease(claimed.routing_id, claimed.lease_token)
            await store.delegate(held, lease_seconds=1)
            flow.clock.advance(1)
        with capture_logs() as logs:
            await flow.idle()
        assert await flow.state(healthy) is S.ACKNOWLEDGED
        assert await assignments(flow) == []
        said = [line for line in logs if "cannot be read" in line["event"]]
        assert [line["motion_id"] for line in said] == [str(strange.motion_id)]


# -- Services that complete later --------------------------------------------------------------


async def later(assignment: BranchAssignment) -> CompletesLater:
    return CompletesLater()


async def delegated(flow: PlayedFlow) -> BranchAssignment:
    """Let the Duke take a motion to execute it later; return what the Duke was given."""
    await flow.introduce()
    await flow.idle()
    services = dispatcher_of(flow)._services[DUKE]
    [given] = services.calls  # type: ignore[attr-defined]
    return given  # type: ignore[no-any-return]


def done(given: BranchAssignment, lease_token: int | None) -> BranchResult:
    return success(
        given.motion_id,
        given.branch,
        given.purpose,
        routing_id=given.routing_id,
        lease_token=lease_token,
    )


async def test_what_is_completed_later_is_completed_under_its_token_and_no_other() -> None:
    async with opened(branches=cast(duke=[later])) as flow:
        given = await delegated(flow)
        assert given.lease_token is not None
        for token in (None, given.lease_token + 1):
            with pytest.raises(CompletionRefused):
                await flow.orchestrator.handle_completion(given.motion_id, done(given, token))
        outcome = await flow.orchestrator.handle_completion(
            given.motion_id, done(given, given.lease_token)
        )
        assert outcome.accepted
        await flow.idle()
        assert await flow.state(given.motion_id) is S.ACKNOWLEDGED


async def test_what_is_completed_later_is_claimed_by_nobody_meanwhile() -> None:
    async with opened(branches=cast(duke=[later])) as flow:
        await delegated(flow)
        flow.clock.advance(299)
        await flow.idle()
        assert len(dispatcher_of(flow)._services[DUKE].calls) == 1  # type: ignore[attr-defined]
        assert (await assignment(flow)).lease.losses == 0


async def test_what_is_not_completed_in_time_is_a_timeout_and_tried_again() -> None:
    async with opened(branches=cast(duke=[later])) as flow:
        given = await delegated(flow)
        flow.clock.advance(300)
        await flow.idle()
        error = await flow.last(given.motion_id, OrchestratorError)
        assert (error.error_type, error.strategy) == ("timeout_error", "retry_with_backoff")
        assert "did not complete it in time" in error.message
        late = done(given, given.lease_token)
        again = await flow.orchestrator.handle_completion(given.motion_id, late)
        # Reported by us already: the first answer stands.
        assert again.strategy == "retry_with_backoff"
        flow.clock.advance(5)
        await flow.idle()
        assert await flow.state(given.motion_id) is S.ACKNOWLEDGED


async def test_a_timeout_that_cannot_be_recorded_does_not_keep_the_worker_waiting() -> None:
    async with opened(branches=cast(duke=[later])) as flow:
        given = await delegated(flow)
        flow.clock.advance(300)
        store = flow.flow.store
        away = Failing(store.append, StoreUnavailable("gone"))
        with replaced(store, "append", away), pytest.raises(StoreUnavailable):
            await claim(flow)
        assert away.calls == 1
        await flow.idle()
        assert (await flow.routing(given.motion_id)).attempt == 2


async def test_a_service_that_takes_an_assignment_it_has_lost_is_told_off_in_the_log() -> None:
    gate = Gate(lambda _assignment: CompletesLater())
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        await flow.reach(S.EXECUTING)
        await claim(flow)
        await gate.has_begun()
        flow.clock.advance(16)
        [theirs] = await flow.flow.assignments.claim(
            [DUKE], owner="other", limit=1, lease_seconds=60
        )
        gate.open.set()
        with capture_logs() as logs:
            await dispatcher_of(flow).drain(30)
        assert any("taken over" in line["event"] for line in logs)
        row = await assignment(flow)
        assert (row.lease.owner, row.lease.token) == ("other", theirs.lease_token)


# -- Giving back -------------------------------------------------------------------------------


async def test_draining_lets_work_finish() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await claim(flow)
        await gate.has_begun()
        draining = asyncio.create_task(dispatcher_of(flow).drain(30))
        gate.open.set()
        await soon(draining)
        assert await flow.state(motion) is S.JUDGING
        assert not gate.cancelled.is_set()


async def test_what_does_not_finish_is_cancelled_and_claimable_at_once_without_a_loss() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await claim(flow)
        await gate.has_begun()
        await soon(dispatcher_of(flow).drain(0))
        assert gate.cancelled.is_set()
        assert not dispatcher_of(flow).busy
        [row] = await flow.flow.assignments.claim([DUKE], owner="o", limit=1, lease_seconds=60)
        assert row.lease_losses == 0
        assert await flow.state(motion) is S.EXECUTING


class Stubborn:
    """A service that will not be cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.released = asyncio.Event()

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        self.begun.set()
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                continue
        return success(assignment.motion_id, assignment.branch, assignment.purpose)


async def test_a_service_that_will_not_be_cancelled_holds_up_nobody_and_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "CANCEL_SECONDS", 0.01)
    stubborn = Stubborn()
    async with opened(branches={**cast(), DUKE: stubborn}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await claim(flow)
        await soon(stubborn.begun.wait())
        routing_id = (await flow.routing(motion)).routing_id
        with capture_logs() as logs:
            await soon(dispatcher_of(flow).drain(0))
        said = [line for line in logs if "goes on all the same" in line["event"]]
        assert [line["task"] for line in said] == [f"perform {routing_id}"]
        [row] = await flow.flow.assignments.claim([DUKE], owner="o", limit=1, lease_seconds=60)
        stubborn.released.set()
        await soon(dispatcher_of(flow).drain(30))
        # What it says in the end counts for nothing: the assignment is somebody else's.
        assert await flow.state(motion) is S.EXECUTING
        assert (await assignment(flow)).lease.token == row.lease_token


async def test_what_cannot_be_given_back_is_said_and_claimable_once_the_leases_run_out() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        for _ in range(2):
            await flow.reach(S.EXECUTING)
        await claim(flow)
        await gate.has_begun()
        await gate.has_begun()
        store = flow.flow.assignments
        with (
            capture_logs() as logs,
            replaced(store, "release_all", Failing(store.release_all, StoreUnavailable("gone"))),
        ):
            await soon(dispatcher_of(flow).drain(0))
        assert len([line for line in logs if "not given back" in line["event"]]) == 1
        assert not dispatcher_of(flow).busy
        assert await store.claim([DUKE], owner="o", limit=5, lease_seconds=60) == []
        flow.clock.advance(15)
        assert len(await store.claim([DUKE], owner="o", limit=5, lease_seconds=60)) == 2


# -- Actors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "duke ada"])
async def test_the_service_vouches_for_whom_it_names(name: str | None) -> None:
    def by_name(given: BranchAssignment) -> BranchResult:
        return success(given.motion_id, given.branch, given.purpose, actor=name)

    async with opened(branches=cast(duke=[by_name])) as flow:
        motion = await flow.introduce()
        await flow.idle()
        acts = {c.purpose: c.actor for c in await flow.completions(motion)}
        actor = acts[next(purpose for purpose in acts if purpose == "execute")]
        assert (actor.id, actor.authenticated_by) == (name or DUKE, "service")


async def test_calls_are_counted_by_how_they_ended() -> None:
    counted = []
    clock = ManualClock()

    async with opened(branches=cast(duke=[later]), clock=clock) as flow:
        with replaced(
            dispatcher_of(flow)._metrics,
            "performed",
            lambda service, outcome, seconds: counted.append((service, outcome)),
        ):
            await flow.introduce()
            await flow.idle()
    assert (DUKE, "later") in counted
    assert ("president_service", "success") in counted


async def test_a_row_that_was_lost_while_in_hand_costs_the_work_and_nothing_else() -> None:
    gate = Gate()
    async with opened(branches={**cast(), DUKE: gate}) as flow:
        motion = await flow.reach(S.EXECUTING)
        await claim(flow)
        await gate.has_begun()
        await change_table(flow, "DELETE FROM assignments")
        await dispatcher_of(flow).heartbeat()
        await soon(gate.cancelled.wait())
        await soon(dispatcher_of(flow).drain(30))
        gate.open.set()
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
