"""A store that is old and large, filled past the program; and what a statement touches in it.

Time is in microseconds and begins at 0; ``NOW_US`` is now. What is finished was finished long ago,
motion after motion; what waits does so for a person or for a date, and nobody can claim it now.
"""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import psycopg

from governance_flow.application.ports.database import Dialect

NOW_US = 10**15
DAY_US = 86_400 * 10**6

MANY = 100_000
"""So many rows are put in without their indexes, which are made afterwards."""

DUE = 20
"""How many rows of each kind can be claimed now."""

_NUMBERS: Mapping[Dialect, str] = {
    "postgres": "generate_series(%(first)s::bigint, %(last)s::bigint) AS n",
    "sqlite": "(WITH RECURSIVE r (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM r"
    " WHERE n < :last) SELECT n FROM r)",
}
_EMPTY: Mapping[Dialect, str] = {"postgres": "'{}'::bytea", "sqlite": "CAST('{}' AS BLOB)"}
_ID: Mapping[Dialect, str] = {
    "postgres": "('00000000-0000-4000-8000-' || lpad(({n})::text, 12, '0'))::uuid",
    "sqlite": "printf('00000000-0000-4000-8000-%012d', {n})",
}

_FINISHED = {
    "events": """
        INSERT INTO events
               (position, stream_id, stream_version, topic, state, committed_at_us)
        SELECT n, {id_of_twenty}, (n - 1) % 20 + 1,
               CASE n % 20 WHEN 7 THEN 'ORCHESTRATOR_ERROR' WHEN 8 THEN 'BRANCH_COMPLETED'
                           ELSE 'MOTION_ROUTED' END,
               {bytes}, n FROM {numbers}
    """,
    "motions_1": """
        INSERT INTO motions_1
        SELECT {id}, 20, n, CASE n % 10 WHEN 0 THEN 'REJECTED' ELSE 'ACKNOWLEDGED' END,
               n, FALSE, FALSE, FALSE, FALSE, NULL, NULL, 'member ' || n % 50, '{{}}'
          FROM {numbers}
    """,
    "search_1_words": """
        INSERT INTO search_1_words SELECT 'word' || n % 50, n, {id} FROM {numbers}
    """,
    "activity_1_buckets": """
        INSERT INTO activity_1_buckets
        SELECT CASE n % 10 WHEN 0 THEN 3600 WHEN 1 THEN 60 ELSE 1 END, n, 'completion', 1
          FROM {numbers}
    """,
    "activity_1_stays": """
        INSERT INTO activity_1_stays SELECT n, 'PLANNING', 1, 1 FROM {numbers}
    """,
    "snapshots": """
        INSERT INTO snapshots SELECT {id}, 100, 1, {bytes} FROM {numbers} WHERE n % 100 = 0
    """,
}
"""What finished motions leave behind. Their assignments and their place on the agenda are gone."""

_ASSIGNMENT = """
    INSERT INTO assignments
           (routing_id, motion_id, service, state, purpose, attempt, not_before_us, deadline_us,
            opened_at_us, lease_owner, lease_token, lease_expires_at_us, delegated_until_us)
    SELECT {id}, {id}, CASE n % 2 WHEN 0 THEN 'duke_service' ELSE 'prince_service' END,
           'EXECUTING', 'execute', 1, n, {later}, n, {rest} FROM {numbers}
"""
_WAITING = {
    "in other hands": _ASSIGNMENT.replace("{rest}", "NULL, n, CAST(NULL AS bigint), {later}"),
    "tabled until a date": """
        INSERT INTO agenda (motion_id, kind, due_us, order_us)
        SELECT {id}, 'admit', {later}, {later} FROM {numbers}
    """,
    "motions in the docket, and motions whose deadline is to come": """
        INSERT INTO motions_1
        SELECT {id_of_waiting}, 1, n, CASE n % 2 WHEN 0 THEN 'INTRODUCED' ELSE 'EXECUTING' END,
               n, TRUE, FALSE, n % 2 = 0, FALSE, CASE n % 2 WHEN 0 THEN n END,
               CASE n % 2 WHEN 1 THEN {later} END, 'member ' || n % 50, '{{}}' FROM {numbers}
    """,
    "alerts to be tried again": """
        INSERT INTO alerts_outbox (alert_id, sink, body, created_us, due_us)
        SELECT CAST(n AS text), 'log', '', n, {later} FROM {numbers}
    """,
}
_DUE = {
    "assignments": _ASSIGNMENT.replace("{rest}", "NULL, 0, CAST(NULL AS bigint), NULL"),
    "agenda": """
        INSERT INTO agenda (motion_id, kind, due_us, order_us)
        SELECT {id}, CASE n % 2 WHEN 0 THEN 'admit' ELSE 'apply' END, n, n FROM {numbers}
    """,
    "alerts": """
        INSERT INTO alerts_outbox (alert_id, sink, body, created_us, due_us)
        SELECT 'due ' || n, 'log', '', n, n FROM {numbers}
    """,
    "active motions": """
        INSERT INTO motions_1
        SELECT {id}, 7, n, 'PLANNING', n, TRUE, n % 2 = 0, FALSE, n % 4 = 0, NULL, n,
               'member ' || n % 50, '{{}}' FROM {numbers}
    """,
}
DUE_FROM = 5_000_000
"""The numbers of what is due begin here."""

WAITING_FROM = 10_000_000
"""The numbers of motions that wait begin here."""


def id_of(number: int) -> str:
    """Return the id of a motion, and of its routing."""
    return f"00000000-0000-4000-8000-{number:012}"


