"""The real orchestrator beside the model: the same is done to both, and then they are compared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from governance_flow.application.ports.flow_orchestrator import (
    BranchResult,
    CompletionOutcome,
    GovernanceBranch,
    GovernanceState,
    MotionPipelineState,
)
from governance_flow.domain.errors import (
    CompletionRefused,
    NotAllowed,
    NotInState,
    NotRoutable,
    Refused,
    ViolationRefused,
)
from governance_flow.domain.events import (
    BranchCompleted,
    EscalationResolved,
    Event,
    MotionAmended,
    MotionRouted,
    OrchestratorError,
    TransitionWitnessed,
    ViolationWitnessed,
)
from tests.properties.motion_model import Model
from tests.properties.motion_tables import (
    ADMITTED,
    CAPACITY,
    INTRODUCER,
    NEVER,
    RESUME,
    TERMINAL,
    WORKER,
    Line,
    Refusal,
    Report,
)
from tests.support.clock import START, ManualClock
from tests.support.flows import CHAIR, PlayedFlow, opened
from tests.support.motions import failing_knight, honest_knight

OUTSIDER = "zoe"
"""Somebody who works for no branch."""

KINDS: tuple[tuple[type[Exception], str], ...] = (
    (CompletionRefused, "completion"),
    (ViolationRefused, "violation"),
    (NotAllowed, "not_allowed"),
    (NotInState, "not_in_state"),
    (NotRoutable, "not_routable"),
    (Refused, "refused"),
)
REFUSALS = tuple(error for error, _ in KINDS)


def told(event: Event) -> Line | None:
    """Say what matters of an event, in the model's words."""
    match event:
        case BranchCompleted():
            return ("completed", str(event.purpose), event.success)
        case MotionAmended():
            return ("amended", event.actor.id)
        case MotionRouted():
            return ("routed", event.service, str(event.purpose), event.attempt)
        case TransitionWitnessed():
            return ("moved", str(event.from_state), str(event.to_state), str(event.cause.kind))
        case OrchestratorError():
            return ("error", event.error_type, str(event.strategy), str(event.branch))
        case EscalationResolved():
            return ("resolved", str(event.decision), event.actor.id)
        case ViolationWitnessed():
            who = "holder" if event.by_holder else "stranger"
            return ("violation", str(event.kind), who, str(event.severity))
        case _:
            return None


def seconds(time: datetime | None) -> float | None:
    """Return a time as the model tells it."""
    return None if time is None else (time - START).total_seconds()


def written(until: float) -> str:
    """Return a time of the model's as a branch writes it."""
    return "never" if until == NEVER else (START + timedelta(seconds=until)).isoformat()


