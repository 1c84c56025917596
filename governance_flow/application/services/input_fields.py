"""What is put in must be like this; why it is not is said in words a person can act on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from governance_flow.domain.errors import InvalidInput
from governance_flow.domain.events import Actor, Authentication, Ballot

_STRICT = json.JSONEncoder(allow_nan=False, ensure_ascii=False)

MAX_TITLE_CHARACTERS = 2_000
MAX_NAME_CHARACTERS = 200
MAX_NOTE_CHARACTERS = 10_000
MAX_DEPTH = 50
"""Lists and objects within each other. JSON that is nested more deeply can be written and then
not be read again, so it would make the whole motion unreadable."""


def text_field(name: str, value: object, *, max_characters: int | None = None) -> str:
    """Return ``value`` if it is a text that can be stored; raises InvalidInput naming it."""
    if not isinstance(value, str):
        msg = f"{name} must be a text, not {type(value).__name__}"
        raise InvalidInput(msg, field=name)
    if not value.strip():
        msg = f"{name} is empty: say something"
        raise InvalidInput(msg, field=name)
    storable(name, value)
    if max_characters is not None and len(value) > max_characters:
        msg = f"{name} has {len(value)} characters; at most {max_characters} are allowed"
        raise InvalidInput(msg, field=name)
    return value


def id_field(name: str, value: object) -> UUID:
    """Return ``value`` if it is an id, and not the text of one; raises InvalidInput naming it."""
    if not isinstance(value, UUID):
        msg = f"{name} must be a UUID, not {value!r:.60}"
        raise InvalidInput(msg, field=name)
    return value


def named(field: str, name: str | Actor) -> Actor:
    """Return who acts; a bare name is one that somebody gave without proof.

    Raises InvalidInput.
    """
    if isinstance(name, Actor):
        text_field(field, name.id, max_characters=MAX_NAME_CHARACTERS)
        return name
    name = text_field(field, name, max_characters=MAX_NAME_CHARACTERS)
    return Actor(id=name, authenticated_by=Authentication.ASSERTED)


def number_field(name: str, value: object, *, at_least: int, at_most: int) -> int:
    """Return ``value`` if it is a whole number within bounds; raises InvalidInput naming it."""
    if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= at_most:
        msg = f"{name} must be a whole number between {at_least} and {at_most}, not {value!r:.60}"
        raise InvalidInput(msg, field=name)
    return value


def storable(name: str, value: str) -> None:
    """Raise InvalidInput for characters that cannot be stored or shown everywhere."""
    if "\x00" in value:
        msg = f"{name} contains a NUL character: remove it"
        raise InvalidInput(msg, field=name)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        msg = f"{name} contains a lone surrogate at character {error.start}: it is not Unicode text"
        raise InvalidInput(msg, field=name) from error


def made_storable(text: str, *, max_characters: int) -> str:
    """Return the text with what cannot be stored written out, and its end cut off if need be."""
    plain = text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    return plain if len(plain) <= max_characters else f"{plain[: max_characters - 1]}…"


def note_field(name: str, value: object) -> str:
    """Return a remark, which may be empty; raises InvalidInput naming it if it cannot be kept."""
    if not isinstance(value, str):
        msg = f"{name} must be a text, not {type(value).__name__}"
        raise InvalidInput(msg, field=name)
    storable(name, value)
    if len(value) > MAX_NOTE_CHARACTERS:
        msg = f"{name} has {len(value)} characters; at most {MAX_NOTE_CHARACTERS} are allowed"
        raise InvalidInput(msg, field=name)
    return value


def ballots_field(value: object) -> dict[str, Ballot]:
    """Return the votes by member; raises InvalidInput naming the first wrong one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        msg = f"ballots must map members to votes, not be a {type(value).__name__}"
        raise InvalidInput(msg, field="ballots")
    ballots = {}
    for member, vote in value.items():
        text_field("a member's name in ballots", member, max_characters=MAX_NAME_CHARACTERS)
        try:
            ballots[member] = Ballot(vote)
        except ValueError as error:
            allowed = ", ".join(ballot.value for ballot in Ballot)
            msg = f"ballots[{member!r}] is {vote!r}; it must be one of {allowed}"
            raise InvalidInput(msg, field="ballots") from error
    return ballots


def metadata_field(
    name: str, value: Mapping[str, Any], *, limit_bytes: int | None = None
) -> dict[str, Any]:
    """Return a mapping if JSON can hold it; raises InvalidInput naming it otherwise.

    With ``limit_bytes`` it must not be larger, as JSON, than that.
    """
    try:
        encoded = _STRICT.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"{name} cannot be stored as JSON: {error}"
        raise InvalidInput(msg, field=name) from error
    storable(name, encoded)
    if "\\u0000" in encoded:
        msg = f"{name} contains a NUL character: remove it"
        raise InvalidInput(msg, field=name)
    if encoded.count("{") + encoded.count("[") > MAX_DEPTH and deeper_than(MAX_DEPTH, value):
        msg = f"{name} is nested more than {MAX_DEPTH} levels deep"
        raise InvalidInput(msg, field=name)
    if limit_bytes is not None:
        _require_bytes(name, len(encoded.encode()), limit_bytes)
    return dict(json.loads(encoded))


def deeper_than(levels: int, value: Any) -> bool:
    """Return whether a JSON value is nested deeper, without recursing into it."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            item
            for container in layer
            if isinstance(container, list | tuple | dict)
            for item in (container.values() if isinstance(container, dict) else container)
        ]
    return bool(layer)


def require_size(name: str, value: object, limit_bytes: int) -> None:
    """Raise InvalidInput for something larger, as JSON, than the configuration allows."""
    _require_bytes(name, len(json.dumps(value, ensure_ascii=False).encode()), limit_bytes)


def _require_bytes(name: str, size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        msg = f"the {name} takes {size_bytes} bytes; at most {limit_bytes} are allowed (limits)"
        raise InvalidInput(msg, field=name)
