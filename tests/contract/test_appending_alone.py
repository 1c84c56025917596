"""Whoever appends alone does so in one round trip, and is no less exact: PostgreSQL sees to it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from governance_flow.application.ports.assignments import AgendaItem, AgendaKind, WorkChange
from governance_flow.application.ports.database import Row
from governance_flow.application.ports.event_store import Append, Fence, HaltSwitch
from governance_flow.application.times import to_us
from governance_flow.domain.errors import (
    CapacityReached,
    ConcurrencyConflict,
    HaltEpochMoved,
    LeaseLost,
    StoreError,
)
from governance_flow.infrastructure.alone import QUIET_COMMITS
from governance_flow.infrastructure.append_rules import Decision, Outcome
from governance_flow.infrastructure.assignments import SqlAssignmentStore
from governance_flow.infrastructure.database.base import AnyDatabase, Params, StoreTransaction
from governance_flow.infrastructure.database.errors import CommitOutcomeUnknown
from governance_flow.infrastructure.database.hints import Channel
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.database.postgres import PostgresTransaction
from governance_flow.infrastructure.event_table import EventTable
from governance_flow.infrastructure.recorder import SqlRecorder
from tests.support.appends import an_append
from tests.support.assignment_rows import an_assignment
from tests.support.clock import ManualClock
from tests.support.proxy import AT_ONCE, Fault, Proxy

pytestmark = pytest.mark.postgres


class Watch:
    """Notes how each attempt to append in one round trip ended: did it, or did it nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.attempts: list[bool] = []
        at_once = PostgresTransaction.commit_at_once

        def watched(tx: PostgresTransaction, sql: str, params: Params) -> list[Row]:
            rows = at_once(tx, sql, params)
            self.attempts.append(bool(rows))
            return rows

        monkeypatch.setattr(PostgresTransaction, "commit_at_once", watched)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


@pytest.fixture
def database(postgres_database: str, clock: ManualClock) -> Iterator[AnyDatabase]:
    database = open_database(postgres_database, clock=clock)
    yield database
    database.close_now()


@pytest.fixture
def assignments(database: AnyDatabase) -> SqlAssignmentStore:
    return SqlAssignmentStore(database)


@pytest.fixture
def alone(database: AnyDatabase) -> SqlRecorder:
    """Return the recorder of a process that has found itself alone."""
    return found_alone(SqlRecorder(database))


@pytest.fixture
def rival(database: AnyDatabase) -> SqlRecorder:
    """Return the recorder of another process."""
    return SqlRecorder(database)


def found_alone(recorder: SqlRecorder) -> SqlRecorder:
    for _ in range(QUIET_COMMITS + 1):
        commit(recorder, an_append())
    return recorder


def commit(recorder: SqlRecorder, append: Append) -> Outcome:
    [outcome] = recorder.commit_group([append])
    return outcome


def positions(outcome: Outcome) -> list[int]:
    assert isinstance(outcome, tuple), outcome
    return [event.id for event in outcome]


def test_a_process_counts_as_alone_after_some_commits_that_nobody_came_in_between_of(
    alone: SqlRecorder, rival: SqlRecorder, watch: Watch
) -> None:
    commit(alone, an_append())
    assert watch.attempts == [True]
    commit(rival, an_append())
    commit(alone, an_append())
    assert watch.attempts == [True, False]
    for _ in range(QUIET_COMMITS):
        commit(alone, an_append())
        assert watch.attempts == [True, False]
    commit(alone, an_append())
    assert watch.attempts == [True, False, True]
    log = [event.id for event in alone.select_notifications(None, 100)]
    assert log == list(range(1, len(log) + 1))


def test_processes_that_append_by_turns_never_try_it(database: AnyDatabase, watch: Watch) -> None:
    rivals = [SqlRecorder(database), SqlRecorder(database)]
    for number in range(12):
        assert positions(commit(rivals[number % 2], an_append())) == [number + 1]
    assert watch.attempts == []


