"""A read model that differs from the events is found out, and told field by field."""

from __future__ import annotations

from uuid import UUID

import pytest

from governance_flow.domain.errors import StoreError
from governance_flow.domain.states import GovernanceState
from governance_flow.infrastructure.database.base import AnyDatabase
from projections import reconcile
from projections.reconcile import Fault, ReadModelCheck
from tests.support.assembly import MAPPER, Assembly, motion_id_of, replayed, whole_log
from tests.support.followers import Follower, change_rows, faults_of, one_by_one

S = GovernanceState


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "PAGE", 3)


@pytest.fixture
async def filled(assembly: Assembly, follower: Follower) -> Assembly:
    for state in S:
        await assembly.introduce(state)
    await follower.read_model.catch_up(10_000)
    return assembly


def in_state(state: S) -> UUID:
    """Return the motion that ``filled`` brought into a state."""
    return motion_id_of(list(S).index(state) + 1)


async def test_a_read_model_that_says_what_the_events_say_has_no_fault(
    filled: Assembly, database: AnyDatabase
) -> None:
    assert await faults_of(database, filled.store) == []


@pytest.mark.parametrize(
    ("change", "field", "expected", "found"),
    [
        ("state = 'JUDGING'", "state", "PLANNING", "JUDGING"),
        ("version = 99", "version", "7", "99"),
        (
            "shown = replace(shown, '\"deadline_us\": 17', '\"deadline_us\": 18')",
            "deadline",
            None,
            None,
        ),
        ("blocked = NOT blocked", "blocked", "False", "True"),
        ("waiting = NOT waiting", "waiting", "False", "True"),
        ("shown = replace(shown, 'bridge', 'tunnel')", "title", None, "Build a tunnel"),
    ],
)
async def test_a_row_that_was_changed_is_found_with_its_field(
    filled: Assembly,
    database: AnyDatabase,
    *,
    change: str,
    field: str,
    expected: str | None,
    found: str | None,
) -> None:
    planning = in_state(S.PLANNING)
    await change_rows(database, f"UPDATE motions_1 SET {change} WHERE motion_id = '{planning}'")
    [fault] = await faults_of(database, filled.store)
    assert (fault.motion_id, fault.field) == (planning, field)
    assert expected in (None, fault.expected)
    assert found in (None, fault.found)
    assert str(fault) == (
        f"motion {planning}: {field} should be {fault.expected}, but is {fault.found}"
    )


@pytest.mark.parametrize("state", [S.INTRODUCED, S.PLANNING, S.WITHDRAWN])
async def test_a_row_that_is_gone_is_found(
    filled: Assembly, database: AnyDatabase, state: S
) -> None:
    lost = in_state(state)
    await change_rows(database, f"DELETE FROM motions_1 WHERE motion_id = '{lost}'")
    assert await faults_of(database, filled.store) == [Fault(lost, "row", "a row", "no row")]


@pytest.mark.parametrize("number", [1, 2**120])
async def test_a_row_of_a_motion_that_never_was_is_found(
    filled: Assembly, database: AnyDatabase, number: int
) -> None:
    # Before all others in the order of ids, and after them.
    invented = UUID(int=number)
    await change_rows(
        database,
        f"UPDATE motions_1 SET motion_id = '{invented}' WHERE motion_id = '{in_state(S.TABLED)}'",
    )
    assert await faults_of(database, filled.store) == [
        *([Fault(invented, "row", "no row", "a row")] if number == 1 else []),
        Fault(in_state(S.TABLED), "row", "a row", "no row"),
        *([Fault(invented, "row", "no row", "a row")] if number > 1 else []),
    ]


@pytest.mark.parametrize("counter", ["PLANNING", "blocked", "waiting"])
async def test_a_counter_that_drifted_is_found(
    filled: Assembly, database: AnyDatabase, counter: str
) -> None:
    await change_rows(
        database,
        f"UPDATE motions_1_counters SET amount = amount + 2 WHERE counter = '{counter}'",
    )
    assert await faults_of(database, filled.store) == [Fault(None, f"counter {counter}", "1", "3")]


