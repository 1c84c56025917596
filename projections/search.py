"""The projection "search": the words of each motion's title, reference and introducer.

A word leads to the motions that have it, in the order of their introduction. Only introducing and
amending a motion write anything here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.application.times import to_us
from projections.tables import generation_queries, run_all
from projections.words import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from governance_flow.application.ports.database import Transaction
    from governance_flow.application.ports.projection import Batch
    from governance_flow.application.queries import Queries
    from governance_flow.domain.motion import Motion

NAME = "search"

Entry = tuple[str, int, str]
"""A word, when the motion that has it was introduced in microseconds, and its id."""


class SearchProjection:
    """Keeps the words of each motion."""

    name = NAME
    by_motion = True
    layout = 1

    def create(self, tx: Transaction, generation: int) -> None:
        """Make the table of a generation if it is not there."""
        run_all(tx, queries(tx, generation), "create_")

    def drop(self, tx: Transaction, generation: int) -> None:
        """Drop the table of a generation."""
        run_all(tx, queries(tx, generation), "drop_")

    def apply(self, tx: Transaction, batch: Batch, generation: int) -> None:
        """Bring the words to the end of the batch."""
        come: list[Entry] = []
        gone: list[Entry] = []
        for change in batch.motions:
            before, after = change.before, change.after
            # Of what is kept here, only the title ever changes.
            if after is None or (before is not None and before.title == after.title):
                continue
            kept = _words(before) if before is not None else frozenset[str]()
            words = _words(after)
            come += _entries(after, words - kept)
            gone += _entries(after, kept - words)
        sql = queries(tx, generation)
        if gone:
            tx.execute_many(sql.forget_word, _rows(gone))
        if not come:
            return
        if tx.dialect == "postgres":
            words_come, introduced, ids = zip(*come, strict=True)
            columns = (list(words_come), list(introduced), list(ids))
            tx.execute(sql.keep_words, dict(zip(_COLUMNS, columns, strict=True)))
        else:
            tx.execute_many(sql.keep_word, _rows(come))


_COLUMNS = ("word", "introduced_at_us", "motion_id")


def queries(tx: Transaction, generation: int) -> Queries:
    """Return the statements for the table of a generation."""
    return generation_queries("sql/search.sql", tx.dialect, generation)


def _words(motion: Motion) -> frozenset[str]:
    return words_of(motion.reference, motion.introduced_by, motion.title)


def _entries(motion: Motion, words: Iterable[str]) -> list[Entry]:
    introduced_at_us, motion_id = to_us(motion.introduced_at), str(motion.id)
    return [(word, introduced_at_us, motion_id) for word in sorted(words)]


def _rows(entries: Sequence[Entry]) -> list[dict[str, object]]:
    return [dict(zip(_COLUMNS, entry, strict=True)) for entry in entries]