def test_what_is_appended_in_one_round_trip_reads_back_as_it_was_acknowledged(
    alone: SqlRecorder, watch: Watch, clock: ManualClock
) -> None:
    stream = uuid4()
    group = [an_append(stream, events=2), an_append(), an_append(stream, after=2)]
    outcomes = alone.commit_group(group)
    clock.set_back(3600)
    outcomes += alone.commit_group([an_append(stream, after=3)])
    assert watch.attempts == [True, True]
    sent = [event for outcome in outcomes if isinstance(outcome, tuple) for event in outcome]
    start = QUIET_COMMITS + 1
    assert alone.select_notifications(start + 1, 10) == sent
    stamps = [event.committed_at_us for event in sent]
    assert stamps == sorted(stamps)


def switch(halt: HaltSwitch) -> Append:
    return an_append(halt_switch=halt)


@pytest.mark.parametrize(
    ("between", "ours", "refusal"),
    [
        (
            an_append(admitted_delta=1, capacity=1),
            an_append(admitted_delta=1, capacity=1),
            CapacityReached,
        ),
        (switch(HaltSwitch.HALT), an_append(halt_epoch=0), HaltEpochMoved),
        (switch(HaltSwitch.RENEW), an_append(halt_epoch=0), HaltEpochMoved),
    ],
)
def test_what_somebody_else_did_in_between_is_respected(
    alone: SqlRecorder, watch: Watch, between: Append, ours: Append, refusal: type[StoreError]
) -> None:
    rival = SqlRecorder(alone._database)
    assert isinstance(commit(rival, between), tuple)
    assert isinstance(commit(alone, ours), refusal)
    assert watch.attempts == [False]
    assert alone.max_notification_id() == QUIET_COMMITS + 2


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_version_that_is_not_the_stream_s_is_a_conflict(
    alone: SqlRecorder, watch: Watch, after: int
) -> None:
    stream = uuid4()
    commit(alone, an_append(stream, events=2))
    conflict = commit(alone, an_append(stream, after=after))
    assert isinstance(conflict, ConcurrencyConflict)
    assert conflict.details["actual_version"] == 2
    assert watch.attempts == [True, False]


def test_in_a_group_each_append_fails_or_succeeds_alone(alone: SqlRecorder, watch: Watch) -> None:
    stream = uuid4()
    commit(alone, an_append(stream))
    group = [an_append(), an_append(stream), an_append(stream, after=1)]
    first, conflict, second = alone.commit_group(group)
    start = QUIET_COMMITS + 2
    assert positions(first) == [start + 1]
    assert isinstance(conflict, ConcurrencyConflict)
    assert positions(second) == [start + 2]
    assert watch.attempts == [True, False]


async def test_a_lease_that_was_taken_over_fences_off_although_the_head_has_not_moved(
    alone: SqlRecorder, assignments: SqlAssignmentStore, clock: ManualClock, watch: Watch
) -> None:
    row = an_assignment(clock)
    commit(alone, an_append(work=WorkChange(row.motion_id, assignment=row)))
    [first] = await assignments.claim([row.service], owner="a", limit=1, lease_seconds=1)
    clock.advance(2)
    [second] = await assignments.claim([row.service], owner="b", limit=1, lease_seconds=1)
    late = commit(alone, an_append(fence=Fence(row.routing_id, first.lease_token)))
    assert isinstance(late, LeaseLost)
    assert watch.attempts == [True, False]
    found_alone(alone)
    watch.attempts.clear()
    done = WorkChange(row.motion_id)
    positions(commit(alone, an_append(fence=Fence(row.routing_id, second.lease_token), work=done)))
    assert await assignments.list_open(limit=10) == []
    assert watch.attempts == [True]


async def test_who_completes_without_a_token_goes_the_longer_way(
    alone: SqlRecorder, assignments: SqlAssignmentStore, clock: ManualClock, watch: Watch
) -> None:
    row = an_assignment(clock)
    commit(alone, an_append(work=WorkChange(row.motion_id, assignment=row)))
    await assignments.claim([row.service], owner="a", limit=1, lease_seconds=10)
    assert isinstance(commit(alone, an_append(fence=Fence(row.routing_id, None))), LeaseLost)
    assert watch.attempts == [True]


