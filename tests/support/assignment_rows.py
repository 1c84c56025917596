"""Open assignments for tests of the store: what they are for does not matter there."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from governance_flow.application.ports.assignments import OpenAssignment
from governance_flow.application.times import seconds_to_us, to_us
from tests.support.clock import ManualClock


def an_assignment(
    clock: ManualClock,
    *,
    due_in_seconds: float = 0,
    deadline_in_seconds: float | None = None,
    **changes: Any,
) -> OpenAssignment:
    """Return a row that may be claimed in so many seconds."""
    now_us = to_us(clock.now())
    values: dict[str, Any] = {
        "routing_id": uuid4(),
        "motion_id": uuid4(),
        "service": "duke_service",
        "state": "EXECUTING",
        "purpose": "execute",
        "attempt": 1,
        "not_before_us": now_us + seconds_to_us(due_in_seconds),
        "deadline_us": None
        if deadline_in_seconds is None
        else now_us + seconds_to_us(deadline_in_seconds),
        "attempt_timeout_seconds": 60.0,
        "opened_at_us": now_us,
    }
    return OpenAssignment(**{**values, **changes})
