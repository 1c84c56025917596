"""Creates a store, brings an older one up to date, and refuses what is not a store of ours.

The schema is a row of numbered files, each applied once, in order, all in one transaction under a
lock. The table ``governance_flow_schema`` says which were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from governance_flow.application.ports.database import Dialect
from governance_flow.application.queries import Queries, load_queries
from governance_flow.domain.errors import NotOurStore, StoreTooNew
from governance_flow.infrastructure.database.base import AnyDatabase, StoreTransaction

_PACKAGE = "governance_flow.infrastructure"

_FILES = (
    "0001_events.sql",
    "0002_operations.sql",
    "0003_snapshots.sql",
    "0004_fleets.sql",
    "0005_log_checkpoints.sql",
    "0006_access.sql",
)

APPLICATION_ID = 0x47464C57
"""Marks an SQLite file as ours: "GFLW"."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: statements that turn version ``version - 1`` into ``version``."""

    version: int
    name: str
    statements: tuple[str, ...]


def migrations(dialect: Dialect) -> tuple[Migration, ...]:
    """Return every migration there is, in order."""
    return tuple(
        Migration(
            version=version,
            name=filename.removesuffix(".sql"),
            statements=tuple(
                load_queries(_PACKAGE, f"sql/migrations/{filename}", dialect).values()
            ),
        )
        for version, filename in enumerate(_FILES, start=1)
    )


def stored_version(database: AnyDatabase, steps: Sequence[Migration]) -> int:
    """Return the version the store has, 0 for one yet to be made; changes nothing.

    Raises NotOurStore for somebody else's database, StoreTooNew for one that a later version of
    this program has migrated.
    """
    return database.read_now(lambda tx: _look(tx, database.where, steps))


def migrate(database: AnyDatabase, steps: Sequence[Migration]) -> None:
    """Bring the database to the last of ``steps``. Raises as ``stored_version`` does."""
    if stored_version(database, steps) == len(steps):
        return
    queries = _queries(database.dialect)

    def apply(tx: StoreTransaction) -> None:
        tx.execute(queries.lock_schema)
        # Somebody else may have done it while we waited for the lock.
        stored = _look(tx, database.where, steps)
        if stored == 0:
            for name, statement in queries.items():
                if name.startswith("create_"):
                    tx.execute(statement)
        for step in steps[stored:]:
            for statement in step.statements:
                tx.execute(statement)
            tx.execute(
                queries.record_migration,
                {"version": step.version, "name": step.name, "applied_at_us": tx.now_us()},
            )

    database.write_now(apply)


def _queries(dialect: Dialect) -> Queries:
    return load_queries(_PACKAGE, "sql/schema.sql", dialect)


def _look(tx: StoreTransaction, where: str, steps: Sequence[Migration]) -> int:
    queries = _queries(tx.dialect)
    [(marked, taken)] = tx.execute(queries.identify)
    if marked is None and not taken:
        return 0
    if marked != APPLICATION_ID:
        found = f"; it holds {taken}" if taken else ""
        raise NotOurStore(
            f"{where} is not a store of Governance Flow{found}; "
            "name another database (or, in PostgreSQL, a schema of its own in the search path)",
            where=where,
        )
    [(version,)] = tx.execute(queries.schema_version)
    if version > len(steps):
        raise StoreTooNew(
            f"{where} has schema version {version}, this program knows {len(steps)} at most: "
            "a newer Governance Flow has used it; upgrade this one",
            where=where,
            stored_version=version,
            known_version=len(steps),
        )
    return int(version)
