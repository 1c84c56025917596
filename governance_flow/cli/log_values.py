"""What a log line may hold: values that JSON has, and never a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

HIDDEN: Final = "…"
DEPTH_MAX: Final = 8
"""What is nested deeper is not shown: nobody would read it, and it may have no end."""

_SECRET_NAME = re.compile(
    r"(^|[-_])(api[-_]?key|authorization|cookie|credentials?|csrf|passw(or)?d|secret|token)$",
    re.IGNORECASE,
)
_SECRETS: Final = (
    # user:password@ in an address, whatever its scheme.
    (re.compile(r"(://[^\s:/@]*):[^\s/]+@"), rf"\1:{HIDDEN}@"),
    (
        re.compile(r"\b((?:Bearer|Authorization:\s*Basic)\s+)[\w.~+/=-]{16,}", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
    # Our own tokens: the id may be shown.
    (re.compile(r"\b(gf_[A-Za-z0-9]+_)[\w-]{16,}"), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"([?&;\s][\w-]*(?:password|secret|token)=)(?:'[^']*'|[^\s&;'\"]+)", re.IGNORECASE
        ),
        rf"\1{HIDDEN}",
    ),
)


def shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a log line's fields in values that JSON has, without what looks like a secret.

    Hidden are texts in fields that are named like a secret, and parts of texts that look like one.
    """
    return {str(name): _field(str(name), value, 1) for name, value in entry.items()}


def without_secrets(
    _logger: Any, _method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Do ``shown`` as a processor of structlog's; its own fields, and exceptions, stay."""
    kept = {
        name: entry[name] for name in ("exc_info", "_record", "_from_structlog") if name in entry
    }
    return {**shown({name: entry[name] for name in entry if name not in kept}), **kept}


def hide(text: str) -> str:
    """Return a text without the parts that look like secrets."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _field(name: str, value: object, depth: int) -> Any:
    # A number is no secret: lease tokens are, and tell who came first.
    if isinstance(value, str | bytes) and value and _SECRET_NAME.search(name):
        return HIDDEN
    return _value(value, depth)


def _value(value: object, depth: int) -> Any:
    if depth > DEPTH_MAX:
        return HIDDEN
    match value:
        case None | bool() | int():
            return value
        case float():
            # JSON has no infinity.
            return value if isfinite(value) else str(value)
        case str():
            return hide(str(value))
        case bytes() | bytearray() | memoryview():
            return f"{len(value)} bytes"
        case datetime():
            return (value if value.tzinfo is None else value.astimezone(UTC)).isoformat()
        case Mapping():
            return {str(key): _field(str(key), item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_value(item, depth + 1) for item in value]
        case AbstractSet():
            return sorted(str(_value(item, depth + 1)) for item in value)
        case _:
            return hide(str(value))
