"""Events to stored bytes and back, for a closed set of topics.

The library's own mapper imports whatever module a stored row names, so that reading a hostile
store would run code; this one looks a topic up in a table and validates what it reads.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from eventsourcing.persistence import StoredEvent
from pydantic import ValidationError

from governance_flow.domain.errors import CorruptStream, InvalidInput
from governance_flow.domain.events import EVENT_TYPES, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID


class JsonEventMapper:
    """Encodes events as JSON. ``upcasts`` turns (topic, version) into the next version's shape."""

    def __init__(
        self,
        upcasts: Mapping[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] | None = None,
        types: Mapping[str, type[Event]] = EVENT_TYPES,
    ) -> None:
        self._upcasts = upcasts or {}
        self._types = types

    def to_stored(self, stream_id: UUID, version: int, event: Event) -> StoredEvent:
        """Encode ``event`` once; raises InvalidInput for a value that JSON cannot hold."""
        try:
            # What model_dump_json() calls; straight to bytes, for every event there is.
            state = event.__pydantic_serializer__.to_json(event)
        except (ValueError, UnicodeEncodeError) as error:
            msg = f"stream {stream_id}: {event.topic} holds a value that cannot be stored: {error}"
            raise InvalidInput(msg, stream_id=stream_id) from error
        return StoredEvent(stream_id, version, event.topic, state)

    def to_event(self, stored: StoredEvent) -> Event:
        """Validate and decode, upcasting old shapes; raises CorruptStream if it cannot."""
        event_type = self._types.get(stored.topic)
        if event_type is None:
            raise self._corrupt(stored, f"unknown topic {stored.topic!r}")
        try:
            return event_type.model_validate_json(stored.state)
        except ValidationError as error:
            upcast = self._upcast(stored)
            if upcast is None:
                raise self._corrupt(stored, _first(error)) from error
        try:
            return event_type.model_validate(upcast, strict=False)
        except ValidationError as error:
            raise self._corrupt(stored, f"after upcasting: {_first(error)}") from error

    def _upcast(self, stored: StoredEvent) -> dict[str, Any] | None:
        """Return the newest shape of an old event; None if it is not one."""
        try:
            state = json.loads(stored.state)
        except ValueError:
            return None
        if not isinstance(state, dict):
            return None
        changed = False
        while upcast := self._upcasts.get((stored.topic, state.get("schema_version", 1))):
            state, changed = upcast(state), True
        return state if changed else None

    @staticmethod
    def _corrupt(stored: StoredEvent, reason: str) -> CorruptStream:
        where = f"stream {stored.originator_id}, version {stored.originator_version}"
        return CorruptStream(
            f"{where}: {stored.topic} cannot be read: {reason}",
            stream_id=stored.originator_id,
            version=stored.originator_version,
            topic=stored.topic,
        )


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    return f"{where}: {first['msg']}"