class Large(ABC):
    """A store to fill and to measure. Its tables must be there, and nobody else may use it."""

    dialect: Dialect

    def finish(self, first: int, last: int) -> None:
        """Add so many rows to each table that keeps what is finished."""
        self._fill(_FINISHED, first, last)

    def wait(self, first: int, last: int) -> None:
        """Add so many rows of each kind that nobody can claim now."""
        self._fill(_WAITING, first, last)

    def make_due(self) -> None:
        """Add the few rows that there is something to do about."""
        self._fill(_DUE, DUE_FROM, DUE_FROM + DUE - 1)

    @abstractmethod
    def cost(self, sql: str, params: Mapping[str, object]) -> int:
        """Return how much a statement touches, and undo what it did."""

    @abstractmethod
    def plan(self, sql: str, params: Mapping[str, object]) -> str:
        """Return how the statement is carried out, for people."""

    @abstractmethod
    def close(self) -> None:
        """Leave the store."""

    def _fill(self, tables: Mapping[str, str], first: int, last: int) -> None:
        for sql in tables.values():
            filled = sql.format(
                id=_ID[self.dialect].format(n="n"),
                id_of_waiting=_ID[self.dialect].format(n=f"n + {WAITING_FROM}"),
                id_of_twenty=_ID[self.dialect].format(n="(n - 1) / 20"),
                bytes=_EMPTY[self.dialect],
                numbers=_NUMBERS[self.dialect],
                later=f"{NOW_US + DAY_US} + n",
            )
            table = filled.split(maxsplit=3)[2]
            # An index is made much faster than it is kept up, row by row.
            indexes = self._indexes(table) if last - first >= MANY else {}
            for name in indexes:
                self._run(f"DROP INDEX {name}", {})
            self._run(filled, {"first": first, "last": last})
            for made_again in indexes.values():
                self._run(made_again, {})
        self._learn()

    @abstractmethod
    def _indexes(self, table: str) -> dict[str, str]:
        """Return the indexes that can be dropped, and how each is made."""

    @abstractmethod
    def _learn(self) -> None:
        """Let the planner know what is there."""

    @abstractmethod
    def _run(self, sql: str, params: Mapping[str, object]) -> None:
        """Carry out a statement for good."""


class LargePostgres(Large):
    """Costs are pages: those of every node of the plan, as the server counted them."""

    dialect: Dialect = "postgres"

    def __init__(self, address: str) -> None:
        self._session = psycopg.connect(address, autocommit=True)
        self._session.execute("SET maintenance_work_mem = '256MB'")

    def close(self) -> None:
        self._session.close()

    def _learn(self) -> None:
        # What was measured, and undone, has left its traces where work is claimed.
        self._session.execute("VACUUM assignments, agenda, alerts_outbox")
        self._session.execute("ANALYZE")

    def _indexes(self, table: str) -> dict[str, str]:
        rows = self._session.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s"
            " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)",
            [table],
        )
        return dict(rows.fetchall())

    def plan(self, sql: str, params: Mapping[str, object]) -> str:
        return json.dumps(self.explained(sql, params), indent=1)

    def explained(self, sql: str, params: Mapping[str, object]) -> dict[str, Any]:
        """Return the plan of a statement that was run, and undone."""
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}"
        with self._session.transaction(force_rollback=True):
            row = self._session.execute(explain.encode(), params).fetchone()
        assert row is not None
        plan: dict[str, Any] = row[0][0]["Plan"]
        return plan

    def cost(self, sql: str, params: Mapping[str, object]) -> int:
        """Return how many pages it touches."""
        plan = self.explained(sql, params)
        return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])

    def _run(self, sql: str, params: Mapping[str, object]) -> None:
        # To psycopg a percent sign means a parameter.
        self._session.execute(sql.replace(" % ", " %% ").encode(), params)


class LargeSqlite(Large):
    """Costs are steps of SQLite's machine, which are a few for each row it looks at."""

    dialect: Dialect = "sqlite"

    def __init__(self, address: str) -> None:
        self._session = sqlite3.connect(address.removeprefix("sqlite:///"), isolation_level=None)
        # The file is thrown away: nothing of it need survive a crash.
        for setting in ("locking_mode = EXCLUSIVE", "journal_mode = MEMORY", "synchronous = OFF"):
            self._session.execute(f"PRAGMA {setting}")
        self._session.execute("PRAGMA cache_size = -100000")

    def close(self) -> None:
        self._session.close()

    def _learn(self) -> None:
        self._session.execute("ANALYZE")

    def _indexes(self, table: str) -> dict[str, str]:
        rows = self._session.execute(
            "SELECT name, sql FROM sqlite_schema"
            " WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL",
            [table],
        )
        return dict(rows.fetchall())

    def plan(self, sql: str, params: Mapping[str, object]) -> str:
        rows = self._session.execute(f"EXPLAIN QUERY PLAN {sql}", _written(params))
        return "\n".join(step for *_, step in rows)

    def cost(self, sql: str, params: Mapping[str, object]) -> int:
        """Return how many steps it takes."""
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        self._session.execute("BEGIN")
        self._session.set_progress_handler(count, 1)
        try:
            self._session.execute(sql, _written(params)).fetchall()
        finally:
            self._session.set_progress_handler(None, 0)
            self._session.execute("ROLLBACK")
        return steps

    def _run(self, sql: str, params: Mapping[str, object]) -> None:
        self._session.execute("BEGIN")
        self._session.execute(sql, params)
        self._session.execute("COMMIT")


def _written(params: Mapping[str, object]) -> dict[str, object]:
    return {
        name: json.dumps(value) if isinstance(value, list) else value
        for name, value in params.items()
    }
