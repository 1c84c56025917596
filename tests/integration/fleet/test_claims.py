"""Claims take what is free and pass over what others are just taking: nobody waits for anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from governance_flow.application.ports.assignments import AgendaKind
from governance_flow.domain.branches import DUKE_SERVICE
from governance_flow.infrastructure.assignments import SqlAssignmentStore
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.database.opening import open_database
from tests.support.clock import START, ManualClock
from tests.support.fleets import as_worker, guarding
from tests.support.workers import soon

ROWS = 20
IN_HAND, FREE = 5, 10
LEASE = {"lease_seconds": 30.0}

ASSIGNMENTS = f"""
    INSERT INTO assignments (routing_id, motion_id, service, state, purpose, attempt,
                             not_before_us, opened_at_us)
    SELECT gen_random_uuid(), gen_random_uuid(), '{DUKE_SERVICE}', 'EXECUTING', 'execute', 1, n, n
      FROM generate_series(1, {ROWS}) AS n
"""
AGENDA = f"""
    INSERT INTO agenda (motion_id, kind, due_us, order_us)
    SELECT gen_random_uuid(), 'apply', n, n FROM generate_series(1, {ROWS}) AS n
"""
ALERTS = f"""
    INSERT INTO alerts_outbox (alert_id, sink, body, created_us, due_us)
    SELECT 'alert ' || n, 'log', '', n, n FROM generate_series(1, {ROWS}) AS n
"""

Claim = Callable[[SqlAssignmentStore, int], Coroutine[Any, Any, set[object]]]


async def claim_assignments(store: SqlAssignmentStore, limit: int) -> set[object]:
    rows = await store.claim([DUKE_SERVICE], owner="somebody", limit=limit, **LEASE)
    return {row.routing_id for row in rows}


async def claim_agenda(store: SqlAssignmentStore, limit: int) -> set[object]:
    items = await store.claim_agenda([AgendaKind.APPLY], limit=limit, **LEASE)
    return {item.motion_id for item in items}


async def claim_alerts(store: SqlAssignmentStore, limit: int) -> set[object]:
    return {alert.alert_id for alert in await store.claim_alerts(limit=limit, **LEASE)}


QUEUES = [
    pytest.param("assignments", ASSIGNMENTS, claim_assignments, id="assignments"),
    pytest.param("agenda", AGENDA, claim_agenda, id="agenda"),
    pytest.param("alerts_outbox", ALERTS, claim_alerts, id="alerts"),
]


def opened(address: str) -> AnyDatabase:
    return open_database(address, clock=ManualClock(START))


@pytest.mark.postgres
@pytest.mark.parametrize(("table", "fill", "claim"), QUEUES)
async def test_a_claim_under_way_holds_up_no_other_and_shares_nothing_with_it(
    postgres_database: str, table: str, fill: str, claim: Claim
) -> None:
    slow = opened(as_worker(postgres_database, "worker-slow"))
    quick = opened(postgres_database)
    try:
        await quick.write(lambda tx: tx.execute(fill))
        with guarding(postgres_database, table) as gate:
            gate.close_gate()
            first = asyncio.create_task(claim(SqlAssignmentStore(slow), IN_HAND))
            assert await gate.caught() == "worker-slow"
            second = await soon(claim(SqlAssignmentStore(quick), FREE))
            assert not first.done()
            gate.open_gate()
            taken = await soon(first)
        assert (len(taken), len(second)) == (IN_HAND, FREE)
        assert taken.isdisjoint(second)
        rest = await soon(claim(SqlAssignmentStore(quick), ROWS))
        assert len(rest) == ROWS - IN_HAND - FREE
    finally:
        await slow.close()
        await quick.close()
