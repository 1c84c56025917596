"""What dashboards ask costs the same however many motions there are: the plans say so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import pytest

from governance_flow.application.ports.database import Dialect, Transaction
from governance_flow.application.queries import Queries
from governance_flow.infrastructure.database.base import AnyDatabase
from projections import activity, motions, search
from projections.lists import BEGINNING_US
from projections.tables import generation_queries
from tests.support.followers import Follower

FILL = {
    "sqlite": """
        WITH RECURSIVE numbers (n) AS (
            SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000
        )
        INSERT INTO motions_1
        SELECT printf('00000000-0000-4000-8000-%012d', n), 7, n,
               CASE n % 20 WHEN 0 THEN 'PLANNING' ELSE 'ACKNOWLEDGED' END,
               n, n % 20 = 0, n % 1000 = 0, n % 500 = 0, n % 500 = 1,
               CASE n % 500 WHEN 0 THEN n END, CASE n % 2 WHEN 0 THEN n END,
               'member ' || n % 5, '{}' FROM numbers
        """,
    "postgres": """
        INSERT INTO motions_1
        SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 7, n,
               CASE mod(n, 20) WHEN 0 THEN 'PLANNING' ELSE 'ACKNOWLEDGED' END,
               n, mod(n, 20) = 0, mod(n, 1000) = 0, mod(n, 500) = 0, mod(n, 500) = 1,
               CASE mod(n, 500) WHEN 0 THEN n END, CASE mod(n, 2) WHEN 0 THEN n END,
               'member ' || mod(n, 5), '{}'
          FROM generate_series(1, 5000) AS n
        """,
}
FILL_WORDS = {
    "sqlite": """
        WITH RECURSIVE numbers (n) AS (
            SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000
        )
        INSERT INTO search_1_words
        SELECT 'word' || n % 5, n, printf('00000000-0000-4000-8000-%012d', n) FROM numbers
        """,
    "postgres": """
        INSERT INTO search_1_words
        SELECT 'word' || mod(n, 5), n,
               ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid
          FROM generate_series(1, 5000) AS n
        """,
}
FILL_STAYS = {
    "sqlite": """
        WITH RECURSIVE numbers (n) AS (
            SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000
        )
        INSERT INTO activity_1_stays SELECT n, 'PLANNING', 1, 1 FROM numbers
        """,
    "postgres": """
        INSERT INTO activity_1_stays
        SELECT n, 'PLANNING', 1, 1 FROM generate_series(1, 5000) AS n
        """,
}
FILL_BUCKETS = {
    "sqlite": """
        WITH RECURSIVE numbers (n) AS (
            SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000
        )
        INSERT INTO activity_1_buckets
        SELECT CASE n % 10 WHEN 0 THEN 60 ELSE 1 END, n, 'completion', 1 FROM numbers
        """,
    "postgres": """
        INSERT INTO activity_1_buckets
        SELECT CASE mod(n, 10) WHEN 0 THEN 60 ELSE 1 END, n, 'completion', 1
          FROM generate_series(1, 5000) AS n
        """,
}

PAGE: dict[str, Any] = {
    "state": None,
    "blocked": None,
    "active": None,
    "limit": 51,
    "after_us": BEGINNING_US,
    "after_id": str(UUID(int=0)),
}

ASKED = [
    ("page", PAGE, "motions_1_in_order"),
    ("page", {**PAGE, "after_us": 2500}, "motions_1_in_order"),
    ("page_in_state", {**PAGE, "state": "PLANNING"}, "motions_1_by_state"),
    ("page_in_state", {**PAGE, "state": "PLANNING", "after_us": 2500}, "motions_1_by_state"),
    ("page_of_blocked", {**PAGE, "blocked": True}, "motions_1_blocked"),
    ("page_of_blocked", {**PAGE, "blocked": True, "state": "PLANNING"}, "motions_1_blocked"),
    ("page_of_active", {**PAGE, "active": True}, "motions_1_active"),
    ("page_of_active", {**PAGE, "active": True, "after_us": 2500}, "motions_1_active"),
    ("oldest_active", {}, "motions_1_active"),
    ("page_of_docket", {**PAGE, "until_us": 4000}, "motions_1_docket"),
    ("page_of_overdue", {**PAGE, "until_us": 4000}, "motions_1_running_out"),
    ("page_for_person", PAGE, "motions_1_for_person"),
    ("page_of_introducer", {**PAGE, "introducer": "member 3"}, "motions_1_by_introducer"),
    ("overdue_states", {"until_us": 4000, "limit": 101}, "motions_1_running_out"),
    ("oldest_in_states", {"states": ["PLANNING", "JUDGING"]}, "motions_1_by_entry"),
]


@pytest.fixture
async def large(follower: Follower, database: AnyDatabase) -> AnyDatabase:
    """Return a store with enough rows for the planner to think about it."""

    def fill(tx: Transaction) -> None:
        tx.execute(FILL[tx.dialect])
        tx.execute(FILL_BUCKETS[tx.dialect])
        tx.execute(FILL_STAYS[tx.dialect])
        tx.execute(FILL_WORDS[tx.dialect])
        tx.execute("ANALYZE")

    await database.write(fill)
    return database


async def plan(database: AnyDatabase, sql: str, params: dict[str, Any]) -> str:
    explain = {"sqlite": "EXPLAIN QUERY PLAN ", "postgres": "EXPLAIN "}[database.dialect]
    rows = await database.write(lambda tx: tx.execute(explain + sql, params))
    return "\n".join(str(row[-1]) for row in rows)


async def queries(database: AnyDatabase, module: Any) -> Queries:
    found: Queries = await database.read(lambda tx: module.queries(tx, 1))
    return found


async def test_a_page_is_read_from_its_index_in_order(large: AnyDatabase) -> None:
    sql = await queries(large, motions)
    for query, params, index in ASKED:
        said = f"{query} {params}: {await plan(large, sql[query], params)}"
        assert index in said, said
        for costly in ("Seq Scan", "Sort", "TEMP B-TREE"):
            assert costly not in said, said


async def test_a_search_looks_words_up(large: AnyDatabase) -> None:
    sql = await queries(large, search)
    last = {"before_us": 2**62, "before_id": str(UUID(int=2**128 - 1))}
    for query, params in (
        ("page_of_word", {**last, "word": "word3", "limit": 51}),
        ("words_beginning", {"first": "wo", "beyond": "wp", "limit": 11}),
    ):
        said = f"{query}: {await plan(large, sql[query], params)}"
        assert "search_1_words_pkey" in said or "PRIMARY KEY (" in said, said
        for costly in ("Seq Scan", "Sort", "TEMP B-TREE", "SCAN search", "SCAN w"):
            assert costly not in said, said


async def test_recent_counts_read_the_buckets_of_the_window_alone(large: AnyDatabase) -> None:
    window = activity.window(datetime.fromtimestamp(4000, UTC))
    said = await plan(large, (await queries(large, activity)).count_since, window)
    assert "Seq Scan" not in said, said
    assert "SCAN activity" not in said, said
    assert said.count("activity_1_buckets_pkey") + said.count("PRIMARY KEY (") == 3, said


async def test_a_chart_reads_the_buckets_that_it_shows_alone(large: AnyDatabase) -> None:
    sql = await queries(large, activity)
    shown = {"since_s": 4000, "until_s": 4100}
    said = await plan(large, sql.read_buckets, {**shown, "width_seconds": 60})
    assert "activity_1_buckets_pkey" in said or "PRIMARY KEY (" in said, said
    said = await plan(large, sql.read_stays, shown)
    assert "activity_1_stays_pkey" in said or "PRIMARY KEY (" in said, said


def test_no_query_of_the_read_model_counts_rows() -> None:
    for dialect in get_args(Dialect):
        for filename in ("sql/motions.sql", "sql/activity.sql", "sql/search.sql"):
            for name, sql in generation_queries(filename, dialect, 1).items():
                assert "count(" not in sql.lower(), name
