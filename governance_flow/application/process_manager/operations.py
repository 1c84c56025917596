"""From events to work: assignments for branches, the agenda of the orchestrator, alerts.

What a motion waits for is a function of its state (``next_action``), so each batch simply
brings the rows of every motion it touched into line with that. Doing it twice changes nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, assert_never
from uuid import UUID

from governance_flow.application.ports.alerts import Alert, AlertKind
from governance_flow.application.ports.assignments import (
    AgendaItem,
    AgendaKind,
    MotionClosure,
    OpenAssignment,
    OutboxAlert,
)
from governance_flow.application.summaries import headline, time_paused_since
from governance_flow.application.times import from_us, to_us
from governance_flow.domain.decisions.clock import attempt_limit
from governance_flow.domain.escalation import ErrorEscalationStrategy
from governance_flow.domain.events import OrchestratorError, PipelineHalted, PipelineResumed
from governance_flow.domain.next_action import (
    AwaitBranch,
    AwaitOrchestrator,
    AwaitPerson,
    AwaitPlace,
    AwaitTakingUp,
    Finished,
    next_action,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from governance_flow.application.ports.assignments import AssignmentStore
    from governance_flow.application.ports.database import Transaction
    from governance_flow.application.ports.projection import Batch, MotionChange, Recorded
    from governance_flow.domain.configuration import FlowConfiguration
    from governance_flow.domain.events import PipelineEvent
    from governance_flow.domain.motion import Motion
    from governance_flow.domain.pipeline import Pipeline


HALTS = "halts that have moved the deadlines"
"""Name of the checkpoint that counts them, so that none moves a deadline twice."""


class Operations:
    """Keeps the operational rows in step with the events."""

    name = "operations"

    def __init__(
        self,
        assignments: AssignmentStore,
        sinks: Sequence[str],
        rules: Callable[[str, Pipeline], FlowConfiguration],
    ) -> None:
        self._assignments = assignments
        self._sinks = sinks
        self._rules = rules

    def create(self, tx: Transaction, generation: int) -> None:
        """Do nothing: the store's own schema has these tables, because leases live in them."""

    def drop(self, tx: Transaction, generation: int) -> None:
        """Do nothing: operational rows are reconciled, never rebuilt beside the live ones."""

    def apply(self, tx: Transaction, batch: Batch, generation: int) -> None:  # noqa: ARG002
        """Bring the rows of every motion in the batch into line with what it waits for."""
        self._shift_deadlines(tx, batch)
        self.align(tx, _changed(batch.motions), batch.pipeline)
        self.forget(tx, [change.motion_id for change in batch.motions if change.poison])
        alerts = [
            *_motion_alerts(batch.motions),
            *_pipeline_alerts(batch.pipeline_events),
        ]
        self.raise_alerts(tx, alerts)

    def _shift_deadlines(self, tx: Transaction, batch: Batch) -> None:
        """Let what was open all the time have as much longer as the pipeline was halted."""
        if not any(isinstance(item.event, PipelineResumed) for item in batch.pipeline_events):
            return
        ended = [(halt.start, halt.end) for halt in batch.pipeline.halts if halt.end is not None]
        shifted = self._assignments.checkpoint(tx, HALTS)
        # A clock that is behind the one that halted may resume before the halt: no time at all.
        spans_us = [max(0, to_us(end) - to_us(start)) for start, end in ended[shifted:]]
        self._assignments.shift_deadlines(tx, sum(spans_us))
        self._assignments.set_checkpoint(tx, HALTS, len(ended))

    def align(self, tx: Transaction, motions: Iterable[Motion], pipeline: Pipeline) -> None:
        """Make the rows of these motions say what each of them waits for, and nothing else."""
        opened: list[OpenAssignment] = []
        closed: list[MotionClosure] = []
        agenda: list[AgendaItem] = []
        cleared: list[Motion] = []
        for motion in motions:
            action = next_action(motion)
            routing_id = None
            item = None
            match action:
                case AwaitBranch(routing):
                    routing_id = routing.routing_id
                    opened.append(self._row(motion, pipeline))
                case AwaitPlace(since):
                    since_us = to_us(since)
                    item = AgendaItem(motion.id, AgendaKind.ADMIT, since_us, since_us)
                case AwaitOrchestrator():
                    item = AgendaItem(motion.id, AgendaKind.APPLY, 0, 0)
                case Finished() | AwaitTakingUp() | AwaitPerson():
                    pass
                case _:
                    assert_never(action)
            closed.append(MotionClosure(motion.id, routing_id))
            if item is None:
                cleared.append(motion)
            else:
                agenda.append(item)
        self._assignments.close_for_motions(tx, closed)
        self._assignments.open_assignments(tx, opened)
        self._assignments.clear_agenda(tx, [motion.id for motion in cleared])
        self._assignments.set_agenda(tx, agenda)

    def forget(self, tx: Transaction, motion_ids: Sequence[UUID]) -> None:
        """Remove the rows of motions that cannot be read, and so cannot be worked on.

        Otherwise they would stay due for ever. Reconciling restores them once they can be read.
        """
        self._assignments.close_for_motions(tx, [MotionClosure(m) for m in motion_ids])
        self._assignments.clear_agenda(tx, motion_ids)

    def raise_alerts(self, tx: Transaction, alerts: Iterable[Alert]) -> None:
        """Put alerts into the outbox, one for each sink."""
        rows = [
            OutboxAlert(
                alert_id=alert.alert_id,
                sink=sink,
                body=encode_alert(alert),
                created_us=to_us(alert.raised_at),
                due_us=0,
            )
            for alert in alerts
            for sink in self._sinks
        ]
        self._assignments.add_alerts(tx, rows)

    def _row(self, motion: Motion, pipeline: Pipeline) -> OpenAssignment:
        routed = motion.routing
        if routed is None:  # pragma: no cover - AwaitBranch has a routing
            raise AssertionError(motion.id)
        rules = self._rules(routed.configuration, pipeline)
        limits = [
            limit + time_paused_since(motion, routed, pipeline)
            for limit in (routed.deadline, attempt_limit(routed, rules))
            if limit is not None
        ]
        return OpenAssignment(
            routing_id=routed.routing_id,
            motion_id=motion.id,
            service=routed.service,
            state=routed.state.value,
            purpose=routed.purpose.value,
            attempt=routed.attempt,
            not_before_us=to_us(routed.not_before or routed.timestamp),
            deadline_us=min(map(to_us, limits), default=None),
            attempt_timeout_seconds=rules.branches[routed.service].attempt_timeout_seconds,
            opened_at_us=to_us(routed.timestamp),
        )


