"""The loop every command on a motion goes through: load, decide, witness, append, or again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from governance_flow.domain.decisions.context import Context
from governance_flow.domain.decisions.escalations import witness_failure
from governance_flow.domain.decisions.proceed import proceed
from governance_flow.domain.errors import CapacityReached, ConcurrencyConflict, HaltEpochMoved
from governance_flow.domain.events import (
    SYSTEM,
    MotionEvent,
    MotionRouted,
    OrchestratorError,
    Proposal,
    ViolationWitnessed,
)
from governance_flow.domain.frozen import changed
from governance_flow.domain.motion import Motion
from governance_flow.domain.next_action import AwaitPlace, next_action

if TYPE_CHECKING:
    from uuid import UUID

    from governance_flow.application.loaded import Loaded
    from governance_flow.application.ports.assignments import Keep, OpenAssignment
    from governance_flow.application.ports.clock import Clock, IdSource
    from governance_flow.application.ports.event_store import Fence
    from governance_flow.application.services.motions import Draft, Motions
    from governance_flow.application.services.pipelines import Pipelines
    from governance_flow.domain.events import Actor

FollowUp = Callable[[Motion, Context], Sequence[Proposal]]

WITNESSED_WITHIN_SECONDS = 0.25
"""How soon the Knight must answer for a motion to be admitted with its introduction."""

RULED = frozenset({MotionRouted, ViolationWitnessed})
"""Events that only the configuration in force explains: it must have been recorded before them."""


def in_turn(motion: Motion, ctx: Context) -> Sequence[Proposal]:
    """Let happen what follows, but for an admission: the docket has an order, and sees to it."""
    return () if isinstance(next_action(motion), AwaitPlace) else proceed(motion, ctx)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to record whatever happens, and what follows from it while the pipeline runs."""

    record: tuple[MotionEvent, ...] = ()
    follow_up: FollowUp = in_turn
    fence: Fence | None = None


def nothing(_motion: Motion, _ctx: Context) -> Sequence[Proposal]:
    """Let nothing follow from what was recorded."""
    return ()


Decide = Callable[[Motion, Context], Decision | None]
"""A command's decision about a motion; None: nothing is to be done. Called again on a conflict."""


@dataclass(frozen=True, slots=True)
class Done:
    """The motion after a command, and what was appended (nothing, if nothing followed).

    ``kept`` is the assignment that followed, if whoever asked has leased it with the append.
    """

    loaded: Loaded
    events: tuple[MotionEvent, ...]
    halted: bool
    kept: OpenAssignment | None = None


class MotionCommands:
    """Executes decisions against the store; the stream's version is the only lock there is."""

    def __init__(
        self,
        *,
        motions: Motions,
        pipelines: Pipelines,
        clock: Clock,
        new_id: IdSource,
        max_conflicts: int,
    ) -> None:
        self._motions = motions
        self._pipelines = pipelines
        self._clock = clock
        self._new_id = new_id
        self._max_conflicts = max_conflicts

    async def execute(
        self,
        motion_id: UUID,
        decide: Decide,
        *,
        actor: Actor = SYSTEM,
        fresh: bool = False,
        keep: Keep | None = None,
    ) -> Done:
        """Carry out one command; ``keep`` leases what follows to whoever asks, if it can be.

        Raises UnknownMotion, whatever ``decide`` raises, CapacityReached when an admission
        finds no place, and ConcurrencyConflict after too many lost races.
        """
        for attempt in range(self._max_conflicts):
            await self._pipelines.current()
            loaded = await self._motions.load(motion_id, fresh=fresh or attempt > 0)
            if loaded.motion.last_routing is not None:
                await self._pipelines.learn(loaded.motion.last_routing.configuration)
            ctx = self._context(loaded.motion, actor)
            pipeline = ctx.pipeline
            decision = decide(loaded.motion, ctx)
            if decision is None:
                return Done(loaded, (), pipeline.halted)
            draft = await self._draft(loaded, decision, ctx)
            if not draft.made:
                return Done(loaded, (), pipeline.halted)
            try:
                return await self._commit(draft, ctx, keep, fence=decision.fence)
            except ConcurrencyConflict:
                continue
            except HaltEpochMoved:
                await self._pipelines.refresh()
                continue
        msg = f"motion {motion_id} moved {self._max_conflicts} times in a row; try again"
        raise ConcurrencyConflict(msg, motion_id=motion_id)

    async def admit_at_once(self, introduced: Draft, keep: Keep) -> Done | None:
        """Commit a motion's introduction, its admission, and what follows, in one append.

        ``keep`` leases that to whoever asks. None if nothing was committed: others wait for a
        place, there is none, the pipeline is halted, or the Knight has not witnessed at once.
        Raises ConcurrencyConflict if there is a motion of that id already, or a StoreError.
        """
        await self._pipelines.current()
        motion = introduced.loaded.motion
        ctx = self._context(motion, SYSTEM)
        if ctx.pipeline.halted:
            return None
        ctx = changed(ctx, causation_id=introduced.made[0].event.event_id)
        try:
            # Whoever introduces must not have to wait for a Knight who does not answer.
            async with asyncio.timeout(WITNESSED_WITHIN_SECONDS):
                draft = await self._follow(introduced, proceed(motion, ctx), ctx)
        except TimeoutError:
            return None
        if draft.admitted_delta <= 0:
            return None
        try:
            await self._pipelines.adopt()
        except ConcurrencyConflict:
            # Of the pipeline, and not of the motion, which the caller would take it for.
            return None
        try:
            return await self._commit(draft, ctx, keep, in_turn=True)
        except CapacityReached:
            return None
        except HaltEpochMoved:
            await self._pipelines.refresh()
            return None

    async def _commit(
        self,
        draft: Draft,
        ctx: Context,
        keep: Keep | None,
        *,
        fence: Fence | None = None,
        in_turn: bool = False,
    ) -> Done:
        """Append a draft with the operational rows that follow from it."""
        events = draft.events
        if not RULED.isdisjoint(map(type, events)):
            await self._pipelines.adopt()
        work = self._pipelines.operations.after(draft.loaded.motion, ctx.pipeline, events, keep)
        loaded = await self._motions.append(
            draft,
            work,
            halt_epoch=ctx.pipeline.halt_epoch,
            capacity=ctx.rules.max_concurrent_motions,
            in_turn=in_turn,
            fence=fence,
        )
        kept = work.assignment if work.keep else None
        return Done(loaded, events, ctx.pipeline.halted, kept)

    def _context(self, motion: Motion, actor: Actor) -> Context:
        routed = motion.last_routing
        return Context(
            now=self._clock.now(),
            new_id=self._new_id,
            pipeline=self._pipelines.known,
            rules=self._pipelines.configuration,
            rules_digest=self._pipelines.digest,
            routing_rules=self._pipelines.rules(routed.configuration if routed else None),
            actor=actor,
        )

    async def _draft(self, loaded: Loaded, decision: Decision, ctx: Context) -> Draft:
        draft = self._motions.draft(loaded, decision.record)
        if ctx.pipeline.halted:
            return draft
        if decision.record:
            ctx = changed(ctx, causation_id=decision.record[0].event_id)
        return await self._follow(draft, decision.follow_up(draft.loaded.motion, ctx), ctx)

    async def _follow(self, draft: Draft, proposals: Sequence[Proposal], ctx: Context) -> Draft:
        def on_witness_failure(motion: Motion, message: str) -> OrchestratorError:
            return witness_failure(motion, ctx, message)

        return await self._motions.follow(draft, proposals, on_witness_failure)