def test_what_moves_every_deadline_goes_the_longer_way(alone: SqlRecorder, watch: Watch) -> None:
    commit(alone, an_append(work=WorkChange(deadlines_later_us=5)))
    assert watch.attempts == []


async def test_a_failed_attempt_changes_no_row_and_announces_nothing(
    alone: SqlRecorder,
    rival: SqlRecorder,
    database: AnyDatabase,
    assignments: SqlAssignmentStore,
    clock: ManualClock,
) -> None:
    now_us = to_us(clock.now())
    stream = uuid4()
    commit(rival, an_append(stream))
    announced = database.hints.latest(Channel.WORK)
    work = WorkChange(stream, item=AgendaItem(stream, AgendaKind.ADMIT, now_us, now_us))
    assert isinstance(commit(alone, an_append(stream, work=work)), ConcurrencyConflict)
    assert await assignments.claim_docket(limit=1, lease_seconds=1) == []
    assert database.hints.latest(Channel.WORK) == announced


class Holder:
    """Somebody who holds the head in another session."""

    def __init__(self, address: str) -> None:
        self.connection = psycopg.connect(address)
        self.connection.execute("SELECT FROM head FOR UPDATE")

    def wait_for(self, others: int = 1) -> None:
        """Return once so many wait for the head."""
        waiting = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        with psycopg.connect(self.connection.info.dsn, autocommit=True) as observer:
            while observer.execute(waiting).fetchone() != (others,):
                pass


def during(address: str, call: Callable[[], Any], meanwhile: Callable[[Any], None]) -> Any:
    """Return what a call comes to that has to wait for the head while something happens."""
    holder = Holder(address)
    answer: list[Any] = []
    caller = Thread(target=lambda: answer.append(call()))
    caller.start()
    holder.wait_for()
    meanwhile(holder.connection)
    holder.connection.commit()
    caller.join(30)
    holder.connection.close()
    return answer[0]


def test_an_append_that_waits_for_another_one_stands_behind_it(
    alone: SqlRecorder, postgres_database: str, watch: Watch
) -> None:
    start = QUIET_COMMITS + 1

    def append(connection: Any) -> None:
        connection.execute(
            "INSERT INTO events VALUES (%s, gen_random_uuid(), 1, 'T', '', 0)", [start + 1]
        )
        connection.execute("UPDATE head SET position = position + 1")

    outcome = during(postgres_database, lambda: commit(alone, an_append()), append)
    assert positions(outcome) == [start + 2]
    assert watch.attempts == [False]


def test_an_append_that_waits_relies_on_the_row_and_not_on_its_values(
    alone: SqlRecorder, postgres_database: str, watch: Watch
) -> None:
    def renew(connection: Any) -> None:
        connection.execute("UPDATE head SET position = position")

    outcome = during(postgres_database, lambda: commit(alone, an_append()), renew)
    assert positions(outcome) == [QUIET_COMMITS + 2]
    assert watch.attempts == [False]


def test_an_append_that_waits_for_nothing_in_the_end_goes_through(
    alone: SqlRecorder, postgres_database: str, watch: Watch
) -> None:
    outcome = during(postgres_database, lambda: commit(alone, an_append()), lambda _: None)
    assert positions(outcome) == [QUIET_COMMITS + 2]
    assert watch.attempts == [True]


async def test_rows_that_are_restored_are_not_overlooked(
    alone: SqlRecorder, assignments: SqlAssignmentStore, clock: ManualClock, watch: Watch
) -> None:
    row = an_assignment(clock)
    commit(alone, an_append(row.motion_id))
    change = WorkChange(row.motion_id, assignment=row)
    assert await assignments.restore(change, version=1, halt_epoch=0)
    commit(alone, an_append(row.motion_id, after=1, work=WorkChange(row.motion_id)))
    assert await assignments.list_open(limit=10) == []
    assert watch.attempts == [True, False]


