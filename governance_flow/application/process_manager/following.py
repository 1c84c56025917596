"""Bringing the read model up to the events, by one worker for all of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from governance_flow.domain.errors import GovernanceFlowError

if TYPE_CHECKING:
    from governance_flow.application.ports.assignments import Duties
    from governance_flow.application.ports.clock import Clock
    from governance_flow.application.ports.projection import Follower

DUTY = "follow"
LEASE_SECONDS = 5.0
"""How long the read model may stand still when whoever follows the events has died."""

RENEW_AFTER = timedelta(seconds=LEASE_SECONDS / 3)

FOLLOW_EVERY = timedelta(milliseconds=500)
BATCH = 5000
"""How far the read model is let fall behind, in time and in events, while nobody asks it."""

BATCHES_MAX = 10
"""How much of the log is followed in one round, so that a growing log starves nothing else."""

log = structlog.get_logger(__name__)


class Following:
    """Follows the events while it is this worker's duty.

    The duty only saves work: whoever holds the lock on the positions applies a batch, so two
    workers that follow at once do no harm. Who asks the read model catches up first, and does not
    wait for anybody's lease.
    """

    def __init__(self, follower: Follower, duties: Duties, clock: Clock, owner: str) -> None:
        self._follower = follower
        self._duties = duties
        self._clock = clock
        self._owner = owner
        self._followed = clock.now() - FOLLOW_EVERY
        self._ours = False
        self._asked_at = self._ask_at = clock.now()

    async def follow(self, head_position: int) -> None:
        """Bring the read model up to the events, if it is far enough behind, or late.

        Large batches cost less, because a motion that moves several times is written once; and
        a motion on its way is not held up by what nobody looks at.
        """
        now = self._clock.now()
        behind_events = head_position - self._follower.position
        if behind_events <= 0 or (
            behind_events < BATCH and timedelta(0) <= now - self._followed < FOLLOW_EVERY
        ):
            return
        if not await self._on_duty():
            return
        self._followed = now
        for _ in range(BATCHES_MAX):
            if not await self._follower.run_once(BATCH):
                return
            if self._follower.position >= head_position:
                # What came in meanwhile makes the next batch.
                return

    def rest_seconds(self, head_position: int) -> float | None:
        """Return after how long to follow what is there; None if there is nothing to follow."""
        if not self._ours or head_position <= self._follower.position:
            return None
        return max(0.0, (self._followed + FOLLOW_EVERY - self._clock.now()).total_seconds())

    async def catch_up(self, position: int) -> None:
        """Return once the read model has everything up to a position, whoever's duty it is."""
        await self._follower.catch_up(position)

    async def lay_down(self) -> None:
        """Let another worker follow at once."""
        if not self._ours:
            return
        self._ours, self._ask_at = False, self._clock.now()
        try:
            await self._duties.lay_down_duty(DUTY, owner=self._owner)
        except GovernanceFlowError as error:
            log.warning("not laid down: others must wait until the lease ends", error=str(error))

    async def _on_duty(self) -> bool:
        now = self._clock.now()
        # A clock that was set back must not keep us from asking for as long.
        if not self._asked_at <= now < self._ask_at:
            seconds = await self._duties.take_duty(
                DUTY, owner=self._owner, lease_seconds=LEASE_SECONDS
            )
            self._ours = seconds is None
            self._asked_at = now
            self._ask_at = now + (RENEW_AFTER if seconds is None else timedelta(seconds=seconds))
        return self._ours
