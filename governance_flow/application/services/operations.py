"""From events to work: assignments for branches, the agenda of the orchestrator, alerts.

What a motion waits for is a function of its state (``next_action``), so each append simply brings
the rows of its motion into line with that, in its own transaction. Doing it twice changes nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, assert_never
from uuid import UUID

from governance_flow.application.ports.alerts import Alert, AlertKind
from governance_flow.application.ports.assignments import (
    AgendaItem,
    AgendaKind,
    OpenAssignment,
    OutboxAlert,
    WorkChange,
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
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from governance_flow.application.ports.assignments import Keep
    from governance_flow.domain.configuration import FlowConfiguration
    from governance_flow.domain.events import MotionEvent, MotionRouted, PipelineEvent
    from governance_flow.domain.motion import Motion
    from governance_flow.domain.pipeline import Pipeline


class Operations:
    """Works out what the operational rows must say after an append."""

    def __init__(
        self, sinks: Sequence[str], rules: Callable[[str, Pipeline], FlowConfiguration]
    ) -> None:
        self._sinks = sinks
        self._rules = rules

    def after(
        self,
        motion: Motion,
        pipeline: Pipeline,
        events: Iterable[MotionEvent] = (),
        keep: Keep | None = None,
    ) -> WorkChange:
        """Return what ``motion`` waits for now, and whom ``events`` are to be told of.

        ``keep`` applies if the motion waits for a service that can begin at once.
        """
        alerts = self.to_sinks([*_motion_alerts(motion, events)])
        action = next_action(motion)
        match action:
            case AwaitBranch(routing):
                at_once = routing.not_before is None
                kept = keep if keep and at_once and routing.service in keep.services else None
                row = self._row(motion, routing, pipeline)
                return WorkChange(motion.id, assignment=row, keep=kept, alerts=alerts)
            case AwaitPlace(since):
                since_us = to_us(since)
                item = AgendaItem(motion.id, AgendaKind.ADMIT, since_us, since_us)
            case AwaitOrchestrator():
                item = AgendaItem(motion.id, AgendaKind.APPLY, 0, 0)
            case Finished() | AwaitTakingUp() | AwaitPerson():
                return WorkChange(motion.id, alerts=alerts)
            case _:
                assert_never(action)
        return WorkChange(motion.id, item=item, alerts=alerts)

    def after_pipeline(self, before: Pipeline, event: PipelineEvent) -> WorkChange:
        """Return what an event of the pipeline itself changes."""
        match event:
            case PipelineHalted():
                return WorkChange(alerts=self.to_sinks([_halt_alert(event)]))
            case PipelineResumed() if before.halt is not None:
                # A clock that is behind the one that halted may resume before the halt.
                later_us = max(0, to_us(event.timestamp) - to_us(before.halt.since))
                return WorkChange(deadlines_later_us=later_us)
            case _:
                return WorkChange()

    def to_sinks(self, alerts: Sequence[Alert]) -> tuple[OutboxAlert, ...]:
        """Return alerts as the outbox takes them, one for each sink."""
        if not alerts:
            return ()
        return tuple(
            OutboxAlert(
                alert_id=alert.alert_id,
                sink=sink,
                body=encode_alert(alert),
                created_us=to_us(alert.raised_at),
                due_us=0,
            )
            for alert in alerts
            for sink in self._sinks
        )

    def _row(self, motion: Motion, routed: MotionRouted, pipeline: Pipeline) -> OpenAssignment:
        rules = self._rules(routed.configuration, pipeline)
        limits = [
            limit + time_paused_since(motion, routed, pipeline)
            for limit in (routed.deadline, attempt_limit(routed, rules))
            if limit is not None
        ]
        opened_at_us = to_us(routed.timestamp)
        return OpenAssignment(
            routing_id=routed.routing_id,
            motion_id=motion.id,
            service=routed.service,
            state=routed.state.value,
            purpose=routed.purpose.value,
            attempt=routed.attempt,
            not_before_us=to_us(routed.not_before) if routed.not_before else opened_at_us,
            deadline_us=to_us(min(limits)) if limits else None,
            attempt_timeout_seconds=rules.branches[routed.service].attempt_timeout_seconds,
            opened_at_us=opened_at_us,
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


def _motion_alerts(motion: Motion, events: Iterable[MotionEvent]) -> Iterator[Alert]:
    for event in events:
        if not isinstance(event, OrchestratorError):
            continue
        if event.strategy is ErrorEscalationStrategy.HALT_AND_ALERT:
            yield Alert(
                alert_id=str(event.event_id),
                kind=AlertKind.MOTION_HALTED,
                message=f"motion {motion.id} ({motion.title}) waits for a person: "
                + headline(event),
                raised_at=event.timestamp,
                motion_id=motion.id,
            )


def _halt_alert(event: PipelineHalted) -> Alert:
    return Alert(
        alert_id=str(event.event_id),
        kind=AlertKind.PIPELINE_HALTED,
        message=f"the pipeline was halted by {event.actor.id}: {event.reason}",
        raised_at=event.timestamp,
    )
