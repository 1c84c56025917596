"""What every event store does with an append, and what readers see of it."""

from __future__ import annotations

import asyncio
import operator
from uuid import UUID, uuid4

import pytest

from governance_flow.application.ports.assignments import WorkChange
from governance_flow.application.ports.event_store import (
    Append,
    CommittedEvent,
    EventStore,
    Fence,
    HaltSwitch,
    Head,
    StoredEvent,
)
from governance_flow.application.times import to_us
from governance_flow.domain.errors import (
    CapacityReached,
    ConcurrencyConflict,
    HaltEpochMoved,
    InvalidInput,
    LeaseLost,
    StoreError,
)
from governance_flow.infrastructure.assignments import SqlAssignmentStore
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from governance_flow.infrastructure.recorder import SqlRecorder
from tests.support.appends import an_append
from tests.support.assignment_rows import an_assignment
from tests.support.clock import ManualClock


def test_the_adapter_fulfils_the_port(store: GroupCommitEventStore) -> None:
    port: EventStore = store  # checked by mypy
    assert port is store


async def test_an_empty_store_is_at_position_zero_and_running(store: EventStore) -> None:
    assert await store.head() == Head(0, 0, 0, halted=False, admitted=0)
    assert await store.read_all(after_position=0, limit=10) == []
    assert await store.read_stream(uuid4()) == []


async def test_what_was_appended_is_read_back_byte_for_byte(
    store: EventStore, clock: ManualClock
) -> None:
    append = an_append(events=3, state=bytes(range(256)))
    committed = await store.append(append)
    assert committed == tuple(
        CommittedEvent(
            originator_id=append.stream_id,
            originator_version=version,
            topic="SOMETHING_HAPPENED",
            state=bytes(range(256)),
            id=version,
            committed_at_us=to_us(clock.now()),
        )
        for version in (1, 2, 3)
    )
    assert await store.read_stream(append.stream_id) == list(committed)
    assert await store.read_all(after_position=0, limit=10) == list(committed)


async def test_streams_are_read_in_part(store: EventStore) -> None:
    stream = uuid4()
    await store.append(an_append(stream, events=5))
    part = await store.read_stream(stream, after_version=1, up_to_version=3)
    assert [event.originator_version for event in part] == [2, 3]


async def test_the_log_is_read_in_pages_and_by_topic(store: EventStore) -> None:
    for topic in ("A", "B", "ORCHESTRATOR_ERROR", "A", "ORCHESTRATOR_ERROR"):
        await store.append(an_append(topic=topic))

    async def positions(**limits: object) -> list[int]:
        page = await store.read_all(**{"after_position": 0, "limit": 10, **limits})  # type: ignore[arg-type]
        return [event.id for event in page]

    assert await positions(after_position=1, limit=2) == [2, 3]
    assert await positions(up_to_position=2) == [1, 2]
    assert await positions(topics=["A"]) == [1, 4]
    assert await positions(topics=["A", "B"], after_position=1) == [2, 4]
    assert await positions(topics=["ORCHESTRATOR_ERROR"]) == [3, 5]
    assert await positions(topics=["ORCHESTRATOR_ERROR"], limit=1) == [3]


async def test_the_newest_of_a_topic_come_first(store: EventStore) -> None:
    for topic in ("A", "ORCHESTRATOR_ERROR", "A", "ORCHESTRATOR_ERROR", "A"):
        await store.append(an_append(topic=topic))

    async def newest(topic: str, **limits: int) -> list[int]:
        page = await store.read_latest(topic, **{"limit": 2, **limits})
        return [event.id for event in page]

    assert await newest("A") == [5, 3]
    assert await newest("A", before_position=3) == [1]
    assert await newest("ORCHESTRATOR_ERROR") == [4, 2]
    assert await newest("ORCHESTRATOR_ERROR", before_position=4) == [2]


