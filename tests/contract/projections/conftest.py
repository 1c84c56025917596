"""Followers of each kind of store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from governance_flow.application.ports.event_store import EventStore
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from tests.support.assembly import Assembly
from tests.support.clock import ManualClock
from tests.support.followers import Follow, Follower, follower_of


@pytest.fixture
def assembly(store: EventStore, clock: ManualClock) -> Assembly:
    """Return motions to be driven, recorded in the store."""
    return Assembly(store, clock)


@pytest.fixture
def follow(database: AnyDatabase, store: EventStore) -> Follow:
    """Return what makes a follower with further projections, or with others."""
    return lambda *projections: follower_of(database, store, *projections)


@pytest.fixture
async def follower(follow: Follow) -> Follower:
    """Return a follower of the store, ready to run."""
    follower = follow()
    await follower.runner.prepare()
    return follower


@pytest.fixture
async def elsewhere(
    database: AnyDatabase, store: EventStore, store_address: str, clock: ManualClock
) -> AsyncIterator[Follower]:
    """Return a follower that shares nothing with the other one but the store itself.

    What is in memory cannot be shared otherwise than by sharing the database.
    """
    if database.inline:
        yield follower_of(database, store)
        return
    other = open_database(store_address, clock=clock)
    other_store = GroupCommitEventStore(other)
    yield follower_of(other, other_store)
    await other_store.close()
    other.close_now()
