"""A store's tables without the product in between: reading rows, and loading many at once."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any
from uuid import UUID

import psycopg

Row = tuple[Any, ...]

_EVENTS = ("position", "stream_id", "stream_version", "topic", "state", "committed_at_us")
_EVENT_TYPES = ("int8", "uuid", "int8", "text", "bytea", "int8")


class RawTables(ABC):
    """The tables of one store, while nobody else uses it."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all tables."""

    @abstractmethod
    def columns(self, table: str) -> list[str]:
        """Return the columns of a table, in order."""

    @abstractmethod
    def rows(self, table: str) -> list[Row]:
        """Return all rows of a table."""

    @abstractmethod
    def load(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Add rows to a table."""

    @abstractmethod
    def load_events(self, rows: Iterable[Row]) -> None:
        """Add events: position, stream, version, topic, state, time of the commit."""

    @abstractmethod
    def stand_at(self, position: int, committed_at_us: int) -> None:
        """Let the head, and everything that follows it, stand at a position."""

    @abstractmethod
    def empty(self, table: str) -> None:
        """Remove all rows of a table."""

    @abstractmethod
    def settle(self) -> None:
        """Do what a server would do by and by: write everything, know what there is."""


@contextmanager
def raw_tables(address: str) -> Iterator[RawTables]:
    """Open the tables of a store."""
    if address.startswith("sqlite:"):
        path = address.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            # Nobody needs what is lost when the machine stops now.
            file.execute("PRAGMA synchronous = OFF")
            yield _SqliteTables(file)
    else:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("SET synchronous_commit = off")
            yield _PostgresTables(connection)


_STAND = (
    "UPDATE head SET position = {position}, committed_at_us = {committed_at_us}",
    "UPDATE projections SET position = {position}, committed_at_us = {committed_at_us}",
)
# Table and column names cannot be parameters; they all come from the store's own catalogue.


class _SqliteTables(RawTables):
    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    def names(self) -> list[str]:
        found = self._file.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        return sorted(name for (name,) in found)

    def columns(self, table: str) -> list[str]:
        return [row[1] for row in self._file.execute(f"PRAGMA table_info({table})")]

    def rows(self, table: str) -> list[Row]:
        return self._file.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        places = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608
        self._file.execute("BEGIN IMMEDIATE")
        self._file.executemany(statement, map(_as_text, rows))
        self._file.execute("COMMIT")

    def load_events(self, rows: Iterable[Row]) -> None:
        self.load("events", _EVENTS, rows)

    def stand_at(self, position: int, committed_at_us: int) -> None:
        for statement in _STAND:
            self._file.execute(statement.format(position=position, committed_at_us=committed_at_us))

    def empty(self, table: str) -> None:
        self._file.execute(f"DELETE FROM {table}")  # noqa: S608

    def settle(self) -> None:
        self._file.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _as_text(row: Row) -> Row:
    return tuple(str(value) if isinstance(value, UUID) else value for value in row)


class _PostgresTables(RawTables):
    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def names(self) -> list[str]:
        found = self._connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
        )
        return [name for (name,) in found]

    def columns(self, table: str) -> list[str]:
        found = self._connection.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = %s ORDER BY ordinal_position",
            [table],
        )
        return [name for (name,) in found]

    def rows(self, table: str) -> list[Row]:
        return self._connection.execute(f"SELECT * FROM {table}".encode()).fetchall()  # noqa: S608

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        self._copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN", (), rows)

    def load_events(self, rows: Iterable[Row]) -> None:
        # Binary, or every byte of every state would be written as two digits.
        statement = f"COPY events ({', '.join(_EVENTS)}) FROM STDIN (FORMAT BINARY)"
        self._copy(statement, _EVENT_TYPES, rows)

    def _copy(self, statement: str, types: Sequence[str], rows: Iterable[Row]) -> None:
        with self._connection.cursor().copy(statement.encode()) as copy:
            if types:
                copy.set_types(list(types))
            for row in rows:
                copy.write_row(row)

    def stand_at(self, position: int, committed_at_us: int) -> None:
        for statement in _STAND:
            self._connection.execute(
                statement.format(position=position, committed_at_us=committed_at_us).encode()
            )

    def empty(self, table: str) -> None:
        self._connection.execute(f"DELETE FROM {table}".encode())  # noqa: S608

    def settle(self) -> None:
        self._connection.execute("VACUUM ANALYZE")
        with suppress(psycopg.errors.InsufficientPrivilege):
            self._connection.execute("CHECKPOINT")
