"""How far a generation of a projection is behind the head of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.application.ports.flow_orchestrator import Lag

if TYPE_CHECKING:
    from governance_flow.application.ports.event_store import EventStore
    from projections.registry import Generation

_MICROSECONDS = 1_000_000


async def lag_of(generation: Generation, store: EventStore) -> Lag:
    """Return the lag in events, and in seconds of commit time from its position to the head.

    It is measured against the head of the store as it is now, so it grows with the store while
    nobody applies anything. A generation that has applied nothing is as far behind as the first
    event.
    """
    head = await store.head()
    events = head.position - generation.position
    if events <= 0:
        return Lag(0, 0.0)
    since_us = generation.committed_at_us
    if generation.position == 0:
        [first] = await store.read_all(after_position=0, limit=1)
        since_us = first.committed_at_us
    return Lag(events, (head.committed_at_us - since_us) / _MICROSECONDS)
