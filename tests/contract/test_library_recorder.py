"""The library's own tests, against our recorder.

Its ``AggregateRecorderTestCase`` does not apply: it expects a recorder without positions. Its
``test_performance`` measures and asserts nothing. Everything else is run as it is.
"""

from __future__ import annotations

import threading
from uuid import uuid4

import pytest
from eventsourcing.persistence import IntegrityError, OperationalError, StoredEvent
from eventsourcing.tests.persistence import ApplicationRecorderTestCase

from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.recorder import SqlRecorder
from tests.support.appends import an_append


@pytest.fixture
def recorder(database: AnyDatabase) -> SqlRecorder:
    return SqlRecorder(database)


class _LibraryTests(ApplicationRecorderTestCase[SqlRecorder]):
    __test__ = False

    def create_recorder(self) -> SqlRecorder:
        return self.recorder

    recorder: SqlRecorder


@pytest.fixture
def library(recorder: SqlRecorder) -> _LibraryTests:
    case = _LibraryTests()
    case.recorder = recorder
    return case


def test_the_library_inserts_and_selects(library: _LibraryTests) -> None:
    library.test_insert_select()


@pytest.mark.slow
def test_the_library_writes_and_reads_from_many_threads(library: _LibraryTests) -> None:
    library.test_concurrent_no_conflicts()


def test_the_library_writes_from_many_threads(library: _LibraryTests) -> None:
    library.test_concurrent_throughput()


def test_the_library_subscribes(library: _LibraryTests) -> None:
    library.optional_test_insert_subscribe()


def test_streams_are_read_backwards_and_in_part(recorder: SqlRecorder) -> None:
    stream = uuid4()
    recorder.commit_group([an_append(stream, events=4)])

    def versions(**limits: int | bool) -> list[int]:
        return [e.originator_version for e in recorder.select_events(str(stream), **limits)]  # type: ignore[arg-type]

    assert versions(desc=True, limit=1) == [4]
    assert versions(lte=2, desc=True) == [2, 1]
    assert versions(gt=1, lte=3) == [2, 3]


def test_inserting_nothing_does_nothing(recorder: SqlRecorder) -> None:
    assert recorder.insert_events([]) is None
    assert recorder.max_notification_id() is None


def test_an_insert_is_recorded_whole_or_not_at_all(recorder: SqlRecorder) -> None:
    stream = uuid4()
    first, second = (StoredEvent(stream, version, "T", b"x") for version in (1, 2))
    assert recorder.insert_events([first]) == [1]
    for events in ([first], [first, second], [second, second]):
        with pytest.raises(IntegrityError):
            recorder.insert_events(events)
    assert recorder.select_events(stream) == [first]
    assert recorder.insert_events([second]) == [2]


def test_a_closed_database_is_the_library_s_operational_error(
    recorder: SqlRecorder, database: AnyDatabase
) -> None:
    database.close_now()
    with pytest.raises(OperationalError, match="closed"):
        recorder.max_notification_id()
    with pytest.raises(OperationalError, match="closed"):
        recorder.insert_events([StoredEvent(uuid4(), 1, "T", b"x")])


def test_a_subscription_is_woken_by_a_commit(recorder: SqlRecorder) -> None:
    received: list[int] = []
    listening = threading.Event()

    def follow() -> None:
        with recorder.subscribe() as subscription:
            listening.set()
            for notification in subscription:
                received.append(notification.id)
                if notification.id == 3:
                    return

    follower = threading.Thread(target=follow)
    follower.start()
    assert listening.wait(10)
    for _ in range(3):
        recorder.commit_group([an_append()])
    follower.join(10)
    assert received == [1, 2, 3]
