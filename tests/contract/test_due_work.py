"""One glance at what is due, lost rows restored, and duties that one worker has for all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields
from uuid import UUID, uuid4

import pytest

from governance_flow.application.ports.assignments import (
    AgendaItem,
    AgendaKind,
    AssignmentStore,
    DueWork,
    HeldLease,
    Keep,
    OpenAssignment,
    OutboxAlert,
    WorkChange,
)
from governance_flow.application.ports.event_store import EventStore, HaltSwitch
from governance_flow.application.times import to_us
from governance_flow.infrastructure.assignments import SqlAssignmentStore
from governance_flow.infrastructure.database.base import AnyDatabase
from tests.support.appends import an_append
from tests.support.assignment_rows import an_assignment
from tests.support.clock import ManualClock

SERVICE = "duke_service"
FLAGS = {"assignments", "recorded", "docket", "deadlines", "delegations", "alerts"}


class Table:
    """The operational rows of a store, changed and looked at in few words."""

    def __init__(self, database: AnyDatabase, store: AssignmentStore, clock: ManualClock) -> None:
        self.database = database
        self.store = store
        self.clock = clock

    async def apply(self, *changes: WorkChange) -> None:
        await self.database.write(lambda tx: self.store.apply(tx, changes))

    async def open(self, *rows: OpenAssignment) -> None:
        await self.apply(*(WorkChange(row.motion_id, assignment=row) for row in rows))

    async def put(self, kind: AgendaKind, *, due_in_us: int = 0) -> UUID:
        item = AgendaItem(uuid4(), kind, to_us(self.clock.now()) + due_in_us, 0)
        await self.apply(WorkChange(item.motion_id, item=item))
        return item.motion_id

    async def claim(self, *, lease_seconds: float = 10, service: str = SERVICE) -> HeldLease:
        [row] = await self.store.claim([service], owner="w", limit=1, lease_seconds=lease_seconds)
        return HeldLease(row.routing_id, row.lease_token)

    async def due(self, *services: str) -> set[str]:
        """Return what there is to be done, by name."""
        due = await self.store.due(services or [SERVICE])
        return {name for name in FLAGS if getattr(due, name)}


@pytest.fixture
def table(database: AnyDatabase, assignments: SqlAssignmentStore, clock: ManualClock) -> Table:
    return Table(database, assignments, clock)


# -- What is due -------------------------------------------------------------------------------


def test_every_kind_of_work_is_looked_at_here() -> None:
    assert {field.name for field in fields(DueWork)} == FLAGS | {"head", "next_seconds"}


async def test_nothing_is_due_in_an_empty_store(table: Table) -> None:
    due = await table.store.due([SERVICE])
    assert await table.due() == set()
    assert due.next_seconds is None


async def test_the_head_is_as_it_stands(table: Table, store: EventStore) -> None:
    await store.append(an_append(events=3, admitted_delta=1, capacity=9))
    await store.append(an_append(halt_switch=HaltSwitch.HALT))
    due = await table.store.due([SERVICE])
    assert due.head == await store.head()
    assert (due.head.position, due.head.halted, due.head.admitted) == (4, True, 1)


async def free(table: Table) -> None:
    await table.open(an_assignment(table.clock))


async def later(table: Table) -> None:
    await table.open(an_assignment(table.clock, due_in_seconds=10))


async def held(table: Table) -> None:
    await table.open(an_assignment(table.clock))
    await table.claim(lease_seconds=10)


async def taken_away(table: Table) -> None:
    await table.open(an_assignment(table.clock))
    await table.store.delegate(await table.claim(), lease_seconds=10)


async def with_a_deadline(table: Table) -> None:
    await table.open(an_assignment(table.clock, deadline_in_seconds=10))
    await table.claim(lease_seconds=60)


async def recorded(table: Table) -> None:
    await table.put(AgendaKind.APPLY)


async def recorded_and_held(table: Table) -> None:
    await table.put(AgendaKind.APPLY)
    await table.store.claim_agenda([AgendaKind.APPLY], limit=1, lease_seconds=10)


async def waiting_for_a_place(table: Table) -> None:
    await table.put(AgendaKind.ADMIT)


async def waiting_for_a_date(table: Table) -> None:
    await table.put(AgendaKind.ADMIT, due_in_us=10_000_000)


async def admitted_by_another(table: Table) -> None:
    for _ in range(2):
        await table.put(AgendaKind.ADMIT)
    assert len(await table.store.claim_docket(limit=1, lease_seconds=10)) == 1


async def an_alert_to_send(table: Table) -> None:
    now_us = to_us(table.clock.now())
    await table.apply(WorkChange(alerts=(OutboxAlert("a", "log", "{}", now_us, now_us),)))


async def an_alert_to_send_again(table: Table) -> None:
    await an_alert_to_send(table)
    await table.store.claim_alerts(limit=1, lease_seconds=60)
    await table.store.retry_alert("a", "log", delay_seconds=10)


async def an_alert_on_its_way(table: Table) -> None:
    await an_alert_to_send(table)
    await table.store.claim_alerts(limit=1, lease_seconds=10)


@pytest.mark.parametrize(
    ("setup", "now", "in_ten_seconds"),
    [
        (free, {"assignments"}, {"assignments"}),
        (later, set(), {"assignments"}),
        (held, set(), {"assignments"}),
        (taken_away, set(), {"delegations"}),
        (with_a_deadline, set(), {"deadlines"}),
        (recorded, {"recorded"}, {"recorded"}),
        (recorded_and_held, set(), {"recorded"}),
        (waiting_for_a_place, {"docket"}, {"docket"}),
        (waiting_for_a_date, set(), {"docket"}),
        (admitted_by_another, set(), {"docket"}),
        (an_alert_to_send, {"alerts"}, {"alerts"}),
        (an_alert_to_send_again, set(), {"alerts"}),
        (an_alert_on_its_way, set(), {"alerts"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
async def test_each_kind_of_work_shows_alone_from_the_moment_it_is_due(
    table: Table,
    setup: Callable[[Table], Awaitable[None]],
    now: set[str],
    in_ten_seconds: set[str],
) -> None:
    await setup(table)
    assert await table.due() == now
    expected = None if now == in_ten_seconds else 10
    assert (await table.store.due([SERVICE])).next_seconds == expected
    table.clock.advance(9.999999)
    assert await table.due() == now
    table.clock.advance(0.000001)
    assert await table.due() == in_ten_seconds


async def test_what_other_services_must_do_is_not_due_here(table: Table) -> None:
    await table.open(an_assignment(table.clock, service="another"))
    assert await table.due() == set()
    assert await table.due("another", SERVICE, "another") == {"assignments"}
    # Nor is it when somebody held it, and the lease has run out.
    await table.claim(service="another", lease_seconds=10)
    table.clock.advance(10)
    assert await table.due() == set()
    assert await table.due("another") == {"assignments"}


async def test_a_kept_assignment_that_is_lost_is_due_again(table: Table) -> None:
    row = an_assignment(table.clock)
    terms = Keep(frozenset({SERVICE}), "w", await table.store.reserve_token(), lease_seconds=10)
    await table.apply(WorkChange(row.motion_id, assignment=row, keep=terms))
    assert await table.due() == set()
    table.clock.advance(10)
    assert await table.due() == {"assignments"}


async def test_everything_shows_at_once(table: Table) -> None:
    for setup in (with_a_deadline, taken_away, recorded, waiting_for_a_place, an_alert_to_send):
        await setup(table)
    table.clock.advance(10)
    await free(table)
    assert await table.due() == FLAGS


# -- Lost rows ---------------------------------------------------------------------------------


async def test_a_row_is_restored_while_the_motion_stands_where_it_was_seen(
    table: Table, store: EventStore
) -> None:
    row = an_assignment(table.clock)
    change = WorkChange(row.motion_id, assignment=row)
    await store.append(an_append(row.motion_id, events=2))
    for moved_on_or_not_yet_there in (1, 3, 0):
        assert not await table.store.restore(
            change, version=moved_on_or_not_yet_there, halt_epoch=0
        )
    assert await table.store.list_open(limit=9) == []
    assert await table.store.restore(change, version=2, halt_epoch=0)
    assert [each.routing_id for each in await table.store.list_open(limit=9)] == [row.routing_id]


async def test_nothing_is_restored_that_was_worked_out_before_a_halt_or_a_resumption(
    table: Table, store: EventStore
) -> None:
    """Its deadline would lack the time for which it stood still."""
    row = an_assignment(table.clock)
    change = WorkChange(row.motion_id, assignment=row)
    await store.append(an_append(row.motion_id))
    for switch in HaltSwitch:
        epoch = (await store.head()).halt_epoch
        await store.append(an_append(halt_switch=switch))
        assert not await table.store.restore(change, version=1, halt_epoch=epoch)
    assert await table.store.list_open(limit=9) == []
    assert await table.store.restore(change, version=1, halt_epoch=len(HaltSwitch))


async def test_of_a_motion_that_is_not_there_nothing_is_restored(table: Table) -> None:
    row = an_assignment(table.clock)
    assert not await table.store.restore(
        WorkChange(row.motion_id, assignment=row), version=1, halt_epoch=0
    )
    assert await table.store.list_open(limit=9) == []


async def test_only_the_rows_of_a_motion_can_be_restored(table: Table) -> None:
    with pytest.raises(ValueError, match="of a motion"):
        await table.store.restore(WorkChange(), version=0, halt_epoch=0)


async def test_what_is_appended_at_the_same_time_wins_over_what_is_restored(
    table: Table, store: EventStore
) -> None:
    """Whichever of the two comes first: the row of the newest event is there in the end."""
    for _ in range(10):
        old = an_assignment(table.clock)
        motion = old.motion_id
        await store.append(an_append(motion))
        following = WorkChange(motion, assignment=an_assignment(table.clock, motion_id=motion))
        await asyncio.gather(
            table.store.restore(WorkChange(motion, assignment=old), version=1, halt_epoch=0),
            store.append(an_append(motion, after=1, work=following)),
        )
        assert following.assignment is not None
        there = {row.routing_id for row in await table.store.list_open(limit=99)}
        assert following.assignment.routing_id in there
        assert old.routing_id not in there


# -- Duties ------------------------------------------------------------------------------------


async def test_a_duty_is_one_workers_until_it_is_not_renewed_or_laid_down(table: Table) -> None:
    take, lay_down = table.store.take_duty, table.store.lay_down_duty
    assert await take("follow", owner="a", lease_seconds=10) is None
    table.clock.advance(4)
    assert await take("follow", owner="b", lease_seconds=10) == 6
    assert await take("another duty", owner="b", lease_seconds=10) is None
    assert await take("follow", owner="a", lease_seconds=10) is None
    table.clock.advance(9)
    assert await take("follow", owner="b", lease_seconds=10) == 1
    table.clock.advance(1)
    assert await take("follow", owner="b", lease_seconds=10) is None
    await lay_down("follow", owner="a")
    assert await take("follow", owner="a", lease_seconds=10) == 10
    await lay_down("follow", owner="b")
    assert await take("follow", owner="a", lease_seconds=10) is None


async def test_of_many_that_want_a_duty_at_once_one_gets_it(table: Table) -> None:
    answers = await asyncio.gather(
        *(table.store.take_duty("follow", owner=f"w{n}", lease_seconds=10) for n in range(8))
    )
    assert sorted(answers, key=lambda answer: answer or 0) == [None, *[10.0] * 7]
