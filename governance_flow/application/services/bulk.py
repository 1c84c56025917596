"""The same decision about many motions: page by page, a few at a time, each for itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from governance_flow.application.ports.flow_orchestrator import ActionKind
from governance_flow.domain.errors import (
    ConcurrencyConflict,
    CorruptStream,
    Refused,
    UnknownMotion,
    ViolationRefused,
    WitnessFailed,
)
from governance_flow.domain.evolve import evolve
from governance_flow.domain.motion import Motion
from governance_flow.domain.states import GovernanceState

if TYPE_CHECKING:
    from uuid import UUID

    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.flow_orchestrator import (
        FlowOrchestratorProtocol,
        MotionPipelineState,
    )
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.domain.events import MotionEvent

BATCH = 100
CONCURRENT = 16

AboutThisOne = (
    Refused,
    ViolationRefused,
    UnknownMotion,
    WitnessFailed,
    CorruptStream,
    ConcurrencyConflict,
)
"""What stops a decision about one motion, and none about the others."""

Decide = Callable[["UUID"], Awaitable["MotionPipelineState"]]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the motions that wait for a person are meant; None: whichever."""

    state: GovernanceState | None = None
    error_type: str | None = None
    blocked_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of one motion: its new status, or why it was refused."""

    motion_id: UUID
    title: str
    status: MotionPipelineState | None
    refusal: str | None

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return {
            "motion_id": str(self.motion_id),
            "done": self.status is not None,
            "current_state": self.status.current_state.value if self.status else None,
            "refusal": self.refusal,
        }


class Bulk:
    """Decides about every motion selected that waits for a person.

    Blocked motions are meant; with ``taking_up``, and the state TABLED, those that wait to be taken
    up. Whatever was decided stands, even if the store fails before the rest is.
    """

    def __init__(
        self, orchestrator: FlowOrchestratorProtocol, store: EventStore, mapper: EventMapper
    ) -> None:
        self._orchestrator = orchestrator
        self._store = store
        self._mapper = mapper

    async def all(
        self, selection: Selection, decide: Decide, *, taking_up: bool = False
    ) -> AsyncIterator[Decided]:
        """Decide about all of them, and yield what became of each. Raises StoreError."""
        after: str | None = None
        while True:
            decided, after = await self.page(selection, decide, after=after, taking_up=taking_up)
            for one in decided:
                yield one
            if after is None:
                return

    async def page(
        self,
        selection: Selection,
        decide: Decide,
        *,
        after: str | None = None,
        limit: int = BATCH,
        taking_up: bool = False,
    ) -> tuple[list[Decided], str | None]:
        """Decide about those on one page of motions; return them, and where the next page begins.

        Raises StoreError.
        """
        tabled = taking_up and selection.state is GovernanceState.TABLED
        page = await self._orchestrator.list_motions(
            state=selection.state, blocked=None if tabled else True, limit=limit, after=after
        )
        meant = [motion for motion in page.motions if await self._is_meant(motion, selection)]
        places = asyncio.Semaphore(CONCURRENT)

        async def one(motion: MotionPipelineState) -> Decided:
            async with places:
                try:
                    status = await decide(motion.motion_id)
                except AboutThisOne as error:
                    return Decided(motion.motion_id, motion.title, None, error.message)
                return Decided(motion.motion_id, motion.title, status, None)

        found = await asyncio.gather(*(one(motion) for motion in meant), return_exceptions=True)
        for result in found:
            # Raised only once all the others have come to their end.
            if isinstance(result, BaseException):
                raise result
        return [result for result in found if isinstance(result, Decided)], page.next_after

    async def _is_meant(self, motion: MotionPipelineState, selection: Selection) -> bool:
        action = motion.next_action
        if action is None or action.kind not in (ActionKind.PERSON, ActionKind.TAKING_UP):
            return False
        if selection.error_type is None and selection.blocked_since is None:
            return True
        block = (await self._folded(motion.motion_id)).block
        if block is None:
            return False
        return selection.error_type in (None, block.error.error_type) and (
            selection.blocked_since is None or block.since >= selection.blocked_since
        )

    async def _folded(self, motion_id: UUID) -> Motion:
        """Return the motion as its stream has it."""
        motion: Motion | None = None
        for stored in await self._store.read_stream(motion_id):
            motion = evolve(motion, cast("MotionEvent", self._mapper.to_event(stored)), motion_id)
        if motion is None:
            msg = f"there is no motion {motion_id} in this store"
            raise UnknownMotion(msg, motion_id=motion_id)
        return motion
