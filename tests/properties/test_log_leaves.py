"""Whatever stands in the events, the log is what its format says, by another's code."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from hashlib import sha256
from itertools import pairwise
from typing import Any
from uuid import UUID

import rfc8785
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from governance_flow.application.audit.leaves import leaf_data, leaf_hash_of, row_of, statement_in
from governance_flow.application.ports.audit import StoredRow
from governance_flow.application.ports.event_store import CommittedEvent
from governance_flow.application.ports.projection import Batch
from governance_flow.domain.pipeline import Pipeline
from governance_flow.infrastructure.database.opening import open_database
from projections.log import LogProjection
from tests.support.clock import ManualClock
from tests.support.naive_log import GENESIS, Tiles, naive_leaf, naive_tiles

# JavaScript's numbers, and text that is text: what RFC 8785 has a spelling for.
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
AWKWARD = st.text(
    st.sampled_from('"\\/\b\f\n\r\t\x00\x1f\x7f\x80\u2028\u2029\ufeffé€😀'), max_size=20
)

ROWS = st.builds(
    StoredRow,
    position=INTEGERS,
    stream_id=TEXTS | AWKWARD | st.uuids().map(str),
    version=INTEGERS,
    topic=TEXTS | AWKWARD,
    state=st.binary(max_size=100),
    committed_at_us=INTEGERS,
)


@given(ROWS, st.none() | TEXTS)
def test_a_record_is_spelt_as_canonical_json_is(row: StoredRow, statement: str | None) -> None:
    header, line, rest = leaf_data(row, statement).split(b"\n", 2)
    record: dict[str, Any] = {
        "committed_at_us": row.committed_at_us,
        "position": row.position,
        "sha256": sha256(row.state).hexdigest(),
        "stream_id": row.stream_id,
        "topic": row.topic,
        "version": row.version,
    }
    assert header == b"governance-flow/leaf/v1"
    assert line == rfc8785.dumps(record)
    assert rest == (statement or "").encode()


@given(ROWS, st.integers(0, 70_000), st.sampled_from("xé😀"))
def test_no_leaf_is_longer_than_it_may_be(row: StoredRow, length: int, character: str) -> None:
    statement = character * length
    leaf = leaf_data(row, statement)
    assert len(leaf) <= 65_535
    _, line, rest = leaf.split(b"\n", 2)
    left_out = len(leaf_data(row, "") + statement.encode()) > 65_535
    digest = sha256(statement.encode()).hexdigest()
    assert json.loads(line).get("statement_sha256") == (digest if left_out else None)
    assert rest == (b"" if left_out else statement.encode())
    assert line == rfc8785.dumps(json.loads(line))


@given(st.text(max_size=50) | AWKWARD, st.booleans())
def test_a_statement_is_found_in_the_stored_bytes_as_it_was_made(text: str, ascii_: bool) -> None:
    state = json.dumps({"statement": text, "to": "x"}, ensure_ascii=ascii_).encode()
    assert statement_in(state) == text.encode()


# What makes parsers disagree: escapes in names, names twice, half characters, what is no UTF-8, no
# number or no JSON at all, and more of everything than some of them take.
NAMES = st.sampled_from(
    [b'"statement"', b'"\\u0073tatement"', b'"to"', b'"\\ud83d"', b'"\xff"', b"to"]
)
TEXT_VALUES = [
    *(b'"x"', b'"a\\n\\"b\\u00e9"', '"\N{EM DASH} é😀"'.encode(), b'"\\ud83d\\ude00"'),
    *(b'"\\ud83d"', b'"\xff"', b'"\xed\xa0\xbd"', b'"\x00"', b'"', b'"\\x"'),
]
OTHER_VALUES = [
    *(b"7", b"-0", b"01", b"1e999", b"NaN", b"-Infinity", b"9" * 4300, b"9" * 4301),
    *(b"null", b"true", b"", b"{}", b'["x"]', b'{"statement":"y"}', b'"x","statement":"y"'),
    *(b"[" * 190 + b"]" * 190, b"[" * 300 + b"]" * 300, b"[" * 100_000),
]
VALUES = st.sampled_from(TEXT_VALUES) | st.sampled_from(OTHER_VALUES)
SPACES = st.sampled_from([b"", b"", b"", b" \n\t\r", b"\x0b", b"\xef\xbb\xbf", b"x"])
MEMBERS = st.lists(st.tuples(NAMES, VALUES).map(b":".join), max_size=4).map(b",".join)
HOSTILE = st.builds(
    lambda before, members, after: before + b"{" + members + b"}" + after, SPACES, MEMBERS, SPACES
)


def parsed(state: bytes) -> bytes | None:
    """Return the statement as Python's own parser finds it."""
    try:
        statement = json.loads(state)["statement"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return statement.encode(errors="surrogatepass") if isinstance(statement, str) else None


@hypothesis_settings(max_examples=1000)
@given(HOSTILE | HOSTILE.map(lambda state: state.decode(errors="replace").encode("utf-16")))
def test_a_statement_is_found_where_any_parser_finds_it_whatever_else_there_is(
    state: bytes,
) -> None:
    assert statement_in(state) == parsed(state)


@given(ROWS, ROWS)
def test_different_rows_have_different_leaves(one: StoredRow, other: StoredRow) -> None:
    assert (leaf_hash_of(one) == leaf_hash_of(other)) == (one == other)


# -- Batches ---------------------------------------------------------------------------------------

EVENTS = 1_100


@cache
def events() -> list[CommittedEvent]:
    """Return a log that fills four tiles and begins a fifth."""
    made = []
    for position in range(1, EVENTS + 1):
        moved = position % 3 == 0
        statement = json.dumps({"statement": f"moved {position}\n\n— é x\n" * (position % 7)})
        made.append(
            CommittedEvent(
                originator_id=UUID(int=position % 5),
                originator_version=position // 5 + 1,
                topic="TRANSITION_WITNESSED" if moved else "BRANCH_COMPLETED",
                state=statement.encode() if position % 9 else b"no event at all",
                id=position,
                committed_at_us=position * 1_000,
            )
        )
    return made


@cache
def naively(size: int) -> Tiles:
    return naive_tiles([GENESIS, *(naive_leaf(event) for event in events()[: size - 1])])


async def tiles_after(cuts: list[int]) -> Tiles:
    """Follow the log in batches that end at these positions; return the tiles there are then."""
    database = open_database("memory:", clock=ManualClock())
    projection = LogProjection()
    try:
        await database.write(lambda tx: projection.create(tx, 1))
        for start, end in pairwise([0, *cuts]):
            run = events()[start:end]
            batch = Batch(end, run[-1].committed_at_us, (), (), Pipeline(), run)
            await database.write(lambda tx, batch=batch: projection.apply(tx, batch, 1))  # type: ignore[misc]
        found = await database.read(
            lambda tx: tx.execute("SELECT level, nth, hashes FROM log_tiles_1")
        )
        return {(level, nth): bytes(hashes) for level, nth, hashes in found}
    finally:
        await database.close()


SIZES = st.one_of(st.integers(1, EVENTS), st.sampled_from([255, 256, 257, 511, 512, 767, 1023]))


@hypothesis_settings(max_examples=40)
@given(st.sets(SIZES, min_size=1, max_size=12))
def test_the_tiles_are_those_of_the_events_however_they_were_batched(cuts: set[int]) -> None:
    ends = sorted(cuts)
    assert asyncio.run(tiles_after(ends)) == naively(ends[-1] + 1)


def test_the_rows_are_what_the_events_are() -> None:
    assert [leaf_hash_of(row_of(event)) for event in events()] == [
        sha256(b"\x00" + naive_leaf(event)).digest() for event in events()
    ]
