"""A snapshot of the pipeline's health as metrics: names, units, help, and bounded labels."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric

from governance_flow.application.ports.backlog import Backlog
from governance_flow.application.ports.read_model import ActivityTotals
from governance_flow.application.services.health import HealthSnapshot
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.escalation import (
    ERROR_TYPE_MAP,
    ErrorEscalationStrategy,
    ViolationKind,
)
from governance_flow.domain.states import EDGES, TERMINAL_STATES, GovernanceState

PREFIX = "governance_flow"
OTHER = "other"
"""The label of whatever is not in a closed set."""


def health_metrics(health: HealthSnapshot) -> Iterator[Metric]:
    """Yield every metric of a snapshot, with a sample for each label there can be, zeros too."""
    yield from _motions(health)
    yield from _store(health)
    yield from _backlog(health.backlog)
    yield from _totals(health.totals)


def _motions(health: HealthSnapshot) -> Iterator[Metric]:
    counts = health.counts
    motions = GaugeMetricFamily(f"{PREFIX}_motions", "Motions, by state.", labels=("state",))
    for state in GovernanceState:
        motions.add_metric((state.value,), counts.by_state.get(state, 0))
    yield motions
    yield _gauge("motions_blocked", "Motions that are blocked.", counts.blocked)
    yield _gauge("motions_waiting", "Motions that wait in the docket.", counts.waiting)
    yield _gauge(
        "oldest_motion_age_seconds",
        "Time since the oldest motion under way was introduced; 0 if there is none.",
        health.oldest_motion_age_seconds,
    )
    yield _gauge("places_taken", "Motions that hold a place.", health.head.admitted)
    yield _gauge("places", "Places there are in the pipeline.", health.places)
    yield _gauge("halted", "Whether the pipeline is halted (1) or runs (0).", health.head.halted)


def _store(health: HealthSnapshot) -> Iterator[Metric]:
    yield _gauge("assignments_open", "Routings that wait for a branch.", health.assignments.open)
    yield _gauge(
        "assignments_leased", "Open routings that somebody works on.", health.assignments.leased
    )
    yield _gauge("log_position", "Events in the store.", health.head.position)
    yield _gauge("projection_position", "Events in the read model.", health.counts.position)
    yield _gauge(
        "projection_lag_events",
        "Events that the read model is behind the store.",
        health.counts.behind_events,
    )
    yield _gauge(
        "projection_lag_seconds",
        "Time that the read model is behind the store.",
        health.counts.behind_seconds,
    )
    yield _gauge(
        "projection_parked_motions",
        "Motions that the read model does not follow any more.",
        health.parked,
    )


def _backlog(backlog: Backlog) -> Iterator[Metric]:
    yield _gauge(
        "work_overdue_seconds",
        "Time since something became due that any worker would have done; 0 if nothing is.",
        backlog.work_overdue_seconds,
    )
    yield _gauge(
        "docket_wait_seconds",
        "Time since the first motion of the docket could be admitted; 0 if none waits.",
        backlog.docket_wait_seconds,
    )
    yield _gauge(
        "alerts_undelivered",
        "Alerts that a sink has not taken yet, once for each sink, up to a hundred.",
        backlog.alerts_undelivered,
    )
    yield _gauge(
        "checkpoint_age_seconds",
        "Time since the newest checkpoint was signed, or since the first event if there is none.",
        backlog.checkpoint_age_seconds,
    )
    yield _gauge(
        "checkpoint_unsigned_events",
        "Events that the newest checkpoint does not cover.",
        backlog.checkpoint_unsigned_events,
    )


def _totals(totals: ActivityTotals) -> Iterator[Metric]:
    transitions = CounterMetricFamily(
        f"{PREFIX}_transitions",
        "Changes of state, by the states left and entered.",
        labels=("from_state", "to_state"),
    )
    for source, target in sorted(EDGES):
        transitions.add_metric(
            (source.value, target.value), totals.transitions.get((source, target), 0)
        )
    yield transitions
    errors = CounterMetricFamily(
        f"{PREFIX}_errors",
        "Orchestrator errors, by type and by the strategy chosen.",
        labels=("error_type", "strategy"),
    )
    for error_type in (*ERROR_TYPE_MAP, OTHER):
        for strategy in ErrorEscalationStrategy:
            amount = totals.errors.get((error_type, strategy.value), 0)
            errors.add_metric((error_type, strategy.value), amount)
    yield errors
    retries = CounterMetricFamily(
        f"{PREFIX}_retries", "Routings that were made anew, by service.", labels=("service",)
    )
    for service in (*SERVICE_BRANCH, OTHER):
        retries.add_metric((service,), totals.retries.get(service, 0))
    yield retries
    violations = CounterMetricFamily(
        f"{PREFIX}_violations", "Acts that were refused and witnessed, by kind.", labels=("kind",)
    )
    for kind in ViolationKind:
        violations.add_metric((kind.value,), totals.violations.get(kind.value, 0))
    yield violations
    stayed = SummaryMetricFamily(
        f"{PREFIX}_time_in_state_seconds",
        "Time motions stayed in a state, over all that have left it.",
        labels=("state",),
    )
    for state in GovernanceState:
        if state not in TERMINAL_STATES:
            time = totals.time_in_state.get(state)
            stayed.add_metric(
                (state.value,),
                count_value=time.left if time else 0,
                sum_value=time.seconds if time else 0.0,
            )
    yield stayed


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)
