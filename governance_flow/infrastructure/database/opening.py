"""Opens a store from its address."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from governance_flow.application.ports.clock import Clock, SystemClock
from governance_flow.domain.errors import InvalidInput, StoreReadOnly
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.database.migrations import (
    Migration,
    migrate,
    migrations,
    stored_version,
)
from governance_flow.infrastructure.database.postgres_driver import require_driver
from governance_flow.infrastructure.database.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from governance_flow.infrastructure.database.postgres_connection import Timeouts

_SQLITE = "sqlite:///"
_READ_ONLY = "mode=ro"
_FORMS = (
    "memory:, sqlite:///relative/path, sqlite:////absolute/path "
    "(with ?mode=ro to read only), or postgresql://user@host:port/database"
)


def open_database(
    address: str,
    *,
    clock: Clock | None = None,
    steps: Sequence[Migration] | None = None,
    busy_seconds: float = 10.0,
    timeouts: Timeouts | None = None,
) -> AnyDatabase:
    """Return the database at ``address``, with its schema made or brought up to date.

    Blocks while it looks. ``clock`` is the store's clock; without one (or with the machine's) a
    PostgreSQL store goes by the server's. ``steps`` is the schema, all of it unless a test says
    otherwise. ``busy_seconds`` is how long to wait for another process's lock on a file.

    Raises InvalidInput for an address that is none, or whose driver is not installed; NotOurStore,
    StoreTooNew, StoreReadOnly for a store that would have to be migrated but may not be written,
    another StoreError if the store cannot be used.
    """
    if address == "memory:":
        database: AnyDatabase = SqliteDatabase(None, clock=clock or SystemClock())
    elif address.startswith(_SQLITE):
        path, read_only = _sqlite_path(address)
        database = SqliteDatabase(
            path, clock=clock or SystemClock(), busy_seconds=busy_seconds, read_only=read_only
        )
    elif address.startswith(("postgresql://", "postgres://")):
        require_driver()
        # Only now: the driver is an extra.
        from governance_flow.infrastructure.database.postgres import (  # noqa: PLC0415
            PostgresDatabase,
        )

        injected = None if isinstance(clock, SystemClock) else clock
        database = PostgresDatabase(address, clock=injected, timeouts=timeouts)
    else:
        raise InvalidInput(f"not the address of a store; write {_FORMS}")
    try:
        _prepare(database, migrations(database.dialect) if steps is None else steps)
        # From here on the store's time is known, and need not be asked for to be told.
        database.read_now(lambda tx: tx.now_us())
    except BaseException:
        database.close_now()
        raise
    return database


def _sqlite_path(address: str) -> tuple[Path, bool]:
    path, _, options = address.removeprefix(_SQLITE).partition("?")
    if not path or path == ":memory:" or options not in ("", _READ_ONLY):
        raise InvalidInput(f"{address} is not the address of a store; write {_FORMS}")
    return Path(path), options == _READ_ONLY


def _prepare(database: AnyDatabase, steps: Sequence[Migration]) -> None:
    # Looked at before anything is written, so that somebody else's file stays as it is.
    version = stored_version(database, steps)
    if isinstance(database, SqliteDatabase):
        if database.read_only and version < len(steps):
            raise StoreReadOnly(
                f"{database.where} has schema version {version}, this program needs {len(steps)}, "
                "and the store is opened for reading only; open it once for writing",
                where=database.where,
            )
        if not database.read_only:
            database.use_write_ahead_log()
    migrate(database, steps)
