"""Stores for the contract: every behaviour is shown in memory, on a file and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from governance_flow.infrastructure.assignments import SqlAssignmentStore
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from tests.support.clock import ManualClock


@pytest.fixture
def database(store_address: str, clock: ManualClock) -> Iterator[AnyDatabase]:
    """Return an empty store of each kind, whose clock the test moves."""
    database = open_database(store_address, clock=clock)
    yield database
    database.close_now()


@pytest.fixture
async def store(database: AnyDatabase) -> AsyncIterator[GroupCommitEventStore]:
    """Return the event store on the database."""
    store = GroupCommitEventStore(database)
    yield store
    await store.close()


@pytest.fixture
def assignments(database: AnyDatabase) -> SqlAssignmentStore:
    """Return the operational rows of the database."""
    return SqlAssignmentStore(database)
