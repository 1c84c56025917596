"""The breaker: too many system errors in too short a time halt the whole pipeline."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from governance_flow.domain.escalation import ErrorEscalationStrategy, strategy_for
from governance_flow.domain.events import SYSTEM, OrchestratorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from governance_flow.application.ports.clock import Clock
    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.application.services.pipelines import Pipelines
    from governance_flow.domain.events import MotionEvent

PAGE = 100


def is_system_error(error: OrchestratorError) -> bool:
    """Return whether the error counts towards the breaker: one that halts by its very type."""
    return strategy_for(error.error_type) is ErrorEscalationStrategy.HALT_AND_ALERT


class Breaker:
    """Counts system errors in the store itself, so that it is right over all workers."""

    def __init__(
        self, store: EventStore, mapper: EventMapper, pipelines: Pipelines, clock: Clock
    ) -> None:
        self._store = store
        self._mapper = mapper
        self._pipelines = pipelines
        self._clock = clock

    async def watch(self, events: Sequence[MotionEvent]) -> None:
        """Halt the pipeline if one of ``events`` was a system error too many."""
        if any(isinstance(event, OrchestratorError) and is_system_error(event) for event in events):
            await self.check()

    async def check(self) -> None:
        """Halt the pipeline if there were too many system errors since it was last resumed.

        Workers ask from time to time as well: whoever recorded the last of those errors may have
        died, or lost the store, before it could halt. So it does not matter how long ago that was.
        """
        pipeline = await self._pipelines.refresh()
        if pipeline.halted:
            return
        policy = self._pipelines.configuration.breaker
        window = timedelta(seconds=policy.window_seconds)
        if await self._tripped(policy.system_errors, window, pipeline.last_resumed_at):
            reason = (
                f"the breaker tripped: {policy.system_errors} system errors "
                f"within {policy.window_seconds:g} s"
            )
            await self._pipelines.halt(SYSTEM, reason)

    async def _tripped(self, count: int, window: timedelta, since: datetime | None) -> bool:
        """Return whether the newest ``count`` system errors after ``since`` lie in one window."""
        found = 0
        newest: datetime | None = None
        before: int | None = None
        while True:
            page = await self._store.read_latest(
                OrchestratorError.topic, limit=PAGE, before_position=before
            )
            for stored in page:
                error = cast("OrchestratorError", self._mapper.to_event(stored))
                if since is not None and error.timestamp <= since:
                    return False
                if newest is not None and error.timestamp <= newest - window:
                    return False
                if is_system_error(error):
                    newest = newest or error.timestamp
                    found += 1
                if found >= count:
                    return True
            if len(page) < PAGE:
                return False
            before = page[-1].id