async def test_a_total_that_drifted_is_found(filled: Assembly, database: AnyDatabase) -> None:
    await change_rows(
        database,
        "DELETE FROM activity_1_totals WHERE total = 'transitions' AND second = 'ACKNOWLEDGED'",
    )
    [fault] = await faults_of(database, filled.store)
    assert fault == Fault(None, "total transitions WITNESSING ACKNOWLEDGED", "1", "0")
    assert str(fault) == (
        "all motions: total transitions WITNESSING ACKNOWLEDGED should be 1, but is 0"
    )


async def test_what_happens_while_it_is_verified_is_no_fault(
    filled: Assembly, follower: Follower, database: AnyDatabase
) -> None:
    check = ReadModelCheck(database, filled.store, MAPPER)
    snapshot = await check.snapshot()
    log = await whole_log(filled.store, up_to_position=snapshot.position)
    # Rows change, appear, and have their deadlines moved, between the snapshot and the reading.
    await filled.act(in_state(S.PLANNING), lambda motion: motion.succeeds())
    await filled.introduce(S.PLANNING)
    await filled.halt()
    filled.clock.advance(hours=3)
    await filled.resume()
    await follower.read_model.catch_up(10_000)
    faults = [fault async for fault in check.verify(snapshot, one_by_one(replayed(log)))]
    assert faults == []


async def test_deadlines_that_a_halt_has_moved_are_no_fault_and_others_are(
    filled: Assembly, follower: Follower, database: AnyDatabase
) -> None:
    await filled.halt()
    filled.clock.advance(hours=3)
    await filled.resume()
    await follower.read_model.catch_up(10_000)
    assert await faults_of(database, filled.store) == []
    await change_rows(database, "UPDATE motions_1_halts SET end_us = end_us - 1")
    faults = await faults_of(database, filled.store)
    assert {fault.field for fault in faults} == {"deadline"}
    assert in_state(S.JUDGING) in {fault.motion_id for fault in faults}


async def test_projections_that_stand_apart_must_catch_up_before_they_are_verified(
    filled: Assembly, database: AnyDatabase
) -> None:
    await change_rows(database, "UPDATE projections SET position = 3 WHERE name = 'activity'")
    with pytest.raises(StoreError, match=r"3 \(activity\); let them catch up"):
        await faults_of(database, filled.store)


async def test_with_too_much_parked_there_is_nothing_left_to_verify(
    filled: Assembly,
    follower: Follower,
    database: AnyDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await filled.spoil(in_state(S.PLANNING))
    await follower.read_model.catch_up(10_000)
    monkeypatch.setattr(reconcile, "PARKED_MAX", 1)
    with pytest.raises(StoreError, match="more than 1 motions are parked"):
        await faults_of(database, filled.store)


async def test_a_stream_that_went_bad_after_it_was_applied_is_found(
    filled: Assembly, follower: Follower, database: AnyDatabase
) -> None:
    # The projection never parked it: somebody took the note away, and moved nothing else.
    await filled.spoil(in_state(S.PLANNING))
    await follower.read_model.catch_up(10_000)
    await change_rows(database, "DELETE FROM projections_parked")
    check = ReadModelCheck(database, filled.store, MAPPER)
    faults = [fault for fault in await check.sample(100) if fault.motion_id is not None]
    assert [(fault.motion_id, fault.field) for fault in faults] == [
        (in_state(S.PLANNING), "motions")
    ]
    assert "MOTION_ROUTED at position" in faults[0].expected


async def test_samples_go_round_all_rows_a_few_at_a_time(
    filled: Assembly, database: AnyDatabase
) -> None:
    wrong = [in_state(S.INTRODUCED), in_state(S.JUDGING), in_state(S.WITHDRAWN)]
    for motion_id in wrong:
        await change_rows(
            database, f"UPDATE motions_1 SET version = 99 WHERE motion_id = '{motion_id}'"
        )
    check = ReadModelCheck(database, filled.store, MAPPER)
    rounds = [[fault.motion_id for fault in await check.sample(4)] for _ in range(6)]
    once = rounds[:3]
    assert [motion_id for found in once for motion_id in found] == wrong
    assert rounds[3:] == once
