"""Statements that insert many rows at once, made from those that insert one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Self

RUN_ROWS_MAX = 128
"""SQLite takes 32,766 parameters in a statement; our widest table has nine columns."""

_VALUES = re.compile(r"\bVALUES\s*\(([^()]*)\)", re.IGNORECASE)
_NAME = re.compile(r"\s*:(\w+)\s*")


@dataclass(frozen=True)
class Insert:
    """An INSERT whose parameters all stand in its one VALUES list."""

    before: str
    names: tuple[str, ...]
    after: str

    @classmethod
    @cache
    def of(cls, sql: str) -> Self | None:
        """Return the parts of a statement; None if it is of another kind."""
        found = _VALUES.search(sql)
        if found is None or not sql.lstrip().upper().startswith("INSERT"):
            return None
        names = [_NAME.fullmatch(part) for part in found[1].split(",")]
        after = sql[found.end() :]
        if not all(names) or ":" in after or _VALUES.search(after):
            return None
        return cls(sql[: found.start()], tuple(name[1] for name in names if name), after)

    @cache  # noqa: B019 - there are a dozen statements, and eight sizes of run
    def statement(self, rows: int) -> str:
        """Return the statement for so many rows, with its parameters by place."""
        row = f"({', '.join('?' * len(self.names))})"
        return f"{self.before}VALUES {', '.join([row] * rows)}{self.after}"

    def values(self, rows: Sequence[Mapping[str, object]]) -> list[object]:
        """Return the parameters of the statement for these rows."""
        return [row[name] for row in rows for name in self.names]


def in_runs(
    rows: Sequence[Mapping[str, object]],
) -> Iterator[Sequence[Mapping[str, object]]]:
    """Yield the rows in runs of a few sizes only, so that statements are prepared once."""
    start, size = 0, RUN_ROWS_MAX
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        yield rows[start : start + size]
        start += size
