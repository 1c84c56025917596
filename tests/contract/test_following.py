"""Waiting for events: in one process, and from one process to another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from governance_flow.infrastructure.database import postgres_listener
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.database.hints import Channel
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from governance_flow.infrastructure.recorder import SqlRecorder
from tests.support.appends import an_append

PATIENCE_SECONDS = 60
"""Long enough that only a wake-up ends a wait within the test's own time limit."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def shared_address(request: pytest.FixtureRequest) -> str:
    """Return the address of a store that several processes can use."""
    fixtures = {"sqlite": "sqlite_address", "postgresql": "postgres_database"}
    return str(request.getfixturevalue(fixtures[request.param]))


@pytest.fixture
def here(shared_address: str) -> Iterator[AnyDatabase]:
    database = open_database(shared_address)
    yield database
    database.close_now()


@pytest.fixture
def elsewhere(here: AnyDatabase, shared_address: str) -> Iterator[SqlRecorder]:
    """Return a recorder that shares nothing with ``here`` but the store itself."""
    database = open_database(shared_address)
    yield SqlRecorder(database)
    database.close_now()


async def test_a_follower_is_woken_by_an_append_in_its_own_process(
    store: GroupCommitEventStore,
) -> None:
    waiting = asyncio.create_task(
        store.wait_for_append(after_position=0, timeout_seconds=PATIENCE_SECONDS)
    )
    await asyncio.sleep(0)
    await store.append(an_append())
    await asyncio.wait_for(waiting, 10)


async def test_waiting_for_what_is_there_already_ends_at_once(
    store: GroupCommitEventStore,
) -> None:
    await store.append(an_append(events=3))
    await store.wait_for_append(after_position=2, timeout_seconds=PATIENCE_SECONDS)


async def test_without_an_append_the_wait_ends_when_its_time_is_up(
    store: GroupCommitEventStore,
) -> None:
    await store.append(an_append())
    await store.wait_for_append(after_position=1, timeout_seconds=0.01)
    assert (await store.head()).position == 1


async def test_a_follower_is_woken_by_an_append_in_another_process(
    here: AnyDatabase, elsewhere: SqlRecorder
) -> None:
    store = GroupCommitEventStore(here)
    for position in (0, 1):
        waiting = asyncio.create_task(
            store.wait_for_append(after_position=position, timeout_seconds=PATIENCE_SECONDS)
        )
        await asyncio.sleep(0)
        await asyncio.to_thread(elsewhere.commit_group, [an_append()])
        await asyncio.wait_for(waiting, 10)


async def test_what_another_process_appended_before_the_first_wait_is_noticed(
    here: AnyDatabase, elsewhere: SqlRecorder
) -> None:
    elsewhere.commit_group([an_append()])
    store = GroupCommitEventStore(here)
    await asyncio.wait_for(
        store.wait_for_append(after_position=0, timeout_seconds=PATIENCE_SECONDS), 10
    )


@pytest.mark.postgres
async def test_the_listener_survives_the_loss_of_its_connection(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgres_listener, "RECONNECT_SECONDS", 0.01)
    database = open_database(postgres_database)
    store = GroupCommitEventStore(database)
    await store.append(an_append())
    database.start_listening()
    seen = database.hints.latest(Channel.WORK)
    await database.hints.wait(Channel.WORK, above=seen, timeout_seconds=10)  # it listens
    seen = database.hints.latest(Channel.WORK)
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND (query LIKE 'LISTEN%' OR query LIKE 'SELECT position FROM head%')"
        )
    await database.hints.wait(Channel.WORK, above=seen, timeout_seconds=10)  # it listens again
    assert database.hints.latest(Channel.WORK) > seen
    assert "polling until it is back" in caplog.text
    await database.close()


@pytest.mark.postgres
def test_stores_in_one_database_do_not_wake_each_other(postgres_database: str) -> None:
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        for schema in ("one", "other"):
            connection.execute(f"CREATE SCHEMA {schema}".encode())
    separator = "&" if "?" in postgres_database else "?"
    one, other = (
        open_database(f"{postgres_database}{separator}options=-csearch_path%3D{schema}")
        for schema in ("one", "other")
    )
    SqlRecorder(one).commit_group([an_append(events=5)])
    SqlRecorder(other).commit_group([an_append(events=2)])
    assert SqlRecorder(one).max_notification_id() == 5
    assert SqlRecorder(other).max_notification_id() == 2
    channels = []
    for database in (one, other):
        [(channel,)] = database.read_now(
            lambda tx: tx.execute("SELECT 'governance_flow.' || current_schema()")
        )
        channels.append(channel)
        database.close_now()
    assert channels == ["governance_flow.one", "governance_flow.other"]


@pytest.mark.postgres
async def test_strange_words_on_the_channel_are_ignored(postgres_database: str) -> None:
    database = open_database(postgres_database)
    database.start_listening()
    await database.hints.wait(Channel.WORK, above=0, timeout_seconds=10)
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        for payload in ("nonsense", "events soon", "events 7"):
            connection.execute("SELECT pg_notify('governance_flow.public', %s)", [payload])
    await database.hints.wait(Channel.EVENTS, above=6, timeout_seconds=10)
    assert database.hints.latest(Channel.EVENTS) == 7
    await database.close()
