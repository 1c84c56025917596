"""No statement that runs often reads a whole table: the plans are read, so that it stays so."""

from __future__ import annotations

import functools
import json
import operator
import re
from typing import Any

import pytest

from governance_flow.application.ports.database import Dialect
from governance_flow.application.queries import Queries, load_queries
from governance_flow.infrastructure.database.opening import open_database

LARGE_TABLES = ("events", "assignments", "agenda", "alerts_outbox")

JSON_ROWS = "work_changes.sql"
"""Here rows come as JSON."""

WHOLE_TABLE = re.compile(
    r"^SCAN (?!(head|h|due|undelivered|CONSTANT ROW)\b)\w+\b"
    r"(?!.*(VIRTUAL TABLE|USING (COVERING )?INDEX))"
)
"""A step of SQLite's that reads everything, whatever the statement calls the table.

The head is one row; what is claimed, and the alerts that are counted, are lists that are kept short
already.
"""

COUNTS = {"count_assignments", "count_work"}
"""What counts rows has to look at them (of an index)."""

NOT_EXPLAINED = {"next_lease_token", "notify"}

WHOLE_LOG = {"read_topics", "read_latest"}
"""These walk the log in order of position until a page is full; they are not for rare topics."""

FILES = (
    "events.sql",
    "assignments.sql",
    "agenda.sql",
    "alerts_outbox.sql",
    "backlog.sql",
    JSON_ROWS,
)


def statements(queries: Queries) -> dict[str, str]:
    skipped = COUNTS | NOT_EXPLAINED | WHOLE_LOG
    return {
        name: sql
        for name, sql in queries.items()
        if name not in skipped
        and not name.startswith(("insert_", "append_", "open_", "set_", "add_"))
    }


@pytest.mark.parametrize("filename", FILES)
def test_sqlite_searches_and_never_scans(filename: str) -> None:
    database = open_database("memory:")
    for name, sql in statements(_load(filename, "sqlite")).items():
        params = {found: _value(found, filename) for found in re.findall(r":(\w+)", sql)}
        explain = operator.methodcaller("execute", f"EXPLAIN QUERY PLAN {sql}", params)
        plan = database.read_now(explain)
        for *_, step in plan:
            assert not WHOLE_TABLE.search(step), f"{name}: {step}"
    database.close_now()


def test_sqlite_claims_without_looking_at_all_that_waits_or_is_held() -> None:
    database = open_database("memory:")
    sql = _load("assignments.sql", "sqlite").claim
    params = {found: _value(found, "assignments.sql") for found in re.findall(r":(\w+)", sql)}
    explain = operator.methodcaller("execute", f"EXPLAIN QUERY PLAN {sql}", params)
    steps = [step for *_, step in database.read_now(explain)]
    assert any(step.startswith("SEARCH c USING INDEX assignments_free") for step in steps)
    assert any(step.startswith("SEARCH lapsed USING INDEX assignments_by_lease") for step in steps)
    database.close_now()


@pytest.mark.postgres
def test_postgresql_has_an_index_for_everything(postgres_database: str) -> None:
    database = open_database(postgres_database)

    def explain(tx: Any, sql: str, params: dict[str, object]) -> str:
        # Empty tables are scanned whatever indexes they have, unless that is made expensive.
        tx.execute("SET LOCAL enable_seqscan = off")
        return "\n".join(line for (line,) in tx.execute(f"EXPLAIN {sql}", params))

    for filename in FILES:
        for name, sql in statements(_load(filename, "postgres")).items():
            if name == "shift_deadlines":
                continue  # a partial index serves it, if the planner finds it worth while
            params = {found: _value(found, filename) for found in re.findall(r"%\((\w+)\)", sql)}
            plan = database.write_now(functools.partial(explain, sql=sql, params=params))
            for table in LARGE_TABLES:
                assert f"Seq Scan on {table}" not in plan, f"{name}: {plan}"
    database.close_now()


def _load(filename: str, dialect: Dialect) -> Queries:
    return load_queries("governance_flow.infrastructure", f"sql/{filename}", dialect)


def _value(name: str, filename: str) -> object:
    id_text = "00000000-0000-0000-0000-000000000001"
    if name == "changes":
        return json.dumps([{"motion_id": id_text, "routing_id": None}])
    if name in ("stream_ids", "routing_ids", "motion_ids"):
        return [id_text]
    if name in ("services", "kinds", "topics"):
        return ["x"]
    if name == "takers":
        return json.dumps([{"owner": "x", "first_place": 1, "last_place": 1}])
    if name == "tokens":
        return [1]
    if name.endswith("_id") and name != "alert_id":
        return id_text
    if name in ("service", "topic", "owner", "alert_id", "sink"):
        return "x"
    if name == "halted":
        return False
    return 1
