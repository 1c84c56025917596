"""Putting motions before the assembly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from governance_flow.application.correlation import correlation
from governance_flow.application.services.input_fields import (
    MAX_TITLE_CHARACTERS,
    ballots_field,
    id_field,
    metadata_field,
    named,
    require_size,
    text_field,
)
from governance_flow.domain.errors import ConcurrencyConflict, InvalidInput, MotionAlreadyExists
from governance_flow.domain.events import PIPELINE_ID, Actor, MotionIntroduced

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from governance_flow.application.ports.clock import Clock, IdSource
    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.services.doorway import Doorway
    from governance_flow.application.services.motions import Draft, Motions
    from governance_flow.application.services.pipelines import Pipelines
    from governance_flow.domain.motion import Motion


class Introducing:
    """Introduces motions, each once however often it is put forward."""

    def __init__(
        self,
        *,
        store: EventStore,
        motions: Motions,
        pipelines: Pipelines,
        doorway: Doorway,
        clock: Clock,
        new_id: IdSource,
    ) -> None:
        self._store = store
        self._motions = motions
        self._pipelines = pipelines
        self._doorway = doorway
        self._clock = clock
        self._new_id = new_id

    async def introduce(
        self,
        motion_id: UUID | None,
        *,
        title: str,
        text: str,
        introduced_by: str | Actor,
        reference: str | None,
        ballots: Mapping[str, str] | None,
        metadata: Mapping[str, Any],
    ) -> tuple[UUID, bool]:
        """Introduce a motion; return its id, and whether it is new or was there just the same.

        Raises InvalidInput, MotionAlreadyExists for another motion of that id, or a StoreError.
        """
        motion_id = None if motion_id is None else id_field("motion_id", motion_id)
        if motion_id == PIPELINE_ID:
            msg = f"motion_id {motion_id} is the pipeline's own: leave it out, or give another"
            raise InvalidInput(msg, field="motion_id")
        if reference is not None:
            reference = text_field("reference", reference, max_characters=MAX_TITLE_CHARACTERS)
        person = named("introduced_by", introduced_by)
        event_id = self._new_id()
        introduced = MotionIntroduced(
            event_id=event_id,
            correlation_id=correlation.get() or event_id,
            actor=person,
            timestamp=self._clock.now(),
            title=text_field("title", title, max_characters=MAX_TITLE_CHARACTERS),
            text=text_field("text", text),
            introduced_by=person.id,
            reference=reference,
            ballots=ballots_field(ballots),
            metadata=metadata_field("metadata", metadata),
        )
        limit = self._pipelines.configuration.limits.max_motion_bytes
        require_size("motion", introduced.model_dump(mode="json"), limit)
        draft = self._motions.start(motion_id or self._new_id(), introduced)
        motion = draft.loaded.motion
        try:
            if not await self._doorway.admit(draft):
                await self._put_in_docket(draft)
        except ConcurrencyConflict:
            await self._require_same(motion)
            return motion.id, False
        return motion.id, True

    async def _put_in_docket(self, draft: Draft) -> None:
        work = self._pipelines.operations.after(draft.loaded.motion, self._pipelines.known)
        await self._motions.append(draft, work, halt_epoch=None)

    async def _require_same(self, motion: Motion) -> None:
        """Raise MotionAlreadyExists unless the motion there was introduced just like this one."""
        stored = await self._store.read_stream(motion.id, up_to_version=1)
        there = self._motions.fold(None, stored)
        if there is not None and _content(there.motion) == _content(motion):
            return
        title = there.motion.title if there else "not a motion"
        msg = (
            f"there is another motion with the id {motion.id} already ({title!r}); "
            "leave motion_id out, or give a new one"
        )
        raise MotionAlreadyExists(msg, motion_id=motion.id)


def _content(motion: Motion) -> tuple[object, ...]:
    return (
        motion.title,
        motion.text,
        motion.introduced_by,
        motion.reference,
        motion.ballots,
        motion.metadata,
    )
