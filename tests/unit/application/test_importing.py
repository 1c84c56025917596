"""One line of a file becomes a motion, or an InvalidInput that says why not, and nothing else."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance_flow.application.importing import (
    MotionLine,
    is_blank,
    parse_line,
    strip_byte_order_mark,
)
from governance_flow.application.services.input_fields import MAX_DEPTH
from governance_flow.domain.errors import InvalidInput

GOOD: dict[str, Any] = {"title": "A jetty", "text": "Of oak.", "introduced_by": "Ada"}


def line(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def refusal(raw: bytes) -> str:
    with pytest.raises(InvalidInput) as refused:
        parse_line(raw)
    return refused.value.message


def test_every_key_finds_its_place() -> None:
    motion_id = "0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b"
    parsed = parse_line(
        line(
            motion_id=motion_id,
            reference="R/1",
            ballots={"Ada": "yes"},
            introduced_on="1946-01-02",
            topics=["sea"],
            tasks=["build", {"name": "paint"}],
            self="kept like any other",
        )
    )
    assert parsed.title == "A jetty"
    assert parsed.text == "Of oak."
    assert parsed.introduced_by == "Ada"
    assert parsed.motion_id == UUID(motion_id)
    assert parsed.reference == "R/1"
    assert parsed.ballots == {"Ada": "yes"}
    assert parsed.metadata == {
        "introduced_on": "1946-01-02",
        "topics": ["sea"],
        "tasks": ["build", {"name": "paint"}],
        "self": "kept like any other",
    }


def test_optional_keys_may_be_null() -> None:
    parsed = parse_line(line(motion_id=None, reference=None, ballots=None, topics=None, tasks=None))
    assert (parsed.motion_id, parsed.reference, parsed.ballots) == (None, None, None)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"not json", "not JSON"),
        (b'{"title": "cut', "not JSON"),
        (b"[1, 2]", "must be an object, {...}, not a list"),
        (b"null", "not null"),
        (b"true", "not true or false"),
        (b"17", "not a number"),
        (b'"a text"', "not a text"),
        (b"{}", "missing keys: title, text, introduced_by"),
        (b'{"title": "a", "text": "b"}', "missing key: introduced_by"),
        (line(title=None), "title must be a text, not null"),
        (line(title=5), "title must be a text, not a number"),
        (line(title=" "), "title is empty"),
        (line(title="x" * 2001), "title has 2001 characters"),
        (line(text=["a"]), "text must be a text, not a list"),
        (line(introduced_by={}), "introduced_by must be a text, not an object"),
        (line(introduced_by="x" * 201), "introduced_by has 201 characters"),
        (line(motion_id="seven"), "motion_id must be a UUID such as"),
        (line(motion_id=7), "motion_id must be a text, not a number"),
        (line(reference=1.5), "reference must be a text, not a number"),
        (line(ballots=["yes"]), "ballots must be an object of votes, not a list"),
        (line(introduced_on=1946), "introduced_on must be a text, not a number"),
        (line(topics="sea"), "topics must be a list, not a text"),
        (line(topics=["sea", 1]), "topics must be a list of texts; number 2 is a number"),
        (line(tasks={"a": 1}), "tasks must be a list, not an object"),
        (b'{"title": "a\x00b"}', "contains a NUL byte (column 13)"),
        (line(text="a\x00b"), '"text" contains a NUL character'),
        (line(topics=["a", "b\x00"]), '"topics" contains a NUL character'),
        (line(extra={"a\x00b": 1}), '"extra" contains a NUL character'),
        (line(text="a\ud800b"), '"text" contains a lone surrogate'),
        (line(extra=[{"deep": "\udfff"}]), '"extra" contains a lone surrogate'),
        (b'{"\\ud800": 1, "title": "a", "text": "b", "introduced_by": "c"}', "lone surrogate"),
        (b'{"title": "\xed\xa0\x80"}', "not UTF-8 text (byte 12)"),
        (b"\xff\xfe{\x00", "it looks like UTF-16; save it as UTF-8"),
        (b'{"title": "caf\xe9"}', "not UTF-8 text"),
        (b'{"title": NaN}', "NaN is no number"),
        (b'{"title": [Infinity]}', "Infinity is no number"),
        (b'{"x": 1e999}', "the number 1e999 is too large"),
        (b'{"x": ' + b"9" * 5000 + b"}", "more digits than anybody needs"),
        (b'{"title": "a", "title": "b"}', 'the key "title" stands there twice'),
        (line(ballots={}).replace(b"{}", b'{"A": "yes", "A": "no"}'), 'the key "A" stands there'),
        (line(x=[]).replace(b"[]", b"[" * 60 + b"]" * 60), f"more than {MAX_DEPTH} levels deep"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_is_refused_with_a_reason(raw: bytes, reason: str) -> None:
    assert reason in refusal(raw)


def test_an_escaped_backslash_is_no_nul() -> None:
    assert parse_line(line(text=r"the escape \u0000 stands for NUL")).text.endswith("NUL")


def test_the_id_depends_on_the_content_and_nothing_else() -> None:
    one = parse_line(b'{"title":"a","text":"b","introduced_by":"c","x":{"p":1,"q":2}}')
    same = parse_line(
        b'{"x": {"q":2, "p":1}, "introduced_by":"c", "text" : "b", "title":"\\u0061"}'
    )
    other = parse_line(b'{"title":"a","text":"b","introduced_by":"c","x":{"p":1,"q":3}}')
    assert one.id_for(1) == same.id_for(1)
    assert one.id_for(1) != other.id_for(1)
    assert one.id_for(1) != one.id_for(2)
    assert one.id_for(1).version == 5


def test_the_id_of_a_content_never_changes() -> None:
    # Written down, so that files imported by an earlier version are still recognised.
    assert str(parse_line(line()).id_for(1)) == "ebbb98a4-1e53-536b-99eb-15281e0181fd"


def test_an_id_of_its_own_is_kept_whatever_the_occurrence() -> None:
    motion_id = UUID("0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b")
    parsed = parse_line(line(motion_id=str(motion_id).upper()))
    assert parsed.id_for(1) == parsed.id_for(2) == motion_id


def test_blank_lines_and_the_byte_order_mark() -> None:
    assert is_blank(b" \t\r\n")
    assert not is_blank(b" x ")
    assert not is_blank(b"\xc2\xa0")
    assert parse_line(strip_byte_order_mark(b"\xef\xbb\xbf" + line())) == parse_line(line())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
known_keys = st.sampled_from(
    ["title", "text", "introduced_by", "motion_id", "reference", "ballots", "topics", "tasks"]
)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_parser(raw: bytes) -> None:
    with suppress(InvalidInput):
        parse_line(raw)


@given(st.dictionaries(known_keys | st.text(), json_values, max_size=8))
def test_no_object_crashes_the_parser(fields: dict[str, Any]) -> None:
    try:
        parsed = parse_line(json.dumps(GOOD | fields).encode())
    except InvalidInput as refused:
        refused.message.encode()
    else:
        assert isinstance(parsed, MotionLine)


texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=50
).filter(str.strip)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(
    title=texts,
    text=texts,
    introduced_by=texts,
    reference=st.none() | texts,
    ballots=st.none() | st.dictionaries(texts, st.sampled_from(["yes", "no", "abstain"])),
    more=st.dictionaries(texts.map("x-{}".format), plain_values, max_size=3),
)
def test_what_was_written_is_what_is_read(
    *,
    title: str,
    text: str,
    introduced_by: str,
    reference: str | None,
    ballots: dict[str, str] | None,
    more: dict[str, Any],
) -> None:
    written = {"title": title, "text": text, "introduced_by": introduced_by}
    written |= {"reference": reference, "ballots": ballots, **more}  # type: ignore[dict-item]
    for ascii_only in (True, False):
        parsed = parse_line(json.dumps(written, ensure_ascii=ascii_only).encode())
        assert (parsed.title, parsed.text, parsed.introduced_by) == (title, text, introduced_by)
        assert (parsed.reference, parsed.ballots, parsed.metadata) == (reference, ballots, more)
