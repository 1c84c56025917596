"""What waits in the store, and since when: the same on every backend."""

from __future__ import annotations

import pytest

from governance_flow.application.ports.assignments import (
    AgendaItem,
    AgendaKind,
    AssignmentStore,
    HeldLease,
    OutboxAlert,
    WorkChange,
)
from governance_flow.application.ports.backlog import Backlog
from governance_flow.application.times import to_us
from governance_flow.infrastructure.database.base import AnyDatabase
from tests.support.assignment_rows import an_assignment
from tests.support.clock import ManualClock
from tests.support.flows import opened

SECOND_US = 1_000_000


class Yard:
    """Puts things there to wait, due in so many seconds from now."""

    def __init__(self, database: AnyDatabase, store: AssignmentStore, clock: ManualClock) -> None:
        self.database, self.store, self.clock = database, store, clock

    def us(self, seconds: float) -> int:
        return to_us(self.clock.now()) + round(seconds * SECOND_US)

    async def put(self, *changes: WorkChange) -> None:
        await self.database.write(lambda tx: self.store.apply(tx, changes))

    async def alert(self, seconds: float, alert_id: str) -> None:
        due_us = self.us(seconds)
        await self.put(WorkChange(alerts=(OutboxAlert(alert_id, "log", "{}", due_us, due_us),)))

    async def deadline(self, seconds: float | None) -> None:
        deadline_us = None if seconds is None else self.us(seconds)
        row = an_assignment(self.clock, deadline_us=deadline_us)
        await self.put(WorkChange(row.motion_id, assignment=row))

    async def waiting(self, order: int, seconds: float) -> None:
        motion_id = an_assignment(self.clock).motion_id
        item = AgendaItem(motion_id, AgendaKind.ADMIT, self.us(seconds), order)
        await self.put(WorkChange(motion_id, item=item))


@pytest.fixture
def yard(database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock) -> Yard:
    return Yard(database, assignments, clock)


async def test_in_an_empty_store_nothing_waits(yard: Yard) -> None:
    assert await yard.store.backlog() == Backlog()


async def test_what_is_due_later_or_never_is_not_overdue(yard: Yard) -> None:
    await yard.deadline(None)
    await yard.deadline(60)
    await yard.alert(60, "later")
    await yard.waiting(1, 60)
    assert await yard.store.backlog() == Backlog(alerts_undelivered=1)


async def test_the_longest_overdue_counts_whatever_it_is(yard: Yard) -> None:
    await yard.deadline(60)
    await yard.deadline(-3)
    await yard.deadline(-2)
    assert (await yard.store.backlog()).work_overdue_seconds == 3
    await yard.alert(-4.5, "a")
    await yard.alert(-4, "b")
    found = await yard.store.backlog()
    assert (found.work_overdue_seconds, found.alerts_undelivered) == (4.5, 2)


async def test_a_delegation_that_ran_out_is_overdue(yard: Yard) -> None:
    row = an_assignment(yard.clock, deadline_us=None)
    await yard.put(WorkChange(row.motion_id, assignment=row))
    [held] = await yard.store.claim([row.service], owner="w", limit=1, lease_seconds=9)
    lease = HeldLease(held.routing_id, held.lease_token)
    assert await yard.store.delegate(lease, lease_seconds=30)
    yard.clock.advance(30)
    assert (await yard.store.backlog()).work_overdue_seconds == 0
    yard.clock.advance(12)
    assert (await yard.store.backlog()).work_overdue_seconds == 12


async def test_the_docket_waits_for_as_long_as_its_first_motion_that_may_go(yard: Yard) -> None:
    await yard.waiting(3, -100)
    await yard.waiting(2, -40)
    await yard.waiting(4, -20)
    await yard.waiting(1, 10)
    assert (await yard.store.backlog()).docket_wait_seconds == 40
    yard.clock.advance(15)
    assert (await yard.store.backlog()).docket_wait_seconds == 5


async def test_checkpoints_tell_their_age_and_what_they_lack(store_address: str) -> None:
    async with opened(store_address) as played:
        assignments, clock = played.flow.assignments, played.clock
        await played.introduce()
        clock.advance(40)
        await played.introduce()
        clock.advance(2)
        found = await assignments.backlog()
        # There is none: since the beginning.
        position = (await played.flow.store.head()).position
        assert (found.checkpoint_age_seconds, found.checkpoint_unsigned_events) == (42, position)
        await played.flow.worker.run_until_idle()
        found = await assignments.backlog()
        assert (found.checkpoint_age_seconds, found.checkpoint_unsigned_events) == (0, 0)
        clock.advance(7)
        await played.introduce()
        found = await assignments.backlog()
        assert (found.checkpoint_age_seconds, found.checkpoint_unsigned_events) == (7, 1)


async def test_alerts_are_counted_up_to_a_hundred(yard: Yard) -> None:
    now_us = yard.us(0)
    alerts = [OutboxAlert(f"alert {n}", "log", "{}", now_us, now_us) for n in range(130)]
    await yard.put(WorkChange(alerts=tuple(alerts[:99])))
    assert (await yard.store.backlog()).alerts_undelivered == 99
    await yard.put(WorkChange(alerts=tuple(alerts[99:])))
    assert (await yard.store.backlog()).alerts_undelivered == 100