class Orchestrated:
    """The real thing: one motion on a store in memory, and another that may take its place."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self._context: AbstractAsyncContextManager[PlayedFlow] = opened(
            clock=self.clock, settings={"max_concurrent_motions": CAPACITY}
        )
        self.flow = self.run(self._context.__aenter__())
        self.motion_id = self.run(self.flow.introduce())
        self.rival_id: UUID | None = None
        self.routings: list[MotionRouted] = []
        self.version = 1

    def run(self, work: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await work

        return self.runner.run(wait())

    def close(self) -> None:
        self.run(self._context.__aexit__(None, None, None))
        self.runner.close()

    def news(self) -> list[Line]:
        """Return what was recorded since this was last asked, a line for each event."""
        stored = self.run(
            self.flow.flow.store.read_stream(self.motion_id, after_version=self.version)
        )
        self.version += len(stored)
        events = [self.flow.flow.mapper.to_event(item) for item in stored]
        self.routings += [event for event in events if isinstance(event, MotionRouted)]
        return [line for line in map(told, events) if line is not None]

    def result(self, report: Report) -> BranchResult:
        """Return a report as a branch hands it in."""
        output = dict(report.output)
        if "until" in output:
            output["until"] = written(output["until"])
        return BranchResult(
            self.motion_id,
            GovernanceBranch(report.branch),
            success=report.success,
            output=output,
            next_state=GovernanceState(report.next_state) if report.next_state else None,
            error=None if report.success else "it broke",
            error_type=report.error_type,
            actor=report.actor,
            routing_id=uuid4() if report.number is None else self.routing_id(report.number),
        )

    def routing_id(self, number: int) -> UUID:
        return self.routings[number - 1].routing_id


class Play:
    """One motion, in the model and in the real thing. Every method is one step, or several."""

    def __init__(self) -> None:
        self.model = Model()
        self.real = Orchestrated()
        self.first: dict[int, CompletionOutcome] = {}
        """What each completion was answered when it was first reported."""

    def close(self) -> None:
        self.real.close()

    def both(
        self, command: Callable[[Model], Any], act: Callable[[PlayedFlow], Awaitable[Any]]
    ) -> Any:
        """Let the same happen to both; return what the real one answered."""
        self.model.story = []
        expected, got, answer = None, None, None
        try:
            command(self.model)
        except Refusal as refusal:
            expected = refusal.kind
        self.model.break_if_too_much()
        try:
            answer = self.real.run(act(self.real.flow))
        except REFUSALS as error:
            got = next(kind for known, kind in KINDS if isinstance(error, known))
        self.model.statements_left = None
        self.real.flow.knight.script.clear()
        assert got == expected
        assert self.real.news() == self.model.story
        self.compare()
        return answer

    def report(self, report: Report) -> None:
        known = self.first.get(report.number or 0)
        repeats = known is not None and self.model.answered[report.number or 0]
        outcome: CompletionOutcome | None = self.both(
            lambda model: model.report(report),
            lambda flow: flow.orchestrator.handle_completion(
                self.real.motion_id, self.real.result(report)
            ),
        )
        if outcome is None or report.number is None:
            return
        if repeats:
            assert outcome == known
        else:
            self.first[report.number] = outcome
            self.compare_outcome(outcome)

    def holder(self, **changes: Any) -> None:
        """Let the holder of the open routing report; nothing happens if nothing is open."""
        routing = self.model.routing
        if routing is None:
            return
        fields: dict[str, Any] = {"number": routing.number, "branch": routing.branch}
        if routing.purpose == "deliberate" and changes.get("success", True):
            fields["next_state"] = "RATIFIED"
        if routing.purpose == "review" and changes.get("success", True):
            fields["output"] = RESUME
        self.report(Report(**(fields | changes)))

    def process(self) -> None:
        self.both(Model.process, lambda flow: flow.orchestrator.process_motion(self.real.motion_id))

    def resolve(self, decision: str, by: str) -> None:
        self.both(
            lambda model: model.resolve(decision, by),
            lambda flow: flow.orchestrator.resolve_escalation(self.real.motion_id, by, decision),
        )

    def asked_to(self, purpose: str) -> bool:
        routing = self.model.routing
        return routing is not None and routing.purpose == purpose

    def route(self, state: str) -> None:
        assignment = self.both(
            lambda model: model.route(state),
            lambda flow: flow.orchestrator.route_to_branch(
                self.real.motion_id, GovernanceState(state)
            ),
        )
        if assignment is not None:
            assert assignment.routing_id == self.real.routings[-1].routing_id

    def amend(self, by: str) -> None:
        self.both(
            lambda model: model.amend(by),
            lambda flow: flow.orchestrator.amend_motion(self.real.motion_id, by, title="Mend it"),
        )

    def withdraw(self, by: str) -> None:
        self.both(
            lambda model: model.withdraw(by),
            lambda flow: flow.orchestrator.withdraw_motion(self.real.motion_id, by),
        )

    def halt(self) -> None:
        self.both(Model.halt, lambda flow: flow.orchestrator.halt_pipeline(CHAIR, "a storm"))

    def resume(self) -> None:
        self.both(Model.resume, lambda flow: flow.orchestrator.resume_pipeline(CHAIR, "over"))

    def let_knight_falter_after(self, count: int) -> None:
        """In the next step the Knight witnesses so many transitions, and then none."""
        self.model.statements_left = count
        self.real.flow.knight.script.clear()
        self.real.flow.knight.then(*[honest_knight] * count, failing_knight)

    def return_and_come_back(self, times: int) -> None:
        """Fail validation and get over it, again and again, as far as that goes."""
        for _ in range(times):
            state = self.model.state
            self.holder(success=False, error_type="validation_error")
            for _ in range(2):
                if self.model.state == state or self.model.blocked_by:
                    break
                self.holder()
                self.process()

    def lead_to(self, goal: str) -> None:
        if goal == "INTRODUCED":
            return
        self.process()
        if goal == "TABLED":
            self.holder(next_state="TABLED")
        if goal == "RATIFIED":
            self.let_knight_falter_after(1)
            self.holder()
        while self.model.state not in (goal, "TABLED", "RATIFIED"):
            self.holder()

    def time_passes(self, pause: float) -> None:
        self.model.pass_time(pause)
        self.real.clock.advance(pause)
        self.compare()

    def let_rival_come_or_go(self) -> None:
        """Let another motion take the only place if it is free, or give it back."""
        self.model.rival_admitted = self.real.run(self._rival(self.real.flow))

    async def _rival(self, flow: PlayedFlow) -> bool:
        if self.real.rival_id is not None:
            if self.model.rival_admitted:
                await flow.succeeds(self.real.rival_id, next_state=GovernanceState.REJECTED)
            else:
                await flow.orchestrator.withdraw_motion(self.real.rival_id, INTRODUCER)
            self.real.rival_id = None
            return False
        self.real.rival_id = await flow.introduce("Pave the road")
        await flow.orchestrator.process_motion(self.real.rival_id)
        state = (await flow.status(self.real.rival_id)).current_state
        admitted = state is GovernanceState.DELIBERATING
        assert admitted is (self.model.state not in ADMITTED)
        return admitted

    # -- What must be the same

    def compare(self) -> None:
        model, real = self.model, self.real
        status: MotionPipelineState = real.run(real.flow.status(real.motion_id))
        assert status.current_state == model.state
        assert seconds(status.entered_state_at) == model.entered_at
        assert status.time_in_state.total_seconds() == model.now - model.entered_at
        assert bool(status.blocking_issues) is (model.blocked_by is not None)
        assert seconds(status.expected_completion) == model.deadline
        self.compare_routing(status)
        self.compare_action(status)
        head = real.run(real.flow.flow.store.head())
        assert (head.halted, head.admitted) == (
            model.halted,
            (model.state in ADMITTED) + model.rival_admitted,
        )

    def compare_routing(self, status: MotionPipelineState) -> None:
        routing = self.model.routing
        if routing is None:
            assert (status.owner, status.attempt) == (None, 0)
            return
        assert (status.owner, status.attempt) == (routing.service, routing.attempt)
        assert WORKER[routing.purpose] == (routing.branch, status.owner)
        routed = self.real.routings[-1]
        assert routing.number == len(self.real.routings)
        assert routed.state == self.model.state
        assert seconds(routed.not_before) == routing.not_before
        assert seconds(routed.deadline) == routing.deadline
        # While a routing is open, this gives it back and does nothing.
        assignment = self.real.run(
            self.real.flow.orchestrator.route_to_branch(self.real.motion_id, status.current_state)
        )
        assert {str(purpose) for purpose in assignment.outputs} == self.model.outputs

    def compare_action(self, status: MotionPipelineState) -> None:
        expected, action = self.model.next_action, status.next_action
        if expected is None or action is None:
            assert (expected, action) == (None, None)
            return
        match expected:
            case ("branch", service, deadline):
                assert (action.who, seconds(action.by)) == (service, deadline)
            case ("date", date):
                assert seconds(action.by) == date
            case _:
                pass
        assert action.kind == expected[0]

    def compare_outcome(self, outcome: CompletionOutcome) -> None:
        """What a completion is answered is what came of it."""
        said = {line[0]: line for line in self.model.story}
        status = "recorded"
        if "moved" in said or "routed" in said:
            status = "applied"
        if "error" in said:
            status = "escalated"
        if "violation" in said:
            status = "refused"
        assert outcome.status == status
        assert outcome.accepted is (status != "refused")
        assert outcome.state == self.model.state
        assert outcome.strategy == (said["error"][2] if "error" in said else None)
        assert outcome.next_service == (said["routed"][1] if "routed" in said else None)

    def compare_dashboard(self) -> None:
        status = self.real.run(self.real.flow.orchestrator.get_pipeline_status())
        rivals = self.real.rival_id is not None
        assert status.active_motions == (self.model.state not in TERMINAL) + rivals
        assert status.blocked_motions == (self.model.blocked_by is not None)
        assert status.free_places == CAPACITY - status.admitted
        assert status.halted is self.model.halted
