"""What an error of PostgreSQL means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from governance_flow.domain.errors import (
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreUnavailable,
)
from governance_flow.infrastructure.database.errors import (
    ConnectionLost,
    ConstraintViolated,
    TransactionContended,
)


class NoAnswer(psycopg.OperationalError):
    """The server accepted what we sent and then said nothing for too long."""


_LOST = (
    ConnectionLost,
    "the connection was lost; check that the server runs and can be reached",
)

_BY_STATE: dict[str, tuple[type[StoreError], str]] = {
    "40001": (TransactionContended, "another transaction came in between"),
    "40P01": (TransactionContended, "two transactions waited for each other"),
    "55P03": (
        StoreLocked,
        "another transaction held a lock for too long; look for it in pg_stat_activity",
    ),
    "57014": (
        StoreUnavailable,
        "the statement took too long and was cancelled; look in pg_stat_activity what keeps it",
    ),
    "53100": (StoreFull, "the server's disk is full; nothing was written; make room"),
    "53300": (
        StoreUnavailable,
        "the server has no connection left; raise max_connections, or run fewer workers",
    ),
    "25P03": _LOST,
    "25006": (
        StoreReadOnly,
        "the server takes no writes; connect to the primary (target_session_attrs=read-write)",
    ),
    "42501": (
        StoreReadOnly,
        "the role lacks a privilege; let it own the tables, or use the role that made them",
    ),
    "3F000": (
        StoreUnavailable,
        "the search path names no schema that exists; create it, or correct the search path",
    ),
    "3D000": (StoreUnavailable, "there is no such database; create it (createdb), or correct it"),
}

_BY_CLASS: dict[str, tuple[type[StoreError], str]] = {
    "08": _LOST,
    "23": (ConstraintViolated, "a row breaks a rule of the schema"),
    "28": (StoreUnavailable, "the server refused the user or the password; check both"),
    "53": (StoreUnavailable, "the server has run out of resources"),
    "57": _LOST,
    "58": (StoreUnavailable, "the server could not read or write its files; check its disk"),
    "XX": (StoreCorrupt, "the server reports damaged data; restore it from a backup"),
}

_MISTAKE = (StoreError, "a statement failed; this is a mistake in the program")


@contextmanager
def postgres_errors(where: str) -> Iterator[None]:
    """Raise what psycopg raises inside the block as the StoreError it means."""
    try:
        yield
    except psycopg.Error as error:
        raise store_error(error, where) from error


def store_error(error: psycopg.Error, where: str) -> StoreError:
    """Return the StoreError that says what ``error`` means for the store at ``where``."""
    kind, message = _meaning(error)
    said = str(error).strip().replace("\n", " ") or type(error).__name__
    return kind(f"{where}: {message} (PostgreSQL says: {said})", where=where)


def _meaning(error: psycopg.Error) -> tuple[type[StoreError], str]:
    if isinstance(error, NoAnswer):
        # Not as a lost connection, which would be tried again, for as long again.
        return StoreUnavailable, "the server does not answer; it is frozen, overloaded or cut off"
    state = error.sqlstate
    if state is not None:
        return _BY_STATE.get(state) or _BY_CLASS.get(state[:2], _MISTAKE)
    # Without a state the words are libpq's, not the server's: the connection itself failed.
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return _LOST
    return _MISTAKE
