"""What the drivers' errors mean, for those that no test can bring about."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
from psycopg import errors

from governance_flow.domain.errors import (
    NotOurStore,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreUnavailable,
)
from governance_flow.infrastructure.database import postgres_errors, sqlite_errors
from governance_flow.infrastructure.database.errors import (
    ConnectionLost,
    ConstraintViolated,
    TransactionContended,
)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (errors.DiskFull("full"), StoreFull),
        (errors.TooManyConnections("many"), StoreUnavailable),
        (errors.OutOfMemory("memory"), StoreUnavailable),
        (errors.SerializationFailure("again"), TransactionContended),
        (errors.DeadlockDetected("again"), TransactionContended),
        (errors.LockNotAvailable("locked"), StoreLocked),
        (errors.QueryCanceled("slow"), StoreUnavailable),
        (errors.ReadOnlySqlTransaction("replica"), StoreReadOnly),
        (errors.InsufficientPrivilege("no"), StoreReadOnly),
        (errors.UniqueViolation("twice"), ConstraintViolated),
        (errors.AdminShutdown("bye"), ConnectionLost),
        (errors.IdleInTransactionSessionTimeout("bye"), ConnectionLost),
        (errors.ConnectionFailure("gone"), ConnectionLost),
        (errors.InvalidPassword("no"), StoreUnavailable),
        (errors.IoError("disk"), StoreUnavailable),
        (errors.DataCorrupted("page"), StoreCorrupt),
        (errors.IndexCorrupted("index"), StoreCorrupt),
        (errors.SyntaxError("SELEKT"), StoreError),
        (psycopg.OperationalError("server closed the connection"), ConnectionLost),
        (psycopg.InterfaceError("the connection is closed"), ConnectionLost),
        (psycopg.DataError("NUL"), StoreError),
        (postgres_errors.NoAnswer("silence"), StoreUnavailable),
    ],
)
def test_an_error_of_postgresql(error: psycopg.Error, meaning: type[StoreError]) -> None:
    found = postgres_errors.store_error(error, "the archive")
    assert type(found) is meaning
    assert found.where == "the archive"
    assert found.message.startswith("the archive: ")
    assert str(error) in found.message


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreLocked),
        (sqlite3.SQLITE_LOCKED, StoreLocked),
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_READONLY_DBMOVED, StoreReadOnly),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreCorrupt),
        (sqlite3.SQLITE_NOTADB, NotOurStore),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreUnavailable),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, ConstraintViolated),
        (sqlite3.SQLITE_ERROR, StoreError),
        (None, StoreError),
    ],
)
def test_an_error_of_sqlite(code: int | None, meaning: type[StoreError]) -> None:
    error = sqlite3.OperationalError("what SQLite says")
    if code is not None:
        error.sqlite_errorcode = code
    found = sqlite_errors.store_error(error, "flow.db")
    assert type(found) is meaning
    assert found.message.startswith("flow.db: ")
    assert "what SQLite says" in found.message
