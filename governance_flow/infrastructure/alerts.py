"""Where alerts go: always to the log, and to a webhook and to people if they are configured."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx
import structlog

from governance_flow.application.ports.alerts import Alert, AlertNotDelivered
from governance_flow.application.ports.clock import Clock, SystemClock
from governance_flow.application.signing import IDEMPOTENCY_HEADER, SIGNATURE_HEADER, sign
from governance_flow.domain.configuration import AlertPolicy
from governance_flow.domain.errors import ConfigurationError
from governance_flow.infrastructure.apprise_alerts import AppriseSink, build_apprise_sinks

WEBHOOK_TIMEOUT_SECONDS = 10.0


class LogSink:
    """Writes alerts to the log, as errors, with their ids as fields."""

    name = "log"

    def __init__(self) -> None:
        self._log = structlog.get_logger("governance_flow.alerts")

    async def deliver(self, alert: Alert) -> None:
        """Log the alert."""
        self._log.error(
            alert.message,
            alert_id=alert.alert_id,
            kind=alert.kind.value,
            raised_at=alert.raised_at.isoformat(),
            motion_id=str(alert.motion_id) if alert.motion_id else None,
        )

    async def close(self) -> None:
        """Do nothing: the log is not ours to close."""


class WebhookSink:
    """POSTs alerts as JSON, signed if there is a secret, under their id as ``Idempotency-Key``."""

    name = "webhook"

    def __init__(
        self,
        url: str,
        *,
        secret: bytes | None = None,
        timeout_seconds: float = WEBHOOK_TIMEOUT_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        parts = urlsplit(url)
        # Without path and query: the addresses of many webhooks are secrets in themselves.
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._url = url
        self._secret = secret
        self._clock = clock or SystemClock()
        self._client = httpx.AsyncClient(
            timeout=timeout_seconds,
            follow_redirects=False,
            headers={"User-Agent": "governance-flow"},
        )

    async def deliver(self, alert: Alert) -> None:
        """Send the alert.

        Raises:
            AlertNotDelivered: no connection, no answer in time, or one that is not 2xx.
        """
        body = _encode(alert)
        headers = {"Content-Type": "application/json", IDEMPOTENCY_HEADER: alert.alert_id}
        if self._secret is not None:
            headers[SIGNATURE_HEADER] = sign(self._secret, body, self._clock.now())
        try:
            # The body of the answer means nothing and is not read, however long it is.
            async with self._client.stream(
                "POST", self._url, content=body, headers=headers
            ) as response:
                status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._failure(alert, str(error) or type(error).__name__) from error
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise self._failure(alert, f"it answered {status}")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _failure(self, alert: Alert, why: str) -> AlertNotDelivered:
        message = f"alert {alert.alert_id} was not taken by {self._origin}: {why}"
        return AlertNotDelivered(
            message, alert_id=alert.alert_id, sink=self.name, motion_id=alert.motion_id
        )


def build_alert_sinks(
    policy: AlertPolicy,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> tuple[LogSink | WebhookSink | AppriseSink, ...]:
    """Return the sinks that the configuration asks for; each wants to be closed.

    Raises:
        ConfigurationError: a variable that should hold the webhook's secret, or the addresses that
            apprise reaches, is not set, or an address cannot be used.
    """
    environ = os.environ if environ is None else environ
    sinks: list[LogSink | WebhookSink | AppriseSink] = [LogSink()]
    if policy.apprise_urls_env is not None:
        sinks += build_apprise_sinks(policy.apprise_urls_env, environ)
    if policy.webhook_url is not None:
        # Last, because it is the one that holds connections, and nothing may fail after it.
        sinks.append(WebhookSink(policy.webhook_url, secret=_secret(policy, environ), clock=clock))
    return tuple(sinks)


def _secret(policy: AlertPolicy, environ: Mapping[str, str]) -> bytes | None:
    if policy.webhook_secret_env is None:
        return None
    secret = environ.get(policy.webhook_secret_env, "").encode()
    if not secret:
        raise ConfigurationError(
            "alerts.webhook_secret_env: the environment variable "
            f"{policy.webhook_secret_env} is not set, or empty"
        )
    return secret


def _encode(alert: Alert) -> bytes:
    return json.dumps(
        {
            "alert_id": alert.alert_id,
            "kind": alert.kind.value,
            "message": alert.message,
            "raised_at": alert.raised_at.isoformat(),
            "motion_id": str(alert.motion_id) if alert.motion_id else None,
        }
    ).encode()
