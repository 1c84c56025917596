"""What people are shown of a motion, derived from its state in one place.

A summary holds nothing that changes with the time alone, so the read model can store it; ``at``
adds the present time and the halt, if there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from governance_flow.application.ports.flow_orchestrator import (
    ActionKind,
    ActionNeeded,
    MotionPipelineState,
)
from governance_flow.domain.next_action import (
    AwaitBranch,
    AwaitOrchestrator,
    AwaitPerson,
    AwaitPlace,
    AwaitTakingUp,
    Finished,
    next_action,
)
from governance_flow.domain.pipeline import time_paused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from governance_flow.domain.events import MotionRouted, OrchestratorError
    from governance_flow.domain.motion import Motion
    from governance_flow.domain.pipeline import Halt, Interval, Pipeline
    from governance_flow.domain.states import GovernanceState

PERSON = "a named person"
DOCKET = "the docket"
ADMIT = "admit it as soon as a place is free"


@dataclass(frozen=True, slots=True)
class MotionSummary:
    """One motion as the read model keeps it.

    ``deadline`` is the open routing's, moved by the halts that have ended; ``routed_at`` is
    when that routing was made. ``waiting`` says that it stands in the docket.
    """

    motion_id: UUID
    version: int
    title: str
    reference: str | None
    introduced_by: str
    introduced_at: datetime
    state: GovernanceState
    entered_state_at: datetime
    blocked: bool
    waiting: bool
    owner: str | None
    attempt: int
    routed_at: datetime | None
    deadline: datetime | None
    action_kind: ActionKind
    action_who: str
    action_what: str
    action_by: datetime | None
    blocking_issues: tuple[str, ...]
    last_error: str | None
    parked: str | None = None

    def at(self, now: datetime, halt: Halt | None) -> MotionPipelineState:
        """Return what to show at ``now``; while the pipeline is halted, deadlines stand still."""
        deadline = self.deadline
        if deadline is not None and halt is not None and self.routed_at is not None:
            deadline += max(now - max(halt.since, self.routed_at), now - now)
        return MotionPipelineState(
            motion_id=self.motion_id,
            title=self.title,
            current_state=self.state,
            entered_state_at=self.entered_state_at,
            expected_completion=deadline,
            blocking_issues=self.blocking_issues,
            next_action=self._action(now, deadline, halt),
            time_in_state=now - self.entered_state_at,
            owner=self.owner,
            attempt=self.attempt,
            last_error=self.last_error,
            introduced_at=self.introduced_at,
            introduced_by=self.introduced_by,
            reference=self.reference,
            version=self.version,
            parked=self.parked,
        )

    def _action(
        self, now: datetime, deadline: datetime | None, halt: Halt | None
    ) -> ActionNeeded | None:
        kind = self.action_kind
        if kind is ActionKind.DATE and self.action_by is not None and self.action_by <= now:
            kind = ActionKind.PLACE
        match kind:
            case ActionKind.NOTHING:
                return None
            case ActionKind.ORCHESTRATOR | ActionKind.PLACE if halt is not None:
                what = f"resume the pipeline, halted because {halt.reason}"
                return ActionNeeded(ActionKind.PERSON, PERSON, what)
            case ActionKind.BRANCH:
                return ActionNeeded(ActionKind.BRANCH, self.action_who, self.action_what, deadline)
            case ActionKind.PLACE:
                return ActionNeeded(ActionKind.PLACE, DOCKET, ADMIT)
            case _:
                return ActionNeeded(kind, self.action_who, self.action_what, self.action_by)


def summarise(motion: Motion, pipeline: Pipeline) -> MotionSummary:
    """Return the summary of ``motion``."""
    kind, who, what, by = _action_of(motion)
    routed = motion.routing
    block = motion.block
    deadline = None
    if routed is not None and routed.deadline is not None and block is None:
        deadline = routed.deadline + time_paused_since(motion, routed, pipeline)
    error = motion.last_error
    return MotionSummary(
        motion_id=motion.id,
        version=motion.version,
        title=motion.title,
        reference=motion.reference,
        introduced_by=motion.introduced_by,
        introduced_at=motion.introduced_at,
        state=motion.state,
        entered_state_at=motion.entered_state_at,
        blocked=block is not None,
        waiting=waits_for_place(motion),
        owner=routed.service if routed else None,
        attempt=routed.attempt if routed else 0,
        routed_at=routed.timestamp if routed else None,
        deadline=deadline,
        action_kind=kind,
        action_who=who,
        action_what=what,
        action_by=by,
        blocking_issues=(headline(block.error),) if block else (),
        last_error=headline(error) if error else None,
    )


def waits_for_place(motion: Motion) -> bool:
    """Return whether a motion stands in the docket; one with a date does not, until that."""
    return isinstance(next_action(motion), AwaitPlace) and motion.tabled_until is None


def time_paused_since(motion: Motion, routed: MotionRouted, pipeline: Pipeline) -> timedelta:
    """Return how long a routing's deadline has stood still, in halts and blocks that have ended.

    A halt under way counts whole once it has ended; so what lies within it is left out until then.
    """
    if not motion.pauses and not pipeline.halts:
        return timedelta(0)
    halted_since = pipeline.halt.since if pipeline.halt is not None else None
    return time_stood_still((*motion.pauses, *pipeline.halts), routed.timestamp, halted_since)


def time_stood_still(
    pauses: Iterable[Interval], since: datetime, halted_since: datetime | None
) -> timedelta:
    """Return how long the pauses that have ended last together, from ``since`` on.

    ``halted_since`` is when the halt under way began, if there is one: nothing counts from there.
    """
    ended = [pause for pause in pauses if pause.end is not None]
    until = max((pause.end for pause in ended if pause.end), default=since)
    if halted_since is not None:
        until = min(until, halted_since)
    return time_paused(ended, since, max(until, since))


def headline(error: OrchestratorError) -> str:
    """Return the error in one line; its message may go on with a traceback."""
    return f"{error.error_type}: {error.message.splitlines()[0] if error.message else ''}"


def _action_of(motion: Motion) -> tuple[ActionKind, str, str, datetime | None]:
    action = next_action(motion)
    match action:
        case Finished():
            return ActionKind.NOTHING, "", "", None
        case AwaitPlace() if motion.tabled_until is not None:
            return ActionKind.DATE, DOCKET, "take it up on its date", action.since
        case AwaitPlace():
            return ActionKind.PLACE, DOCKET, ADMIT, None
        case AwaitTakingUp():
            return ActionKind.TAKING_UP, PERSON, "take it up (retry)", None
        case AwaitBranch(routing):
            what = f"{routing.purpose}, attempt {routing.attempt}"
            if routing.not_before is not None:
                what += f", not before {routing.not_before:%Y-%m-%d %H:%M:%S} UTC"
            return ActionKind.BRANCH, routing.service, what, routing.deadline
        case AwaitPerson(error):
            what = f"resolve (retry, return or review) {headline(error)}"
            return ActionKind.PERSON, PERSON, what, None
        case AwaitOrchestrator():
            return ActionKind.ORCHESTRATOR, "the orchestrator", "apply what was recorded", None
        case _:
            assert_never(action)
