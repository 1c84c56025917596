"""Where log lines go: to stderr, so that stdout holds results and nothing else."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from governance_flow.application.ports.alerts import AlertKind
from governance_flow.cli.terminal import plain

LEVEL_VARIABLE = "GOVERNANCE_FLOW_LOG"
"""Holds debug, info, warning or error."""


def configure_logs(default: str = "warning", *, halted_motions: bool = True) -> None:
    """Send everything of the configured level to whatever is stderr at that time.

    ``halted_motions`` False leaves out the alerts about single motions, for a command that lists
    them itself when it is done.
    """
    name = os.environ.get(LEVEL_VARIABLE, default).upper()
    level = logging.getLevelNamesMapping().get(name, logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *([] if halted_motions else [_without_halted_motions]),
            _in_plain_text,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty() and "NO_COLOR" not in os.environ,
                exception_formatter=structlog.dev.plain_traceback,
                pad_event_to=0,
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_to_stderr,
        cache_logger_on_first_use=False,
    )


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


def _to_stderr(*_args: Any) -> structlog.WriteLogger:
    # Looked up each time: while something is drawn live, lines must go above it.
    return structlog.WriteLogger(sys.stderr)
