"""What an error of SQLite means."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from governance_flow.domain.errors import (
    NotOurStore,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreUnavailable,
)
from governance_flow.infrastructure.database.errors import ConstraintViolated

_PRIMARY_CODE = 0xFF
"""The low byte of an extended result code is the kind of error; the rest says what was done."""


@contextmanager
def sqlite_errors(where: str) -> Iterator[None]:
    """Raise what SQLite raises inside the block as the StoreError it means."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_error(error, where) from error


def store_error(error: sqlite3.Error, where: str) -> StoreError:
    """Return the StoreError that says what ``error`` means for the store at ``where``."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    kind, message = _meaning(code & _PRIMARY_CODE)
    return kind(f"{where}: {message} (SQLite says: {error})", where=where)


def _meaning(code: int) -> tuple[type[StoreError], str]:
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreLocked, (
                "another process held the write lock for longer than the busy timeout; "
                "end it, or try again when it is done"
            )
        case sqlite3.SQLITE_FULL:
            return StoreFull, "no space is left for the store; nothing was written; make room"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StoreReadOnly, (
                "the store may not be written; check the permissions of the file and its folder, "
                "and that the address does not say mode=ro"
            )
        case sqlite3.SQLITE_CORRUPT:
            return StoreCorrupt, "the store's file is damaged; restore it from a backup"
        case sqlite3.SQLITE_NOTADB:
            return NotOurStore, (
                "the file is not an SQLite database, or its header is damaged; "
                "check the path, or restore the file from a backup"
            )
        case sqlite3.SQLITE_CANTOPEN:
            return StoreUnavailable, (
                "the file cannot be opened; check that it exists, or can be made, "
                "and that you may read and write it and its folder"
            )
        case sqlite3.SQLITE_IOERR:
            return StoreUnavailable, (
                "reading or writing the file failed; check the disk, its quota and the limits on "
                "file size"
            )
        case sqlite3.SQLITE_CONSTRAINT:
            return ConstraintViolated, "a row breaks a rule of the schema"
        case _:
            return StoreError, "a statement failed; this is a mistake in the program"
