"""What came from outside is printed so that no terminal obeys it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance_flow.cli.terminal import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("A jetty", "A jetty"),
        ("café 堂 ✓", "café 堂 ✓"),
        ("two\nlines\tand\r\nmore", "two lines and more"),
        ("\x1b[2Jgone", "\\u001b[2Jgone"),
        ("\x9b31mred", "\\u009b31mred"),
        ("bell\x07", "bell\\u0007"),
        ("evil\u202etxt.exe", "evil\\u202etxt.exe"),
        ("\u2066isolate", "\\u2066isolate"),
        ("lone \ud800", "lone \\ud800"),
        ("👩\u200d🚀", "👩\u200d🚀"),
    ],
)
def test_what_a_terminal_would_obey_is_made_visible(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text())
def test_nothing_printed_is_a_control_character_or_a_line_break(text: str) -> None:
    for character in plain(text):
        assert unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}
    plain(text).encode()
