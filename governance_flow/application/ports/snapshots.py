"""The port to snapshots: folded motions kept so that long streams load quickly.

A snapshot is a cache. Auditors replay the events; nothing is ever proved by a snapshot.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from governance_flow.application.loaded import Loaded

SNAPSHOT_EVERY = 100
"""How many events a stream gains between two snapshots; shorter streams have none."""


class Snapshots(Protocol):
    """Keeps the latest snapshot of each long stream."""

    async def latest(self, motion_id: UUID) -> Loaded | None:
        """Return the latest snapshot; None if there is none, or none this program can read."""
        ...

    async def keep(self, loaded: Loaded) -> None:
        """Keep this one instead of an older one."""
        ...
