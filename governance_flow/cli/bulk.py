"""The same decision about many motions: page by page, a few at a time, each for itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from governance_flow.application.ports.flow_orchestrator import ActionKind
from governance_flow.domain.errors import Refused, UnknownMotion, ViolationRefused
from governance_flow.domain.evolve import evolve
from governance_flow.domain.motion import Motion
from governance_flow.domain.states import GovernanceState

if TYPE_CHECKING:
    from uuid import UUID

    from governance_flow.application.ports.flow_orchestrator import MotionPipelineState
    from governance_flow.bootstrap import Flow
    from governance_flow.domain.events import MotionEvent

BATCH = 100
CONCURRENT = 16

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


async def decide_all(
    flow: Flow, selection: Selection, decide: Decide, *, taking_up: bool = False
) -> AsyncIterator[Decided]:
    """Decide about every motion selected, and yield what became of each.

    Blocked motions are meant; with ``taking_up``, and the state TABLED, those that wait to be taken
    up. Raises StoreError if the store fails: what was decided until then stands.
    """
    places = asyncio.Semaphore(CONCURRENT)

    async def one(motion: MotionPipelineState) -> Decided:
        async with places:
            try:
                status = await decide(motion.motion_id)
            except (Refused, ViolationRefused, UnknownMotion) as error:
                return Decided(motion.motion_id, motion.title, None, error.message)
            return Decided(motion.motion_id, motion.title, status, None)

    after: str | None = None
    tabled = taking_up and selection.state is GovernanceState.TABLED
    while True:
        page = await flow.orchestrator.list_motions(
            state=selection.state, blocked=None if tabled else True, limit=BATCH, after=after
        )
        meant = [motion for motion in page.motions if await _is_meant(flow, motion, selection)]
        for decided in await asyncio.gather(*(one(motion) for motion in meant)):
            yield decided
        after = page.next_after
        if after is None:
            return


async def _is_meant(flow: Flow, motion: MotionPipelineState, selection: Selection) -> bool:
    action = motion.next_action
    if action is None or action.kind not in (ActionKind.PERSON, ActionKind.TAKING_UP):
        return False
    if selection.error_type is None and selection.blocked_since is None:
        return True
    block = (await _folded(flow, motion.motion_id)).block
    if block is None:
        return False
    return selection.error_type in (None, block.error.error_type) and (
        selection.blocked_since is None or block.since >= selection.blocked_since
    )


async def _folded(flow: Flow, motion_id: UUID) -> Motion:
    """Return the motion as its stream has it."""
    motion: Motion | None = None
    for stored in await flow.store.read_stream(motion_id):
        motion = evolve(motion, cast("MotionEvent", flow.mapper.to_event(stored)), motion_id)
    if motion is None:
        raise UnknownMotion(f"there is no motion {motion_id} in this store", motion_id=motion_id)
    return motion
