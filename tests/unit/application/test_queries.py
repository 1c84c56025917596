"""The loader of SQL files, and the files we have."""

from __future__ import annotations

from pathlib import Path

import pytest

import governance_flow.infrastructure
from governance_flow.application.ports.database import Dialect
from governance_flow.application.queries import load_queries, parse_queries

DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgres")

FILE = """
-- Words about the file, which belong to no statement.

-- name: both
-- Serves both.
SELECT a::text, ':no', "odd:name", 100 % 7 FROM t WHERE b = :b AND c LIKE 'x%';

-- name: one (postgres)
-- Serves PostgreSQL.
SELECT * FROM unnest(:ids::uuid[]) WHERE n = :n::bigint;

-- name: one (sqlite)
-- Serves SQLite.
SELECT value
-- Not all at once.
  FROM json_each(:ids);

-- name: pragma (sqlite)
-- Serves SQLite alone.
PRAGMA application_id = 7;
"""


def test_an_unmarked_block_serves_both_dialects_and_a_marked_one_its_own() -> None:
    assert list(parse_queries(FILE, "f", "sqlite")) == ["both", "one", "pragma"]
    assert list(parse_queries(FILE, "f", "postgres")) == ["both", "one"]


def test_sqlite_statements_stay_as_they_are_but_for_comments_and_the_last_semicolon() -> None:
    queries = parse_queries(FILE, "f", "sqlite")
    assert queries["one"] == "SELECT value\n  FROM json_each(:ids)"
    assert queries["both"].endswith("100 % 7 FROM t WHERE b = :b AND c LIKE 'x%'")


def test_parameters_are_converted_for_psycopg_and_nothing_else_is() -> None:
    queries = parse_queries(FILE, "f", "postgres")
    assert queries["both"] == (
        """SELECT a::text, ':no', "odd:name", 100 %% 7 FROM t WHERE b = %(b)s AND c LIKE 'x%%'"""
    )
    assert queries["one"] == "SELECT * FROM unnest(%(ids)b::uuid[]) WHERE n = %(n)s::bigint"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no query for sqlite"),
        ("-- name: a (postgres)\n-- A.\nSELECT 1;", "no query for sqlite"),
        ("-- name: a\nSELECT 1;", "'a' does not say what it does"),
        ("-- name: a\n", "'a' does not say what it does"),
        ("-- name: a\n-- A.\n", "'a' has no statement"),
        ("-- name: a\n-- A.\n;", "'a' has no statement"),
        ("-- name: a (oracle)\n-- A.\nSELECT 1;", "unknown dialect 'oracle'"),
        ("-- name: a\n-- A.\nSELECT 1;\n-- name: a\n-- B.\nSELECT 2;", "'a' appears twice"),
    ],
)
def test_a_file_that_breaks_the_rules_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_queries(text, "f.sql", "sqlite")


def test_queries_are_a_mapping_with_attributes() -> None:
    queries = load_queries("governance_flow.infrastructure", "sql/events.sql", "sqlite")
    assert queries.read_head == queries["read_head"]
    assert len(queries) == len(list(queries))
    with pytest.raises(AttributeError, match=r"sql/events.sql has no query named 'read_tail'"):
        queries.read_tail  # noqa: B018
    assert load_queries("governance_flow.infrastructure", "sql/events.sql", "sqlite") is queries


def test_every_file_of_ours_keeps_the_rules_and_offers_both_dialects_the_same() -> None:
    folder = Path(str(governance_flow.infrastructure.__file__)).parent
    # PostgreSQL changes rows of several tables in one statement, where SQLite needs one for each.
    one_dialect_only = {
        *("insert_event", "update_head", "append_group", "renew_head"),
        *("close_replaced", "open_assignments", "clear_agenda", "set_agenda"),
    }
    for file in sorted(folder.glob("sql/*.sql")):
        if file.name == "session.sql":
            continue
        sqlite, postgres = (
            set(parse_queries(file.read_text(), file.name, dialect)) for dialect in DIALECTS
        )
        assert sqlite ^ postgres <= one_dialect_only, file.name
