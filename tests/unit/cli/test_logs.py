"""What is logged goes to stderr: short for people, one JSON object a line for programs."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from governance_flow.cli.log_values import DEPTH_MAX, HIDDEN, hide, shown
from governance_flow.cli.logs import LEVEL_VARIABLE, configure_logs
from governance_flow.cli.terminal import FORMAT_VARIABLE, say
from governance_flow.domain.states import GovernanceState

MOTION_ID = UUID("00000000-0000-4000-8000-000000000001")
CORRELATION_ID = UUID("00000000-0000-4000-8000-000000000002")
SECRET = "hunter2hunter2hunter2"


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave logging as it was found: it is the whole process's."""
    for variable in (FORMAT_VARIABLE, LEVEL_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    configured, root = structlog.get_config(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    names = ("uvicorn", "uvicorn.access", "apprise", "httpcore", "httpx", "requests", "urllib3")
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(False)
    structlog.configure(**configured)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, former in levels.items():
        logging.getLogger(name).setLevel(former)


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FORMAT_VARIABLE, "json")
    configure_logs("info")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    said = capsys.readouterr()
    assert said.out == ""
    return [json.loads(line) for line in said.err.splitlines()]


@pytest.mark.usefixtures("as_json")
def test_each_line_is_an_object_with_when_how_bad_where_and_what(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = datetime.now(UTC)
    structlog.get_logger("governance_flow.some.module").warning("it is late", attempts=3)
    [line] = lines(capsys)
    when = datetime.fromisoformat(line["timestamp"])
    assert before <= when <= datetime.now(UTC)
    assert (when.utcoffset(), line["timestamp"][-1]) == (timedelta(0), "Z")
    assert list(line)[:4] == ["timestamp", "level", "logger", "event"]
    assert line == {
        "timestamp": line["timestamp"],
        "level": "warning",
        "logger": "governance_flow.some.module",
        "event": "it is late",
        "attempts": 3,
    }


@pytest.mark.usefixtures("as_json")
def test_what_is_bound_to_the_context_is_in_every_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    structlog.contextvars.bind_contextvars(correlation_id=CORRELATION_ID)
    log = structlog.get_logger("governance_flow").bind(motion_id=MOTION_ID)
    log.info("ours", state=GovernanceState.PLANNING)
    logging.getLogger("uvicorn.error").info("the server's, %s", "too")
    ours, theirs = lines(capsys)
    assert ours["correlation_id"] == theirs["correlation_id"] == str(CORRELATION_ID)
    assert (ours["motion_id"], ours["state"]) == (str(MOTION_ID), "PLANNING")
    assert (theirs["event"], theirs["logger"]) == ("the server's, too", "uvicorn.error")


@pytest.mark.usefixtures("as_json")
@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_an_exception_is_told_as_data_without_the_values_of_variables(
    whose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(password: str) -> None:
        raise ValueError(f"postgresql://ada:{password}@host/flow is not there")

    try:
        try:
            failing(SECRET)
        except ValueError as error:
            raise ConnectionError("no store") from error
    except ConnectionError:
        if whose == "ours":
            structlog.get_logger("x").exception("it failed")
        else:
            logging.getLogger("uvicorn.error").exception("it failed")
    said = capsys.readouterr().err
    assert SECRET not in said
    line = json.loads(said)
    outer, inner = line["exception"]
    assert (outer["exc_type"], outer["exc_value"]) == ("ConnectionError", "no store")
    assert inner["exc_value"] == "postgresql://ada:…@host/flow is not there"
    assert inner["frames"][-1]["name"] == "failing"
    assert set(inner["frames"][-1]) == {"filename", "lineno", "name"}
    assert "exc_info" not in line


@pytest.mark.usefixtures("as_json")
def test_a_message_cannot_break_out_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    evil = 'two\nlines\r\n\x1b[31m\u2028\u202e","level":"info'
    structlog.get_logger("x").error(evil, title=evil)
    [line] = said = capsys.readouterr().err.splitlines()
    assert said[0].isascii()
    assert (json.loads(line)["event"], json.loads(line)["title"]) == (evil, evil)


@pytest.mark.usefixtures("as_json")
def test_what_a_command_says_is_a_line_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    say("stopping")
    say("error: no store")
    structlog.get_logger("x").error("the same shape")
    stopping, error, logged = lines(capsys)
    assert list(stopping) == list(error) == list(logged)
    assert (stopping["level"], stopping["event"]) == ("info", "stopping")
    assert (error["level"], error["event"]) == ("error", "error: no store")
    assert datetime.fromisoformat(error["timestamp"]) <= datetime.now(UTC)


@pytest.mark.usefixtures("as_json")
def test_a_warning_of_python_is_a_line_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # pytest keeps warnings to itself: this is what they were sent to before.
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("this is old", UserWarning, stacklevel=1)
    [line] = lines(capsys)
    assert (line["level"], line["logger"]) == ("warning", "py.warnings")
    assert "UserWarning: this is old" in line["event"]


def test_for_people_lines_are_short_and_hide_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info")
    try:
        int(f"postgresql://ada:{SECRET}@host/flow")
    except ValueError:
        structlog.get_logger("x").exception("it\nfailed", password=SECRET, attempts=3)
    logging.getLogger("uvicorn.error").info("started")
    said = capsys.readouterr().err
    assert SECRET not in said
    assert "[error    ] it failed" in said
    assert "attempts=3" in said
    assert (
        "ValueError: invalid literal for int() with base 10: 'postgresql://ada:…@host/flow'" in said
    )
    assert "[info     ] started" in said
    with pytest.raises(json.JSONDecodeError):
        json.loads(said.splitlines()[0])


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_libraries_that_quote_addresses_are_not_heard(
    log_format: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FORMAT_VARIABLE, log_format)
    configure_logs("debug")
    for name in ("httpx", "httpcore.http11", "urllib3.connectionpool", "requests"):
        logging.getLogger(name).critical("POST https://hooks.example/services/%s", SECRET)
    logging.getLogger("uvicorn.access").error("GET /?token=%s", SECRET)
    assert capsys.readouterr().err == ""


def test_of_other_libraries_warnings_are_heard_however_much_of_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("debug")
    logging.getLogger("asyncio").info("a detail")
    logging.getLogger("asyncio").error("a task was destroyed")
    assert [line[9:] for line in capsys.readouterr().err.splitlines()] == [
        "[error    ] a task was destroyed [asyncio]"
    ]


def test_the_level_holds_for_the_server_as_for_us(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("error")
    structlog.get_logger("x").warning("no")
    logging.getLogger("uvicorn.error").warning("no")
    logging.getLogger("asyncio").warning("no")
    assert capsys.readouterr().err == ""


def test_configured_twice_nothing_is_said_twice(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    configure_logs("info")
    logging.getLogger("uvicorn").info("started")
    assert len(capsys.readouterr().err.splitlines()) == 1


# -- What a line may hold ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["password", "Authorization", "cookie", "Set-Cookie", "x-csrf", "webhook_secret", "api_key"],
)
def test_a_field_named_like_a_secret_is_hidden_wherever_it_is(name: str) -> None:
    assert shown({name: SECRET}) == {name: HIDDEN}
    assert shown({"headers": [{name: SECRET}]}) == {"headers": [{name: HIDDEN}]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at postgresql://ada:s@cret@host/x", "at postgresql://ada:…@host/x"),
        ("mailto://ada:secret@host", "mailto://ada:…@host"),
        ("Authorization: Bearer abcdefgh.ijk-lmnop", "Authorization: Bearer …"),
        ("the bearer presented no token", "the bearer presented no token"),
        (f"gf_0123abcd_{SECRET} was refused", "gf_0123abcd_… was refused"),
        ("?user=a&sslpassword=x&b=c", "?user=a&sslpassword=…&b=c"),
        ("host=h password='x y' port=1", "host=h password=… port=1"),
    ],
    ids=["address", "mail", "header", "words", "token", "query", "settings"],
)
def test_what_looks_like_a_secret_is_hidden_in_any_text(text: str, expected: str) -> None:
    assert hide(text) == expected


def test_ids_and_numbers_are_no_secrets() -> None:
    fields = {"token_id": "gf", "lease_token": 7, "alert_id": "a", "secret": None, "password": ""}
    assert shown(fields) == fields
    assert hide("http://127.0.0.1:8000/motions/x@y") == "http://127.0.0.1:8000/motions/x@y"


def test_every_value_becomes_one_that_json_has() -> None:
    moment = datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    endless: dict[str, Any] = {}
    endless["again"] = endless
    found = shown(
        {
            "id": MOTION_ID,
            "at": moment,
            "raw": b"1234",
            "set": {2, 1},
            "pair": (1, {"x": GovernanceState.PLANNING}),
            "never": float("inf"),
            "endless": endless,
        }
    )
    assert json.dumps(found["endless"]).count("again") == DEPTH_MAX
    del found["endless"]
    assert found == {
        "id": str(MOTION_ID),
        "at": "2026-01-01T12:00:00+00:00",
        "raw": "4 bytes",
        "set": ["1", "2"],
        "pair": [1, {"x": "PLANNING"}],
        "never": "inf",
    }


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.uuids(),
            lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner),
            max_leaves=8,
        ),
    )
)
def test_whatever_is_logged_can_be_written(entry: dict[str, Any]) -> None:
    line = json.dumps(shown(entry), allow_nan=False)
    assert json.loads(line).keys() == entry.keys()


def test_importing_the_command_line_configures_nothing() -> None:
    script = "import logging, sys, governance_flow.cli; sys.exit(len(logging.getLogger().handlers))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
