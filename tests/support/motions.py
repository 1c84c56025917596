"""A motion driven through the rules as the orchestrator drives it, without a store.

Tests read as *given events, when a command, then events*::

    flow = Scenario().reaching(S.PLANNING)      # given
    flow.succeeds()                             # when
    assert flow.story == [                      # then
        "completed: plan by president_service",
        "moved: PLANNING > EXECUTING (advance)",
        "routed: execute to duke_service",
    ]

Ids are counted, the time stands still until a test moves it, and the Knight witnesses
everything unless a test makes it fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Self, TypeVar, assert_never
from uuid import UUID

from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.domain.decisions.clock import expire
from governance_flow.domain.decisions.context import Context
from governance_flow.domain.decisions.escalations import witness_failure
from governance_flow.domain.decisions.people import amend, resolve, withdraw
from governance_flow.domain.decisions.proceed import proceed as what_follows
from governance_flow.domain.decisions.reports import Completion, report
from governance_flow.domain.errors import WitnessFailed
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import (
    SYSTEM,
    Actor,
    Authentication,
    Ballot,
    BranchCompleted,
    EscalationResolved,
    MotionAmended,
    MotionEvent,
    MotionIntroduced,
    MotionRouted,
    OrchestratorError,
    PipelineEvent,
    PipelineHalted,
    PipelineResumed,
    Proposal,
    ProposedTransition,
    TransitionWitnessed,
    ViolationWitnessed,
)
from governance_flow.domain.evolve import evolve
from governance_flow.domain.motion import Answer, Motion
from governance_flow.domain.pipeline import Pipeline, evolve_pipeline
from governance_flow.domain.states import GovernanceState
from governance_flow.domain.witness import WitnessChain, WitnessRequest, WitnessStatement
from governance_flow.transparency.notes import NoteSignature
from tests.support.keys import KNIGHT

S = GovernanceState
E = TypeVar("E")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
INTRODUCER = "ada"
MOTION_ID = UUID("00000000-0000-4000-8000-00000000000a")

Knight = Callable[[WitnessRequest], WitnessStatement]
FollowUp = Callable[[Motion, Context], Sequence[Proposal]]

STATES_ON_THE_WAY = (
    S.DELIBERATING,
    S.PLANNING,
    S.EXECUTING,
    S.JUDGING,
    S.WITNESSING,
    S.ACKNOWLEDGED,
)


def person(name: str) -> Actor:
    """Return somebody who typed a name."""
    return Actor(id=name, authenticated_by=Authentication.ASSERTED)


def service(name: str) -> Actor:
    """Return a branch service that the operator configured."""
    return Actor(id=name, authenticated_by=Authentication.SERVICE)


def honest_knight(request: WitnessRequest) -> WitnessStatement:
    """Witness exactly what was asked."""
    return WitnessStatement.about(request, "sir test")


def signing_knight(request: WitnessRequest) -> WitnessStatement:
    """Witness exactly what was asked, and sign it."""
    text = honest_knight(request).text
    signature = KNIGHT.sign(text.encode())
    line = NoteSignature(KNIGHT.name, KNIGHT.key_id, signature).line
    return WitnessStatement(f"{text}\n{line}")


def failing_knight(request: WitnessRequest) -> WitnessStatement:
    """Witness nothing."""
    raise WitnessFailed("the Knight sleeps", motion_id=request.motion_id)


def encoded(event: MotionEvent) -> bytes:
    """Return bytes to store for an event; any encoding that covers all of it would do."""
    return event.model_dump_json().encode()


def told(event: MotionEvent) -> str:
    """Say in one line what matters about an event."""
    match event:
        case MotionIntroduced():
            return f"introduced by {event.introduced_by}"
        case MotionAmended():
            return f"amended by {event.actor.id}"
        case MotionRouted():
            again = f", attempt {event.attempt}" if event.attempt > 1 else ""
            return f"routed: {event.purpose} to {event.service}{again}"
        case BranchCompleted() if event.success:
            return f"completed: {event.purpose} by {event.actor.id}"
        case BranchCompleted():
            return f"failed: {event.purpose} by {event.actor.id}, {event.error_type}"
        case TransitionWitnessed():
            return f"moved: {event.from_state} > {event.to_state} ({event.cause.kind})"
        case OrchestratorError():
            return f"error: {event.error_type}, {event.strategy}"
        case EscalationResolved():
            return f"resolved: {event.decision} by {event.actor.id}"
        case ViolationWitnessed():
            who = "holder" if event.by_holder else "stranger"
            return f"violation: {event.kind} by {who} {event.actor.id}"
        case _:
            assert_never(event)


class Scenario:
    """One motion, its events, and everything that can be done to it."""

    honest = staticmethod(signing_knight)
    sleeping = staticmethod(failing_knight)

    def __init__(self, rules: FlowConfiguration | None = None) -> None:
        self.known_rules: dict[str, FlowConfiguration] = {}
        self.adopt(rules or FlowConfiguration())
        self.now = NOON
        self.knight: Knight = signing_knight
        self.pipeline = Pipeline()
        self.chain = WitnessChain()
        self.events: list[MotionEvent] = []
        self.stored: list[bytes] = []
        self.news: list[MotionEvent] = []
        self._motion: Motion | None = None
        self._ids = count(1)
        self.append(
            [
                MotionIntroduced(
                    event_id=self.new_id(),
                    correlation_id=UUID(int=0),
                    actor=person(INTRODUCER),
                    timestamp=self.now,
                    title="Build a bridge",
                    text="Over the river.",
                    introduced_by=INTRODUCER,
                    ballots={"bo": Ballot.YES},
                )
            ]
        )

    # -- Given ---------------------------------------------------------------------------------

    def reaching(self, state: GovernanceState) -> Self:
        """Bring a newly introduced motion into ``state``, every step succeeding."""
        if state is S.INTRODUCED:
            return self
        if state is S.WITHDRAWN:
            self.withdraw()
            return self
        self.proceed()
        if state in (S.REJECTED, S.TABLED):
            self.succeeds(next_state=state)
            return self
        if state is S.RATIFIED:
            return self._stopping_at_ratified()
        for _ in range(10):
            if self.motion.state is state:
                return self
            self.succeeds()
        raise AssertionError(f"{state} was not reached, but {self.motion.state}")

    def _stopping_at_ratified(self) -> Self:
        """Let the Knight fail between the two moves that a ratified motion makes at once."""
        self.knight = lambda r: (
            failing_knight(r) if r.transition.to_state is S.PLANNING else signing_knight(r)
        )
        self.succeeds()
        self.knight = signing_knight
        return self

    def returned(self) -> Self:
        """Bring it back into INTRODUCED, on the King's desk."""
        self.reaching(S.DELIBERATING)
        self.fails("validation_error", "too vague")
        return self

    def wait(self, **span: float) -> Self:
        """Let time pass, in the units of timedelta."""
        self.now += timedelta(**span)
        return self

    def halt(self) -> Self:
        """Halt the pipeline."""
        return self._pipeline_event(PipelineHalted(**self._envelope(), reason="a storm"))

    def resume(self) -> Self:
        """Resume the pipeline; what was recorded waits for ``proceed``."""
        return self._pipeline_event(PipelineResumed(**self._envelope(), reason="it is over"))

    # -- When ----------------------------------------------------------------------------------

    def proceed(self) -> list[MotionEvent]:
        """Do what can be done now."""
        return self.execute(())

    def report(
        self,
        branch: GovernanceBranch,
        *,
        success: bool = True,
        output: Mapping[str, Any] | None = None,
        next_state: GovernanceState | None = None,
        error: str | None = None,
        error_type: str | None = None,
        by: Actor | None = None,
        routing_id: UUID | None = None,
    ) -> Answer:
        """Report a completion; raises the refusal, if it is refused, after recording it."""
        actor = by or service(f"{branch}_service")
        done = Completion(
            branch=branch,
            success=success,
            output=output or {},
            next_state=next_state,
            error=error,
            error_type=error_type,
            actor=actor,
            routing_id=routing_id,
        )
        decided = report(self.motion, done, self.context(actor))
        if decided.refusal is not None:
            self.execute(decided.record, actor, lambda _motion, _ctx: ())
            raise decided.refusal
        if decided.answer is not None:
            self.news = []
            return decided.answer
        routing_id = self.routing.routing_id
        self.execute(decided.record, actor)
        return self.motion.answers[routing_id]

    def succeeds(
        self,
        output: Mapping[str, Any] | None = None,
        *,
        next_state: GovernanceState | None = None,
        by: Actor | None = None,
    ) -> Answer:
        """Let the holder of the open routing report success; a deliberation ratifies."""
        routed = self.routing
        if routed.purpose is Purpose.DELIBERATE and next_state is None:
            next_state = S.RATIFIED
        return self.report(
            routed.branch,
            output={"did": routed.purpose.value} if output is None else output,
            next_state=next_state,
            by=by or service(routed.service),
            routing_id=routed.routing_id,
        )

    def fails(
        self, error_type: str | None, error: str | None = "it broke", *, by: Actor | None = None
    ) -> Answer:
        """Let the holder of the open routing report a failure."""
        routed = self.routing
        return self.report(
            routed.branch,
            success=False,
            error=error,
            error_type=error_type,
            by=by or service(routed.service),
            routing_id=routed.routing_id,
        )

    def review(self, decision: object, **output: Any) -> Answer:
        """Let the Conclave answer the open review."""
        assert self.routing.purpose is Purpose.REVIEW
        return self.succeeds({"decision": decision, **output})

    def expire(self, routing_id: UUID | None = None) -> list[MotionEvent]:
        """Let the clock look at the open routing's deadline, or at another routing's."""
        wanted = routing_id or self.routing.routing_id
        return self.execute((), follow_up=lambda motion, ctx: expire(motion, ctx, wanted))

    def resolve(self, decision: Resolution, by: str = "zoe", notes: str = "") -> list[MotionEvent]:
        """Let a named person decide."""
        return self.resolve_as(decision, person(by), notes)

    def resolve_as(self, decision: Resolution, actor: Actor, notes: str = "") -> list[MotionEvent]:
        """Let any actor decide."""
        ctx = self.context(actor)
        return self.execute((resolve(self.motion, ctx, decision, notes),), actor)

    def amend(
        self,
        by: str = INTRODUCER,
        *,
        title: str | None = None,
        text: str | None = None,
        ballots: Mapping[str, Ballot] | None = None,
    ) -> list[MotionEvent]:
        """Let somebody amend the motion."""
        actor = person(by)
        ctx = self.context(actor)
        amended = amend(self.motion, ctx, title=title, text=text, ballots=ballots or {})
        return self.execute((amended,), actor, lambda _motion, _ctx: ())

    def withdraw(self, by: str = INTRODUCER, reason: str = "") -> list[MotionEvent]:
        """Let somebody withdraw the motion."""
        actor = person(by)
        proposed = withdraw(self.motion, self.context(actor), reason)
        return self.execute((), actor, lambda _motion, _ctx: (proposed,))

    # -- Then ----------------------------------------------------------------------------------

    @property
    def motion(self) -> Motion:
        """The motion as its events have made it."""
        assert self._motion is not None
        return self._motion

    @property
    def state(self) -> GovernanceState:
        """Where it stands."""
        return self.motion.state

    @property
    def routing(self) -> MotionRouted:
        """The open routing; fails if there is none."""
        assert self.motion.routing is not None, f"nothing is open in {self.motion.state}"
        return self.motion.routing

    @property
    def story(self) -> list[str]:
        """What the last command led to."""
        return [told(event) for event in self.news]

    def last(self, kind: type[E]) -> E:
        """Return the latest event of a kind."""
        return next(event for event in reversed(self.events) if isinstance(event, kind))

    # -- How -----------------------------------------------------------------------------------

    def new_id(self) -> UUID:
        """Return the next id of a sequence."""
        return UUID(int=next(self._ids))

    def context(self, actor: Actor = SYSTEM, causation_id: UUID | None = None) -> Context:
        """Return what a decision may know now."""
        routed = self.motion.last_routing
        return Context(
            now=self.now,
            new_id=self.new_id,
            pipeline=self.pipeline,
            rules=self.rules,
            rules_digest=self.rules_digest,
            routing_rules=self.known_rules[routed.configuration] if routed else self.rules,
            causation_id=causation_id,
            actor=actor,
        )

    def adopt(self, rules: FlowConfiguration) -> Self:
        """Put another configuration in force."""
        self.rules = rules
        self.rules_digest = rules.digest()
        self.known_rules[self.rules_digest] = rules
        return self

    def execute(
        self,
        record: Sequence[MotionEvent],
        actor: Actor = SYSTEM,
        follow_up: FollowUp = what_follows,
    ) -> list[MotionEvent]:
        """Record, then do what follows, each transition witnessed, unless the pipeline is halted.

        If the Knight fails, what follows the failure is dropped, and it is recorded instead.
        """
        self.append(record)
        if self.pipeline.halted:
            return self.news
        ctx = self.context(actor, record[0].event_id if record else None)
        follows: list[MotionEvent] = []
        certain = 0
        motion, chain = self.motion, self.chain
        for proposal in follow_up(motion, ctx):
            event: MotionEvent
            if isinstance(proposal, ProposedTransition):
                request = chain.request(motion.id, motion.version + 1, proposal)
                try:
                    statement = self.knight(request)
                    statement.require_binding(request)
                except WitnessFailed as failure:
                    del follows[certain:]
                    self.append([*record, *follows], already=len(record))
                    failed = witness_failure(self.motion, ctx, str(failure))
                    self.append([*self.news, failed], already=len(self.news))
                    return self.news
                event = proposal.witnessed(statement.text)
                certain = len(follows) + 1
            else:
                event = proposal
            follows.append(event)
            motion = evolve(motion, event, motion.id)
            chain = extended(chain, motion.version, event)
        self.append([*record, *follows], already=len(record))
        return self.news

    def append(self, events: Sequence[MotionEvent], already: int = 0) -> None:
        """Store and fold events; the first ``already`` of them are there and only retold."""
        self.news = list(events)
        for event in events[already:]:
            self.fold(event)
            self.events.append(event)
            self.stored.append(encoded(event))

    def fold(self, event: MotionEvent) -> None:
        """Let an event change the motion without storing it."""
        self._motion = evolve(self._motion, event, MOTION_ID)
        self.chain = extended(self.chain, self._motion.version, event)

    def _pipeline_event(self, event: PipelineEvent) -> Self:
        self.pipeline = evolve_pipeline(self.pipeline, event)
        return self

    def _envelope(self) -> dict[str, Any]:
        event_id = self.new_id()
        return {
            "event_id": event_id,
            "correlation_id": event_id,
            "actor": person("the chair"),
            "timestamp": self.now,
        }


def extended(chain: WitnessChain, version: int, event: MotionEvent) -> WitnessChain:
    """Return the chain of statements after an event."""
    if isinstance(event, TransitionWitnessed):
        return chain.with_statement(version, encoded(event), event.statement)
    return chain.with_event(version, encoded(event))


def configured(**settings: Any) -> FlowConfiguration:
    """Return a configuration that differs from the default in ``settings``."""
    return FlowConfiguration.model_validate(settings)


def with_acts(flow: Scenario, acts: Mapping[str, frozenset[GovernanceBranch]]) -> None:
    """Pretend that actors have acted for branches on the motion before."""
    flow._motion = replace(flow.motion, acts={**flow.motion.acts, **acts})
