"""The words a motion is found by: bounded, and in one spelling however they were typed."""

from __future__ import annotations

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.words import CHARACTERS_MAX, WORDS_MAX, split, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Mend the bridge, by 2027!", ["mend", "the", "bridge", "by", "2027"]),
        ("A/RES/61_3", ["a", "res", "61", "3"]),
        ("Straße ÉCOLE", ["strasse", "école"]),
        ("\ufb01ne \u2167", ["fine", "viii"]),
        ("...", []),
        ("", []),
        ("x" * 40, ["x" * CHARACTERS_MAX]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
    ],
)
def test_words_are_letters_and_digits_in_one_case(text: str, words: list[str]) -> None:
    assert list(split(text)) == words


@given(st.text())
def test_however_it_is_written_a_text_has_the_same_words(text: str) -> None:
    words = list(split(text))
    assert list(split(normalize("NFD", text))) == words
    assert all(len(word) <= CHARACTERS_MAX for word in words)
    assert all(word.isascii() is False or word.isalnum() for word in words)


def test_a_long_title_leaves_out_its_own_words_and_no_others() -> None:
    title = " ".join(f"w{number}" for number in range(2 * WORDS_MAX))
    words = words_of("R/61/3", "Ada Lovelace", title)
    assert len(words) == WORDS_MAX
    assert {"r", "61", "3", "ada", "lovelace", "w0"} <= words
    assert f"w{WORDS_MAX}" not in words
