"""The stored record of one motion, checked on its own: what the Knight does before recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.application.audit.streams import MotionCheck
from governance_flow.application.ports.audit import StoredRow

if TYPE_CHECKING:
    from uuid import UUID

    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.mapper import EventMapper


class RecordCheck:
    """Reads a motion's stream from the store and holds it against the rules and its statements."""

    def __init__(self, store: EventStore, mapper: EventMapper) -> None:
        self._store = store
        self._mapper = mapper

    async def problems(self, motion_id: UUID) -> list[str]:
        """Return what is wrong with the motion's record as it is stored; nothing if all is well."""
        check = MotionCheck(motion_id, self._mapper)
        faults: list[str] = []
        for stored in await self._store.read_stream(motion_id):
            row = StoredRow(
                position=stored.id,
                stream_id=str(motion_id),
                version=stored.originator_version,
                topic=stored.topic,
                state=stored.state,
                committed_at_us=stored.committed_at_us,
            )
            faults.extend(str(fault) for fault in check.add(row))
        faults.extend(str(fault) for fault in check.finish())
        return faults
