"""The leaves of the audit log, byte for byte, as other programs must come to them too."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from governance_flow.application.audit.leaves import (
    GENESIS,
    leaf_data,
    leaf_hash_of,
    row_of,
    statement_in,
)
from governance_flow.application.ports.audit import StoredRow
from governance_flow.application.ports.event_store import CommittedEvent

LEAF_BYTES_MAX = 65_535

INTRODUCED = StoredRow(
    1,
    "00000000-0000-4000-8000-00000000000a",
    1,
    "MOTION_INTRODUCED",
    b'{"title":"Mend the bridge"}',
    1_767_268_800_000_000,
)

STATEMENT = (
    'governance-flow/witness-statement/v1\n{"to":"ÉXECUTING"}\n\n'
    "\N{EM DASH} example.com/knight AAAAAA==\n"
)


def a_move(statement: object) -> StoredRow:
    """Return the row of a transition that carries ``statement``."""
    state = json.dumps({"statement": statement}, separators=(",", ":")).encode()
    return INTRODUCED._replace(position=7, version=3, topic="TRANSITION_WITNESSED", state=state)


def hashed(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf).digest()


def test_the_first_leaf_is_the_same_in_every_log() -> None:
    assert GENESIS == b'governance-flow/leaf/v1\n{"position":0}\n'


def test_the_leaf_of_any_event_is_a_record_of_where_it_stands_and_what_it_says() -> None:
    expected = (
        b"governance-flow/leaf/v1\n"
        b'{"committed_at_us":1767268800000000,"position":1,'
        b'"sha256":"858091d822edda2ae1dbdbbdb9dd2b1bd791179183ced0feeaf902f520f8d096",'
        b'"stream_id":"00000000-0000-4000-8000-00000000000a","topic":"MOTION_INTRODUCED",'
        b'"version":1}\n'
    )
    assert leaf_data(INTRODUCED, None) == expected
    assert leaf_hash_of(INTRODUCED) == hashed(expected)


def test_the_leaf_of_a_transition_has_the_statement_below_it_in_full() -> None:
    expected = (
        b"governance-flow/leaf/v1\n"
        b'{"committed_at_us":1767268800000000,"position":7,'
        b'"sha256":"5e02c2ca6aeacf6cfc85173da374b3763f8b1ca0d787a33bab26914f13f5d3ff",'
        b'"stream_id":"00000000-0000-4000-8000-00000000000a","topic":"TRANSITION_WITNESSED",'
        b'"version":3}\n'
        b"governance-flow/witness-statement/v1\n"
        b'{"to":"\xc3\x89XECUTING"}\n'
        b"\n"
        b"\xe2\x80\x94 example.com/knight AAAAAA==\n"
    )
    assert leaf_data(a_move(STATEMENT), STATEMENT) == expected
    assert leaf_hash_of(a_move(STATEMENT)) == hashed(expected)


def test_the_leaf_of_a_transition_that_is_too_long_has_the_statements_digest() -> None:
    long = f"governance-flow/witness-statement/v1\n{'x' * 65_536}\n"
    expected = (
        b"governance-flow/leaf/v1\n"
        b'{"committed_at_us":1767268800000000,"position":7,'
        b'"sha256":"a75cbceb3ab002b885cb76b3b67b07adca856676c8ae7f57b418d2819eeb2dc9",'
        b'"statement_sha256":"8a1f0fb1878efb48363a7db80269fc0853a6eff17ca988b655c27c14a9481234",'
        b'"stream_id":"00000000-0000-4000-8000-00000000000a","topic":"TRANSITION_WITNESSED",'
        b'"version":3}\n'
    )
    assert leaf_data(a_move(long), long) == expected
    assert leaf_hash_of(a_move(long)) == hashed(expected)


@pytest.mark.parametrize("character", ["x", "é", "😀"])
@pytest.mark.parametrize("over", [0, 1, 2, 3, 4])
def test_a_leaf_of_65535_bytes_is_the_longest(character: str, over: int) -> None:
    """Bytes count, not characters."""
    width = len(character.encode())
    record = len(leaf_data(a_move("any text at all"), ""))
    room = LEAF_BYTES_MAX - record
    statement = character * (room // width) + "y" * (room % width + over)
    leaf = leaf_data(a_move("any text at all"), statement)
    if over == 0:
        assert len(leaf) == LEAF_BYTES_MAX
        assert leaf.endswith(statement.encode())
    else:
        assert len(leaf) == record + len('"statement_sha256":"",') + 64
        assert sha256(statement.encode()).hexdigest().encode() in leaf


def test_only_a_transition_has_its_statement_in_the_leaf() -> None:
    row = a_move(STATEMENT)._replace(topic="BRANCH_COMPLETED")
    assert leaf_hash_of(row) == hashed(leaf_data(row, None))
    assert leaf_hash_of(row) != hashed(leaf_data(row, STATEMENT))


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"\xff\xfe",
        b"no event at all",
        b"[]",
        b"{}",
        b'"statement"',
        b'{"statement":7}',
        b'{"statement":null}',
        b"[" * 100_000,
    ],
)
def test_a_transition_that_nobody_can_read_has_a_leaf_like_any_event(state: bytes) -> None:
    row = a_move("")._replace(state=state)
    assert statement_in(state) is None
    assert leaf_hash_of(row) == hashed(leaf_data(row, None))


def test_what_has_no_statement_has_no_digest_of_one_however_long_it_is() -> None:
    row = a_move("")._replace(state=b"{}", stream_id="x" * 70_000)
    assert b"statement_sha256" not in leaf_data(row, None)
    assert leaf_hash_of(row) == hashed(leaf_data(row, None))


@pytest.mark.parametrize(
    "row",
    [
        INTRODUCED._replace(position=-1, version=-(2**63), committed_at_us=2**63 - 1),
        INTRODUCED._replace(stream_id="not \x00 an \n id", topic='"\\\x1f\x7f\u2028'),
        INTRODUCED._replace(stream_id=b"\xff\xfe".decode(errors="surrogateescape")),
        a_move("half a character: \ud83d"),
        a_move("\x00" * 70_000),
    ],
)
def test_whatever_a_row_was_made_to_hold_has_a_leaf_of_its_own(row: StoredRow) -> None:
    assert len(leaf_hash_of(row)) == 32
    assert leaf_hash_of(row) != leaf_hash_of(INTRODUCED)
    assert leaf_hash_of(row._replace(position=5)) != leaf_hash_of(row)
    assert leaf_hash_of(row._replace(committed_at_us=5)) != leaf_hash_of(row)


def test_every_column_counts() -> None:
    changes: dict[str, Any] = {
        "position": 2,
        "stream_id": "00000000-0000-4000-8000-00000000000b",
        "version": 2,
        "topic": "MOTION_AMENDED",
        "state": b'{"title":"Mend the bridges"}',
        "committed_at_us": 1_767_268_800_000_001,
    }
    assert set(changes) == set(INTRODUCED._fields)
    leaves = {leaf_hash_of(INTRODUCED._replace(**{name: to})) for name, to in changes.items()}
    assert len(leaves | {leaf_hash_of(INTRODUCED)}) == 1 + len(changes)


def test_an_event_as_the_store_gives_it_is_the_same_row() -> None:
    stored = CommittedEvent(
        originator_id=UUID(INTRODUCED.stream_id),
        originator_version=1,
        topic=INTRODUCED.topic,
        state=INTRODUCED.state,
        id=1,
        committed_at_us=INTRODUCED.committed_at_us,
    )
    assert row_of(stored) == INTRODUCED
