"""PostgreSQL stores that cannot be used: each is refused with its own error, and left as it was."""

from __future__ import annotations

import socket

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from governance_flow.domain.errors import (
    NotOurStore,
    StoreError,
    StoreLocked,
    StoreReadOnly,
    StoreUnavailable,
)
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.database.postgres_connection import Timeouts
from governance_flow.infrastructure.recorder import SqlRecorder
from tests.support.appends import an_append
from tests.support.postgres import with_database


def with_option(address: str, option: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}{option}"


@pytest.mark.postgres
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE events (name text)",
        "CREATE VIEW head AS SELECT 1 AS position",
        "CREATE TABLE governance_flow_schema (version bigint)",
    ],
)
def test_somebody_else_s_tables_are_refused_and_not_touched(
    postgres_database: str, statement: str
) -> None:
    names = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(statement.encode())
        before = connection.execute(names).fetchall()
        with pytest.raises(NotOurStore, match="schema of its own"):
            open_database(postgres_database)
        assert connection.execute(names).fetchall() == before
        connection.execute(b"CREATE TABLE unrelated (name text)")


@pytest.mark.postgres
def test_other_tables_in_the_database_are_no_matter(postgres_database: str) -> None:
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE guests (name text)")
    open_database(postgres_database).close_now()


@pytest.mark.postgres
def test_a_search_path_to_nowhere_is_explained(postgres_database: str) -> None:
    nowhere = with_option(postgres_database, "options=-csearch_path%3Dnowhere")
    with pytest.raises(StoreUnavailable, match="search path"):
        open_database(nowhere)


def test_a_server_that_is_not_there_is_unavailable_and_its_password_kept() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(StoreUnavailable, match="cannot connect") as caught:
        open_database(f"postgresql://clerk:s3cret@127.0.0.1:{port}/flow")
    assert "s3cret" not in caught.value.message
    assert "flow on 127.0.0.1" in caught.value.message


@pytest.mark.postgres
def test_a_database_that_is_not_there_is_unavailable(postgres_database: str) -> None:
    missing = with_database(postgres_database, "no_such_database")
    with pytest.raises(StoreUnavailable, match="no_such_database"):
        open_database(missing)


@pytest.mark.postgres
def test_of_several_hosts_the_one_that_takes_writes_is_used(postgres_database: str) -> None:
    info = conninfo_to_dict(postgres_database)
    user, name, host = info.get("user", "postgres"), info["dbname"], info["host"]
    database = open_database(
        f"postgresql://{user}@/{name}?host=/nowhere,{host}&target_session_attrs=read-write"
        "&sslmode=prefer"
    )
    SqlRecorder(database).commit_group([an_append()])
    database.close_now()


@pytest.mark.postgres
def test_a_hot_standby_is_refused(postgres_database: str) -> None:
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        # Stands before the server's own function in the search path below.
        connection.execute(
            "CREATE FUNCTION pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'"
        )
    address = with_option(postgres_database, "options=-csearch_path%3Dpublic,pg_catalog")
    with pytest.raises(StoreReadOnly, match="hot standby"):
        open_database(address)


@pytest.mark.postgres
def test_a_server_told_to_take_no_writes_is_read_only(postgres_database: str) -> None:
    open_database(postgres_database).close_now()
    address = with_option(postgres_database, "options=-cdefault_transaction_read_only%3Don")
    database = open_database(address)
    recorder = SqlRecorder(database)
    assert recorder.max_notification_id() is None
    with pytest.raises(StoreReadOnly, match="primary"):
        recorder.commit_group([an_append()])
    database.close_now()


@pytest.mark.postgres
def test_a_role_without_the_right_to_write_is_read_only(postgres_database: str) -> None:
    open_database(postgres_database).close_now()
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS gf_auditor")
        connection.execute("CREATE ROLE gf_auditor LOGIN")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO gf_auditor")
    info = conninfo_to_dict(postgres_database)
    database = open_database(f"postgresql://gf_auditor@/{info['dbname']}?host={info['host']}")
    with pytest.raises(StoreReadOnly, match="role lacks a privilege"):
        SqlRecorder(database).commit_group([an_append()])
    database.close_now()
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("DROP OWNED BY gf_auditor")
        connection.execute("DROP ROLE gf_auditor")


@pytest.mark.postgres
def test_a_session_that_cannot_be_set_up_is_not_left_open(postgres_database: str) -> None:
    with pytest.raises(StoreError, match="statement_timeout"):
        open_database(postgres_database, timeouts=Timeouts(statement=-1))
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        ours = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'governance-flow'"
        )
        while connection.execute(ours).fetchone() != (0,):
            pass  # the server takes a moment to notice; a connection left open never goes away


@pytest.mark.postgres
def test_a_head_row_locked_for_too_long_is_reported(postgres_database: str) -> None:
    database = open_database(postgres_database, timeouts=Timeouts(lock=0.05))
    with psycopg.connect(postgres_database) as other:
        other.execute("SELECT * FROM head FOR UPDATE")
        with pytest.raises(StoreLocked, match="pg_stat_activity"):
            SqlRecorder(database).commit_group([an_append()])
    SqlRecorder(database).commit_group([an_append()])
    database.close_now()
