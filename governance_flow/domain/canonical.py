"""JSON with one spelling for each value, so that a digest or a signature means the value."""

from __future__ import annotations

import json
from typing import Any

import rfc8785

_SORTED = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_json(value: Any) -> str:
    """Return canonical JSON (RFC 8785), which other programs come to as well: for what is signed.

    Raises ValueError for what that has no spelling for: integers beyond 53 bits, half characters.
    """
    return rfc8785.dumps(value).decode()


def sorted_json(value: Any) -> str:
    """Return JSON with sorted keys and no white space, of any value that JSON can hold.

    For digests that only this program compares: numbers are spelt as Python spells them.
    """
    return _SORTED.encode(value)
