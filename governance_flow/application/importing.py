"""Motions as lines of JSON: checking one line, and giving it an id that does not change.

Nothing here reads a file or knows a store. A line that cannot be used raises InvalidInput, and the
message says why in words that whoever wrote the line can act on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid5

from governance_flow.application.services.input_fields import (
    MAX_DEPTH,
    MAX_NAME_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    deeper_than,
    text_field,
)
from governance_flow.domain.canonical import sorted_json
from governance_flow.domain.errors import InvalidInput
from governance_flow.domain.witness import digest_of

IMPORT_NAMESPACE = uuid5(UUID(int=0), "governance-flow/import")
"""Ids of imported motions that bring none of their own are UUIDv5 in this name space."""

REQUIRED_KEYS = ("title", "text", "introduced_by")


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_BLANKS = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class MotionLine:
    """One motion of a file. ``digest`` is that of its content, the id left out."""

    title: str
    text: str
    introduced_by: str
    motion_id: UUID | None
    reference: str | None
    ballots: Mapping[str, str] | None
    metadata: Mapping[str, Any]
    digest: str

    def id_for(self, occurrence: int) -> UUID:
        """Return its own id, or one made of its content and the how-manieth of its kind it is.

        So the same line twice in a file is two motions, and the same file twice is one import.
        """
        if self.motion_id is not None:
            return self.motion_id
        return uuid5(IMPORT_NAMESPACE, f"{self.digest}/{occurrence}")


def strip_byte_order_mark(first_line: bytes) -> bytes:
    """Return the first line of a file without the mark that some editors put there."""
    return first_line.removeprefix(_BYTE_ORDER_MARK)


def is_blank(line: bytes) -> bool:
    """Return whether a line holds nothing, and so is passed over."""
    return not line.strip(_BLANKS)


def parse_line(line: bytes) -> MotionLine:
    """Return the motion that a line describes; raises InvalidInput, and nothing else.

    What only the orchestrator knows (how large a motion may be, what a vote can be) it checks when
    the motion is introduced, with the same error.
    """
    fields = read_object(line)
    missing = [key for key in REQUIRED_KEYS if key not in fields]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise InvalidInput(f"missing key{plural}: {', '.join(missing)}", field=missing[0])
    content = {key: value for key, value in fields.items() if key != "motion_id"}
    canonical = sorted_json(content)
    _require_storable(fields, canonical)
    for key, check in _CHECKS.items():
        if fields.get(key) is not None or key in REQUIRED_KEYS:
            check(key, fields[key])
    return MotionLine(
        title=fields["title"],
        text=fields["text"],
        introduced_by=fields["introduced_by"],
        motion_id=None if fields.get("motion_id") is None else UUID(fields["motion_id"]),
        reference=fields.get("reference"),
        ballots=fields.get("ballots"),
        metadata={key: value for key, value in content.items() if key not in _OWN_FIELDS},
        digest=digest_of(canonical.encode()),
    )


# -- From bytes to an object ---------------------------------------------------------------------


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        hint = "; it looks like UTF-16" if line.startswith(_UTF_16_MARKS) else ""
        raise InvalidInput(
            f"not UTF-8 text (byte {error.start + 1}){hint}; save it as UTF-8"
        ) from error


def read_object(data: bytes) -> dict[str, Any]:
    """Return a JSON object that is strict JSON and names no key twice; raises InvalidInput."""
    text = _decoded(data)
    if "\x00" in text:
        raise InvalidInput(f"contains a NUL byte (column {text.index(chr(0)) + 1}): remove it")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise InvalidInput(f"not JSON: {error.msg} (column {error.colno})") from error
    except RecursionError as error:
        raise InvalidInput("nested too deeply to be read") from error
    except ValueError as error:
        raise InvalidInput("a number has more digits than anybody needs") from error
    if not isinstance(value, dict):
        raise InvalidInput(f"must be an object, {{...}}, not {_kind(value)}")
    if text.count("{") + text.count("[") > MAX_DEPTH and deeper_than(MAX_DEPTH, value):
        raise InvalidInput(f"nested more than {MAX_DEPTH} levels deep")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidInput(f"the key {_quoted(twice)} stands there twice; which one counts?")
    return read


def _refuse_constant(name: str) -> float:
    raise InvalidInput(f"not JSON: {name} is no number")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise InvalidInput(f"the number {digits[:40]} is too large")
    return number


def _require_storable(fields: Mapping[str, Any], canonical: str) -> None:
    """Refuse texts that no store can keep, wherever they hide.

    The canonical form tells quickly that there is none, which is nearly always so.
    """
    try:
        canonical.encode()
        clean = "\\u0000" not in canonical
    except UnicodeEncodeError:
        clean = False
    if clean:
        return
    for key, value in fields.items():
        for text in (key, *_texts(value)):
            if "\x00" in text:
                raise InvalidInput(f"{_quoted(key)} contains a NUL character: remove it", field=key)
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise InvalidInput(
                    f"{_quoted(key)} contains a lone surrogate, which is not Unicode text",
                    field=key,
                )


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for key, item in value.items():
                yield key
                yield from _texts(item)


def _quoted(text: str) -> str:
    """Return a text that can be printed anywhere, and is not too long."""
    return json.dumps(text if len(text) <= 60 else f"{text[:60]}…")  # noqa: PLR2004 - half a line


# -- What each key must hold -----------------------------------------------------------------------


def _text(key: str, value: Any) -> None:
    if not isinstance(value, str):
        raise InvalidInput(f"{key} must be a text, not {_kind(value)}", field=key)


def _title(key: str, value: Any) -> None:
    _text(key, value)
    text_field(key, value, max_characters=MAX_TITLE_CHARACTERS)


def _words(key: str, value: Any) -> None:
    _text(key, value)
    text_field(key, value)


def _name(key: str, value: Any) -> None:
    _text(key, value)
    text_field(key, value, max_characters=MAX_NAME_CHARACTERS)


def _uuid(key: str, value: Any) -> None:
    _text(key, value)
    try:
        UUID(value)
    except ValueError as error:
        example = "0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b"
        raise InvalidInput(
            f"{key} must be a UUID such as {example}, not {_quoted(value)}", field=key
        ) from error


def _ballots(key: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise InvalidInput(f"{key} must be an object of votes, not {_kind(value)}", field=key)


def _list_of_texts(key: str, value: Any) -> None:
    _list(key, value)
    for number, item in enumerate(value, 1):
        if not isinstance(item, str):
            raise InvalidInput(
                f"{key} must be a list of texts; number {number} is {_kind(item)}", field=key
            )


def _list(key: str, value: Any) -> None:
    if not isinstance(value, list):
        raise InvalidInput(f"{key} must be a list, not {_kind(value)}", field=key)


_CHECKS: Mapping[str, Callable[[str, Any], None]] = MappingProxyType(
    {
        "title": _title,
        "text": _words,
        "introduced_by": _name,
        "motion_id": _uuid,
        "reference": _title,
        "ballots": _ballots,
        "introduced_on": _text,
        "topics": _list_of_texts,
        # What a task must be is the President's to say, who returns a motion with bad ones.
        "tasks": _list,
    }
)

_OWN_FIELDS = frozenset({*REQUIRED_KEYS, "motion_id", "reference", "ballots"})
"""What is not metadata."""


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"
