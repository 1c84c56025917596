"""What an append changes in the operational rows: with its events, once, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from governance_flow.application.ports.assignments import (
    AgendaItem,
    AgendaKind,
    AssignmentStore,
    HeldLease,
    Keep,
    LeasedAssignment,
    LeaseInfo,
    OpenAssignment,
    OutboxAlert,
    WorkChange,
)
from governance_flow.application.ports.event_store import Fence, HaltSwitch
from governance_flow.application.times import to_us
from governance_flow.domain.errors import (
    CapacityReached,
    ConcurrencyConflict,
    GovernanceFlowError,
    LeaseLost,
)
from governance_flow.infrastructure.assignments import SqlAssignmentStore
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.database.hints import Channel
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from governance_flow.infrastructure.recorder import SqlRecorder
from tests.support.appends import an_append
from tests.support.assignment_rows import an_assignment
from tests.support.clock import ManualClock
from tests.support.proxy import Fault, Proxy

ALL = list(AgendaKind)


class Rows:
    """Appends with changes, and what stands in the tables afterwards."""

    def __init__(self, database: AnyDatabase, store: AssignmentStore) -> None:
        self.database = database
        self.store = store
        self.recorder = SqlRecorder(database)

    def append(self, *changes: WorkChange) -> None:
        """Commit one append for each change, all in one group."""
        outcomes = self.recorder.commit_group([an_append(work=change) for change in changes])
        assert not any(isinstance(outcome, Exception) for outcome in outcomes)

    async def assignments(self) -> dict[UUID, LeasedAssignment]:
        return {row.routing_id: row for row in await self.store.list_open(limit=100)}

    async def agenda(self) -> dict[UUID, AgendaItem]:
        """Take whatever is on the agenda."""
        claimed = await self.store.claim_agenda(ALL, limit=100, lease_seconds=0)
        return {item.motion_id: item for item in claimed}

    async def alerts(self) -> list[OutboxAlert]:
        """Take whatever is in the outbox."""
        return await self.store.claim_alerts(limit=100, lease_seconds=0)

    @property
    def hints(self) -> int:
        """How often it was said that there is work."""
        return self.database.hints.latest(Channel.WORK)


@pytest.fixture
def rows(database: AnyDatabase, assignments: SqlAssignmentStore) -> Rows:
    return Rows(database, assignments)


def opening(row: OpenAssignment, keep: Keep | None = None) -> WorkChange:
    return WorkChange(row.motion_id, assignment=row, keep=keep)


def an_item(motion_id: UUID | None = None, kind: AgendaKind = AgendaKind.ADMIT) -> AgendaItem:
    return AgendaItem(motion_id or uuid4(), kind, due_us=1, order_us=2)


def putting(item: AgendaItem) -> WorkChange:
    return WorkChange(item.motion_id, item=item)


def an_alert(alert_id: str = "a", sink: str = "log", body: str = '{"said": "é ☃"}') -> OutboxAlert:
    return OutboxAlert(alert_id, sink, body, created_us=1, due_us=2)


# -- A motion stands on one list ---------------------------------------------------------------


async def test_an_assignment_stands_there_as_it_was_worked_out(
    rows: Rows, clock: ManualClock
) -> None:
    row = an_assignment(
        clock, deadline_in_seconds=9, service='a "service" ☃', attempt_timeout_seconds=0.1
    )
    plain = an_assignment(clock, attempt_timeout_seconds=None, not_before_us=-1, attempt=3)
    rows.append(opening(row), opening(plain))
    free = LeaseInfo(None, 0, None, 0)
    assert await rows.assignments() == {
        each.routing_id: LeasedAssignment(
            **{field: getattr(each, field) for field in OpenAssignment.__slots__}, lease=free
        )
        for each in (row, plain)
    }


async def test_what_follows_replaces_what_was_there_for_the_motion_and_for_no_other(
    rows: Rows, clock: ManualClock
) -> None:
    first, foreign = an_assignment(clock), an_assignment(clock)
    rows.append(opening(first), opening(foreign), putting(other := an_item()))
    second = an_assignment(clock, motion_id=first.motion_id)
    rows.append(opening(second))
    assert (await rows.assignments()).keys() == {second.routing_id, foreign.routing_id}
    item = an_item(first.motion_id, AgendaKind.APPLY)
    rows.append(putting(item))
    assert (await rows.assignments()).keys() == {foreign.routing_id}
    assert await rows.agenda() == {item.motion_id: item, other.motion_id: other}
    rows.append(opening(first))
    assert (await rows.assignments()).keys() == {first.routing_id, foreign.routing_id}
    assert await rows.agenda() == {other.motion_id: other}
    rows.append(WorkChange(first.motion_id), WorkChange(other.motion_id))
    assert (await rows.assignments()).keys() == {foreign.routing_id}
    assert await rows.agenda() == {}


async def test_a_routing_that_is_replaced_is_gone_though_somebody_holds_it(
    rows: Rows, clock: ManualClock
) -> None:
    first = an_assignment(clock)
    rows.append(opening(first))
    await rows.store.claim([first.service], owner="w", limit=1, lease_seconds=10)
    rows.append(WorkChange(first.motion_id))
    assert await rows.store.holder(first.routing_id) is None


async def test_an_assignment_that_is_there_keeps_its_lease_its_losses_and_its_age(
    rows: Rows, clock: ManualClock
) -> None:
    row = an_assignment(clock)
    rows.append(opening(row))
    for _ in range(2):
        await rows.store.claim([row.service], owner="w", limit=1, lease_seconds=10)
        clock.advance(10)
    before = await rows.store.holder(row.routing_id)
    assert before is not None
    assert (before.owner, before.losses) == ("w", 1)
    now_us = to_us(clock.now())
    terms = Keep(frozenset({row.service}), "thief", token=99, lease_seconds=60)
    rows.append(opening(replace(row, deadline_us=now_us, opened_at_us=now_us, attempt=7), terms))
    [stored] = (await rows.assignments()).values()
    assert (stored.deadline_us, stored.attempt) == (now_us, 7)
    assert stored.opened_at_us == row.opened_at_us
    assert stored.lease == before


async def test_what_somebody_took_to_complete_later_stays_with_them(
    rows: Rows, clock: ManualClock
) -> None:
    row = an_assignment(clock)
    rows.append(opening(row))
    [claimed] = await rows.store.claim([row.service], owner="w", limit=1, lease_seconds=10)
    await rows.store.delegate(HeldLease(row.routing_id, claimed.lease_token), lease_seconds=60)
    rows.append(opening(row))
    assert await rows.store.claim([row.service], owner="w", limit=1, lease_seconds=10) == []
    clock.advance(60)
    assert len(await rows.store.overdue_delegations(limit=9)) == 1


async def test_an_item_that_is_set_again_is_not_held_any_more(rows: Rows) -> None:
    item = an_item()
    rows.append(putting(item))
    await rows.store.claim_agenda(ALL, limit=9, lease_seconds=60)
    assert await rows.agenda() == {}
    rows.append(putting(item))
    assert await rows.agenda() == {item.motion_id: item}


# -- Kept --------------------------------------------------------------------------------------


async def test_what_is_kept_is_leased_from_the_moment_it_is_there(
    rows: Rows, clock: ManualClock
) -> None:
    kept, free = an_assignment(clock), an_assignment(clock)
    token = await rows.store.reserve_token()
    terms = Keep(frozenset({kept.service}), "worker", token, lease_seconds=30)
    rows.append(opening(kept, terms), opening(free))
    expires_at_us = to_us(clock.now()) + 30_000_000
    assert await rows.store.holder(kept.routing_id) == LeaseInfo("worker", token, expires_at_us, 0)
    assert await rows.store.holder(free.routing_id) == LeaseInfo(None, 0, None, 0)
    [claimed] = await rows.store.claim([kept.service], owner="w2", limit=9, lease_seconds=60)
    assert claimed.routing_id == free.routing_id
    lease = HeldLease(kept.routing_id, token)
    assert await rows.store.extend([lease], lease_seconds=40) == {kept.routing_id}
    clock.advance(40)
    [taken] = await rows.store.claim([kept.service], owner="w2", limit=9, lease_seconds=60)
    assert (taken.routing_id, taken.lease_losses) == (kept.routing_id, 1)
    assert taken.lease_token > token
    assert await rows.store.extend([lease], lease_seconds=40) == set()
    with pytest.raises(LeaseLost):
        await GroupCommitEventStore(rows.database).append(
            an_append(fence=Fence(kept.routing_id, token))
        )


async def test_a_reserved_token_is_given_out_to_nobody_else(rows: Rows, clock: ManualClock) -> None:
    rows.append(opening(an_assignment(clock)))
    first, second = await rows.store.reserve_token(), await rows.store.reserve_token()
    [claimed] = await rows.store.claim(["duke_service"], owner="w", limit=1, lease_seconds=60)
    assert first < second < claimed.lease_token


# -- Alerts and deadlines ----------------------------------------------------------------------


async def test_alerts_go_out_once_each_and_one_that_is_on_its_way_is_left_alone(rows: Rows) -> None:
    alerts = (an_alert(), an_alert(sink="webhook"), an_alert("b"))
    rows.append(WorkChange(alerts=alerts[:2]), WorkChange(uuid4(), alerts=alerts[2:]))
    assert await rows.alerts() == [alerts[0], alerts[1], alerts[2]]
    await rows.store.retry_alert("a", "log", delay_seconds=0)
    rows.append(WorkChange(alerts=alerts))
    counted = {(alert.alert_id, alert.sink): alert.attempts for alert in await rows.alerts()}
    assert counted == {("a", "log"): 1, ("a", "webhook"): 0, ("b", "log"): 0}


async def test_every_deadline_there_is_moves_by_the_sum_of_the_halts(
    rows: Rows, clock: ManualClock
) -> None:
    timed, timeless = an_assignment(clock, deadline_in_seconds=10), an_assignment(clock)
    rows.append(opening(timed), opening(timeless))
    rows.append(WorkChange(deadlines_later_us=3), WorkChange(deadlines_later_us=4))
    stored = await rows.assignments()
    assert timed.deadline_us is not None
    assert stored[timed.routing_id].deadline_us == timed.deadline_us + 7
    assert stored[timeless.routing_id].deadline_us is None


async def test_a_deadline_that_was_written_just_before_the_resumption_moves_too(
    rows: Rows, clock: ManualClock
) -> None:
    """It was worked out while the pipeline was halted, without the time that the halt took."""
    row = an_assignment(clock, deadline_in_seconds=10)
    rows.recorder.commit_group([an_append(halt_switch=HaltSwitch.HALT)])
    outcomes = rows.recorder.commit_group(
        [
            an_append(halt_epoch=1, work=opening(row)),
            an_append(halt_switch=HaltSwitch.RESUME, work=WorkChange(deadlines_later_us=5)),
        ]
    )
    assert all(isinstance(outcome, tuple) for outcome in outcomes)
    assert row.deadline_us is not None
    assert (await rows.assignments())[row.routing_id].deadline_us == row.deadline_us + 5


# -- Groups ------------------------------------------------------------------------------------


async def test_of_several_changes_to_one_motion_the_last_counts_but_no_alert_is_dropped(
    rows: Rows, clock: ManualClock
) -> None:
    row, later = an_assignment(clock), an_assignment(clock)
    motion = row.motion_id
    later = replace(later, motion_id=motion)
    told = [an_alert("1"), an_alert("2")]
    rows.append(
        replace(opening(row), alerts=(told[0],)),
        putting(an_item(motion)),
        replace(opening(later), alerts=(told[1],)),
    )
    assert (await rows.assignments()).keys() == {later.routing_id}
    assert await rows.agenda() == {}
    assert await rows.alerts() == told
    rows.append(opening(row), WorkChange(motion))
    assert await rows.assignments() == {}


async def test_nothing_is_written_for_an_append_that_fails(rows: Rows, clock: ManualClock) -> None:
    refused, kept = an_assignment(clock), an_assignment(clock)
    standing = an_assignment(clock, deadline_in_seconds=10)
    rows.append(opening(standing))
    alert = an_alert()
    outcomes = rows.recorder.commit_group(
        [
            an_append(after=5, work=replace(opening(refused), alerts=(alert,))),
            an_append(work=opening(kept)),
            an_append(
                after=5, work=WorkChange(standing.motion_id, deadlines_later_us=9, alerts=(alert,))
            ),
            an_append(admitted_delta=1, capacity=0, work=putting(an_item())),
        ]
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [ConcurrencyConflict, tuple, ConcurrencyConflict, CapacityReached]
    stored = await rows.assignments()
    assert stored.keys() == {kept.routing_id, standing.routing_id}
    assert stored[standing.routing_id].deadline_us == standing.deadline_us
    assert await rows.agenda() == {}
    assert await rows.alerts() == []


async def test_a_group_of_which_nothing_goes_through_says_of_no_work(
    rows: Rows, clock: ManualClock
) -> None:
    [outcome] = rows.recorder.commit_group([an_append(after=5, work=opening(an_assignment(clock)))])
    assert isinstance(outcome, GovernanceFlowError)
    assert await rows.assignments() == {}
    assert rows.hints == 0


async def test_only_what_somebody_else_may_do_wakes_them(rows: Rows, clock: ManualClock) -> None:
    row = an_assignment(clock)
    terms = Keep(frozenset({row.service}), "worker", token=1, lease_seconds=30)
    rows.append(WorkChange(), WorkChange(uuid4()), opening(row, terms))
    assert rows.hints == 0
    for change in (opening(an_assignment(clock)), putting(an_item())):
        before = rows.hints
        rows.append(change)
        assert rows.hints == before + 1
    before = rows.hints
    rows.append(WorkChange(alerts=(an_alert(),)))
    assert rows.hints == before + 1


async def test_no_rows_without_the_events_and_no_events_without_the_rows(
    rows: Rows, clock: ManualClock
) -> None:
    """A row that the tables do not take keeps its events out, too."""
    store = GroupCommitEventStore(rows.database)
    bad = replace(putting(an_item()), item=replace(an_item(), kind="no such kind"))  # type: ignore[arg-type]
    with pytest.raises(GovernanceFlowError):
        await store.append(an_append(work=bad))
    assert (await store.head()).position == 0
    await store.append(an_append(work=opening(an_assignment(clock))))
    assert (await store.head()).position == len(await rows.assignments()) == 1
    await store.close()


# -- The answer to COMMIT is lost --------------------------------------------------------------


@pytest.fixture
def proxy(postgres_database: str) -> Iterator[Proxy]:
    with Proxy(postgres_database) as proxy:
        yield proxy


@pytest.mark.postgres
@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.LOSE_REPLY])
async def test_the_rows_are_written_exactly_once_when_the_answer_to_commit_is_lost(
    proxy: Proxy, clock: ManualClock, fault: Fault
) -> None:
    database = open_database(proxy.url, clock=clock)
    rows = Rows(database, SqlAssignmentStore(database))
    standing = an_assignment(clock, deadline_in_seconds=10)
    rows.append(opening(standing))
    opened, item, alert = an_assignment(clock), an_item(), an_alert()
    changes = [
        replace(opening(opened), alerts=(alert,)),
        putting(item),
        WorkChange(deadlines_later_us=5),
    ]
    proxy.arm(fault)
    await asyncio.to_thread(rows.append, *changes)
    assert proxy.struck.wait(10)
    stored = await rows.assignments()
    assert stored.keys() == {standing.routing_id, opened.routing_id}
    assert standing.deadline_us is not None
    # Twice would be ten.
    assert stored[standing.routing_id].deadline_us == standing.deadline_us + 5
    assert await rows.agenda() == {item.motion_id: item}
    assert await rows.alerts() == [alert]
    await database.close()
