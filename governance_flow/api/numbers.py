"""Whole numbers, as JSON has them."""

from __future__ import annotations

from pydantic import BeforeValidator

WHOLE_MAX = 2**53 - 1
"""The largest that every program reads as it was written: many have but one kind of number."""


def _whole(value: object) -> object:
    """Return 12 for 12.0, which are one number in JSON; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Goes with ``Strict``, behind the bounds: a text or a truth value is no number."""
