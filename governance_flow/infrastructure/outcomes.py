"""Telling those who wait for something that was done together what it came to."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from governance_flow.domain.errors import StoreError

T = TypeVar("T")


def settle(waiting: asyncio.Future[T], outcome: T | BaseException) -> None:
    """Hand over a result or raise an error to whoever waits, unless they were cancelled."""
    if waiting.done():
        return
    if isinstance(outcome, BaseException):
        waiting.set_exception(outcome)
    else:
        waiting.set_result(outcome)


def own_copy(error: StoreError) -> StoreError:
    """Return an error for one of several who are told of it: raising it writes a traceback in."""
    own = type(error)(error.message, **error.details)
    own.__cause__ = error
    return own
