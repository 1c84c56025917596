"""What the HTTP service counts. Labels come from closed sets; whatever else comes is ``other``.

A path is never a label, but the template of its route: paths hold ids, and whoever asks for what
is not there could make as many labels as they like.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from governance_flow.application.access.denials import DenialReason
from governance_flow.infrastructure.health_metrics import OTHER, PREFIX

ANSWER_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
STATUS_CLASSES: Final = frozenset({"1xx", "2xx", "3xx", "4xx", "5xx"})
DENIAL_REASONS: Final = frozenset(reason.value for reason in DenialReason)


class HttpMetrics:
    """Counts for the HTTP service of one process. All zero where none runs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._routes: frozenset[str] = frozenset()
        self._requests = Counter(
            f"{PREFIX}_http_requests",
            "Requests answered by this process, by route, method and class of status.",
            ("route", "method", "status_class"),
            registry=registry,
        )
        self._seconds = Histogram(
            f"{PREFIX}_http_request_duration_seconds",
            "Time to answer a request, long polls and streams included, in this process.",
            ("route",),
            registry=registry,
            buckets=ANSWER_SECONDS,
        )
        self._denied = Counter(
            f"{PREFIX}_access_denied",
            "Requests that this process turned away for who made them, by reason.",
            ("reason",),
            registry=registry,
        )
        self._streams = Gauge(
            f"{PREFIX}_http_streams_open",
            "Streams of server-sent events that this process feeds.",
            registry=registry,
        )
        for reason in DENIAL_REASONS:
            # From zero: a rate cannot be told from a counter that begins at one.
            self._denied.labels(reason)

    def serves(self, routes: Iterable[str]) -> None:
        """Say which route templates there are: every other one is counted as ``other``."""
        self._routes = frozenset(routes)

    def answered(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count one request by the template of its route, None if there was no such route."""
        route = route if route in self._routes else OTHER
        method = method if method in METHODS else OTHER
        status_class = f"{status // 100}xx"
        status_class = status_class if status_class in STATUS_CLASSES else OTHER
        self._requests.labels(route, method, status_class).inc()
        self._seconds.labels(route).observe(seconds)

    def denied(self, reason: str) -> None:
        """Count one request that was turned away for who made it."""
        self._denied.labels(reason if reason in DENIAL_REASONS else OTHER).inc()

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count a stream as open for as long as the context lasts."""
        with self._streams.track_inprogress():
            yield
