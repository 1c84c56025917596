"""Cursors of paged lists: opaque to callers, stable while motions come and go."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING
from uuid import UUID

from governance_flow.application.times import from_us, to_us
from governance_flow.domain.errors import InvalidInput

if TYPE_CHECKING:
    from governance_flow.application.ports.read_model import Place


def encode_cursor(last: Place) -> str:
    """Return the cursor behind a place."""
    moment_us, motion_id = last
    return urlsafe_b64encode(f"{moment_us}:{motion_id}".encode()).decode()


def decode_cursor(cursor: str) -> Place:
    """Return the place that a cursor stands for; raises InvalidInput."""
    try:
        moment_us, motion_id = urlsafe_b64decode(cursor.encode()).decode().split(":")
        # Out of its bounds the time would be too much for the database, and is none of ours.
        return to_us(from_us(int(moment_us))), UUID(motion_id)
    except (ValueError, OverflowError, AttributeError) as error:
        msg = f"after: {cursor!r:.60} is no place in a list; use next_after of the page before"
        raise InvalidInput(msg, field="after") from error
