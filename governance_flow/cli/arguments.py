"""Options that several commands share, and values that may stand in a file."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from governance_flow.application.importing import read_object
from governance_flow.cli.errors import UsedWrongly
from governance_flow.domain.errors import InvalidInput
from governance_flow.transparency.errors import TransparencyError
from governance_flow.transparency.keys import Ed25519Verifier

MAX_VALUE_BYTES = 100_000_000
"""What an option may bring in; the limits of the configuration are smaller."""

ByOption = Annotated[
    str,
    typer.Option(
        "--by", metavar="NAME", help="Who does this. Nothing proves it: the record says so."
    ),
]
LogKeyOption = Annotated[
    str | None,
    typer.Option(
        "--log-key",
        metavar="KEY",
        help="The log's public key, as you know it; or @file. Else the store's word is taken.",
    ),
]
MotionArgument = Annotated[UUID, typer.Argument(metavar="MOTION", help="The motion's id.")]


def json_value(option: str, value: str | None) -> dict[str, Any]:
    """Return the JSON object that an option holds, or names with ``@file`` (``@-``: stdin)."""
    if value is None:
        return {}
    try:
        return read_object(text_value(option, value).encode(errors="surrogatepass"))
    except InvalidInput as error:
        raise UsedWrongly(f"{option}: {error.message}") from error


def text_value(option: str, value: str) -> str:
    """Return the text that an option holds, or names with ``@file`` (``@-``: stdin)."""
    if not value.startswith("@"):
        return value
    name = value[1:]
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_VALUE_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_VALUE_BYTES + 1)
    except OSError as error:
        raise UsedWrongly(f"{option}: {name} cannot be read: {error.strerror}") from error
    if len(data) > MAX_VALUE_BYTES:
        raise UsedWrongly(f"{option}: {name} is larger than {MAX_VALUE_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsedWrongly(f"{option}: {name} is not UTF-8 text (byte {error.start + 1})") from error


def time_value(option: str, value: str) -> datetime:
    """Return a time given in ISO 8601; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsedWrongly(
            f"{option}: {value!r} is not a time; write it like 2026-01-31T18:00:00Z"
        ) from error


def read_note(path: Path) -> str:
    """Return the text of a signed note that stands in a file.

    Line ends that a mail program has changed are put right: the signature decides about the rest.
    """
    text = text_value("the checkpoint", f"@{path}").replace("\r\n", "\n")
    return text.strip("\n") + "\n"


def read_key(option: str, value: str | None) -> Ed25519Verifier | None:
    """Return the public key that an option holds, or the file that it names with ``@file``."""
    if value is None:
        return None
    try:
        return Ed25519Verifier.parse(text_value(option, value).strip())
    except TransparencyError as error:
        raise UsedWrongly(f"{option}: {error}") from error
