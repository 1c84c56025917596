"""How bytes and numbers are spelt in notes, checkpoints and proofs: each in one way only.

One spelling means that parsing and formatting give back the same bytes, so that nobody can make
a second text, with another digest, out of a signed one.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import Final

UINT64_MAX: Final = 2**64 - 1

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")


def to_base64(data: bytes) -> str:
    """Return the standard base 64 encoding with padding (RFC 4648, section 4)."""
    return b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes | None:
    """Return the bytes, or None if ``text`` is not their one base 64 encoding.

    RFC 4648, section 3.5: encoders set the unused bits to zero, so any other spelling is wrong.
    """
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        return None
    return data if to_base64(data) == text else None


def from_decimal(text: str) -> int | None:
    """Return the number of 64 bits at most, or None: ASCII digits, no leading zero, no sign."""
    if not _DECIMAL.fullmatch(text):
        return None
    number = int(text)
    return number if number <= UINT64_MAX else None


def control_character(text: str) -> int | None:
    """Return where the first ASCII control character other than a newline is, or None."""
    found = _CONTROL.search(text)
    return found.start() if found else None


def line_of(text: str, offset: int) -> int:
    """Return the line, counted from 1, that holds the character at ``offset``."""
    return text.count("\n", 0, offset) + 1
