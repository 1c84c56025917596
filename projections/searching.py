"""Searching for motions by their words, the newest first, at a cost that is bounded.

The rarest of the words leads: its motions are looked at in turn, and whether they have the other
words as well is read from their rows. The last word may be the beginning of one, as it is while
somebody types; the few words that begin so, side by side, are then as good as one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID

from governance_flow.application.ports.read_model import Finding
from projections import motions, search
from projections.lists import BEGINNING_US
from projections.reading import summaries
from projections.words import split, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from governance_flow.application.ports.database import Row, Transaction
    from governance_flow.application.ports.read_model import Place
    from governance_flow.application.queries import Queries
    from projections.reading import Live

TERMS_MAX = 8
"""So many words of what was asked for count, besides the last one."""

BEGINNINGS_MAX = 32
"""So many of the words that begin with what was typed are looked up."""

LOOKED_AT_AT_ONCE = 100
LOOKS_MAX = 10
"""A page looks at no more motions than these two multiplied."""

_LAST = UUID(int=2**128 - 1)
_END_US = 2**63 - 1
_BEYOND = "\U0010ffff"
"""Comes after every letter and digit."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word that was asked for, and the words of motions that are meant by it."""

    asked: str
    words: Sequence[str]
    whole: bool
    """Whether the word must be exactly this one."""

    def among(self, words: frozenset[str]) -> bool:
        """Return whether a motion with these words has it."""
        if self.whole:
            return self.asked in words
        return any(word.startswith(self.asked) for word in words)


def find(tx: Transaction, live: Live, text: str, *, limit: int, before: Place | None) -> Finding:
    """Return at most ``limit`` motions that have all the words of a text."""
    if before is None and (motion_id := _as_id(text)) is not None:
        kept = motions.queries(tx, live.motions.number)
        named = tx.execute(kept.read_motions, {"motion_ids": [str(motion_id)]})
        if named:
            return Finding(tuple(summaries(tx, live, named)), None, complete=True)
    sql = search.queries(tx, live.search.number)
    terms, complete = _terms(tx, sql, text)
    if not terms or not all(term.words for term in terms):
        return Finding((), None, complete=complete)
    place = before or (_END_US, _LAST)
    found: list[Row] = []
    for _ in range(LOOKS_MAX):
        candidates, looked_to = _candidates(tx, sql, terms, place)
        rows = _rows(tx, live, [motion_id for _, motion_id in candidates])
        for candidate in candidates:
            if len(found) == limit:
                return Finding(tuple(summaries(tx, live, found)), place, complete=complete)
            place = candidate
            row = rows.get(candidate[1])
            if row is not None and _has_all(row, terms):
                found.append(row)
        if looked_to is None:
            return Finding(tuple(summaries(tx, live, found)), None, complete=complete)
        place = looked_to
    return Finding(tuple(summaries(tx, live, found)), place, complete=complete)


def _terms(tx: Transaction, sql: Queries, text: str) -> tuple[list[Term], bool]:
    """Return what is asked for, and whether every word that may be meant is among it."""
    asked = list(split(text))
    if not asked:
        return [], True
    # Behind a word that something else follows nobody types any more.
    typing = any(split(text[-1:]))
    whole = dict.fromkeys(asked[:-1] if typing else asked)
    terms = [Term(word, [word], whole=True) for word in islice(whole, TERMS_MAX)]
    if not typing:
        return terms, True
    first = asked[-1]
    words = [
        word
        for (word,) in tx.execute(
            sql.words_beginning,
            {"first": first, "beyond": first + _BEYOND, "limit": BEGINNINGS_MAX + 1},
        )
    ]
    terms.append(Term(first, words[:BEGINNINGS_MAX], whole=False))
    return terms, len(words) <= BEGINNINGS_MAX


def _candidates(
    tx: Transaction, sql: Queries, terms: Sequence[Term], before: Place
) -> tuple[list[Place], Place | None]:
    """Return the next motions that may have all words, and how far back that has looked.

    None stands for the beginning: there are no more. The rarest word leads, which is the one
    whose next so many motions reach back the furthest.
    """
    lists = [_newest(tx, sql, term, before) for term in terms]
    rarest = min(lists, key=_reach)
    looked_to = rarest[-1] if len(rarest) == LOOKED_AT_AT_ONCE else None
    for places in lists:
        reach, there = _reach(places), set(places)
        rarest = [place for place in rarest if place in there or place < reach]
    return rarest, looked_to


def _newest(tx: Transaction, sql: Queries, term: Term, before: Place) -> list[Place]:
    """Return the next motions that have a word, the newest first."""
    before_us, before_id = before
    behind = {"before_us": before_us, "before_id": str(before_id), "limit": LOOKED_AT_AT_ONCE}
    pages = [
        [
            (introduced_at_us, UUID(motion_id))
            for introduced_at_us, motion_id in tx.execute(
                sql.page_of_word, {"word": word, **behind}
            )
        ]
        for word in term.words
    ]
    return list(islice(dict.fromkeys(merge(*pages, reverse=True)), LOOKED_AT_AT_ONCE))


def _reach(places: Sequence[Place]) -> Place:
    """Return how far back a list goes: a short one is whole, and the shorter the better."""
    if len(places) < LOOKED_AT_AT_ONCE:
        return BEGINNING_US, UUID(int=len(places))
    return places[-1]


def _rows(tx: Transaction, live: Live, motion_ids: Sequence[UUID]) -> dict[UUID, Row]:
    if not motion_ids:
        return {}
    kept = motions.queries(tx, live.motions.number)
    rows = tx.execute(kept.read_motions, {"motion_ids": [str(item) for item in motion_ids]})
    return {UUID(row[0]): row for row in rows}


def _has_all(row: Row, terms: Sequence[Term]) -> bool:
    told = json.loads(row[-1])
    words = words_of(told["reference"], told["introduced_by"], told["title"])
    return all(term.among(words) for term in terms)


def _as_id(text: str) -> UUID | None:
    """Return the id that the text is, if it is one written out."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None
