"""The orchestrator: every command to a motion or to the pipeline, and the questions about them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from governance_flow.application.services.assignments import assignment_of
from governance_flow.application.services.completions import Completions, reporter
from governance_flow.application.services.input_fields import (
    MAX_NOTE_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    ballots_field,
    named,
    note_field,
    require_size,
    text_field,
)
from governance_flow.application.services.motion_commands import Decision, nothing
from governance_flow.domain.decisions.people import amend, resolve, withdraw
from governance_flow.domain.decisions.proceed import proceed
from governance_flow.domain.errors import (
    CapacityReached,
    InvalidInput,
    NotInState,
    NotRoutable,
    Refused,
    VersionMoved,
)
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import Actor
from governance_flow.domain.states import GovernanceState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from governance_flow.application.ports.flow_orchestrator import (
        BranchAssignment,
        BranchResult,
        CompletionOutcome,
        MotionPage,
        MotionPipelineState,
        PipelineStatus,
    )
    from governance_flow.application.services.breaker import Breaker
    from governance_flow.application.services.introducing import Introducing
    from governance_flow.application.services.motion_commands import Decide, MotionCommands
    from governance_flow.application.services.pipelines import Pipelines
    from governance_flow.application.services.processing import Processing
    from governance_flow.application.services.status import StatusQueries
    from governance_flow.domain.decisions.context import Context
    from governance_flow.domain.motion import Motion

Member = TypeVar("Member", bound=StrEnum)


class FlowOrchestratorService:
    """Implements ``FlowOrchestratorProtocol``. It holds nothing that the store does not."""

    def __init__(
        self,
        *,
        introducing: Introducing,
        commands: MotionCommands,
        completions: Completions,
        processing: Processing,
        pipelines: Pipelines,
        status: StatusQueries,
        breaker: Breaker,
    ) -> None:
        self._introducing = introducing
        self._commands = commands
        self._completions = completions
        self._processing = processing
        self._pipelines = pipelines
        self._status = status
        self._breaker = breaker

    # -- People put motions before the assembly, change them and withdraw them ----------------

    async def introduce_motion(
        self,
        /,
        *,
        title: str,
        text: str,
        introduced_by: str | Actor,
        motion_id: UUID | None = None,
        reference: str | None = None,
        ballots: Mapping[str, str] | None = None,
        **metadata: Any,
    ) -> UUID:
        """Put a motion before the assembly and return its id."""
        motion_id, _ = await self._introducing.introduce(
            motion_id,
            title=title,
            text=text,
            introduced_by=introduced_by,
            reference=reference,
            ballots=ballots,
            metadata=metadata,
        )
        return motion_id

    async def amend_motion(
        self,
        motion_id: UUID,
        by: str | Actor,
        *,
        title: str | None = None,
        text: str | None = None,
        ballots: Mapping[str, str] | None = None,
        if_version: int | None = None,
    ) -> MotionPipelineState:
        """Give a motion a new version; ballots cast before are void."""
        if title is None and text is None:
            msg = "an amendment must change the title or the text; neither was given"
            raise InvalidInput(msg, motion_id=motion_id, field="title")
        if title is not None:
            text_field("title", title, max_characters=MAX_TITLE_CHARACTERS)
        if text is not None:
            text_field("text", text)
        votes = ballots_field(ballots)
        limit = self._pipelines.configuration.limits.max_motion_bytes

        def decide(motion: Motion, ctx: Context) -> Decision:
            amended = amend(motion, ctx, title=title, text=text, ballots=votes)
            require_size("motion", amended.model_dump(mode="json"), limit)
            return Decision(record=(amended,), follow_up=nothing)

        return await self._decided_by(named("by", by), motion_id, decide, if_version)

    async def withdraw_motion(
        self,
        motion_id: UUID,
        by: str | Actor,
        reason: str = "",
        *,
        if_version: int | None = None,
    ) -> MotionPipelineState:
        """Withdraw a motion; an open routing is superseded."""
        note_field("reason", reason)

        def decide(motion: Motion, ctx: Context) -> Decision:
            proposed = withdraw(motion, ctx, reason)
            _require_running(ctx)
            return Decision(follow_up=lambda _motion, _ctx: (proposed,))

        return await self._decided_by(named("by", by), motion_id, decide, if_version)

    # -- The pipeline moves --------------------------------------------------------------------

    async def process_motion(self, motion_id: UUID) -> MotionPipelineState:
        """Do for a motion what can be done now; if nothing can, say what it waits for."""
        try:
            done = await self._processing.process(motion_id, fresh=True)
        except CapacityReached:
            return await self._status.motion_status(motion_id)
        return self._status.shown(done.loaded.motion)

    async def route_to_branch(self, motion_id: UUID, state: GovernanceState) -> BranchAssignment:
        """Route a motion that is in ``state``; while a routing is open, return that one."""
        state = _member(GovernanceState, "state", state)

        def decide(motion: Motion, ctx: Context) -> Decision | None:
            if motion.state is not state:
                msg = f"motion {motion_id} is in {motion.state}, not in {state}: nothing was routed"
                raise NotInState(msg, motion_id=motion_id, state=motion.state)
            if motion.routing is not None:
                return None
            _require_running(ctx)
            return Decision(follow_up=proceed)

        try:
            done = await self._commands.execute(motion_id, decide, fresh=True)
        except CapacityReached as error:
            msg = f"motion {motion_id} waits in the docket: {error}"
            raise NotRoutable(msg, motion_id=motion_id, state=state) from error
        await self._breaker.watch(done.events)
        motion = done.loaded.motion
        if motion.routing is None:
            waits_for = self._status.shown(motion).next_action or f"it has ended in {motion.state}"
            msg = f"motion {motion_id} cannot be routed from {motion.state}: {waits_for}"
            raise NotRoutable(msg, motion_id=motion_id, state=motion.state)
        rules = self._pipelines.rules(motion.routing.configuration)
        return assignment_of(motion, motion.routing, rules)

    async def handle_completion(
        self, motion_id: UUID, result: BranchResult, *, actor: Actor | None = None
    ) -> CompletionOutcome:
        """Record what a branch reports, and do what follows, in one append."""
        return await self._completions.complete(motion_id, result, actor or reporter(result))

    # -- People decide what waits for them -----------------------------------------------------

    async def resolve_escalation(
        self,
        motion_id: UUID,
        resolved_by: str | Actor,
        decision: Resolution | str,
        notes: str = "",
        *,
        if_version: int | None = None,
    ) -> MotionPipelineState:
        """Let a named person decide about a blocked motion."""
        person = named("resolved_by", resolved_by)
        chosen = _member(Resolution, "decision", decision)
        note_field("notes", notes)

        def decide(motion: Motion, ctx: Context) -> Decision:
            return Decision(record=(resolve(motion, ctx, chosen, notes),))

        return await self._decided_by(person, motion_id, decide, if_version)

    async def retry_motion(
        self, motion_id: UUID, by: str | Actor, *, if_version: int | None = None
    ) -> MotionPipelineState:
        """Try a blocked motion again, or take up a tabled one."""

        def decide(motion: Motion, ctx: Context) -> Decision:
            tabled = motion.state is GovernanceState.TABLED and motion.block is None
            decision = Resolution.TAKE_UP if tabled else Resolution.RETRY
            return Decision(record=(resolve(motion, ctx, decision, ""),))

        return await self._decided_by(named("by", by), motion_id, decide, if_version)

    async def halt_pipeline(self, by: str | Actor, reason: str) -> None:
        """Stop every state change and routing; raises Refused if that is so already."""
        if not await self._pipelines.halt(named("by", by), _reason(reason)):
            halt = self._pipelines.known.halt
            since = f" since {halt.since:%Y-%m-%d %H:%M:%S} UTC ({halt.reason})" if halt else ""
            msg = f"the pipeline is halted already{since}"
            raise Refused(msg)

    async def resume_pipeline(self, by: str | Actor, reason: str) -> None:
        """Let the pipeline go on; raises Refused if it is not halted."""
        await self._pipelines.resume(named("by", by), _reason(reason))

    async def _decided_by(
        self, person: Actor, motion_id: UUID, decide: Decide, if_version: int | None = None
    ) -> MotionPipelineState:
        def decide_unmoved(motion: Motion, ctx: Context) -> Decision | None:
            if if_version not in (None, motion.version):
                msg = (
                    f"motion {motion_id} has moved on: it is at version {motion.version}, "
                    f"not {if_version}; look at it again and decide anew"
                )
                raise VersionMoved(msg, motion_id=motion_id, version=motion.version)
            return decide(motion, ctx)

        done = await self._commands.execute(motion_id, decide_unmoved, actor=person, fresh=True)
        await self._breaker.watch(done.events)
        return self._status.shown(done.loaded.motion)

    # -- Questions -----------------------------------------------------------------------------

    async def get_motion_status(self, motion_id: UUID) -> MotionPipelineState:
        """Return one motion as its stream has it."""
        return await self._status.motion_status(motion_id)

    async def get_pipeline_status(self, *, at_least: int | None = None) -> PipelineStatus:
        """Return the pipeline as it stands at the head of the store, or later."""
        return await self._status.pipeline_status(at_least=at_least)

    async def list_motions(
        self,
        *,
        state: GovernanceState | None = None,
        blocked: bool | None = None,
        limit: int = 50,
        after: str | None = None,
        at_least: int | None = None,
    ) -> MotionPage:
        """Return a page of motions, in the order in which they were introduced."""
        if state is not None:
            state = _member(GovernanceState, "state", state)
        return await self._status.list_motions(
            state=state, blocked=blocked, limit=limit, after=after, at_least=at_least
        )


def _reason(reason: str) -> str:
    return text_field("reason", reason, max_characters=MAX_NOTE_CHARACTERS)


def _require_running(ctx: Context) -> None:
    halt = ctx.pipeline.halt
    if halt is not None:
        msg = f"the pipeline is halted ({halt.reason}); a named person must resume it first"
        raise NotRoutable(msg)


def _member(kind: type[Member], field: str, value: str) -> Member:
    try:
        return kind(value)
    except ValueError as error:
        allowed = ", ".join(member.value for member in kind)
        msg = f"{field} must be one of {allowed}, not {value!r}"
        raise InvalidInput(msg, field=field) from error
