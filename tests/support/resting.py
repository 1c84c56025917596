"""Motions at rest: whatever happened, nobody is asked to do anything about them now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from governance_flow.domain.states import GovernanceState
from tests.support.clock import ManualClock
from tests.support.flows import ZOE, PlayedFlow, opened
from tests.support.motions import failing_knight, honest_knight

S = GovernanceState

Rest = Callable[[PlayedFlow], Awaitable[UUID]]


async def rest_with_open_work(flow: PlayedFlow, state: S) -> UUID:
    """Bring a motion to rest in a state whose work is not done, and with nobody asked to do it."""
    motion = await flow.reach(state)
    await flow.fails(motion, "system_error")
    await flow.halt()
    await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
    await flow.resume()
    return motion


async def rest_with_complete_work(flow: PlayedFlow, state: S) -> UUID:
    """Bring a motion to rest in a state whose work is done, and not handed on."""
    if state is S.INTRODUCED:
        return await flow.introduce()
    if state is S.RATIFIED:
        return await _stuck_in_ratified(flow)
    if state is S.TABLED:
        motion = await flow.introduce()
        await flow.orchestrator.process_motion(motion)
        until = flow.clock.now() + timedelta(days=1)
        await flow.succeeds(motion, {"until": until.isoformat()}, next_state=state)
        flow.clock.advance(hours=24)
        return motion
    motion = await flow.reach(state)
    await flow.halt()
    await flow.succeeds(motion)
    await flow.resume()
    return motion


async def _stuck_in_ratified(flow: PlayedFlow) -> UUID:
    motion = await flow.reach(S.DELIBERATING)
    knight = flow.knight
    knight.then(honest_knight, failing_knight)
    await flow.succeeds(motion)
    await flow.halt()
    await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
    await flow.resume()
    return motion


async def at_rest(
    rest: Rest, restart_at: str | None, clock: ManualClock, look: Callable[[PlayedFlow, UUID], Any]
) -> None:
    """Bring a motion to rest and look at it, after a restart if there is a store to restart on."""
    if restart_at is None:
        async with opened(clock=clock) as flow:
            await look(flow, await rest(flow))
        return
    async with opened(restart_at, clock=clock) as flow:
        motion = await rest(flow)
    async with opened(restart_at, clock=clock) as flow:
        await look(flow, motion)
