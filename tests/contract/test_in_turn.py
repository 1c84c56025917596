"""An append that is in turn goes before nobody who waits in the docket: the store sees to it."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from governance_flow.application.ports.assignments import AgendaItem, AgendaKind, WorkChange
from governance_flow.application.ports.event_store import Append
from governance_flow.application.times import seconds_to_us, to_us
from governance_flow.domain.errors import CapacityReached, InvalidInput
from governance_flow.infrastructure.alone import QUIET_COMMITS
from governance_flow.infrastructure.assignments import SqlAssignmentStore
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from governance_flow.infrastructure.recorder import SqlRecorder
from tests.support.appends import an_append
from tests.support.clock import ManualClock


def waiting(
    clock: ManualClock, kind: AgendaKind = AgendaKind.ADMIT, in_seconds: float = 0
) -> Append:
    """Return the append of a motion that takes its place in the docket."""
    motion_id = uuid4()
    due_us = to_us(clock.now()) + seconds_to_us(in_seconds)
    return an_append(
        motion_id, work=WorkChange(motion_id, item=AgendaItem(motion_id, kind, due_us, due_us))
    )


def in_turn(stream_id: UUID | None = None, capacity: int = 9) -> Append:
    """Return the append of a motion that would be admitted at once."""
    return an_append(stream_id, admitted_delta=1, capacity=capacity, in_turn=True)


@pytest.fixture(params=[0, QUIET_COMMITS + 1], ids=["among others", "alone"])
async def used(
    store: GroupCommitEventStore, request: pytest.FixtureRequest
) -> GroupCommitEventStore:
    """Return a store that has found itself alone, where that makes a difference, or has not."""
    for _ in range(request.param):
        await store.append(an_append())
    return store


async def test_nobody_waits_so_it_is_admitted(used: GroupCommitEventStore) -> None:
    await used.append(in_turn())
    assert (await used.head()).admitted == 1


async def test_it_does_not_go_before_whoever_waits(
    used: GroupCommitEventStore, clock: ManualClock
) -> None:
    await used.append(waiting(clock))
    position = (await used.head()).position
    late = in_turn()
    with pytest.raises(
        CapacityReached, match=f"others wait in the docket; stream {late.stream_id}"
    ):
        await used.append(late)
    head = await used.head()
    assert (head.admitted, head.position) == (0, position)


async def test_places_are_counted_as_ever(used: GroupCommitEventStore) -> None:
    await used.append(in_turn(capacity=1))
    with pytest.raises(CapacityReached, match="all 1 places are taken"):
        await used.append(in_turn(capacity=1))


@pytest.mark.parametrize(
    ("kind", "in_seconds"),
    [(AgendaKind.ADMIT, 60.0), (AgendaKind.APPLY, 0.0)],
    ids=["tabled for a while", "to be applied"],
)
async def test_what_waits_for_no_place_now_is_in_nobody_s_way(
    used: GroupCommitEventStore, clock: ManualClock, kind: AgendaKind, in_seconds: float
) -> None:
    await used.append(waiting(clock, kind, in_seconds))
    await used.append(in_turn())
    clock.advance(2 * in_seconds)
    if in_seconds:
        with pytest.raises(CapacityReached):
            await used.append(in_turn())


async def test_one_that_is_being_admitted_still_waits(
    used: GroupCommitEventStore, assignments: SqlAssignmentStore, clock: ManualClock
) -> None:
    await used.append(waiting(clock))
    assert await assignments.claim_docket(limit=1, lease_seconds=5)
    with pytest.raises(CapacityReached):
        await used.append(in_turn())


async def test_the_order_holds_within_a_group(database: AnyDatabase, clock: ManualClock) -> None:
    group = [in_turn(), waiting(clock), in_turn(), waiting(clock, in_seconds=60)]
    outcomes = SqlRecorder(database).commit_group(group)
    assert [isinstance(outcome, CapacityReached) for outcome in outcomes] == [
        False, False, True, False
    ]  # fmt: skip
    assert [len(o) if isinstance(o, tuple) else 0 for o in outcomes] == [1, 1, 0, 1]


async def test_of_many_at_once_no_more_are_admitted_than_there_are_places(
    used: GroupCommitEventStore,
) -> None:
    outcomes = await asyncio.gather(
        *(used.append(in_turn(capacity=5)) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, tuple) for outcome in outcomes) == 5
    assert (await used.head()).admitted == 5


@pytest.mark.postgres
async def test_whoever_came_from_elsewhere_is_not_overlooked_by_one_that_was_alone(
    postgres_database: str, clock: ManualClock
) -> None:
    database = open_database(postgres_database, clock=clock)
    alone, rival = SqlRecorder(database), SqlRecorder(database)
    for _ in range(QUIET_COMMITS + 1):
        alone.commit_group([an_append()])
    rival.commit_group([waiting(clock)])
    [refused] = alone.commit_group([in_turn()])
    assert isinstance(refused, CapacityReached)
    database.close_now()


async def test_only_what_takes_a_place_has_a_turn(store: GroupCommitEventStore) -> None:
    with pytest.raises(InvalidInput, match="takes a place"):
        await store.append(an_append(in_turn=True))
