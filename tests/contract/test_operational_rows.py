"""The agenda, the outbox, checkpoints, and what is asked of all operational rows together."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from governance_flow.application.ports.assignments import (
    AgendaItem,
    AgendaKind,
    AssignmentStore,
    OpenAssignment,
    OutboxAlert,
    WorkChange,
    WorkInHand,
)
from governance_flow.application.ports.database import Transaction
from governance_flow.application.times import to_us
from governance_flow.infrastructure.database.base import AnyDatabase
from tests.support.assignment_rows import an_assignment
from tests.support.clock import ManualClock

SECOND_US = 1_000_000


def an_item(
    clock: ManualClock, order_us: int = 0, *, due_in_seconds: int = 0, **changes: object
) -> AgendaItem:
    values: dict[str, object] = {
        "motion_id": uuid4(),
        "kind": AgendaKind.ADMIT,
        "due_us": to_us(clock.now()) + due_in_seconds * SECOND_US,
        "order_us": order_us,
    }
    return AgendaItem(**{**values, **changes})  # type: ignore[arg-type]


def an_alert(clock: ManualClock, alert_id: str = "a", sink: str = "log") -> OutboxAlert:
    now_us = to_us(clock.now())
    return OutboxAlert(alert_id, sink, '{"said": "halted"}', now_us, now_us)


async def set_agenda(database: AnyDatabase, store: AssignmentStore, *items: AgendaItem) -> None:
    changes = [WorkChange(item.motion_id, item=item) for item in items]
    await database.write(lambda tx: store.apply(tx, changes))


async def add_alerts(database: AnyDatabase, store: AssignmentStore, *alerts: OutboxAlert) -> None:
    await database.write(lambda tx: store.apply(tx, [WorkChange(alerts=alerts)]))


async def open_rows(
    database: AnyDatabase, store: AssignmentStore, rows: Sequence[OpenAssignment]
) -> None:
    changes = [WorkChange(row.motion_id, assignment=row) for row in rows]
    await database.write(lambda tx: store.apply(tx, changes))


async def test_the_agenda_is_worked_off_in_its_own_order(
    database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock
) -> None:
    items = [an_item(clock, order_us=order) for order in (3, 1, 2)]
    tied = [
        an_item(clock, order_us=4, motion_id=UUID(int=2)),
        an_item(clock, order_us=4, motion_id=UUID(int=1)),
    ]
    later = an_item(clock, due_in_seconds=60)
    other = an_item(clock, kind=AgendaKind.APPLY)
    await set_agenda(database, assignments, *items, *tied, later, other)
    kinds = [AgendaKind.ADMIT]
    first = await assignments.claim_agenda(kinds, limit=2, lease_seconds=10)
    second = await assignments.claim_agenda(kinds, limit=9, lease_seconds=10)
    assert first == [items[1], items[2]]
    assert second == [items[0], tied[1], tied[0]]
    assert await assignments.claim_agenda(kinds, limit=9, lease_seconds=10) == []
    [applied] = await assignments.claim_agenda([AgendaKind.APPLY], limit=9, lease_seconds=10)
    assert applied == other


async def test_the_order_holds_across_kinds(
    database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock
) -> None:
    kinds = [AgendaKind.ADMIT, AgendaKind.APPLY]
    items = [an_item(clock, order, kind=kinds[order % 2]) for order in range(6)]
    await set_agenda(database, assignments, *reversed(items))
    for expected in (items[:3], items[3:]):
        assert await assignments.claim_agenda(kinds, limit=3, lease_seconds=10) == expected


async def test_an_item_is_claimed_again_once_its_lease_ran_out(
    database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock
) -> None:
    item = an_item(clock)
    await set_agenda(database, assignments, item)
    assert await assignments.claim_agenda([item.kind], limit=9, lease_seconds=10) == [item]
    clock.advance(9)
    assert await assignments.claim_agenda([item.kind], limit=9, lease_seconds=10) == []
    clock.advance(1)
    assert await assignments.claim_agenda([item.kind], limit=9, lease_seconds=10) == [item]


async def test_an_item_given_back_is_due_at_once_or_when_said(
    database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock
) -> None:
    item = an_item(clock)
    await set_agenda(database, assignments, item)

    async def claim() -> list[UUID]:
        claimed = await assignments.claim_agenda([item.kind], limit=9, lease_seconds=10)
        return [each.motion_id for each in claimed]

    assert await claim() == [item.motion_id]
    await assignments.release_agenda(item.motion_id)
    assert await claim() == [item.motion_id]
    await assignments.release_agenda(item.motion_id, due_us=item.due_us + 5 * SECOND_US)
    assert await claim() == []
    clock.advance(5)
    assert await claim() == [item.motion_id]


async def test_a_motion_has_one_item_and_setting_it_again_replaces_it(
    database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock
) -> None:
    item = an_item(clock)
    await set_agenda(database, assignments, item)
    await assignments.claim_agenda([item.kind], limit=9, lease_seconds=10)
    replaced = an_item(clock, 7, motion_id=item.motion_id, kind=AgendaKind.APPLY)
    await set_agenda(database, assignments, replaced)
    kinds = list(AgendaKind)
    assert await assignments.claim_agenda(kinds, limit=9, lease_seconds=10) == [replaced]
    cleared = [WorkChange(item.motion_id), WorkChange(uuid4())]
    await database.write(lambda tx: assignments.apply(tx, cleared))
    clock.advance(60)
    assert await assignments.claim_agenda(kinds, limit=9, lease_seconds=10) == []


async def test_an_alert_is_claimed_until_it_is_done(
    database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock
) -> None:
    alert = an_alert(clock)
    await add_alerts(database, assignments, alert, an_alert(clock, sink="webhook"))
    claimed = await assignments.claim_alerts(limit=9, lease_seconds=10)
    assert [each.sink for each in claimed] == ["log", "webhook"]
    assert await assignments.claim_alerts(limit=9, lease_seconds=10) == []
    await assignments.alert_done("a", "webhook")
    clock.advance(10)
    assert await assignments.claim_alerts(limit=9, lease_seconds=10) == [alert]
    await assignments.alert_done("a", "log")
    clock.advance(10)
    assert await assignments.claim_alerts(limit=9, lease_seconds=10) == []


async def test_an_alert_that_failed_waits_and_counts(
    database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock
) -> None:
    await add_alerts(database, assignments, an_alert(clock))
    await assignments.claim_alerts(limit=9, lease_seconds=100)
    await assignments.retry_alert("a", "log", delay_seconds=5)
    clock.advance(4)
    assert await assignments.claim_alerts(limit=9, lease_seconds=10) == []
    clock.advance(1)
    [again] = await assignments.claim_alerts(limit=9, lease_seconds=10)
    assert (again.attempts, again.due_us) == (1, to_us(clock.now()))


async def test_adding_an_alert_twice_sends_it_once(
    database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock
) -> None:
    await add_alerts(database, assignments, an_alert(clock))
    await assignments.claim_alerts(limit=9, lease_seconds=10)
    await add_alerts(database, assignments, an_alert(clock))
    assert await assignments.claim_alerts(limit=9, lease_seconds=10) == []


async def test_a_checkpoint_starts_at_zero_and_is_rolled_back_with_its_transaction(
    database: AnyDatabase, assignments: AssignmentStore
) -> None:
    async def position() -> int:
        return await database.read(lambda tx: assignments.checkpoint(tx, "follower"))

    assert await position() == 0
    for reached in (7, 9):
        move = functools.partial(assignments.set_checkpoint, name="follower", position=reached)
        await database.write(move)
        assert await position() == reached

    def fail(tx: Transaction) -> None:
        assignments.set_checkpoint(tx, "follower", 11)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(fail)
    assert await position() == 9


async def test_the_next_due_time_is_the_earliest_still_to_come(
    database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock
) -> None:
    async def seconds_to_next() -> float | None:
        return (await assignments.due([])).next_seconds

    assert await seconds_to_next() is None
    await set_agenda(database, assignments, an_item(clock, due_in_seconds=70))
    assert await seconds_to_next() == 70
    rows = [
        an_assignment(clock, due_in_seconds=60),
        an_assignment(clock, deadline_in_seconds=50),
    ]
    await open_rows(database, assignments, rows)
    assert await seconds_to_next() == 50
    await assignments.claim(["duke_service"], owner="w", limit=1, lease_seconds=40)
    assert await seconds_to_next() == 40
    await add_alerts(database, assignments, an_alert(clock))
    await assignments.claim_alerts(limit=1, lease_seconds=30)
    assert await seconds_to_next() == 30
    await assignments.retry_alert("a", "log", delay_seconds=20)
    assert await seconds_to_next() == 20
    item = an_item(clock)
    await set_agenda(database, assignments, item)
    await assignments.claim_agenda([item.kind], limit=1, lease_seconds=10)
    assert await seconds_to_next() == 10
    clock.advance(10)  # what is due already does not count
    assert await seconds_to_next() == 10


async def test_work_in_hand_is_what_is_due_or_held_for_the_services_served(
    database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock
) -> None:
    assert await assignments.idle_counts(["duke_service"]) == WorkInHand(0, 0, 0)
    rows = [
        an_assignment(clock),
        an_assignment(clock),
        an_assignment(clock, due_in_seconds=60),
        an_assignment(clock, service="a person"),
    ]
    await open_rows(database, assignments, rows)
    await set_agenda(
        database,
        assignments,
        an_item(clock),
        an_item(clock, kind=AgendaKind.APPLY),
        an_item(clock, due_in_seconds=60),
    )
    await add_alerts(database, assignments, an_alert(clock))
    await assignments.claim(["duke_service"], owner="w", limit=1, lease_seconds=10)
    assert await assignments.idle_counts(["duke_service"]) == WorkInHand(2, 2, 1)
    only_admissions = await assignments.idle_counts(["duke_service"], [AgendaKind.ADMIT])
    assert only_admissions == WorkInHand(2, 1, 1)
    assert (await assignments.idle_counts([])).assignments == 0


async def test_motions_without_any_row_are_found(
    database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock
) -> None:
    assigned, item, lost = an_assignment(clock), an_item(clock), uuid4()
    await open_rows(database, assignments, [assigned])
    await set_agenda(database, assignments, item)
    motions = [assigned.motion_id, lost, item.motion_id]
    assert await assignments.missing(motions) == [lost]
    assert await assignments.missing([]) == []


async def test_whoever_waits_for_work_is_woken_when_rows_are_committed(
    database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock
) -> None:
    seen = await assignments.wait_for_work(seen=0, timeout_seconds=0)
    waiting = asyncio.create_task(assignments.wait_for_work(seen=seen, timeout_seconds=60))
    await asyncio.sleep(0)
    await set_agenda(database, assignments, an_item(clock))
    seen_now = await asyncio.wait_for(waiting, 10)
    assert seen_now > seen
    assert await assignments.wait_for_work(seen=seen_now - 1, timeout_seconds=60) >= seen_now
