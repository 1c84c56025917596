"""Turns what pydantic says about a configuration into what a person needs to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from governance_flow.domain.configuration import UNKNOWN_KEY, FlowConfiguration
from governance_flow.domain.errors import ConfigurationError
from governance_flow.infrastructure.settings_layers import TOP_KEY, Layer

MAX_ERRORS_SHOWN = 20
MAX_VALUE_CHARS = 60

Location = tuple[str | int, ...]


def explain(error: ValidationError, layers: Sequence[Layer]) -> ConfigurationError:
    """Make one error of all mistakes, one a line; its ``paths`` names the settings at fault.

    ``layers`` are in ascending order of precedence.
    """
    mistakes = [(*_path_of(details), details) for details in error.errors(include_url=False)]
    unknown_keys = {path for path, key_at_fault, _ in mistakes if key_at_fault}
    lines: dict[str, str] = {}
    for path, key_at_fault, details in mistakes:
        name = ".".join([TOP_KEY, *map(str, path)])
        below_unknown_key = any(path[:length] in unknown_keys for length in range(len(path)))
        if below_unknown_key or name in lines:
            # The first complaint about a place says what is wrong; the rest follows from it.
            continue
        complaint = _complaint(details, path, key_at_fault=key_at_fault)
        lines[name] = f"{name}: {complaint} ({_place_of(path, layers)})"
    shown = list(lines.values())[:MAX_ERRORS_SHOWN]
    if len(lines) > len(shown):
        shown.append(f"... and {len(lines) - len(shown)} more")
    return ConfigurationError("\n".join(shown), paths=tuple(lines))


def _path_of(details: ErrorDetails) -> tuple[Location, bool]:
    """Return the path as the file has it, and whether its last key is itself the mistake."""
    location: Location = details["loc"]
    if location and location[-1] == "[key]":
        return location[:-1], True
    if details["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return (*location, "kind"), False
    # pydantic puts the chosen kind of a branch into the path, after the service's name.
    if len(location) > 2 and location[0] == "branches":  # noqa: PLR2004 - (branches, service, kind, ...)
        location = (*location[:2], *location[3:])
    return location, details["type"] == "extra_forbidden"


def _place_of(path: Location, layers: Sequence[Layer]) -> str:
    """Name the source that says most about the path; of equals, the one that overrides."""
    best, place = 0, "the configuration as a whole"
    for layer in layers:
        depth, origin = layer.origin(path)
        if depth and depth >= best:
            best, place = depth, origin
    return place


def _complaint(details: ErrorDetails, path: Location, *, key_at_fault: bool) -> str:
    context: dict[str, Any] = details.get("ctx") or {}
    match details["type"]:
        case "extra_forbidden":
            return _unknown(str(path[-1]), _keys_beside(details["loc"]))
        case kind if kind == UNKNOWN_KEY:
            return _unknown(str(path[-1]), context["allowed"].split(", "))
        case "union_tag_invalid":
            return (
                f"{context['tag']!r} is no kind of branch; allowed are {context['expected_tags']}"
            )
        case "union_tag_not_found":
            return "missing; allowed are 'builtin', 'python', 'http', 'external'"
        case "missing":
            return "missing, and there is no default"
        case "too_short" | "too_long" as kind:
            bound = "at least" if kind == "too_short" else "at most"
            limit = context.get("min_length", context.get("max_length"))
            return f"expected {bound} {limit} items, not {context['actual_length']}"
        case "tuple_type":
            return f"expected a list{_found(details, path)}"
        case "model_type" | "dict_type" | "mapping_type" | "model_attributes_type":
            return f"expected a mapping{_found(details, path)}"
        case _:
            message = details["msg"].removeprefix("Input ").replace("String should", "should")
            return message if key_at_fault else f"{message}{_found(details, path)}"


def _unknown(key: str, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(key.casefold(), [name.casefold() for name in allowed], n=1)
    spelled = [name for name in allowed if close and name.casefold() == close[0]]
    hint = f"did you mean {spelled[0]}? " if spelled else ""
    return f"unknown key; {hint}allowed are {', '.join(allowed)}"


def _found(details: ErrorDetails, path: Location) -> str:
    """Show the offending value, unless it is long, or in a place where a secret may be."""
    value = details["input"]
    if isinstance(value, Mapping | list) or "options" in path:
        return ""
    if path and str(path[-1]).endswith(("url", "_env")):
        return ""
    shown = repr(value)
    if len(shown) > MAX_VALUE_CHARS:
        shown = shown[:MAX_VALUE_CHARS] + "..."
    return f", not {shown}"


def _keys_beside(location: Location) -> list[str]:
    """Return the keys allowed where an unknown one stands."""
    annotation: Any = FlowConfiguration
    for part in location[:-1]:
        annotation = _below(annotation, part)
    return [field.alias or name for name, field in annotation.model_fields.items()]


def _below(annotation: Any, part: str | int) -> Any:
    """Return the type one step below another, by field, key or kind of branch."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_fields[str(part)].annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return arguments[1]
    # Annotated[A | B, ...] of the branches: the part is the kind, and picks a member.
    return next(
        member for member in get_args(arguments[0]) if member.model_fields["kind"].default == part
    )
