"""One motion whole: where it stands, what it says, what its steps have produced, and its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from governance_flow.application.ports.motion_details import MotionDetails, MotionRecord
from governance_flow.application.times import from_us
from governance_flow.domain.errors import UnknownMotion
from governance_flow.domain.events import PIPELINE_ID

if TYPE_CHECKING:
    from uuid import UUID

    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.application.services.motions import Motions
    from governance_flow.application.services.status import StatusQueries
    from governance_flow.domain.events import MotionEvent


class MotionReader:
    """Reads motions from their streams: always current."""

    def __init__(
        self, store: EventStore, mapper: EventMapper, motions: Motions, status: StatusQueries
    ) -> None:
        self._store = store
        self._mapper = mapper
        self._motions = motions
        self._status = status

    async def details(self, motion_id: UUID) -> MotionDetails:
        """Return a motion with all that it says; raises UnknownMotion."""
        status = await self._status.motion_status(motion_id)
        motion = (await self._motions.load(motion_id)).motion
        return MotionDetails(
            status=status,
            text=motion.text,
            amended=motion.amended,
            ballots=dict(motion.ballots),
            metadata=dict(motion.metadata),
            outputs={purpose: dict(output) for purpose, output in motion.outputs.items()},
            correlation_id=motion.correlation_id,
        )

    async def events(
        self, motion_id: UUID, *, after_version: int = 0, limit: int | None = None
    ) -> list[MotionRecord]:
        """Return a motion's events in order, from the one behind ``after_version`` on.

        Raises UnknownMotion, and CorruptStream for an event that cannot be read.
        """
        up_to = None if limit is None else after_version + limit
        stored = await self._store.read_stream(
            motion_id, after_version=after_version, up_to_version=up_to
        )
        if motion_id == PIPELINE_ID or (not stored and after_version == 0):
            raise UnknownMotion(
                f"there is no motion {motion_id} in this store", motion_id=motion_id
            )
        return [
            MotionRecord(
                position=item.id,
                version=item.originator_version,
                committed_at=from_us(item.committed_at_us),
                topic=item.topic,
                event=cast("MotionEvent", self._mapper.to_event(item)),
            )
            for item in stored
        ]
