"""A superuser writes what nobody expects: the audit says so, and goes on to the end."""

from __future__ import annotations

import random
import sqlite3
from contextlib import suppress

import psycopg
import pytest

from governance_flow.application.audit.faults import AuditReport, Check
from tests.support.tampering import Forger

HUGE = 2**63 - 1

RUBBISH = [
    b"",
    b"\x00",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b'"text"',
    b"1" * 5000,
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"schema_version":[]}',
    b'{"schema_version":{}}',
    b'{"statement":"\\ud800"}',
    b'{"statement":["x"]}',
    b'{"statement":"' + b"x" * 100_000 + b'"}',
    b'{"timestamp":"9999-12-31T23:59:59Z","title":"\\u0000"}',
    b"{" + b" " * 100_000 + b"}",
]

ABSURD: list[object] = [None, [], {}, "", "\x00", "x" * 70_000, HUGE * 10, -1, True, 1e300]

KINDS = [
    "MOTION_INTRODUCED",
    "TRANSITION_WITNESSED",
    "BRANCH_COMPLETED",
    "KEY_ADOPTED",
    "CONFIGURATION_ADOPTED",
    "PIPELINE_HALTED",
]


def named(report: AuditReport, position: int) -> bool:
    """Whether a fault names the position; and every fault can be printed."""
    for fault in report.faults:
        str(fault).encode()
    return any(fault.position == position for fault in report.faults)


@pytest.mark.parametrize("topic", KINDS)
async def test_rubbish_in_place_of_an_event_is_named(forger: Forger, topic: str) -> None:
    row = forger.of_topic(topic)[0]
    async with forger.opened() as played:
        for state in RUBBISH:
            forger.change(row.position, state=state)
            report = await played.flow.audit.auditor.verify()
            assert named(report, row.position), state[:40]


@pytest.mark.parametrize("topic", KINDS)
async def test_rubbish_within_an_event_is_named(forger: Forger, topic: str) -> None:
    row = forger.of_topic(topic)[0]
    # What an event says is no matter of the database.
    absurd = ABSURD[::5] if forger.on_postgres else ABSURD
    async with forger.opened() as played:
        for key in row.event:
            for value in absurd:
                forger.put(row.saying(**{key: value}))
                report = await played.flow.audit.auditor.verify()
                if forger.row(row.position).event != row.event:
                    assert named(report, row.position), (key, value)


@pytest.mark.parametrize("value", [HUGE, -HUGE - 1, -1, 0])
@pytest.mark.parametrize("column", ["position", "stream_version", "committed_at_us"])
async def test_absurd_numbers_are_found(forger: Forger, column: str, value: int) -> None:
    forger.change(60, **{column: value})
    report = await forger.verify_with(forger.original.late)
    named(report, 60)
    assert not report.passed


@pytest.mark.parametrize("column", ["position", "stream_version", "committed_at_us"])
async def test_they_are_found_in_the_pipelines_stream(forger: Forger, column: str) -> None:
    row = forger.of_topic("KEY_ADOPTED")[0]
    for value in (HUGE, -HUGE - 1):
        forger.change(row.position, **{column: value})
        assert not (await forger.verify()).passed
        forger.change(value if column == "position" else row.position, **row._asdict())
    assert (await forger.verify()).passed


@pytest.mark.parametrize("topic", ["", "os.system", "MOTION_AMENDED", "x" * 100_000, "KEY_ADOPTED"])
async def test_an_absurd_topic_is_found(forger: Forger, topic: str) -> None:
    forger.change(60, topic=topic)
    assert named(await forger.verify(), 60)


@pytest.mark.parametrize("column", ["stream_id", "topic"])
async def test_text_that_is_no_text_is_found(forger: Forger, column: str) -> None:
    if forger.on_postgres:
        pytest.skip("the server refuses text that is none")
    for text in ("FFFE", "00", "EDA080", "C3"):
        forger.execute(f"UPDATE events SET {column} = CAST(X'{text}' AS TEXT) WHERE position = 60")
        assert named(await forger.verify(), 60)


@pytest.mark.parametrize(
    "stream_id", ["", "not an id", "\x00", "6EC0BD7F-11C0-43DA-975E-2A8AD9EBAE0B"]
)
async def test_a_stream_that_is_none_is_found(forger: Forger, stream_id: str) -> None:
    if forger.on_postgres:
        with pytest.raises((psycopg.Error, ValueError)):
            forger.change(60, stream_id=stream_id.removeprefix("6EC0") or "-")
        return
    forger.change(60, stream_id=stream_id)
    assert named(await forger.verify(), 60)


@pytest.mark.parametrize("column", ["position", "committed_at_us", "halt_epoch", "admitted"])
@pytest.mark.parametrize("value", [HUGE, -HUGE - 1])
async def test_an_absurd_head_is_found(forger: Forger, column: str, value: int) -> None:
    if value < 0 and column in ("position", "admitted"):
        pytest.skip("a constraint of the table refuses it")
    forger.execute(f"UPDATE head SET {column} = ?", value)
    assert not (await forger.verify()).passed


@pytest.mark.parametrize("seed", range(6))
async def test_any_heap_of_rubbish_is_survived(forger: Forger, seed: int) -> None:
    chance = random.Random(seed)
    numbers = [HUGE, -HUGE - 1, -1, 0, 1, 77, 2**62]
    for _ in range(25):
        row = chance.choice(forger.rows())
        column = chance.choice(["position", "stream_version", "committed_at_us", "state", "topic"])
        value: object = chance.choice(numbers)
        if column == "state":
            value = chance.choice(RUBBISH)
        elif column == "topic":
            value = chance.choice(KINDS)
        elif column != "committed_at_us":
            value = chance.choice(numbers) - chance.randrange(10**6) * (value != -HUGE - 1)
            value = max(-HUGE - 1, value)
        # Two rows can have no one place, whoever writes them.
        with suppress(sqlite3.IntegrityError, psycopg.errors.UniqueViolation):
            forger.change(row.position, **{column: value})
    report = await forger.verify_with(forger.original.early, forger.original.late)
    named(report, 0)
    assert not report.passed
    assert Check.POSITIONS in {fault.check for fault in report.faults}
