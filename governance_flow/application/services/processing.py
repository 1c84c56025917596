"""Doing for a motion whatever can be done now, wherever it rests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.application.services.motion_commands import Decision, Done
from governance_flow.domain.decisions.clock import expire
from governance_flow.domain.decisions.proceed import proceed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from governance_flow.application.ports.assignments import Keep
    from governance_flow.application.services.breaker import Breaker
    from governance_flow.application.services.motion_commands import MotionCommands
    from governance_flow.domain.decisions.context import Context
    from governance_flow.domain.events import Proposal
    from governance_flow.domain.motion import Motion


class Processing:
    """Admits, applies what was recorded, hands on, and lets a missed deadline count."""

    def __init__(self, commands: MotionCommands, breaker: Breaker) -> None:
        self._commands = commands
        self._breaker = breaker

    async def process(
        self, motion_id: UUID, *, fresh: bool = False, keep: Keep | None = None
    ) -> Done:
        """Do it in one append, or nothing. Raises CapacityReached if it waits for a place."""
        done = await self._commands.execute(motion_id, _decide, fresh=fresh, keep=keep)
        await self._breaker.watch(done.events)
        return done


def _decide(_motion: Motion, _ctx: Context) -> Decision:
    return Decision(follow_up=_follow_up)


def _follow_up(motion: Motion, ctx: Context) -> Sequence[Proposal]:
    follows = proceed(motion, ctx)
    if not follows and motion.routing is not None:
        return expire(motion, ctx, motion.routing.routing_id)
    return follows