async def test_an_append_on_an_older_version_is_a_conflict(store: EventStore) -> None:
    stream = uuid4()
    await store.append(an_append(stream, events=2))
    with pytest.raises(ConcurrencyConflict) as caught:
        await store.append(an_append(stream, after=1))
    assert caught.value.stream_id == stream
    assert (caught.value.expected_version, caught.value.actual_version) == (1, 2)
    with pytest.raises(ConcurrencyConflict):
        await store.append(an_append(stream, after=0))
    with pytest.raises(ConcurrencyConflict):
        await store.append(an_append(after=7))
    assert (await store.head()).position == 2


def test_in_a_group_each_append_fails_or_succeeds_alone(database: AnyDatabase) -> None:
    recorder = SqlRecorder(database)
    taken, fresh, contested = uuid4(), uuid4(), uuid4()
    recorder.commit_group([an_append(taken, events=2)])
    outcomes = recorder.commit_group(
        [
            an_append(fresh, events=2),
            an_append(taken, after=1),  # conflict
            an_append(taken, after=2),
            an_append(contested),
            an_append(contested),  # conflict within the group
            an_append(contested, after=1),  # on what the group itself appended
            an_append(halt_epoch=5),  # stale
        ]
    )
    assert [
        [event.id for event in outcome] if isinstance(outcome, tuple) else type(outcome)
        for outcome in outcomes
    ] == [[3, 4], ConcurrencyConflict, [5], [6], ConcurrencyConflict, [7], HaltEpochMoved]
    log = recorder.select_notifications(None, 100)
    assert [event.id for event in log] == [1, 2, 3, 4, 5, 6, 7]
    assert log[4].originator_id == taken


def test_a_group_that_fails_entirely_leaves_no_trace(database: AnyDatabase) -> None:
    recorder = SqlRecorder(database)
    outcomes = recorder.commit_group([an_append(after=1), an_append(halt_epoch=1)])
    assert [type(outcome) for outcome in outcomes] == [ConcurrencyConflict, HaltEpochMoved]
    assert recorder.max_notification_id() is None


async def test_of_64_appends_to_one_version_one_is_recorded(store: EventStore) -> None:
    stream = uuid4()
    results = await asyncio.gather(
        *(store.append(an_append(stream)) for _ in range(64)), return_exceptions=True
    )
    conflicts = [result for result in results if isinstance(result, ConcurrencyConflict)]
    assert len(conflicts) == 63
    assert len({id(conflict) for conflict in conflicts}) == 63
    assert len(await store.read_stream(stream)) == 1


async def test_positions_are_dense_whatever_fails_in_between(store: EventStore) -> None:
    streams = [uuid4() for _ in range(20)]

    async def drive(stream: UUID) -> None:
        for version in range(5):
            await asyncio.gather(
                store.append(an_append(stream, after=version)),
                store.append(an_append(stream, after=version)),
                return_exceptions=True,
            )

    await asyncio.gather(*(drive(stream) for stream in streams))
    log = await store.read_all(after_position=0, limit=1000)
    assert [event.id for event in log] == list(range(1, 101))
    for stream in streams:
        versions = [e.originator_version for e in log if e.originator_id == stream]
        assert versions == [1, 2, 3, 4, 5]


async def test_commit_times_never_go_back(store: EventStore, clock: ManualClock) -> None:
    [first] = await store.append(an_append())
    clock.set_back(3600)
    [second] = await store.append(an_append())
    assert second.committed_at_us == first.committed_at_us
    clock.advance(3601)
    [third] = await store.append(an_append())
    assert third.committed_at_us == first.committed_at_us + 1_000_000
    assert (await store.head()).committed_at_us == third.committed_at_us


async def test_the_halt_switch_moves_the_epoch_and_stops_older_decisions(
    store: EventStore,
) -> None:
    await store.append(an_append(halt_epoch=0))
    await store.append(an_append(halt_switch=HaltSwitch.HALT))
    head = await store.head()
    assert (head.halted, head.halt_epoch) == (True, 1)
    with pytest.raises(HaltEpochMoved) as caught:
        await store.append(an_append(halt_epoch=0))
    assert (caught.value.expected_epoch, caught.value.actual_epoch) == (0, 1)
    await store.append(an_append(halt_switch=HaltSwitch.RESUME, halt_epoch=1))
    head = await store.head()
    assert (head.halted, head.halt_epoch) == (False, 2)
    with pytest.raises(HaltEpochMoved):
        await store.append(an_append(halt_epoch=1))