# -- The answer is lost ----------------------------------------------------------------------------


@pytest.fixture
def proxy(postgres_database: str) -> Iterator[Proxy]:
    with Proxy(postgres_database) as proxy:
        yield proxy


@pytest.fixture
def far_alone(proxy: Proxy) -> Iterator[SqlRecorder]:
    """Return the recorder of a process that is alone and connected through the proxy."""
    database = open_database(proxy.url)
    yield found_alone(SqlRecorder(database))
    database.close_now()


@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.LOSE_REPLY])
async def test_when_the_answer_is_lost_the_append_is_recorded_once(
    proxy: Proxy, far_alone: SqlRecorder, fault: Fault
) -> None:
    proxy.arm(fault, AT_ONCE)
    outcome = await asyncio.to_thread(commit, far_alone, an_append(events=2))
    assert proxy.struck.wait(10)
    start = QUIET_COMMITS + 1
    assert positions(outcome) == [start + 1, start + 2]
    assert far_alone.select_notifications(start + 1, 10) == list(outcome)


async def test_a_request_that_arrives_after_it_was_looked_for_does_nothing_any_more(
    proxy: Proxy,
    far_alone: SqlRecorder,
    postgres_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look = far_alone._took_place
    start = QUIET_COMMITS + 1
    arrived: list[Any] = []

    def look_then_let_pass(decision: Decision, lost: CommitOutcomeUnknown) -> bool:
        found = look(decision, lost)
        # It arrives now: nobody else has appended, and the head's values are those it expects.
        sessions = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'governance-flow'"
        )
        with psycopg.connect(postgres_database, autocommit=True) as observer:
            before = observer.execute(sessions).fetchone()
            proxy.let_pass.set()
            while observer.execute(sessions).fetchone() == before:
                pass  # the server ends the session that was cut once it has done what was asked
            arrived.append(observer.execute("SELECT max(position) FROM events").fetchone())
        return found

    monkeypatch.setattr(far_alone, "_took_place", look_then_let_pass)
    proxy.arm(Fault.DELAY_REQUEST, AT_ONCE)
    outcome = await asyncio.wait_for(asyncio.to_thread(commit, far_alone, an_append()), 30)
    assert arrived == [(start,)]
    assert positions(outcome) == [start + 1]
    assert far_alone.max_notification_id() == start + 1


# -- Hints -----------------------------------------------------------------------------------------


def test_other_processes_hear_of_it_and_this_one_only_once(
    alone: SqlRecorder,
    database: AnyDatabase,
    postgres_database: str,
    clock: ManualClock,
    watch: Watch,
) -> None:
    other = open_database(postgres_database)
    last = QUIET_COMMITS + 2
    with other.hints.listening(Channel.EVENTS, lambda: None):
        for each in (database, other):
            each.start_listening()
            wait_until(functools.partial(heard_of_work, each))
        row = an_assignment(clock)
        commit(alone, an_append(work=WorkChange(row.motion_id, assignment=row)))
        assert watch.attempts == [True]
        wait_until(lambda: other.hints.latest(Channel.EVENTS) == last)
        # What is announced later is heard later: by now our own words would have come round.
        other.write_now(lambda tx: tx.announce(Channel.EVENTS, 99))
        wait_until(lambda: database.hints.latest(Channel.EVENTS) == 99)
    assert other.hints.latest(Channel.WORK) == 2
    assert database.hints.latest(Channel.WORK) == 2
    other.close_now()


def heard_of_work(database: AnyDatabase) -> bool:
    return database.hints.latest(Channel.WORK) == 1


def wait_until(happened: Callable[[], bool]) -> None:
    while not happened():
        pass


def test_nothing_else_may_have_been_done_before(database: AnyDatabase) -> None:
    def work(tx: StoreTransaction) -> None:
        EventTable("postgres").lock(tx)
        assert isinstance(tx, PostgresTransaction)
        tx.commit_at_once("SELECT 1", {})

    with pytest.raises(RuntimeError, match="begun"):
        database.write_now(work)
