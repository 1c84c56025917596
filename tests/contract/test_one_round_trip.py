"""What PostgreSQL is asked in one round trip sees what it has waited for."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest

from governance_flow.application.ports.assignments import AgendaItem, AgendaKind, WorkChange
from governance_flow.infrastructure.assignments import SqlAssignmentStore
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.recorder import SqlRecorder
from tests.support.appends import an_append

pytestmark = pytest.mark.postgres

ELSEWHERE = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def test_a_claim_of_the_docket_that_comes_second_sees_what_the_first_has_taken(
    postgres_database: str,
) -> None:
    database = open_database(postgres_database)
    docket = SqlAssignmentStore(database)
    recorder = SqlRecorder(database)
    for _ in range(2):
        motion_id = uuid4()
        item = AgendaItem(motion_id, AgendaKind.ADMIT, 0, 0)
        recorder.commit_group([an_append(motion_id, work=WorkChange(motion_id, item=item))])

    def claim() -> list[AgendaItem]:
        return asyncio.run(docket.claim_docket(limit=2, lease_seconds=10))

    with (
        psycopg.connect(postgres_database) as first,
        psycopg.connect(postgres_database, autocommit=True) as observer,
        ThreadPoolExecutor(1) as second,
    ):
        first.execute("SELECT pg_advisory_xact_lock(hashtext('governance_flow.docket'))")
        claimed = second.submit(claim)
        while observer.execute(ELSEWHERE).fetchone() == (0,):
            assert not claimed.done()
        first.execute(
            "UPDATE agenda SET lease_expires_at_us = 9e15"
            " WHERE motion_id = (SELECT min(motion_id::text)::uuid FROM agenda)"
        )
        first.commit()
        assert claimed.result(10) == []
        first.execute("UPDATE agenda SET lease_expires_at_us = NULL")
        first.commit()
        assert len(claim()) == 2
    database.close_now()


def test_a_statement_by_itself_is_read_committed_whatever_the_database_prefers(
    postgres_database: str,
) -> None:
    open_database(postgres_database).close_now()
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(
            f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'".encode()
        )
    database = open_database(postgres_database)
    [(isolation,)] = database.read_once_now(lambda tx: tx.execute("SHOW transaction_isolation"))
    assert isolation == "read committed"
    database.close_now()
