"""What a superuser may do to the events themselves: one changed, taken out, put in, or moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from governance_flow.application.audit.faults import Check
from tests.support.tampering import Forger, Row

C = Check

OTHER_STREAM = "6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b"


@dataclass(frozen=True)
class Attack:
    """Something done to the events.

    ``do`` returns the position at which it can be seen first. ``plain`` is the check that finds it
    first in a store where nothing else was done. Then the forger rebuilds what is derived from the
    events, and takes the checkpoints out of the store: ``bare`` is the check that finds it first
    even then; None if none does, but for a checkpoint that was kept elsewhere. A ``crude`` attack
    leaves events from which nothing could be rebuilt.
    """

    name: str
    do: Callable[[Forger], int]
    plain: Check
    bare: Check | None = None
    crude: bool = False

    def __str__(self) -> str:
        return self.name


def covered(forger: Forger) -> Row:
    """Return an event in the middle of a motion, which the motion's next statement covers."""
    return forger.stream(forger.made.acknowledged)[6]


def uncovered(forger: Forger) -> Row:
    """Return the last event of a motion, which no statement covers yet."""
    return forger.stream(forger.made.retried)[-1]


def of_pipeline(forger: Forger) -> Row:
    """Return an event of the pipeline's own stream, which no statement ever covers."""
    return forger.of_topic("PIPELINE_HALTED")[0]


def with_another_byte(row: Row) -> bytes:
    """Return the event with one byte changed: a digit of its time, so that it stays an event."""
    start = b'"timestamp":"2026-01-01T12:'
    at = row.state.index(start) + len(start)
    digit = b"4" if row.state[at : at + 1] != b"4" else b"5"
    return row.state[:at] + digit + row.state[at + 1 :]


def _changes(which: Callable[[Forger], Row], bare: Check | None) -> list[Attack]:
    """Return a change in each column of an event."""

    def change(column: str, value: Callable[[Row], object]) -> Callable[[Forger], int]:
        def do(forger: Forger) -> int:
            row = which(forger)
            forger.change(row.position, **{column: value(row)})
            return row.position

        return do

    def crude(column: str, value: Callable[[Row], object], check: Check = C.LOG) -> Attack:
        return Attack(f"{name} {column}", change(column, value), check, crude=True)

    name = which.__name__
    return [
        crude("position", lambda row: row.position + 1000, C.POSITIONS),
        crude("stream_id", lambda row: row.stream_id[:-1] + "e"),
        crude("stream_version", lambda row: row.stream_version + 100),
        crude("topic", lambda row: row.topic[:-1] + "X"),
        Attack(f"{name} state", change("state", with_another_byte), C.LOG, bare),
    ]


def _delete_from_motion(index: int) -> Callable[[Forger], int]:
    def do(forger: Forger) -> int:
        row = forger.stream(forger.made.acknowledged)[index]
        forger.delete(row.position)
        forger.close_versions(row.stream_id)
        forger.close_up()
        return row.position

    return do


def _delete_and_leave_gaps(position: Callable[[Forger], int]) -> Callable[[Forger], int]:
    def do(forger: Forger) -> int:
        at = position(forger)
        forger.delete(at)
        return at

    return do


def _delete_motion(forger: Forger) -> int:
    rows = forger.stream(forger.made.withdrawn)
    forger.delete(*(row.position for row in rows))
    forger.close_up()
    return rows[0].position


def _insert_in_the_middle(forger: Forger) -> int:
    """Add a motion that was withdrawn at once, and so stands on nobody's list."""
    first, last = forger.stream(forger.made.withdrawn)
    for row in (last, first):
        forger.make_room(first.position)
        forger.insert(
            row._replace(
                position=first.position,
                stream_id=OTHER_STREAM,
                committed_at_us=first.committed_at_us,
            )
        )
    forger.set_head()
    return first.position


def _swap_in_a_motion(forger: Forger) -> int:
    first, second = forger.stream(forger.made.acknowledged)[4:6]
    forger.swap(first.position, second.position, "topic", "state")
    return first.position


def _swap_places_in_a_motion(forger: Forger) -> int:
    first, second = forger.stream(forger.made.acknowledged)[4:6]
    forger.swap(first.position, second.position)
    return first.position


def _swap_motions(forger: Forger) -> int:
    """Let one motion end before the next one begins to, all within one moment."""
    first, second = forger.stream(forger.made.tabled)[-1], forger.stream(forger.made.withdrawn)[0]
    forger.change(second.position, committed_at_us=first.committed_at_us)
    forger.swap(first.position, second.position)
    return first.position


def _move_motion(forger: Forger) -> int:
    """Let a motion that was withdrawn have come before one that was tabled."""
    moved = forger.stream(forger.made.withdrawn)
    first = forger.stream(forger.made.tabled)[0]
    forger.delete(*(row.position for row in moved))
    for row in reversed(moved):
        forger.make_room(first.position)
        forger.insert(row._replace(position=first.position, committed_at_us=first.committed_at_us))
    forger.close_up()
    return first.position


def _move_time(forger: Forger) -> int:
    """Within the order of commit times, so that nothing goes back."""
    row = forger.stream(forger.made.waiting)[0]
    forger.change(row.position, committed_at_us=row.committed_at_us - 1000)
    return row.position


def _move_time_behind_the_next(forger: Forger) -> int:
    row = forger.stream(forger.made.waiting)[0]
    forger.change(row.position, committed_at_us=row.committed_at_us + 10**9)
    return row.position + 1


ATTACKS = [
    *_changes(covered, C.WITNESS),
    *_changes(uncovered, None),
    *_changes(of_pipeline, None),
    Attack("first deleted", _delete_and_leave_gaps(lambda _: 1), C.POSITIONS, crude=True),
    Attack("one deleted", _delete_and_leave_gaps(lambda _: 60), C.POSITIONS, crude=True),
    Attack("last deleted", _delete_and_leave_gaps(lambda f: f.last), C.POSITIONS, crude=True),
    Attack("beginning of motion deleted", _delete_from_motion(0), C.LOG, C.STREAM),
    Attack("middle of motion deleted", _delete_from_motion(5), C.LOG, C.STREAM),
    Attack("end of motion deleted", _delete_from_motion(-1), C.LOG, C.HEAD),
    Attack("whole motion deleted", _delete_motion, C.LOG),
    Attack("inserted", _insert_in_the_middle, C.LOG, C.WITNESS),
    Attack("swapped events of motion", _swap_in_a_motion, C.LOG, C.STREAM),
    Attack("swapped places in motion", _swap_places_in_a_motion, C.LOG, C.STREAM),
    Attack("swapped motions", _swap_motions, C.LOG),
    Attack("moved motion", _move_motion, C.LOG),
    Attack("time moved", _move_time, C.LOG),
    Attack("time moved behind the next", _move_time_behind_the_next, C.POSITIONS, C.POSITIONS),
]