def test_a_halt_stops_what_stands_behind_it_in_its_group(database: AnyDatabase) -> None:
    before, halt, after = SqlRecorder(database).commit_group(
        [
            an_append(halt_epoch=0),
            an_append(halt_switch=HaltSwitch.HALT),
            an_append(halt_epoch=0),
        ]
    )
    assert isinstance(before, tuple)
    assert isinstance(halt, tuple)
    assert isinstance(after, HaltEpochMoved)


async def test_places_are_given_out_exactly(store: EventStore) -> None:
    results = await asyncio.gather(
        *(store.append(an_append(admitted_delta=1, capacity=5)) for _ in range(12)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, CapacityReached) for result in results) == 7
    assert (await store.head()).admitted == 5
    await store.append(an_append(admitted_delta=-1))
    await store.append(an_append(admitted_delta=1, capacity=5))
    with pytest.raises(CapacityReached):
        await store.append(an_append(admitted_delta=1, capacity=5))


async def test_a_smaller_capacity_turns_nobody_out(store: EventStore) -> None:
    for _ in range(3):
        await store.append(an_append(admitted_delta=1, capacity=3))
    with pytest.raises(CapacityReached):
        await store.append(an_append(admitted_delta=1, capacity=1))
    await store.append(an_append(admitted_delta=-1, capacity=1))
    assert (await store.head()).admitted == 2


async def test_a_place_nobody_holds_cannot_be_given_back(store: EventStore) -> None:
    with pytest.raises(StoreError, match="nobody holds"):
        await store.append(an_append(admitted_delta=-1))
    assert (await store.head()).position == 0


async def test_a_fenced_append_needs_the_lease_it_was_made_under(
    store: EventStore, assignments: SqlAssignmentStore, database: AnyDatabase, clock: ManualClock
) -> None:
    row = an_assignment(clock)
    routing = row.routing_id
    opened = WorkChange(row.motion_id, assignment=row)
    await database.write(lambda tx: assignments.apply(tx, [opened]))
    await store.append(an_append(fence=Fence(routing, None)))  # free: anybody may complete it
    [first] = await assignments.claim([row.service], owner="a", limit=1, lease_seconds=10)
    with pytest.raises(LeaseLost):
        await store.append(an_append(fence=Fence(routing, None)))
    await store.append(an_append(fence=Fence(routing, first.lease_token)))
    clock.advance(11)
    await store.append(an_append(fence=Fence(routing, first.lease_token)))  # nobody took it over
    await assignments.claim([row.service], owner="b", limit=1, lease_seconds=10)
    with pytest.raises(LeaseLost) as caught:
        await store.append(an_append(fence=Fence(routing, first.lease_token)))
    assert caught.value.routing_id == routing
    await assignments.close(routing)
    await store.append(an_append(fence=Fence(routing, first.lease_token)))  # fences nothing


def _event(stream: UUID, version: int) -> StoredEvent:
    return StoredEvent(stream, version, "T", b"")


async def test_a_malformed_append_is_refused_before_it_reaches_the_store(
    store: EventStore,
) -> None:
    stream = uuid4()
    malformed = [
        Append(stream, 0, ()),
        Append(stream, 0, (_event(uuid4(), 1),)),
        Append(stream, 0, (_event(stream, 2),)),
        Append(stream, 1, (_event(stream, 2), _event(stream, 4))),
        Append(stream, 0, (_event(stream, 1),), admitted_delta=1),
    ]
    for append in malformed:
        with pytest.raises(InvalidInput):
            await store.append(append)
    assert (await store.head()).position == 0


async def test_the_log_takes_no_changes_and_no_deletions(
    store: EventStore, database: AnyDatabase
) -> None:
    await store.append(an_append())
    for statement in ("UPDATE events SET topic = 'X'", "DELETE FROM events"):
        change = operator.methodcaller("execute", statement)
        with pytest.raises(StoreError, match="only ever appended"):
            await database.write(change)
    assert len(await store.read_all(after_position=0, limit=10)) == 1
