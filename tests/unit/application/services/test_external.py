"""Assignments for people and programs outside: fetched, extended, given back, and lost."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from governance_flow.application.ports.database import Transaction
from governance_flow.application.ports.flow_orchestrator import BranchAssignment, GovernanceState
from governance_flow.domain.errors import CompletionRefused, InvalidInput
from tests.support.clock import ManualClock
from tests.support.flows import PlayedFlow, cast, opened

S = GovernanceState

DUKE = ["duke_service"]
OUTSIDE: dict[str, Any] = {
    "settings": {"branches": {"duke_service": {"kind": "external"}}},
    "branches": {name: service for name, service in cast().items() if name not in DUKE},
}


async def fetch(flow: PlayedFlow, **asked: Any) -> list[BranchAssignment]:
    """Ask for what the Duke is to do."""
    given = {"services": DUKE, "by": "dora", "limit": 10, "lease_seconds": 60.0, **asked}
    return await flow.flow.external.fetch(given.pop("services"), **given)


async def test_work_outside_is_left_to_whoever_fetches_it(store_address: str) -> None:
    async with opened(store_address, **OUTSIDE) as flow:
        motion = await flow.introduce()
        await flow.idle()
        [assignment] = await fetch(flow)
        assert (assignment.motion_id, assignment.purpose) == (motion, "execute")
        assert assignment.lease_token is not None
        assert await fetch(flow) == []
        await flow.succeeds(motion, lease_token=assignment.lease_token)
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_no_worker_is_needed_to_fetch() -> None:
    async with opened(**OUTSIDE) as flow:
        motions = {await flow.reach(S.EXECUTING) for _ in range(3)}
        first = await fetch(flow, limit=2)
        rest = await fetch(flow)
        assert {assignment.motion_id for assignment in (*first, *rest)} == motions
        assert (len(first), len(rest)) == (2, 1)


async def test_what_is_given_back_can_be_fetched_at_once() -> None:
    async with opened(**OUTSIDE) as flow:
        await flow.reach(S.EXECUTING)
        [first] = await fetch(flow)
        assert first.lease_token is not None
        await flow.flow.external.release(first.routing_id, first.lease_token)
        [second] = await fetch(flow, by="emil")
        assert second.routing_id == first.routing_id
        assert second.lease_token != first.lease_token
        with pytest.raises(CompletionRefused, match="not held under lease token"):
            await flow.flow.external.release(first.routing_id, first.lease_token)


async def test_a_lease_runs_as_long_as_it_is_extended(clock: ManualClock) -> None:
    async with opened(clock=clock, **OUTSIDE) as flow:
        await flow.reach(S.EXECUTING)
        [held] = await fetch(flow)
        assert held.lease_token is not None
        for _ in range(3):
            clock.advance(59)
            assert await fetch(flow, by="emil") == []
            await flow.flow.external.extend(held.routing_id, held.lease_token, 60)
        clock.advance(60)
        [taken] = await fetch(flow, by="emil")
        assert taken.routing_id == held.routing_id
        with pytest.raises(CompletionRefused):
            await flow.flow.external.extend(held.routing_id, held.lease_token, 60)


async def test_nothing_is_handed_out_while_the_pipeline_is_halted() -> None:
    async with opened(**OUTSIDE) as flow:
        await flow.reach(S.EXECUTING)
        await flow.halt()
        assert await fetch(flow) == []
        await flow.resume()
        assert len(await fetch(flow)) == 1


def tamper(tx: Transaction, motion: UUID) -> None:
    """Make the last event of a motion unreadable, behind the back of everybody."""
    tx.execute("DROP TRIGGER events_append_only_update")
    tx.execute(
        "UPDATE events SET topic = 'GARBAGE' WHERE stream_id = :id AND topic = 'MOTION_ROUTED'",
        {"id": str(motion)},
    )


async def test_a_motion_that_cannot_be_read_costs_nobody_the_others() -> None:
    async with opened(**OUTSIDE) as flow:
        broken, whole = await flow.reach(S.EXECUTING), await flow.reach(S.EXECUTING)
        await flow.idle()
        await flow.flow.database.write(lambda tx: tamper(tx, broken))
        flow.flow.external._motions.forget(broken)
        assert [assignment.motion_id for assignment in await fetch(flow)] == [whole]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"services": ["duke"]}, "service"),
        ({"services": ["duke_service", "earl_service"]}, "service"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"lease_seconds": 0}, "lease_seconds"),
        ({"lease_seconds": -1}, "lease_seconds"),
        ({"lease_seconds": float("nan")}, "lease_seconds"),
        ({"lease_seconds": float("inf")}, "lease_seconds"),
        ({"by": ""}, "by"),
        ({"by": "a\x00b"}, "by"),
        ({"by": "y" * 201}, "by"),
        ({"by": None}, "by"),
    ],
)
async def test_what_cannot_be_fetched_is_refused_naming_the_field(
    asked: dict[str, Any], field: str
) -> None:
    async with opened(**OUTSIDE) as flow:
        await flow.reach(S.EXECUTING)
        with pytest.raises(InvalidInput) as refusal:
            await fetch(flow, **asked)
        assert refusal.value.field == field
        assert len(await fetch(flow)) == 1


async def test_a_lease_that_never_was_cannot_be_extended() -> None:
    async with opened(**OUTSIDE) as flow:
        await flow.reach(S.EXECUTING)
        with pytest.raises(CompletionRefused):
            await flow.flow.external.extend(uuid4(), 1, 60)
        with pytest.raises(InvalidInput, match="a lease lasts more than 0"):
            await flow.flow.external.extend(uuid4(), 1, 0)
