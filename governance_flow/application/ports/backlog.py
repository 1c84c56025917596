"""The port through which the store says what waits in it, for whoever watches from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, and for how long already, by the store's clock; 0 where nothing does.

    ``work_overdue_seconds`` is the time since something became due that any worker would have done
    at once, at least to try it: a deadline that passed, a delegation that ran out, an alert. While
    the pipeline is halted, deadlines wait as well.

    ``docket_wait_seconds`` is the time since the first motion of the docket could be admitted.

    ``alerts_undelivered`` are counted up to a hundred: beyond, the number tells nothing new.

    ``checkpoint_age_seconds`` is the time since the newest checkpoint was signed, or while there is
    none, since the first event. A pipeline that rests needs no new one: the age means something
    only beside ``checkpoint_unsigned_events``, the events that the newest one does not cover.
    """

    work_overdue_seconds: float = 0.0
    docket_wait_seconds: float = 0.0
    alerts_undelivered: int = 0
    checkpoint_age_seconds: float = 0.0
    checkpoint_unsigned_events: int = 0


class BacklogReader(Protocol):
    """Says what waits in one store."""

    async def backlog(self) -> Backlog:
        """Return what waits, all as of one moment, however much it is."""
        ...
