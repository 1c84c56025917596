"""Alerts reach the log and the webhook, or say that they did not."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from governance_flow.application.ports.alerts import Alert, AlertKind, AlertNotDelivered
from governance_flow.application.signing import verify_signature
from governance_flow.domain.configuration import AlertPolicy
from governance_flow.domain.errors import ConfigurationError
from governance_flow.infrastructure.alerts import (
    LogSink,
    WebhookSink,
    build_alert_sinks,
)
from tests.support.clock import ManualClock
from tests.support.http_server import Server, running_server

MOTION_ID = UUID("00000000-0000-4000-8000-000000000001")
ALERT = Alert(
    alert_id="alert-1",
    kind=AlertKind.MOTION_HALTED,
    message="a motion waits for a person: ünknown",
    raised_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
    motion_id=MOTION_ID,
)
BODY = {
    "alert_id": "alert-1",
    "kind": "motion_halted",
    "message": "a motion waits for a person: ünknown",
    "raised_at": "2026-01-01T12:00:00+00:00",
    "motion_id": str(MOTION_ID),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_server() as server:
        yield server


@pytest.fixture
async def webhook(server: Server, clock: ManualClock) -> AsyncIterator[WebhookSink]:
    sink = WebhookSink(f"{server.address}/hooks/s3cr3t", secret=b"hush", clock=clock)
    yield sink
    await sink.close()


async def test_the_log_has_the_alert_with_its_ids() -> None:
    with capture_logs() as logs:
        sink = LogSink()
        await sink.deliver(ALERT)
        await sink.close()
    message = BODY["message"]
    fields = {name: value for name, value in BODY.items() if name != "message"}
    assert logs == [{"event": message, "log_level": "error", **fields}]
    assert sink.name == "log"


async def test_the_webhook_gets_the_alert_signed_and_under_its_id(
    webhook: WebhookSink, server: Server, clock: ManualClock
) -> None:
    await webhook.deliver(ALERT)
    (request,) = server.requests
    assert request.path == "/hooks/s3cr3t"
    assert json.loads(request.body) == BODY
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == "alert-1"
    header = request.headers["Governance-Flow-Signature"]
    assert verify_signature(b"hush", request.body, header, now=clock.now(), tolerance_seconds=0)
    assert webhook.name == "webhook"


async def test_an_alert_about_no_motion_says_so(webhook: WebhookSink, server: Server) -> None:
    await webhook.deliver(Alert("alert-2", AlertKind.PIPELINE_HALTED, "halted", ALERT.raised_at))
    assert json.loads(server.requests[0].body)["motion_id"] is None


async def test_without_a_secret_nothing_is_signed(server: Server) -> None:
    sink = WebhookSink(server.address)
    await sink.deliver(ALERT)
    await sink.close()
    assert "Governance-Flow-Signature" not in server.requests[0].headers


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_every_success_is_one(webhook: WebhookSink, server: Server, status: int) -> None:
    server.status, server.body = status, b""
    await webhook.deliver(ALERT)


@pytest.mark.parametrize("status", [302, 400, 404, 410, 500])
async def test_any_other_answer_is_a_failure(
    webhook: WebhookSink, server: Server, status: int
) -> None:
    server.status = status
    server.headers["Location"] = f"{server.address}/elsewhere"
    with pytest.raises(AlertNotDelivered, match=f"it answered {status}") as caught:
        await webhook.deliver(ALERT)
    assert caught.value.details == {
        "alert_id": "alert-1",
        "sink": "webhook",
        "motion_id": MOTION_ID,
    }
    assert len(server.requests) == 1
    # The addresses of webhooks are often secrets themselves.
    assert "s3cr3t" not in str(caught.value)


async def test_a_webhook_that_does_not_answer_in_time_is_a_failure(server: Server) -> None:
    server.hang = True
    sink = WebhookSink(server.address, timeout_seconds=0.05)
    with pytest.raises(AlertNotDelivered, match="ReadTimeout"):
        await sink.deliver(ALERT)
    await sink.close()


async def test_a_webhook_that_is_not_there_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        sink = WebhookSink(f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(AlertNotDelivered):
            await sink.deliver(ALERT)
        await sink.close()


def names(policy: AlertPolicy, environ: dict[str, str]) -> list[str]:
    return [sink.name for sink in build_alert_sinks(policy, environ)]


def test_the_log_is_always_told_and_a_webhook_if_there_is_one() -> None:
    assert names(AlertPolicy(), {}) == ["log"]
    assert names(AlertPolicy(webhook_url="https://hooks.example"), {}) == ["log", "webhook"]


async def test_the_webhook_signs_with_the_secret_of_the_environment(
    server: Server, clock: ManualClock
) -> None:
    policy = AlertPolicy(webhook_url=server.address, webhook_secret_env="HOOK_SECRET")
    sinks = build_alert_sinks(policy, {"HOOK_SECRET": "hush"}, clock)
    with capture_logs():
        for sink in sinks:
            await sink.deliver(ALERT)
            await sink.close()
    (request,) = server.requests
    header = request.headers["Governance-Flow-Signature"]
    assert verify_signature(b"hush", request.body, header, now=clock.now())


@pytest.mark.parametrize("environ", [{}, {"HOOK_SECRET": ""}])
def test_a_secret_that_is_not_there_is_named_by_its_variable(environ: dict[str, str]) -> None:
    policy = AlertPolicy(webhook_url="https://hooks.example", webhook_secret_env="HOOK_SECRET")
    with pytest.raises(ConfigurationError, match=r"alerts\.webhook_secret_env.*HOOK_SECRET"):
        build_alert_sinks(policy, environ)
