"""The end of the log that is kept in memory: without a gap, within its bounds, or not at all."""

from __future__ import annotations

from uuid import UUID

import pytest

from governance_flow.application.ports.event_store import CommittedEvent
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.event_table import END
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from governance_flow.infrastructure.tail import Tail
from tests.support.appends import an_append


def events(*positions: int, size_bytes: int = 10) -> list[CommittedEvent]:
    return [
        CommittedEvent(
            originator_id=UUID(int=1),
            originator_version=position,
            topic="T",
            state=b"x" * size_bytes,
            id=position,
            committed_at_us=0,
        )
        for position in positions
    ]


def after(tail: Tail, position: int, *, limit: int = 100, up_to_position: int = END) -> list[int]:
    found = tail.after(position, limit=limit, up_to_position=up_to_position)
    return [event.id for event in found]


def test_an_empty_tail_has_nothing() -> None:
    assert after(Tail(), 0) == []


def test_what_follows_a_position_is_there_in_order() -> None:
    tail = Tail()
    tail.extend(events(4, 5))
    tail.extend(events(6, 7))
    assert after(tail, 3) == [4, 5, 6, 7]
    assert after(tail, 5) == [6, 7]
    assert after(tail, 7) == []
    assert after(tail, 99) == []


def test_what_follows_a_position_before_the_tail_is_not_known() -> None:
    tail = Tail()
    tail.extend(events(4, 5))
    assert after(tail, 2) == []
    assert after(tail, 0) == []


def test_no_more_is_given_than_asked_for() -> None:
    tail = Tail()
    tail.extend(events(*range(1, 11)))
    assert after(tail, 2, limit=3) == [3, 4, 5]
    assert after(tail, 2, up_to_position=4) == [3, 4]
    assert after(tail, 2, limit=1, up_to_position=4) == [3]
    assert after(tail, 2, limit=0) == []
    assert after(tail, 4, up_to_position=4) == []
    assert after(tail, 6, up_to_position=4) == []


def test_a_gap_makes_it_forget_what_came_before() -> None:
    tail = Tail()
    tail.extend(events(1, 2, 3))
    tail.extend(events(5, 6))
    assert after(tail, 0) == []
    assert after(tail, 3) == []
    assert after(tail, 4) == [5, 6]
    tail.extend(events(7, 9))
    assert after(tail, 7) == []
    assert after(tail, 8) == [9]


@pytest.mark.parametrize("order", [(3, 2), (3, 3)])
def test_positions_that_do_not_go_on_are_a_gap_too(order: tuple[int, int]) -> None:
    tail = Tail()
    tail.extend(events(*order))
    assert after(tail, order[1] - 1) == [order[1]]


def test_no_more_events_are_kept_than_allowed() -> None:
    tail = Tail(events_max=3)
    tail.extend(events(*range(1, 8)))
    assert after(tail, 4) == [5, 6, 7]
    assert after(tail, 3) == []
    tail.extend(events(8))
    assert after(tail, 5) == [6, 7, 8]
    assert after(tail, 4) == []


def test_no_more_bytes_are_kept_than_allowed() -> None:
    tail = Tail(bytes_max=100)
    tail.extend(events(1, 2, 3, size_bytes=40))
    assert after(tail, 0) == []
    assert after(tail, 1) == [2, 3]
    tail.extend(events(4, size_bytes=100))
    assert after(tail, 3) == [4]
    assert after(tail, 2) == []
    tail.extend(events(5, size_bytes=101))
    assert after(tail, 4) == []
    tail.extend(events(6, 7))
    assert after(tail, 5) == [6, 7]


def test_bytes_that_were_forgotten_at_a_gap_take_no_room() -> None:
    tail = Tail(bytes_max=100)
    tail.extend(events(1, 2, size_bytes=50))
    tail.extend(events(4, 5, size_bytes=50))
    assert after(tail, 3) == [4, 5]


async def whole(store: GroupCommitEventStore, position: int) -> list[CommittedEvent]:
    """Return all that follows a position; only an empty page is the end of the log."""
    found: list[CommittedEvent] = []
    while page := await store.read_all(after_position=position, limit=100):
        found += page
        position = page[-1].id
    return found


async def test_what_another_process_wrote_in_between_is_read_from_the_store(
    sqlite_address: str,
) -> None:
    ours, theirs = open_database(sqlite_address), open_database(sqlite_address)
    store, other = GroupCommitEventStore(ours), GroupCommitEventStore(theirs)
    await store.append(an_append(events=2))
    await other.append(an_append(events=2))
    await store.append(an_append(events=2))
    for position in range(7):
        log = await whole(store, position)
        assert [event.id for event in log] == list(range(position + 1, 7))
        assert log == await whole(other, position)
    await store.close()
    await other.close()
    await ours.close()
    await theirs.close()


async def test_what_was_written_here_is_followed_without_asking_the_database() -> None:
    database = open_database("memory:")
    store = GroupCommitEventStore(database)
    committed = await store.append(an_append(events=3))
    await database.close()
    assert await store.read_all(after_position=1, limit=9) == list(committed[1:])
    assert await store.read_all(after_position=0, limit=2) == list(committed[:2])
    assert await store.read_all(after_position=0, limit=9, up_to_position=1) == [committed[0]]
