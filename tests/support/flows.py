"""A whole pipeline in one test: a real store, a clock that stands still, branches that do as told.

Tests read as a story::

    async with opened(branches=cast(duke=[failing("timeout_error")])) as flow:
        motion = await flow.introduce()
        await flow.idle()                                   # the worker does what it can
        assert await flow.state(motion) is S.EXECUTING
        flow.clock.advance(5)
        await flow.idle()
        assert await flow.story(motion) == [...]

or without a worker, one completion at a time, with ``reach``, ``succeeds`` and ``fails``. To
restart, leave the block and open the same address with the same clock again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from inspect import isawaitable
from typing import Any, TypeVar
from typing import cast as typed
from uuid import UUID

from governance_flow.application.ports.alerts import Alert, AlertSink
from governance_flow.application.ports.branch_services import BranchService
from governance_flow.application.ports.event_store import Append, CommittedEvent
from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    CompletionOutcome,
    MotionPipelineState,
)
from governance_flow.application.ports.knight_witness import (
    KnightWitnessProtocol,
    WitnessRequest,
    WitnessStatement,
)
from governance_flow.application.services.flow_orchestrator_service import (
    FlowOrchestratorService,
)
from governance_flow.bootstrap import Flow, open_flow
from governance_flow.domain.branches import (
    CONCLAVE_SERVICE,
    DUKE_SERVICE,
    KING_SERVICE,
    KNIGHT_SERVICE,
    PRESIDENT_SERVICE,
    PRINCE_SERVICE,
    Purpose,
)
from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.domain.events import (
    PIPELINE_ID,
    BranchCompleted,
    Event,
    MotionEvent,
    MotionRouted,
)
from governance_flow.domain.evolve import evolve
from governance_flow.domain.motion import Motion
from governance_flow.domain.states import GovernanceState
from tests.support.clock import ManualClock
from tests.support.keys import fixed_keyring
from tests.support.motions import INTRODUCER, honest_knight, told

S = GovernanceState
E = TypeVar("E", bound=Event)

PATIENCE_SECONDS = 30.0
"""A worker that is not idle by then never will be: the test fails instead of hanging."""

MAX_STEPS = 20

CHAIR = "the chair"
ZOE = "zoe"
"""Somebody who has not acted on any motion."""


# -- Branch services that do as told -------------------------------------------------------------

Answer = Callable[[BranchAssignment], Any]
"""Makes what a service returns; it may be a coroutine function, and it may raise."""


class Scripted:
    """A branch service that answers by a script and, once that is used up, does its work well."""

    def __init__(self, script: Sequence[object] = ()) -> None:
        self.script = deque(script)
        self.calls: list[BranchAssignment] = []

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        """Give the next answer: call it, raise it, or return it as it is, whatever it is."""
        self.calls.append(assignment)
        answer: object = self.script.popleft() if self.script else succeeding()
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            answer = answer(assignment)
        if isawaitable(answer):
            answer = await answer
        return typed("BranchResult", answer)

    @property
    def purposes(self) -> list[str]:
        """What it was asked to do, in order."""
        return [call.purpose.value for call in self.calls]


def cast(
    *,
    king: Sequence[object] = (),
    conclave: Sequence[object] = (),
    president: Sequence[object] = (),
    duke: Sequence[object] = (),
    prince: Sequence[object] = (),
    knight: Sequence[object] = (),
) -> dict[str, Scripted]:
    """Return one scripted service for every branch."""
    return {
        KING_SERVICE: Scripted(king),
        CONCLAVE_SERVICE: Scripted(conclave),
        PRESIDENT_SERVICE: Scripted(president),
        DUKE_SERVICE: Scripted(duke),
        PRINCE_SERVICE: Scripted(prince),
        KNIGHT_SERVICE: Scripted(knight),
    }


def succeeding(
    output: Mapping[str, Any] | None = None,
    next_state: GovernanceState | None = None,
    actor: str | None = None,
) -> Answer:
    """Report success: a deliberation ratifies, a review resumes, unless told otherwise."""

    def answer(assignment: BranchAssignment) -> BranchResult:
        return success(
            assignment.motion_id,
            assignment.branch,
            assignment.purpose,
            output=output,
            next_state=next_state,
            actor=actor,
        )

    return answer


def success(
    motion_id: UUID,
    branch: Any,
    purpose: Purpose,
    *,
    output: Mapping[str, Any] | None = None,
    next_state: GovernanceState | None = None,
    **named: Any,
) -> BranchResult:
    """Return the result of work done well."""
    if purpose is Purpose.DELIBERATE and next_state is None:
        next_state = S.RATIFIED
    if output is None:
        output = {"did": purpose.value}
        if purpose is Purpose.REVIEW:
            output = {"decision": "resume"}
    return BranchResult(
        motion_id, branch, success=True, output=dict(output), next_state=next_state, **named
    )


def failing(
    error_type: str | None, error: str | None = "it broke", actor: str | None = None
) -> Answer:
    """Report a failure."""

    def answer(assignment: BranchAssignment) -> BranchResult:
        return BranchResult(
            assignment.motion_id,
            assignment.branch,
            success=False,
            output={},
            next_state=None,
            error=error,
            error_type=error_type,
            actor=actor,
        )

    return answer


def deciding(decision: object, **output: Any) -> Answer:
    """Answer a review."""
    return succeeding({"decision": decision, **output})


def tabling(**output: Any) -> Answer:
    """Table the motion by the vote."""
    return succeeding(output, S.TABLED)


# -- Knights and postboxes -------------------------------------------------------------------------


@dataclass
class ScriptedKnight:
    """Witnesses honestly, but for what it is told to do first."""

    script: deque[object] = field(default_factory=deque)
    requests: list[WitnessRequest] = field(default_factory=list)

    def then(self, *answers: object) -> None:
        """Do these things next, one for each request: call, raise or return them."""
        self.script.extend(answers)

    async def witness(self, request: WitnessRequest) -> WitnessStatement:
        """Witness, or do as told."""
        self.requests.append(request)
        answer: object = self.script.popleft() if self.script else honest_knight
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            answer = answer(request)
        if isawaitable(answer):
            answer = await answer
        return typed("WitnessStatement", answer)


@dataclass
class Postbox:
    """An alert sink that keeps what it is given, and fails as often as told."""

    name: str = "postbox"
    failures: deque[object] = field(default_factory=deque)
    alerts: list[Alert] = field(default_factory=list)
    tries: int = 0

    async def deliver(self, alert: Alert) -> None:
        """Take the alert, or fail."""
        self.tries += 1
        failure = self.failures.popleft() if self.failures else None
        if isinstance(failure, BaseException):
            raise failure
        if callable(failure):
            await failure(alert)
        self.alerts.append(alert)


# -- The pipeline ----------------------------------------------------------------------------------


@asynccontextmanager
async def opened(
    address: str = "memory:",
    *,
    clock: ManualClock | None = None,
    branches: Mapping[str, BranchService] | None = None,
    knight: KnightWitnessProtocol | None = None,
    sinks: Sequence[AlertSink] | None = None,
    settings: Mapping[str, Any] | None = None,
    configured_sinks: bool = False,
    **more: Any,
) -> AsyncIterator[PlayedFlow]:
    """Open a pipeline; every branch is scripted unless ``branches`` says otherwise.

    Alerts go to a postbox, unless ``sinks`` are given or the configuration's own are asked for.
    """
    clock = clock or ManualClock()
    witness = knight or ScriptedKnight()
    async with open_flow(
        address,
        config=FlowConfiguration.model_validate(dict(settings or {})),
        branches=cast() if branches is None else branches,
        knight=witness,
        keyring=more.pop("keyring", None) or fixed_keyring(),
        alert_sinks=None if configured_sinks else [Postbox()] if sinks is None else sinks,
        clock=clock,
        environ=more.pop("environ", {}),
        **more,
    ) as flow:
        scripted = witness if isinstance(witness, ScriptedKnight) else ScriptedKnight()
        yield PlayedFlow(flow, clock, scripted)


@dataclass(frozen=True)
class PlayedFlow:
    """An open pipeline, and what tests do with it and ask of it."""

    flow: Flow
    clock: ManualClock
    knight: ScriptedKnight

    @property
    def orchestrator(self) -> FlowOrchestratorService:
        """Everything that can be asked of the pipeline."""
        return self.flow.orchestrator

    # -- What people and branches do

    async def introduce(self, title: str = "Mend the bridge", **changes: Any) -> UUID:
        """Put a motion before the assembly."""
        fields = {"title": title, "text": "Before the flood.", "introduced_by": INTRODUCER}
        return await self.orchestrator.introduce_motion(**{**fields, **changes})

    async def idle(self) -> None:
        """Let a worker do whatever can be done now."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.flow.worker.run_until_idle()

    async def reach(self, state: GovernanceState, motion_id: UUID | None = None) -> UUID:
        """Bring a motion, a new one unless one is given, into ``state`` without a worker."""
        motion_id = motion_id or await self.introduce()
        if state is S.INTRODUCED:
            return motion_id
        if state is S.WITHDRAWN:
            await self.orchestrator.withdraw_motion(motion_id, INTRODUCER)
            return motion_id
        await self.orchestrator.process_motion(motion_id)
        if state in (S.TABLED, S.REJECTED):
            await self.succeeds(motion_id, next_state=state)
            return motion_id
        for _ in range(MAX_STEPS):
            if await self.state(motion_id) is state:
                return motion_id
            await self.succeeds(motion_id)
        raise AssertionError(f"{state} was not reached: {await self.story(motion_id)}")

    async def succeeds(
        self,
        motion_id: UUID,
        output: Mapping[str, Any] | None = None,
        next_state: GovernanceState | None = None,
        **named: Any,
    ) -> CompletionOutcome:
        """Let the holder of the open routing report success."""
        routed = await self.routing(motion_id)
        result = success(
            motion_id,
            routed.branch,
            routed.purpose,
            output=output,
            next_state=next_state,
            **{"routing_id": routed.routing_id, **named},
        )
        return await self.orchestrator.handle_completion(motion_id, result)

    async def succeeds_as(
        self, motion_id: UUID, routed: MotionRouted, **named: Any
    ) -> CompletionOutcome:
        """Report success of a routing, open or not."""
        result = success(
            motion_id, routed.branch, routed.purpose, routing_id=routed.routing_id, **named
        )
        return await self.orchestrator.handle_completion(motion_id, result)

    async def fails(
        self, motion_id: UUID, error_type: str | None, error: str | None = "it broke", **named: Any
    ) -> CompletionOutcome:
        """Let the holder of the open routing report a failure."""
        routed = await self.routing(motion_id)
        result = BranchResult(
            motion_id,
            routed.branch,
            success=False,
            output={},
            next_state=None,
            error=error,
            error_type=error_type,
            **{"routing_id": routed.routing_id, **named},
        )
        return await self.orchestrator.handle_completion(motion_id, result)

    async def halt(self, reason: str = "a storm") -> None:
        """Halt the pipeline."""
        await self.orchestrator.halt_pipeline(CHAIR, reason)

    async def resume(self, reason: str = "it is over") -> None:
        """Resume the pipeline."""
        await self.orchestrator.resume_pipeline(CHAIR, reason)

    async def fails_as(
        self, motion_id: UUID, routed: MotionRouted, error_type: str | None, error: str = "it broke"
    ) -> CompletionOutcome:
        """Report a failure of a routing, open or not."""
        result = BranchResult(
            motion_id,
            routed.branch,
            success=False,
            output={},
            next_state=None,
            error=error,
            error_type=error_type,
            routing_id=routed.routing_id,
        )
        return await self.orchestrator.handle_completion(motion_id, result)

    # -- What became of it

    @contextmanager
    def appends(self) -> Iterator[list[Append]]:
        """Keep every append that is made within the block and succeeds."""
        store: Any = self.flow.store
        seen: list[Append] = []

        async def append(asked: Append) -> tuple[CommittedEvent, ...]:
            committed = await type(store).append(store, asked)
            seen.append(asked)
            return typed("tuple[CommittedEvent, ...]", committed)

        store.append = append
        try:
            yield seen
        finally:
            del store.append

    async def stored(self, motion_id: UUID) -> list[CommittedEvent]:
        """Return the motion's events as they are stored."""
        return await self.flow.store.read_stream(motion_id)

    async def events(self, motion_id: UUID) -> list[MotionEvent]:
        """Return the motion's events."""
        return [
            typed("MotionEvent", self.flow.mapper.to_event(stored))
            for stored in await self.stored(motion_id)
        ]

    async def pipeline_events(self) -> list[Event]:
        """Return the events of the pipeline's own stream, but for what a process adopts."""
        events = [self.flow.mapper.to_event(item) for item in await self.stored(PIPELINE_ID)]
        adoptions = ("CONFIGURATION_ADOPTED", "KEY_ADOPTED")
        return [event for event in events if event.topic not in adoptions]

    async def last(self, motion_id: UUID, kind: type[E]) -> E:
        """Return the motion's latest event of a kind."""
        return next(e for e in reversed(await self.events(motion_id)) if isinstance(e, kind))

    async def story(self, motion_id: UUID, after: int = 0) -> list[str]:
        """Return what happened to the motion, a line for each event."""
        return [told(event) for event in (await self.events(motion_id))[after:]]

    async def length(self, motion_id: UUID) -> int:
        """Return how many events the motion has."""
        return len(await self.stored(motion_id))

    async def motion(self, motion_id: UUID) -> Motion:
        """Return the motion as its stored events make it."""
        motion = None
        for event in await self.events(motion_id):
            motion = evolve(motion, event, motion_id)
        assert motion is not None
        return motion

    async def routing(self, motion_id: UUID) -> MotionRouted:
        """Return the open routing; fails if there is none."""
        motion = await self.motion(motion_id)
        assert motion.routing is not None, f"nothing is open in {motion.state}"
        return motion.routing

    async def status(self, motion_id: UUID) -> MotionPipelineState:
        """Return what the orchestrator shows of a motion."""
        return await self.orchestrator.get_motion_status(motion_id)

    async def state(self, motion_id: UUID) -> GovernanceState:
        """Return where the motion stands."""
        return (await self.motion(motion_id)).state

    async def completions(self, motion_id: UUID) -> list[BranchCompleted]:
        """Return what branches have reported about the motion."""
        return [e for e in await self.events(motion_id) if isinstance(e, BranchCompleted)]


def renamed(result: BranchResult, **changes: Any) -> BranchResult:
    """Return the result with some of it changed."""
    return replace(result, **changes)


async def together(count: int, act: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """Do the same thing so many times at once, and return what each came to, errors included."""
    return await asyncio.gather(*(act(number) for number in range(count)), return_exceptions=True)
