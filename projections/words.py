"""Which words a motion is found by, and which a search asks for: both are made here, alike."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from unicodedata import category, normalize

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS_MAX = 64
"""So many different words of a motion are kept, those of its reference first."""

CHARACTERS_MAX = 32
"""Longer words are cut off, also those that are asked for."""

_PLAIN = re.compile(r"[0-9a-z]+")


def words_of(reference: str | None, introduced_by: str, title: str) -> frozenset[str]:
    """Return the words a motion is found by; at most WORDS_MAX, those of a long title left out."""
    found: dict[str, None] = dict.fromkeys(_words_of_name(reference or ""))
    found.update(dict.fromkeys(_words_of_name(introduced_by)))
    for word in split(title):
        if len(found) >= WORDS_MAX:
            break
        found[word] = None
    return frozenset(list(found)[:WORDS_MAX])


def split(text: str) -> Iterator[str]:
    """Yield the words of a text in order: letters and digits, in one case and one spelling."""
    if text.isascii():
        for found in _PLAIN.finditer(text.lower()):
            yield found[0][:CHARACTERS_MAX]
        return
    plain = normalize("NFKC", normalize("NFKC", text).casefold())
    # The signs of vowels that some scripts write onto a letter belong to the word.
    marked = (c if c.isalnum() or category(c).startswith("M") else " " for c in plain)
    for word in "".join(marked).split():
        yield word[:CHARACTERS_MAX]


@lru_cache(maxsize=4096)
def _words_of_name(name: str) -> tuple[str, ...]:
    return tuple(split(name))
