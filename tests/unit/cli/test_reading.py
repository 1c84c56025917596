"""Lines are read one at a time, with their numbers and places, however long they are."""

from __future__ import annotations

from io import BytesIO

import pytest

from governance_flow.cli.reading import Occurrences, RawLine, read_lines


def lines(content: bytes, max_line_bytes: int = 100) -> list[RawLine]:
    return list(read_lines(BytesIO(content), max_line_bytes))


def test_numbers_count_blank_lines_too() -> None:
    read = lines(b"one\n\n  \t\r\nfour\r\nfive")
    assert [(line.number, line.content) for line in read] == [
        (1, b"one"),
        (4, b"four"),
        (5, b"five"),
    ]


def test_offsets_say_where_a_line_begins() -> None:
    content = b"one\n\nthree\n"
    for line in lines(content):
        assert content[line.offset : line.offset + len(line.content)] == line.content
    assert lines(content)[-1].end == len(content)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n \n"])
def test_a_file_may_hold_nothing(content: bytes) -> None:
    assert lines(content) == []


def test_a_byte_order_mark_is_taken_off_the_first_line_only() -> None:
    read = lines(b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n")
    assert [line.content for line in read] == [b"one", b"\xef\xbb\xbftwo"]


def test_a_line_that_is_too_long_is_passed_over_without_being_held() -> None:
    long = b"x" * 3_000_000
    short, too_long, after = lines(b"ok\n" + long + b"\nafter\n", max_line_bytes=1000)
    assert short.content == b"ok"
    assert not short.too_long
    assert too_long.too_long
    assert too_long.length == len(long) + 1
    assert len(too_long.content) <= 1001
    assert (after.number, after.content, after.offset) == (3, b"after", 3 + len(long) + 1)


def test_a_last_line_that_is_too_long_ends_the_file() -> None:
    (line,) = lines(b"x" * 2000, max_line_bytes=1000)
    assert line.too_long
    assert line.length == 2000


@pytest.mark.parametrize("length", [999, 1000, 1001])
def test_the_limit_is_exact(length: int) -> None:
    (line,) = lines(b"x" * length, max_line_bytes=1000)
    assert line.too_long == (length > 1000)


def test_occurrences_are_counted_for_each_content() -> None:
    occurrences = Occurrences()
    try:
        first, second = "ab" * 32, "cd" * 32
        counted = [occurrences.next(digest) for digest in (first, second, first, first, second)]
        assert counted == [1, 1, 2, 3, 2]
    finally:
        occurrences.close()
