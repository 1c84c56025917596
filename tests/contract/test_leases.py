"""Assignments under leases, by the store's clock."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from governance_flow.application.ports.assignments import (
    AssignmentCounts,
    AssignmentStore,
    ClaimedAssignment,
    HeldLease,
    LeaseInfo,
    OpenAssignment,
    Wish,
    WorkChange,
)
from governance_flow.application.times import to_us
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.database.hints import Channel
from governance_flow.infrastructure.leases import alike
from tests.support.assignment_rows import an_assignment
from tests.support.clock import ManualClock

SERVICE = "duke_service"


class Desk:
    """Opens and claims assignments in few words."""

    def __init__(self, database: AnyDatabase, store: AssignmentStore, clock: ManualClock) -> None:
        self.database = database
        self.store = store
        self.clock = clock

    async def open(self, *rows: OpenAssignment) -> None:
        await self.apply(*(WorkChange(row.motion_id, assignment=row) for row in rows))

    async def apply(self, *changes: WorkChange) -> None:
        await self.database.write(lambda tx: self.store.apply(tx, changes))

    async def close(self, *routing_ids: UUID) -> None:
        for routing_id in routing_ids:
            await self.store.close(routing_id)

    async def claim(
        self, *services: str, owner: str = "worker", limit: int = 10, lease_seconds: float = 30
    ) -> list[ClaimedAssignment]:
        return await self.store.claim(
            services or [SERVICE], owner=owner, limit=limit, lease_seconds=lease_seconds
        )

    async def open_ids(self) -> set[UUID]:
        return {row.routing_id for row in await self.store.list_open(limit=100)}


def held(claimed: ClaimedAssignment) -> HeldLease:
    return HeldLease(claimed.routing_id, claimed.lease_token)


@pytest.fixture
def desk(database: AnyDatabase, assignments: AssignmentStore, clock: ManualClock) -> Desk:
    return Desk(database, assignments, clock)


async def test_a_claim_gives_the_whole_row_and_a_lease(desk: Desk, clock: ManualClock) -> None:
    row = an_assignment(clock, deadline_in_seconds=3600)
    await desk.open(row)
    [claimed] = await desk.claim(owner="worker 1", lease_seconds=30)
    assert claimed == ClaimedAssignment(
        **{field: getattr(row, field) for field in OpenAssignment.__slots__},
        lease_owner="worker 1",
        lease_token=1,
        lease_expires_at_us=to_us(clock.now()) + 30_000_000,
        lease_losses=0,
    )
    assert await desk.store.holder(row.routing_id) == LeaseInfo(
        "worker 1", 1, claimed.lease_expires_at_us, 0
    )


async def test_what_is_leased_or_not_yet_due_is_not_claimed(desk: Desk, clock: ManualClock) -> None:
    await desk.open(an_assignment(clock), an_assignment(clock, due_in_seconds=5))
    assert len(await desk.claim()) == 1
    assert await desk.claim() == []
    clock.advance(5)
    assert len(await desk.claim()) == 1


async def test_those_due_first_come_first_over_all_services(desk: Desk, clock: ManualClock) -> None:
    rows = [
        an_assignment(clock, due_in_seconds=-age, service=f"service_{age % 2}") for age in range(6)
    ]
    await desk.open(*rows, an_assignment(clock, due_in_seconds=-99, service="somebody else's"))
    claimed = await desk.claim("service_0", "service_1", "service_1", limit=4)
    assert [row.routing_id for row in claimed] == [rows[age].routing_id for age in (5, 4, 3, 2)]
    claimed = await desk.claim("service_0", "service_1", limit=4)
    assert [row.routing_id for row in claimed] == [rows[age].routing_id for age in (1, 0)]


async def test_each_gets_what_they_asked_for_in_the_order_in_which_they_asked(
    desk: Desk, clock: ManualClock
) -> None:
    duke = [an_assignment(clock, due_in_seconds=-age, service="duke") for age in (9, 8, 7, 6)]
    prince = [an_assignment(clock, due_in_seconds=-age, service="prince") for age in (5, 4)]
    await desk.open(*duke, *prince)

    def wish(owner: str, limit: int, *services: str) -> Wish:
        return Wish(frozenset(services), owner, limit, 30)

    claimed = await desk.store.claim_each(
        [
            wish("a", 1, "duke"),
            wish("b", 1, "prince"),
            wish("c", 2, "duke"),
            wish("d", 3, "duke", "prince"),
            wish("e", 1, "duke"),
            wish("f", 1, "prince"),
        ]
    )
    ids = [row.routing_id for row in duke], [row.routing_id for row in prince]
    assert [[row.routing_id for row in rows] for rows in claimed] == [
        ids[0][:1],
        ids[1][:1],
        ids[0][1:3],
        [ids[0][3], ids[1][1]],
        [],
        [],
    ]
    assert [[row.lease_owner for row in rows] for rows in claimed] == [
        ["a"],
        ["b"],
        ["c"] * 2,
        ["d"] * 2,
        [],
        [],
    ]


def test_whoever_wishes_for_the_same_is_claimed_for_together_unless_somebody_is_in_between() -> (
    None
):
    def wish(*services: str, lease_seconds: float = 30) -> Wish:
        return Wish(frozenset(services), "a", 1, lease_seconds)

    assert alike([]) == []
    assert alike([wish("a"), wish("b"), wish("a"), wish("b")]) == [[0, 2], [1, 3]]
    assert alike([wish("a"), wish("a", "b"), wish("a")]) == [[0], [1], [2]]
    assert alike([wish("a"), wish("a", lease_seconds=1)]) == [[0], [1]]


async def test_no_services_claim_nothing(desk: Desk, clock: ManualClock) -> None:
    await desk.open(an_assignment(clock))
    assert await desk.store.claim([], owner="w", limit=1, lease_seconds=1) == []


async def test_many_claim_at_once_and_none_gets_what_another_got(
    desk: Desk, clock: ManualClock
) -> None:
    await desk.open(*(an_assignment(clock) for _ in range(40)))
    batches = await asyncio.gather(*(desk.claim(limit=7) for _ in range(8)))
    claimed = [row.routing_id for batch in batches for row in batch]
    claimed += [row.routing_id for row in await desk.claim(limit=40)]
    assert len(claimed) == len(set(claimed)) == 40


async def test_a_lease_that_ran_out_is_taken_over_under_a_new_token(
    desk: Desk, clock: ManualClock
) -> None:
    await desk.open(an_assignment(clock))
    [first] = await desk.claim(owner="dead", lease_seconds=10)
    clock.advance(9.999)
    assert await desk.claim(owner="heir") == []
    clock.advance(0.001)
    [second] = await desk.claim(owner="heir")
    assert second.lease_losses == 1
    assert second.lease_token > first.lease_token
    assert await desk.store.extend([held(first)], lease_seconds=10) == set()
    assert not await desk.store.release(held(first))
    assert not await desk.store.delegate(held(first), lease_seconds=10)
    assert await desk.store.extend([held(second)], lease_seconds=10) == {second.routing_id}


async def test_each_takeover_counts(desk: Desk, clock: ManualClock) -> None:
    await desk.open(an_assignment(clock))
    losses = []
    for _ in range(4):
        [claimed] = await desk.claim(lease_seconds=1)
        losses.append(claimed.lease_losses)
        clock.advance(1)
    assert losses == [0, 1, 2, 3]


async def test_a_released_lease_is_no_loss(desk: Desk, clock: ManualClock) -> None:
    await desk.open(an_assignment(clock))
    [first] = await desk.claim()
    assert await desk.store.release(held(first))
    assert not await desk.store.release(held(first))
    assert await desk.store.holder(first.routing_id) == LeaseInfo(None, first.lease_token, None, 0)
    [second] = await desk.claim()
    assert (second.lease_losses, second.lease_token > first.lease_token) == (0, True)


async def test_a_token_is_never_used_twice_even_if_the_routing_is_opened_again(
    desk: Desk, clock: ManualClock
) -> None:
    row = an_assignment(clock)
    tokens = set()
    for _ in range(3):
        await desk.open(row)
        [claimed] = await desk.claim()
        tokens.add(claimed.lease_token)
        await desk.close(row.routing_id)
    assert len(tokens) == 3


async def test_a_heartbeat_keeps_leases_alive_and_tells_which_are_lost(
    desk: Desk, clock: ManualClock
) -> None:
    await desk.open(*(an_assignment(clock) for _ in range(3)))
    kept, closed, stolen = await desk.claim(lease_seconds=10)
    clock.advance(8)
    await desk.store.extend([held(kept), held(closed)], lease_seconds=10)
    clock.advance(8)
    [taken] = await desk.claim(owner="thief")
    assert taken.routing_id == stolen.routing_id
    await desk.close(closed.routing_id)
    leases = [held(kept), held(closed), held(stolen)]
    assert await desk.store.extend(leases, lease_seconds=10) == {kept.routing_id}
    clock.advance(9)
    assert await desk.claim(owner="thief") == []
    assert await desk.store.extend([], lease_seconds=10) == set()


async def test_a_late_heartbeat_counts_if_nobody_took_over(desk: Desk, clock: ManualClock) -> None:
    await desk.open(an_assignment(clock))
    [late] = await desk.claim(lease_seconds=1)
    clock.advance(60)
    assert await desk.store.extend([held(late)], lease_seconds=10) == {late.routing_id}
    assert await desk.claim() == []


async def test_what_was_delegated_is_not_claimed_but_becomes_overdue(
    desk: Desk, clock: ManualClock
) -> None:
    await desk.open(an_assignment(clock))
    [claimed] = await desk.claim(lease_seconds=10)
    assert await desk.store.delegate(held(claimed), lease_seconds=100)
    clock.advance(99)
    assert await desk.claim() == []
    assert await desk.store.overdue_delegations(limit=10) == []
    assert (await desk.store.idle_counts([SERVICE])).assignments == 0
    clock.advance(1)
    assert await desk.claim() == []
    [overdue] = await desk.store.overdue_delegations(limit=10)
    assert overdue.routing_id == claimed.routing_id
    assert overdue.lease.token == claimed.lease_token
    assert (await desk.store.idle_counts([SERVICE])).assignments == 1


async def test_opening_again_updates_the_row_but_neither_its_lease_nor_its_age(
    desk: Desk, clock: ManualClock
) -> None:
    row = an_assignment(clock)
    await desk.open(row)
    [claimed] = await desk.claim()
    clock.advance(60)
    now_us = to_us(clock.now())
    again = replace(row, attempt=2, deadline_us=now_us, opened_at_us=now_us, service="other")
    await desk.open(again)
    [stored] = await desk.store.list_open(limit=10)
    assert (stored.attempt, stored.deadline_us, stored.service) == (2, now_us, "other")
    assert stored.opened_at_us == row.opened_at_us
    assert stored.lease == LeaseInfo("worker", claimed.lease_token, claimed.lease_expires_at_us, 0)


async def test_closing_removes_what_is_named_and_nothing_else(
    desk: Desk, clock: ManualClock
) -> None:
    free, leased, kept = (an_assignment(clock) for _ in range(3))
    await desk.open(leased)
    await desk.claim()
    await desk.open(free, kept)
    await desk.close(free.routing_id, leased.routing_id, uuid4())
    assert await desk.open_ids() == {kept.routing_id}
    assert await desk.store.holder(leased.routing_id) is None


async def test_giving_everything_back_ends_the_leases_of_one_owner_and_no_other(
    desk: Desk, clock: ManualClock
) -> None:
    await desk.open(*(an_assignment(clock) for _ in range(4)))
    ours = await desk.claim(owner="worker", limit=2)
    [theirs] = await desk.claim(owner="another", limit=1)
    await desk.store.release_all("worker")
    assert await desk.store.counts() == AssignmentCounts(4, 1)
    for row in ours:
        info = await desk.store.holder(row.routing_id)
        assert info == LeaseInfo(None, row.lease_token, None, 0)
    again = await desk.claim(owner="heir", limit=9)
    assert {row.routing_id for row in ours} < {row.routing_id for row in again}
    assert [row.lease_losses for row in again] == [0, 0, 0]
    assert theirs.routing_id not in {row.routing_id for row in again}


async def test_what_was_delegated_is_not_given_back_with_the_rest(
    desk: Desk, clock: ManualClock
) -> None:
    await desk.open(an_assignment(clock))
    [claimed] = await desk.claim(owner="worker")
    await desk.store.delegate(held(claimed), lease_seconds=100)
    await desk.store.release_all("worker")
    assert await desk.claim() == []
    clock.advance(100)
    assert len(await desk.store.overdue_delegations(limit=9)) == 1


async def test_empty_batches_are_no_matter(desk: Desk) -> None:
    await desk.apply()
    await desk.apply(WorkChange(), WorkChange(uuid4()))
    assert desk.database.hints.latest(Channel.WORK) == 0


async def test_deadlines_come_due_the_longest_overdue_first(desk: Desk, clock: ManualClock) -> None:
    rows = [an_assignment(clock, deadline_in_seconds=seconds) for seconds in (30, 10, 20)]
    await desk.open(*rows, an_assignment(clock))
    assert await desk.store.due_deadlines(limit=10) == []
    clock.advance(25)
    assert await desk.store.due_deadlines(limit=10) == [rows[1], rows[2]]
    assert await desk.store.due_deadlines(limit=1) == [rows[1]]


async def test_deadlines_are_shifted_by_the_length_of_a_halt(
    desk: Desk, clock: ManualClock
) -> None:
    row = an_assignment(clock, deadline_in_seconds=10)
    await desk.open(row, an_assignment(clock))
    await desk.apply(WorkChange(deadlines_later_us=5_000_000))
    clock.advance(14)
    assert await desk.store.due_deadlines(limit=10) == []
    clock.advance(1)
    assert [due.routing_id for due in await desk.store.due_deadlines(limit=10)] == [row.routing_id]


async def test_the_list_is_read_in_pages_in_order_of_time(desk: Desk, clock: ManualClock) -> None:
    rows = [an_assignment(clock, due_in_seconds=seconds // 2) for seconds in range(7)]
    rows.append(an_assignment(clock, service="prince_service"))
    await desk.open(*rows)
    expected = sorted(rows, key=lambda row: (row.not_before_us, row.routing_id))
    seen: list[UUID] = []
    after = None
    while page := await desk.store.list_open(limit=3, after=after):
        seen += [row.routing_id for row in page]
        after = page[-1].cursor
    assert seen == [row.routing_id for row in expected]
    of_one = await desk.store.list_open(limit=10, service="prince_service")
    assert [row.routing_id for row in of_one] == [rows[-1].routing_id]


async def test_counts_tell_open_from_leased(desk: Desk, clock: ManualClock) -> None:
    assert await desk.store.counts() == AssignmentCounts(0, 0)
    await desk.open(*(an_assignment(clock) for _ in range(3)))
    await desk.claim(limit=2, lease_seconds=10)
    assert await desk.store.counts() == AssignmentCounts(3, 2)
    clock.advance(10)
    assert await desk.store.counts() == AssignmentCounts(3, 0)
