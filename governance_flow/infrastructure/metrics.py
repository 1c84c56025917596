"""Placeholder until the Prometheus metrics are written."""

from governance_flow.application.ports.metrics import NoMetrics


class PrometheusMetrics(NoMetrics):
    """Counts nothing yet."""
