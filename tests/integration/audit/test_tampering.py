"""A store's file in the hands of somebody who may change whatever is in it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from governance_flow.application.audit.faults import AuditReport, Check
from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.witness import WitnessStatement
from tests.support.clock import ManualClock
from tests.support.flows import opened
from tests.support.histories import SETTINGS, History, eventful


@dataclass(frozen=True)
class Original:
    """The honest store: a file nobody writes to any more."""

    path: Path
    made: History
    clock: ManualClock


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    path = tmp_path_factory.mktemp("original") / "flow.db"
    clock = ManualClock()

    async def make() -> History:
        ids = count(1)
        async with opened(
            f"sqlite:///{path}",
            settings=SETTINGS,
            clock=clock,
            # In this order the streams are read, so that the same fault comes first every time.
            new_id=lambda: UUID(int=next(ids)),
        ) as played:
            made = await eventful(played)
            assert (await played.flow.auditor.verify()).passed
            return made

    made = asyncio.run(make())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return Original(path, made, clock)


class Forger:
    """A copy of the store, with the triggers that guard the log taken away."""

    def __init__(self, original: Original, path: Path) -> None:
        shutil.copy(original.path, path)
        self.path = path
        self.made = original.made
        self._clock = original.clock
        self.execute("DROP TRIGGER events_append_only_update")
        self.execute("DROP TRIGGER events_append_only_delete")
        [(self.last,)] = self.execute("SELECT position FROM head")

    def execute(self, sql: str, *params: object) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(sql, params).fetchall()

    def change(self, position: int, column: str, value: object) -> None:
        self.execute(f"UPDATE events SET {column} = ? WHERE position = ?", value, position)

    def state(self, position: int) -> dict[str, Any]:
        [(state,)] = self.execute("SELECT state FROM events WHERE position = ?", position)
        return dict(json.loads(state))

    def edit(self, position: int, **fields: object) -> None:
        state = json.dumps({**self.state(position), **fields}, separators=(",", ":"))
        self.change(position, "state", state.encode())

    def positions(self, motion_id: UUID) -> list[int]:
        rows = self.execute(
            "SELECT position FROM events WHERE stream_id = ? ORDER BY stream_version",
            str(motion_id),
        )
        return [position for (position,) in rows]

    def delete(self, *positions: int) -> None:
        for position in positions:
            self.execute("DELETE FROM events WHERE position = ?", position)

    def close_up(self) -> None:
        """Make the positions dense again, and the head go with them."""
        rows = self.execute("SELECT position, committed_at_us FROM events ORDER BY position")
        for position, (old, _) in enumerate(rows, 1):
            self.change(old, "position", position)
        self.execute("UPDATE head SET position = ?, committed_at_us = ?", len(rows), rows[-1][1])

    def table(self, prefix: str, suffix: str = "") -> str:
        [(generation,)] = self.execute(
            "SELECT generation FROM projections WHERE live AND name = ?", prefix
        )
        return f"{prefix}_{generation}{suffix}"

    async def verify(self) -> AuditReport:
        async with opened(f"sqlite:///{self.path}", settings=SETTINGS, clock=self._clock) as played:
            return await played.flow.auditor.verify()


@pytest.fixture
def forger(original: Original, tmp_path: Path) -> Forger:
    return Forger(original, tmp_path / "flow.db")


async def first_fault(forger: Forger) -> Any:
    fault = (await forger.verify()).first_fault
    assert fault is not None
    return fault


async def test_the_untouched_copy_passes(forger: Forger) -> None:
    report = await forger.verify()
    assert [str(fault) for fault in report.faults] == []


class TestColumns:
    """One column of one event in the middle of a motion."""

    @pytest.mark.parametrize(
        ("column", "value", "check"),
        [
            ("position", 100_000, Check.POSITIONS),
            ("position", -1, Check.POSITIONS),
            ("stream_id", "6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b", Check.STREAM),
            ("stream_id", "not an id", Check.STREAM),
            ("stream_id", str(PIPELINE_ID), Check.STREAM),
            ("stream_version", 1000, Check.STREAM),
            ("stream_version", -1, Check.STREAM),
            ("topic", "MOTION_AMENDED", Check.STREAM),
            ("topic", "os.system", Check.STREAM),
            ("state", b"", Check.STREAM),
            ("state", b"\xff\xfe", Check.STREAM),
            ("state", b"[]", Check.STREAM),
            ("committed_at_us", 0, Check.POSITIONS),
            ("committed_at_us", 2**62, Check.POSITIONS),
        ],
    )
    async def test_a_changed_one_is_found(
        self, forger: Forger, column: str, value: object, check: Check
    ) -> None:
        forger.change(forger.positions(forger.made.acknowledged)[4], column, value)
        fault = await first_fault(forger)
        assert fault.check is check, str(fault)

    async def test_one_changed_byte_of_a_state_is_found_and_named(self, forger: Forger) -> None:
        for number, position in enumerate(forger.positions(forger.made.acknowledged)[:-1], 1):
            [(state,)] = forger.execute("SELECT state FROM events WHERE position = ?", position)
            forger.change(position, "state", state.replace(b'"', b"'", 1))
            fault = await first_fault(forger)
            assert (fault.position, fault.version) == (position, number)
            assert fault.stream_id == str(forger.made.acknowledged)
            forger.change(position, "state", state)

    async def test_a_changed_word_is_named_with_what_was_witnessed(self, forger: Forger) -> None:
        position = forger.positions(forger.made.acknowledged)[0]
        forger.edit(position, title="Another bridge")
        fault = await first_fault(forger)
        assert (fault.check, fault.position, fault.version) == (Check.WITNESS, position, 1)
        assert "its stored bytes are not those" in fault.message

    @pytest.mark.parametrize("column", ["stream_id", "topic"])
    async def test_text_that_is_no_text_is_a_fault(self, forger: Forger, column: str) -> None:
        position = forger.positions(forger.made.acknowledged)[4]
        forger.execute(
            f"UPDATE events SET {column} = CAST(X'FFFE' AS TEXT) WHERE position = ?", position
        )
        report = await forger.verify()
        assert not report.passed
        assert any(fault.position == position for fault in report.faults)
        for fault in report.faults:
            str(fault).encode()


class TestEvents:
    """Whole events, deleted, inserted, swapped or replaced."""

    @pytest.mark.parametrize("index", [0, 0.5, 1])
    async def test_a_deleted_one_is_found(self, forger: Forger, index: float) -> None:
        position = max(1, round(index * forger.last))
        forger.delete(position)
        fault = await first_fault(forger)
        assert fault.check is Check.POSITIONS
        assert fault.position == position

    @pytest.mark.parametrize("version", [1, 2, 7])
    async def test_a_deleted_one_is_found_when_positions_are_closed_up(
        self, forger: Forger, version: int
    ) -> None:
        forger.delete(forger.positions(forger.made.acknowledged)[version - 1])
        forger.close_up()
        fault = await first_fault(forger)
        assert fault.check is Check.STREAM
        assert fault.stream_id == str(forger.made.acknowledged)
        assert f"version {version} is missing" in fault.message

    async def test_a_motion_deleted_whole_is_missed_by_the_read_model(self, forger: Forger) -> None:
        forger.delete(*forger.positions(forger.made.acknowledged))
        forger.close_up()
        report = await forger.verify()
        assert {fault.check for fault in report.faults} == {Check.READ_MODEL}
        assert any(f.stream_id == str(forger.made.acknowledged) for f in report.faults)

    async def test_an_end_cut_off_is_missed_by_the_read_model(self, forger: Forger) -> None:
        """Even where the head row was doctored to go with it."""
        forger.delete(forger.positions(forger.made.acknowledged)[-1])
        forger.close_up()
        forger.execute("UPDATE head SET admitted = admitted + 1")
        report = await forger.verify()
        assert {fault.check for fault in report.faults} == {Check.READ_MODEL, Check.OPERATIONS}
        assert any("version" in str(fault) for fault in report.faults)

    async def test_two_swapped_states_are_found(self, forger: Forger) -> None:
        first, second = forger.positions(forger.made.acknowledged)[4:6]
        rows = {
            position: forger.execute(
                "SELECT topic, state FROM events WHERE position = ?", position
            )[0]
            for position in (first, second)
        }
        for here, there in ((first, second), (second, first)):
            forger.change(here, "topic", rows[there][0])
            forger.change(here, "state", rows[there][1])
        fault = await first_fault(forger)
        assert fault.position == first

    async def test_two_swapped_positions_of_a_motion_are_found(self, forger: Forger) -> None:
        first, second = forger.positions(forger.made.acknowledged)[4:6]
        forger.change(first, "position", 0)
        forger.change(second, "position", first)
        forger.change(0, "position", second)
        fault = await first_fault(forger)
        assert fault.stream_id == str(forger.made.acknowledged)
        assert "stands before its predecessor" in fault.message

    async def test_an_inserted_one_is_found(self, forger: Forger) -> None:
        forger.execute(
            "INSERT INTO events SELECT position + 1, stream_id, stream_version + 1, topic, state,"
            " committed_at_us FROM events WHERE position = ?",
            forger.last,
        )
        fault = await first_fault(forger)
        assert fault.position == forger.last + 1
        assert "stands behind the end of the log" in fault.message

    async def test_a_statement_replaced_by_another_valid_one_is_found(self, forger: Forger) -> None:
        positions = forger.positions(forger.made.acknowledged)
        moves = [p for p in positions if "statement" in forger.state(p)]
        forger.edit(moves[0], statement=forger.state(moves[1])["statement"])
        fault = await first_fault(forger)
        assert (fault.check, fault.position) == (Check.WITNESS, moves[0])

    async def test_a_state_forged_with_a_statement_to_match_is_found(self, forger: Forger) -> None:
        """The last statement of a motion is covered by none: its own words must give it away."""
        last = forger.positions(forger.made.rejected)[-1]
        event = forger.state(last)
        body = WitnessStatement(event["statement"]).body()
        forged = {**body, "to": "TABLED"}
        text = json.dumps(forged, sort_keys=True, separators=(",", ":"))
        header = event["statement"].split("\n")[0]
        forger.edit(last, to_state="TABLED", statement=f"{header}\n{text}\n")
        report = await forger.verify()
        assert not report.passed
        assert any(f.stream_id == str(forger.made.rejected) for f in report.faults)

    async def test_a_changed_end_that_no_statement_covers_yet_differs_from_the_read_model(
        self, forger: Forger
    ) -> None:
        position = forger.positions(forger.made.retried)[-1]
        assert forger.state(position)["service"] == "president_service"
        forger.edit(position, attempt=7)
        report = await forger.verify()
        assert {fault.check for fault in report.faults} == {Check.READ_MODEL}
        assert report.first_fault is not None
        assert report.first_fault.stream_id == str(forger.made.retried)
        assert "attempt" in report.first_fault.message

    async def test_a_pipeline_never_halted_is_found(self, forger: Forger) -> None:
        [(position,)] = forger.execute(
            "SELECT position FROM events WHERE topic = 'PIPELINE_RESUMED'"
        )
        forger.delete(position)
        forger.close_up()
        report = await forger.verify()
        messages = " ".join(str(fault) for fault in report.faults)
        assert "the head row's halt epoch is 2, the events say 1" in messages
        assert "the head row's halted is False, the events say True" in messages


class TestHeadRow:
    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("position", 5),
            ("position", 100_000),
            ("committed_at_us", 1),
            ("halt_epoch", 0),
            ("halted", 1),
            ("admitted", 1),
        ],
    )
    async def test_a_changed_column_is_found(self, forger: Forger, column: str, value: int) -> None:
        forger.execute(f"UPDATE head SET {column} = ?", value)
        fault = await first_fault(forger)
        assert fault.check in (Check.HEAD, Check.POSITIONS)


class TestDerived:
    """The log is whole, and something that was derived from it is not."""

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("version", 99),
            ("introduced_at_us", 1),
            ("state", "REJECTED"),
            ("entered_state_at_us", 1),
            ("blocked", 0),
            ("shown", "{}"),
            ("shown", "rubbish"),
        ],
    )
    async def test_a_changed_row_of_the_read_model_is_found(
        self, forger: Forger, column: str, value: object
    ) -> None:
        forger.execute(
            f"UPDATE {forger.table('motions')} SET {column} = ? WHERE motion_id = ?",
            value,
            str(forger.made.halted),
        )
        report = await forger.verify()
        assert {fault.check for fault in report.faults} == {Check.READ_MODEL}

    async def test_a_moved_deadline_is_found(self, forger: Forger) -> None:
        motion_id = str(forger.made.executing)
        forger.execute(
            f"UPDATE {forger.table('motions')} SET shown = json_set("
            "shown, '$.deadline_us', json_extract(shown, '$.deadline_us') + 1)"
            " WHERE motion_id = ?",
            motion_id,
        )
        fault = await first_fault(forger)
        assert fault.stream_id == motion_id
        assert "deadline" in fault.message

    @pytest.mark.parametrize(
        "sql",
        [
            "DELETE FROM {motions} WHERE motion_id = '{rejected}'",
            "UPDATE {motions} SET motion_id = '{nobody}' WHERE motion_id = '{rejected}'",
            "UPDATE {motions}_halts SET end_us = end_us + 1",
            "UPDATE {motions}_counters SET amount = amount + 1 WHERE counter = 'blocked'",
            "DELETE FROM {motions}_counters WHERE counter = 'ACKNOWLEDGED'",
            "UPDATE {activity}_totals SET amount = amount + 1 WHERE total = 'transitions'",
            "DELETE FROM {activity}_totals WHERE total = 'errors'",
            "UPDATE {activity}_buckets SET amount = amount + 1 WHERE kind = 'completion'",
            "DELETE FROM {activity}_buckets WHERE kind = 'failure'",
            "DROP TABLE {activity}_buckets",
        ],
    )
    async def test_rows_and_counters_of_the_read_model_are_compared(
        self, forger: Forger, sql: str
    ) -> None:
        forger.execute(
            sql.format(
                motions=forger.table("motions"),
                activity=forger.table("activity"),
                rejected=forger.made.rejected,
                nobody=UUID(int=2**128 - 1),
            )
        )
        report = await forger.verify()
        assert {fault.check for fault in report.faults} == {Check.READ_MODEL}

    @pytest.mark.parametrize(
        ("table", "whose"), [("assignments", "executing"), ("agenda", "waiting")]
    )
    async def test_a_lost_operational_row_is_found(
        self, forger: Forger, table: str, whose: str
    ) -> None:
        motion_id = str(getattr(forger.made, whose))
        forger.execute(f"DELETE FROM {table} WHERE motion_id = ?", motion_id)
        report = await forger.verify()
        assert [(f.check, f.stream_id) for f in report.faults] == [(Check.OPERATIONS, motion_id)]

    @pytest.mark.parametrize("table", ["assignments", "agenda"])
    async def test_a_lost_operational_table_is_found(self, forger: Forger, table: str) -> None:
        forger.execute(f"DROP TABLE {table}")
        report = await forger.verify()
        assert {fault.check for fault in report.faults} == {Check.OPERATIONS}
        assert report.fault_count == 1


async def test_a_file_whose_index_differs_from_its_rows_is_found(
    forger: Forger, original: Original
) -> None:
    """One byte of the file itself: the row says another stream than the index that leads to it."""
    motion_id = str(original.made.acknowledged).encode()
    content = forger.path.read_bytes()
    places = _occurrences(content, motion_id + b"MOTION_INTRODUCED")
    assert places, "the row was not found in the file"
    changed = bytearray(content)
    changed[places[0]] = ord("0") if changed[places[0]] != ord("0") else ord("1")
    forger.path.write_bytes(changed)
    report = await forger.verify()
    assert not report.passed
    assert any("its index is damaged" in str(fault) for fault in report.faults)


def _occurrences(content: bytes, needle: bytes) -> list[int]:
    return [i for i in range(len(content)) if content.startswith(needle, i)]
