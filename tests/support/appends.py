"""Appends without a meaning, for tests of the store itself."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from governance_flow.application.ports.event_store import Append, StoredEvent


def an_append(
    stream_id: UUID | None = None,
    after: int = 0,
    *,
    events: int = 1,
    topic: str = "SOMETHING_HAPPENED",
    state: bytes | None = None,
    **conditions: Any,
) -> Append:
    """Return an append of so many events, each with bytes of its own unless they are given."""
    stream_id = stream_id or uuid4()
    return Append(
        stream_id,
        after,
        tuple(
            StoredEvent(
                stream_id,
                version,
                topic,
                f"{stream_id} {version} {uuid4()}".encode() if state is None else state,
            )
            for version in range(after + 1, after + events + 1)
        ),
        **conditions,
    )
