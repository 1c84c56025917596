"""Bringing the read model and the audit log up to the events, by one worker for all of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from governance_flow.domain.errors import GovernanceFlowError, KeyUnavailable, LogInconsistent

if TYPE_CHECKING:
    from governance_flow.application.ports.assignments import Duties
    from governance_flow.application.ports.clock import Clock
    from governance_flow.application.ports.projection import Follower
    from governance_flow.application.services.checkpointing import Checkpointing

DUTY = "follow"
LEASE_SECONDS = 5.0
"""How long the read model may stand still when whoever follows the events has died."""

RENEW_AFTER = timedelta(seconds=LEASE_SECONDS / 3)

FOLLOW_EVERY = timedelta(milliseconds=500)
BATCH = 5000
"""How far the read model is let fall behind, in time and in events, while nobody asks it."""

CHECKPOINT_RETRY = timedelta(minutes=1)
"""How long to wait after a checkpoint could not be signed."""

BATCHES_MAX = 10
"""How much of the log is followed in one round, so that a growing log starves nothing else."""

log = structlog.get_logger(__name__)


class Following:
    """Follows the events while it is this worker's duty.

    The duty only saves work: whoever holds the lock on the positions applies a batch, so two
    workers that follow at once do no harm. Who asks the read model catches up first, and does not
    wait for anybody's lease. What was followed is put under a checkpoint at once.
    """

    def __init__(
        self,
        follower: Follower,
        checkpointing: Checkpointing,
        duties: Duties,
        clock: Clock,
        owner: str,
    ) -> None:
        self._follower = follower
        self._checkpointing = checkpointing
        self._signed_position = 0
        self._sign_at = clock.now()
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
        if not self._unsigned(head_position) or (
            behind_events < BATCH and timedelta(0) <= now - self._followed < FOLLOW_EVERY
        ):
            return
        if not await self._on_duty():
            return
        self._followed = now
        for _ in range(BATCHES_MAX if behind_events > 0 else 0):
            # What comes in meanwhile makes the next batch.
            if not await self._follower.run_once(BATCH) or self._follower.position >= head_position:
                break
        await self._sign_if_possible()

    def _unsigned(self, head_position: int) -> bool:
        """Return whether there are events to follow, or to sign because others followed them."""
        return head_position > min(self._follower.position, self._signed_position)

    def rest_seconds(self, head_position: int) -> float | None:
        """Return after how long to follow what is there; None if there is nothing to follow."""
        if not self._ours or not self._unsigned(head_position):
            return None
        due = self._followed + FOLLOW_EVERY
        if head_position <= self._follower.position:
            due = max(due, self._sign_at)
        return max(0.0, (due - self._clock.now()).total_seconds())

    async def catch_up(self, position: int) -> None:
        """Return once everything up to a position is followed, whoever's duty it is, and signed.

        Raises LogInconsistent, and KeyUnavailable if the log's key is not here.
        """
        await self._follower.catch_up(position)
        if self._signed_position < position:
            await self._sign()

    async def _sign_if_possible(self) -> None:
        """Sign a checkpoint; what keeps us from it is said aloud, and tried again later.

        Without checkpoints the pipeline goes on: the events are safe, and are covered by the next.
        """
        if self._follower.position == self._signed_position or self._clock.now() < self._sign_at:
            return
        try:
            await self._sign()
        except (KeyUnavailable, LogInconsistent) as error:
            self._sign_at = self._clock.now() + CHECKPOINT_RETRY
            log.error("no checkpoint signed", why=str(error))  # noqa: TRY400 - it says all

    async def _sign(self) -> None:
        self._signed_position = (await self._checkpointing.sign()).size - 1

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
