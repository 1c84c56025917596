"""Where log lines go: to stderr, so that stdout holds results and nothing else.

For people they are short; for programs (GOVERNANCE_FLOW_LOG_FORMAT=json) each is a JSON object.
What libraries log goes the same way, as far as it may be shown: some quote addresses that hold
secrets.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, Final, TextIO

import structlog
from structlog.processors import ExceptionRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

from governance_flow.application.ports.alerts import AlertKind
from governance_flow.cli.log_values import hide, without_secrets
from governance_flow.cli.terminal import plain, says_json

LEVEL_VARIABLE = "GOVERNANCE_FLOW_LOG"
"""Holds debug, info, warning or error."""

OURS: Final = "governance_flow"
SERVER: Final = "uvicorn"

SILENT: Final = ("uvicorn.access", "httpcore", "httpx", "requests", "urllib3")
"""Libraries whose words go nowhere. The API logs each request itself, with its ids; the others
quote the addresses they call, whose paths are secrets: what fails there is told by errors of ours.
Apprise does so too, and is kept silent by whoever uses it, who learns from it why it failed.
"""

FRAMES_MAX: Final = 30
FIRST_FIELDS: Final = ("timestamp", "level", "logger", "event")


def configure_logs(default: str = "warning", *, halted_motions: bool = True) -> None:
    """Send everything of the configured level to whatever is stderr at that time.

    ``halted_motions`` False leaves out the alerts about single motions, for a command that lists
    them itself when it is done. Of libraries, the HTTP server is heard at the same level and the
    others from warnings on.
    """
    name = os.environ.get(LEVEL_VARIABLE, default).upper()
    level = logging.getLevelNamesMapping().get(name, logging.WARNING)
    as_json = says_json()
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
    ]
    last = _json_line() if as_json else _console_line()
    structlog.configure(
        processors=[
            *first,
            *([structlog.stdlib.add_logger_name] if as_json else []),
            *([] if halted_motions else [_without_halted_motions]),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_to_stderr,
        cache_logger_on_first_use=False,
    )
    _hear_libraries(level, [*first, structlog.stdlib.add_logger_name], last)
    # Or they would be lines that are no JSON.
    logging.captureWarnings(as_json)


def _json_line() -> list[Processor]:
    # Without the values of variables, which may be anything.
    traceback = ExceptionDictTransformer(show_locals=False, max_frames=FRAMES_MAX)
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        ExceptionRenderer(traceback),
        without_secrets,
        _as_json,
    ]


def _console_line() -> list[Processor]:
    return [
        without_secrets,
        _in_plain_text,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        structlog.processors.format_exc_info,
        _traceback_without_secrets,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty() and "NO_COLOR" not in os.environ,
            exception_formatter=structlog.dev.plain_traceback,
            pad_event_to=0,
        ),
    ]


def _as_json(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> str:
    """Write an entry as one line, what every entry has first; control characters are escaped."""
    ordered = {name: entry[name] for name in FIRST_FIELDS if name in entry}
    return json.dumps({**ordered, **entry})


def _without_halted_motions(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if event.get("kind") == AlertKind.MOTION_HALTED:
        raise structlog.DropEvent
    return event


def _in_plain_text(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Let no title or error message reach the terminal with anything it would obey."""
    return {key: plain(value) if isinstance(value, str) else value for key, value in event.items()}


def _traceback_without_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if "exception" in event:
        event["exception"] = hide(event["exception"])
    return event


# -- Where the lines go ------------------------------------------------------------------------


class _NamedLogger(structlog.WriteLogger):
    """Writes lines to a stream; ``name`` is the module that they come from."""

    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream)
        self.name = name


def _to_stderr(*args: Any) -> _NamedLogger:
    # Looked up each time: while something is drawn live, lines must go above it.
    return _NamedLogger(sys.stderr, str(args[0]) if args else OURS)


class _Libraries(logging.Handler):
    """Writes what libraries log to whatever is stderr at that time."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - as every handler does: logging stops nothing
            self.handleError(record)


def _hear_libraries(level: int, first: Sequence[Processor], last: Sequence[Processor]) -> None:
    handler = _Libraries()
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=first, processors=[ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    for former in [known for known in root.handlers if isinstance(known, _Libraries)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger(SERVER).setLevel(level)
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
