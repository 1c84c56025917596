"""The port between events and the bytes that are stored."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from governance_flow.domain.events import Event


class EventMapper(Protocol):
    """Encodes and decodes a closed set of topics; it imports nothing that a row names."""

    def to_stored(self, stream_id: UUID, version: int, event: Event) -> StoredEvent:
        """Encode ``event`` once; hashes and signatures are over these bytes."""
        ...

    def to_event(self, stored: StoredEvent) -> Event:
        """Validate and decode; raises CorruptStream naming the stream, version and reason."""
        ...
