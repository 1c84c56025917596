"""SQL kept in ``.sql`` files: one named and described statement at a time.

A file is a sequence of blocks. A block starts with its name, then a comment that says what the
statement does, then the statement, with ``:name`` for parameters::

    -- name: read_head
    -- The head row as last committed.
    SELECT position, committed_at_us FROM head;

    -- name: lock_head (postgres)
    -- ...

A block marked ``(postgres)`` or ``(sqlite)`` is for that dialect only; an unmarked one serves both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import get_args

from governance_flow.application.ports.database import Dialect

_BLOCK = re.compile(r"^-- name: (?P<name>\w+)(?: \((?P<dialect>\w+)\))?[ \t]*$", re.MULTILINE)
_TOKEN = re.compile(
    r"""(?P<quoted>'(?:[^']|'')*' | "(?:[^"]|"")*")  # may hold anything, a colon included
      | :(?P<parameter>[a-z_][a-z0-9_]*)(?P<array>::\w+\[\])?
      | (?P<cast>::)
      | (?P<percent>%)""",
    re.VERBOSE,
)


class Queries(Mapping[str, str]):
    """The statements of one file in one dialect, by name, in the order of the file."""

    def __init__(self, source: str, statements: Mapping[str, str]) -> None:
        self._source = source
        self._statements = dict(statements)

    def __getitem__(self, name: str) -> str:
        return self._statements[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)

    def __len__(self) -> int:
        return len(self._statements)

    def __getattr__(self, name: str) -> str:
        """Return a statement as an attribute, as in ``queries.read_head``."""
        try:
            return self.__dict__["_statements"][name]  # type: ignore[no-any-return]
        except KeyError:
            source = self.__dict__.get("_source", "?")
            raise AttributeError(f"{source} has no query named {name!r}") from None


@cache
def load_queries(package: str, filename: str, dialect: Dialect) -> Queries:
    """Return the queries of ``filename`` (a path inside ``package``) written for ``dialect``.

    Raises ValueError for a file that breaks the rules above: they are mistakes of ours, and
    surface when the program starts rather than when the statement is first needed.
    """
    text = files(package).joinpath(filename).read_text(encoding="utf-8")
    return Queries(filename, parse_queries(text, filename, dialect))


def parse_queries(text: str, source: str, dialect: Dialect) -> dict[str, str]:
    """Return the statements of ``text`` that serve ``dialect``; ``source`` names it in errors."""
    statements: dict[str, str] = {}
    blocks = list(_BLOCK.finditer(text))
    for number, block in enumerate(blocks):
        name, only_for = block["name"], block["dialect"]
        if only_for is not None and only_for not in get_args(Dialect):
            raise ValueError(f"{source}: query {name!r} is for an unknown dialect {only_for!r}")
        if only_for not in (None, dialect):
            continue
        if name in statements:
            raise ValueError(f"{source}: query {name!r} appears twice for {dialect}")
        end = blocks[number + 1].start() if number + 1 < len(blocks) else len(text)
        statements[name] = _statement(text[block.end() : end], f"{source}: query {name!r}", dialect)
    if not statements:
        raise ValueError(f"{source} has no query for {dialect}")
    return statements


def _statement(body: str, label: str, dialect: Dialect) -> str:
    lines = body.strip().splitlines()
    if not lines or not lines[0].startswith("-- "):
        raise ValueError(f"{label} does not say what it does")
    sql = "\n".join(line for line in lines if not line.lstrip().startswith("--"))
    sql = sql.strip().removesuffix(";")
    if not sql:
        raise ValueError(f"{label} has no statement")
    return _for_psycopg(sql) if dialect == "postgres" else sql


def _for_psycopg(sql: str) -> str:
    """Turn ``:name`` into ``%(name)s``, and double every ``%``, as psycopg wants them.

    A parameter that is cast to an array is sent in binary: as text, each of its elements would be
    searched for characters to escape, which costs more than the insert it is for.
    """

    def convert(token: re.Match[str]) -> str:
        if token["parameter"]:
            array = token["array"]
            return f"%({token['parameter']})b{array}" if array else f"%({token['parameter']})s"
        return token[0].replace("%", "%%")

    return _TOKEN.sub(convert, sql)