def encode_alert(alert: Alert) -> str:
    """Return the alert as the outbox keeps it."""
    return json.dumps(
        {
            "alert_id": alert.alert_id,
            "kind": alert.kind.value,
            "message": alert.message,
            "raised_at_us": to_us(alert.raised_at),
            "motion_id": str(alert.motion_id) if alert.motion_id else None,
        }
    )


def decode_alert(body: str) -> Alert:
    """Return the alert that ``encode_alert`` wrote."""
    raw = json.loads(body)
    return Alert(
        alert_id=raw["alert_id"],
        kind=AlertKind(raw["kind"]),
        message=raw["message"],
        raised_at=from_us(raw["raised_at_us"]),
        motion_id=UUID(raw["motion_id"]) if raw["motion_id"] else None,
    )


def _changed(changes: Iterable[MotionChange]) -> list[Motion]:
    return [change.after for change in changes if change.after is not None]


def _motion_alerts(changes: Iterable[MotionChange]) -> list[Alert]:
    return [
        Alert(
            alert_id=str(item.event.event_id),
            kind=AlertKind.MOTION_HALTED,
            message=f"motion {change.motion_id} ({change.after.title}) waits for a person: "
            + headline(item.event),
            raised_at=item.event.timestamp,
            motion_id=change.motion_id,
        )
        for change in changes
        if change.after is not None
        for item in change.events
        if isinstance(item.event, OrchestratorError)
        and item.event.strategy is ErrorEscalationStrategy.HALT_AND_ALERT
    ]


def _pipeline_alerts(events: Iterable[Recorded[PipelineEvent]]) -> list[Alert]:
    return [
        Alert(
            alert_id=str(item.event.event_id),
            kind=AlertKind.PIPELINE_HALTED,
            message=f"the pipeline was halted by {item.event.actor.id}: {item.event.reason}",
            raised_at=item.event.timestamp,
        )
        for item in events
        if isinstance(item.event, PipelineHalted)
    ]
