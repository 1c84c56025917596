"""Alerts reach people through apprise, and no part of an address is ever shown."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from governance_flow.application.ports.alerts import Alert, AlertKind, AlertNotDelivered
from governance_flow.cli.logs import LEVEL_VARIABLE, configure_logs
from governance_flow.domain.configuration import AlertPolicy
from governance_flow.domain.errors import ConfigurationError
from governance_flow.infrastructure.alerts import build_alert_sinks
from governance_flow.infrastructure.apprise_alerts import ADDRESSES_MAX, AppriseSink
from tests.support.cli import logs_left_alone
from tests.support.http_server import Server, running_server
from tests.support.smtp_server import running_mail_server

MOTION_ID = UUID("00000000-0000-4000-8000-000000000001")
ALERT = Alert(
    alert_id="alert-1",
    kind=AlertKind.MOTION_HALTED,
    message="a motion waits for a person: <b>ünknown</b> {{x}} ${HOME}\r\nBcc: eve@example.org",
    raised_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
    motion_id=MOTION_ID,
)
BODY = (
    "a motion waits for a person: <b>ünknown</b> {{x}} ${HOME}\r\nBcc: eve@example.org\n\n"
    f"motion: {MOTION_ID}\nraised at: 2026-01-01T12:00:00+00:00\nalert: alert-1"
)
SECRET = "hunter2xyz"
Unhurried = Callable[[AppriseSink], AppriseSink]
POLICY = AlertPolicy(apprise_urls_env="TELL")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_server() as server:
        yield server


def people(addresses: str) -> list[AppriseSink]:
    log, *sinks = build_alert_sinks(POLICY, {"TELL": addresses})
    assert log.name == "log"
    return [sink for sink in sinks if isinstance(sink, AppriseSink)]


def json_address(server: Server) -> str:
    return server.address.replace("http://", f"json://ada:{SECRET}@") + f"/hooks/{SECRET}"


def mail_address(port: int) -> str:
    return f"mailto://127.0.0.1:{port}?from=flow@example.org&to=ada@example.org&mode=insecure"


async def test_a_service_is_told_what_happened_to_which_motion(server: Server) -> None:
    [sink] = people(json_address(server))
    await sink.deliver(ALERT)
    await sink.close()
    [request] = server.requests
    assert request.path == f"/hooks/{SECRET}"
    said = json.loads(request.body)
    assert said["title"] == "Governance Flow: motion halted"
    assert said["message"].splitlines() == BODY.splitlines()
    assert said["type"] == "failure"


async def test_an_alert_about_no_motion_names_none(server: Server) -> None:
    [sink] = people(json_address(server))
    await sink.deliver(Alert("alert-2", AlertKind.PIPELINE_HALTED, "halted", ALERT.raised_at))
    said = json.loads(server.requests[0].body)
    assert said["title"] == "Governance Flow: pipeline halted"
    assert said["message"].splitlines() == [
        "halted",
        "",
        "raised at: 2026-01-01T12:00:00+00:00",
        "alert: alert-2",
    ]


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> Unhurried:
    """Return a function that lets a service send at once, however often."""

    def _unhurried(sink: AppriseSink) -> AppriseSink:
        [service] = sink._service
        monkeypatch.setattr(type(service), "request_rate_per_sec", 0)
        return sink

    return _unhurried


async def test_mail_is_sent_and_holds_the_message_as_text(unhurried: Unhurried) -> None:
    async with running_mail_server() as server:
        sink = unhurried(*people(mail_address(server.port)))
        await sink.deliver(ALERT)
        await sink.deliver(ALERT)
    first, second = server.mails
    assert first["Subject"] == second["Subject"] == "Governance Flow: motion halted"
    assert (first["To"], first["Bcc"]) == ("ada@example.org", None)
    # What a motion's title holds is shown, not obeyed.
    assert first.get_content_type() == "text/plain"
    assert first.get_content().splitlines() == BODY.splitlines()


async def test_mail_that_is_refused_is_a_failure_and_tried_again_is_none(
    unhurried: Unhurried,
) -> None:
    async with running_mail_server() as server:
        sink = unhurried(*people(mail_address(server.port)))
        server.refusing = True
        with pytest.raises(AlertNotDelivered):
            await sink.deliver(ALERT)
        server.refusing = False
        await sink.deliver(ALERT)
    assert len(server.mails) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 500])
async def test_a_service_that_does_not_take_it_is_told_by_place_and_answer(
    server: Server, status: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    [sink] = people(json_address(server))
    server.status = status
    with pytest.raises(AlertNotDelivered) as caught:
        await sink.deliver(ALERT)
    assert str(caught.value) == (
        f"alert alert-1 was not taken by apprise-1-json: it answered {status}"
    )
    assert caught.value.details == {
        "alert_id": "alert-1",
        "sink": "apprise-1-json",
        "motion_id": MOTION_ID,
    }
    # apprise itself would have said more.
    assert not [record for record in caplog.records if record.name == "apprise"]
    assert SECRET not in "".join(capfd.readouterr())


@pytest.mark.parametrize("level", ["warning", "critical"])
async def test_why_it_was_not_taken_is_told_however_little_is_logged(
    server: Server, level: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(LEVEL_VARIABLE, level)
    [sink] = people(json_address(server))
    server.status = 400
    with logs_left_alone():
        configure_logs()
        with pytest.raises(AlertNotDelivered, match="it answered 400"):
            await sink.deliver(ALERT)
    assert capfd.readouterr().err == ""


async def test_a_service_that_is_not_there_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        [sink] = people(f"json://ada:{SECRET}@127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(AlertNotDelivered, match="it cannot be reached") as caught:
            await sink.deliver(ALERT)
    assert SECRET not in str(caught.value)


async def test_a_plugin_that_breaks_is_a_failure_that_shows_nothing_of_the_address(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaking(*_: object, **__: object) -> bool:
        raise RuntimeError(f"bad luck with {SECRET}")

    [sink] = people(json_address(server))
    monkeypatch.setattr(sink._service, "async_notify", breaking)
    with pytest.raises(AlertNotDelivered, match=r"apprise-1-json: RuntimeError$") as caught:
        await sink.deliver(ALERT)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_each_address_is_a_sink_named_by_its_place_and_scheme() -> None:
    sinks = people(f"{mail_address(25)}\n  JSON://127.0.0.1/a\tjsons://ada:{SECRET}@example.org")
    assert [sink.name for sink in sinks] == [
        "apprise-1-mailto",
        "apprise-2-json",
        "apprise-3-jsons",
    ]


@pytest.mark.parametrize(
    "environ", [{}, {"TELL": ""}, {"TELL": " \n "}], ids=["not", "empty", "blank"]
)
def test_addresses_that_are_not_there_are_named_by_their_variable(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"alerts\.apprise_urls_env.*TELL is not set"):
        build_alert_sinks(POLICY, environ)


def test_too_many_addresses_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=f"holds {ADDRESSES_MAX + 1} addresses"):
        people("json://127.0.0.1 " * (ADDRESSES_MAX + 1))


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"slack://{SECRET}", "slack://"),
        (f"pagerduty://{SECRET}", "pagerduty://"),
        (f"nosuch://{SECRET}", "nosuch://"),
        (f"mailto://u:{SECRET}@127.0.0.1?from=a@b.c", "mailto://"),
        (SECRET, "begins with no scheme"),
        (f"//{SECRET}", "begins with no scheme"),
        (f"{SECRET}{SECRET}{SECRET}://x", "begins with no scheme"),
        (f"{SECRET}:x", "begins with no scheme"),
    ],
    ids=["slack", "pagerduty", "unknown", "mail", "bare", "schemeless", "long", "colon"],
)
def test_an_address_that_cannot_be_used_is_named_by_place_and_scheme_alone(
    address: str, shown: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        people(f"json://127.0.0.1 {address}")
    said = str(caught.value)
    assert "address 2 in TELL" in said
    assert shown in said
    assert SECRET not in said
    assert SECRET not in "".join(capfd.readouterr())


def test_who_tells_nobody_does_not_wait_for_apprise_to_be_imported() -> None:
    script = (
        "import sys; from governance_flow.bootstrap import open_flow; "
        "from governance_flow.cli import app; "
        "from governance_flow.domain.configuration import AlertPolicy; "
        "from governance_flow.infrastructure.alerts import build_alert_sinks; "
        "build_alert_sinks(AlertPolicy(webhook_url='https://a.example'), {}); "
        "sys.exit('apprise' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
