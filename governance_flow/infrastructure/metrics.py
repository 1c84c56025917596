"""The port Metrics on ``prometheus_client``, and the text that Prometheus reads.

What happens inside this process is counted here as it happens; what the store knows (which other
processes have a part in too) is taken from a snapshot when somebody asks. There is no global
registry: two pipelines in one process do not add up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from governance_flow.application.services.health import HealthSnapshot
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.infrastructure.health_metrics import OTHER, PREFIX, health_metrics
from governance_flow.infrastructure.http_metrics import HttpMetrics

APPEND_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
GROUP_APPENDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
BRANCH_SECONDS = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)

OUTCOMES: Final = frozenset({"success", "failure", "later"})
REASONS: Final = frozenset(
    {"CompletionRefused", "LeaseLost", "NotAllowed", "NotInState", "NotRoutable", "Refused"}
    | {"ViolationRefused"}
)


class PrometheusMetrics:
    """Counts for one process. Labels come from closed sets; whatever else comes is ``other``.

    ``http`` is where its HTTP service counts.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._append_seconds = Histogram(
            f"{PREFIX}_append_duration_seconds",
            "Time to commit a group of appends, in this process.",
            registry=self._registry,
            buckets=APPEND_SECONDS,
        )
        self._group_appends = Histogram(
            f"{PREFIX}_append_group_size",
            "Appends that shared a transaction, in this process.",
            registry=self._registry,
            buckets=GROUP_APPENDS,
        )
        self._appended = Counter(
            f"{PREFIX}_appended_events",
            "Events committed by this process.",
            registry=self._registry,
        )
        self._branch_seconds = Histogram(
            f"{PREFIX}_branch_call_duration_seconds",
            "Time a branch service took to answer this process, by how it ended.",
            ("service", "outcome"),
            registry=self._registry,
            buckets=BRANCH_SECONDS,
        )
        self._refused = Counter(
            f"{PREFIX}_completions_refused",
            "Completions that this process refused, by the class of the reason.",
            ("reason",),
            registry=self._registry,
        )
        self.http = HttpMetrics(self._registry)
        # Finding a child by its labels takes longer than counting does.
        self._branch_seconds_of = cache(self._branch_seconds.labels)

    def appended(self, group_size: int, events: int, seconds: float) -> None:
        """Count one committed group: its appends, its events, and how long it took."""
        self._append_seconds.observe(seconds)
        self._group_appends.observe(group_size)
        self._appended.inc(events)

    def performed(self, service: str, outcome: str, seconds: float) -> None:
        """Count one call of a branch service by how it ended."""
        service = service if service in SERVICE_BRANCH else OTHER
        outcome = outcome if outcome in OUTCOMES else OTHER
        self._branch_seconds_of(service, outcome).observe(seconds)

    def refused(self, reason: str) -> None:
        """Count one completion that was refused, by the class of its reason."""
        self._refused.labels(reason if reason in REASONS else OTHER).inc()

    async def render(self, snapshot: Callable[[], Awaitable[HealthSnapshot]] | None = None) -> str:
        """Return everything in Prometheus' text format 0.0.4.

        Raises what ``snapshot`` raises: numbers that could not be read are not left out silently.
        """
        watched = [] if snapshot is None else list(health_metrics(await snapshot()))
        return generate_latest(_Everything(self._registry, watched)).decode()


class _Everything(Collector):
    """What one answer holds. ``_created`` samples only serve another format than this one."""

    def __init__(self, registry: CollectorRegistry, watched: Iterable[Metric]) -> None:
        self._registry = registry
        self._watched = watched

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric
        yield from self._watched
