"""What the product writes to its log: an error that nobody foresaw is a fault of the product."""

from __future__ import annotations

import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, NoReturn

import structlog

NEVER = {"the read model differs from the events", "lost operational row restored"}
"""What the product says when something is wrong that it keeps an eye on."""


class _Handler(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.append(record.getMessage())


@contextmanager
def unforeseen() -> Iterator[list[str]]:
    """Keep the log quiet, and collect what it holds that should never be."""
    found: list[str] = []

    def look(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> NoReturn:
        if entry.get("exc_info") or entry.get("event") in NEVER:
            found.append(f"{entry.get('event')}: {entry}")
        raise structlog.DropEvent

    configured = structlog.get_config()
    structlog.configure(processors=[look])
    handler, plain = _Handler(found), logging.getLogger("governance_flow")
    plain.addHandler(handler)
    propagated, plain.propagate = plain.propagate, False
    try:
        yield found
    finally:
        plain.removeHandler(handler)
        plain.propagate = propagated
        structlog.configure(**configured)
