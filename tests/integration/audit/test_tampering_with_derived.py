"""A superuser leaves the events alone, and changes what was derived from them."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest

from governance_flow.application.audit.faults import Check
from tests.support.tampering import Forger, Original


class TestHeadRow:
    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("position", 5),
            ("position", 100_000),
            ("committed_at_us", 1),
            ("halt_epoch", 0),
            ("halted", True),
            ("admitted", 1),
        ],
    )
    async def test_a_changed_column_is_found(self, forger: Forger, column: str, value: int) -> None:
        forger.execute(f"UPDATE head SET {column} = ?", value)
        fault = (await forger.verify()).first_fault
        assert fault is not None
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
            ("blocked", False),
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
        table = forger.table("motions")
        [(shown,)] = forger.execute(f"SELECT shown FROM {table} WHERE motion_id = ?", motion_id)
        moved = json.loads(shown)
        moved["deadline_us"] += 1
        forger.execute(
            f"UPDATE {table} SET shown = ? WHERE motion_id = ?", json.dumps(moved), motion_id
        )
        [fault] = (await forger.verify()).faults
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
    if forger.on_postgres:
        pytest.skip("the pages of a server are not ours to write")
    path = Path(forger.address.removeprefix("sqlite:///"))
    _change_one_byte(path, str(original.made.acknowledged).encode() + b"MOTION_INTRODUCED")
    report = await forger.verify()
    assert not report.passed
    assert any("its index is damaged" in str(fault) for fault in report.faults)


def _change_one_byte(path: Path, where: bytes) -> None:
    content = path.read_bytes()
    at = content.find(where)
    assert at >= 0, "the row was not found in the file"
    other = b"0" if content[at : at + 1] != b"0" else b"1"
    path.write_bytes(content[:at] + other + content[at + 1 :])
