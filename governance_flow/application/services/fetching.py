"""Fetching that waits: whoever asks for assignments gets the first ones that there are.

However many wait in this process, one of them asks the store for all: when rows were added, or a
bounded time has passed, it claims for all of them in one transaction, for the one who waits longest
first, until there is nothing more of what they want.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from governance_flow.application.ports.assignments import Wish
from governance_flow.application.services.external import require_sound
from governance_flow.domain.errors import CompletionRefused, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from governance_flow.application.ports.assignments import AssignmentStore
    from governance_flow.application.ports.flow_orchestrator import BranchAssignment
    from governance_flow.application.services.external import ExternalAssignments

Fetched = list["BranchAssignment"]

TOGETHER_MAX = 64
"""For how many one transaction claims: nobody else can write meanwhile where there is one writer.
"""

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Waiter:
    wish: Wish
    answer: asyncio.Future[Fetched] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class FetchDesk:
    """Hands out assignments to whoever waits for them in this process."""

    def __init__(
        self, external: ExternalAssignments, assignments: AssignmentStore, poll_seconds: float
    ) -> None:
        self._external = external
        self._assignments = assignments
        self._poll_seconds = poll_seconds
        self._waiting: dict[_Waiter, None] = {}
        self._serving: asyncio.Task[None] | None = None
        self._resting: asyncio.Task[int] | None = None
        self._looks = 0
        self._look_again = False

    @property
    def waiting(self) -> int:
        """How many wait here."""
        return len(self._waiting)

    async def fetch(
        self,
        services: Sequence[str],
        *,
        by: str,
        limit: int,
        lease_seconds: float,
        wait_seconds: float = 0.0,
    ) -> Fetched:
        """Claim assignments, waiting at most ``wait_seconds`` for the first of them.

        Cancelled, it leaves nothing claimed. Raises as the fetch that does not wait.
        """
        wish = Wish(frozenset(services), by, limit, lease_seconds)
        require_sound(wish)  # Now: later it would spoil the claims of everybody who waits.
        if wait_seconds <= 0 or not self._nothing_is_left_for(wish):
            while True:
                looks = self._looks
                found = await self._claim_for_caller(wish)
                if found or wait_seconds <= 0:
                    return found
                if looks == self._looks:
                    break
                # Rows were added while we looked: the hint was spent before we began to wait.
        return await self._wait(wish, wait_seconds)

    async def give_back(self, fetched: Iterable[BranchAssignment]) -> None:
        """Let others claim what could not be handed over; what is lost already stays so."""
        for assignment in fetched:
            if assignment.lease_token is None:
                continue
            try:
                await self._external.release(assignment.routing_id, assignment.lease_token)
            except CompletionRefused:
                continue
            except StoreError as error:
                log.warning(
                    "an assignment could not be given back: it is free when its lease ends",
                    routing_id=str(assignment.routing_id),
                    error=str(error),
                )
        self.look_again()

    def look_again(self) -> None:
        """Ask the store again for those who wait: something was given back."""
        self._look_again = True
        self._rouse()

    def _rouse(self) -> None:
        if self._resting is not None:
            self._resting.cancel()

    def _nothing_is_left_for(self, wish: Wish) -> bool:
        """Whether somebody who came before waits for the same: then it is not our turn."""
        return any(
            other.wish.services == wish.services and not other.answer.done()
            for other in self._waiting
        )

    async def _wait(self, wish: Wish, seconds: float) -> Fetched:
        waiter = _Waiter(wish)
        self._waiting[waiter] = None
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve(), name="fetch desk", context=Context())
        try:
            # The answer may come in the same moment as the end: it must be seen below.
            await asyncio.wait([waiter.answer], timeout=seconds)
        except asyncio.CancelledError:
            if self._left(waiter) and waiter.answer.exception() is None:
                await asyncio.shield(self.give_back(waiter.answer.result()))
            raise
        return waiter.answer.result() if self._left(waiter) else []

    def _left(self, waiter: _Waiter) -> bool:
        """Wait no more; return whether an answer had come."""
        self._waiting.pop(waiter, None)
        if not self._waiting:
            self._rouse()
        if waiter.answer.done():
            return True
        waiter.answer.cancel()
        return False

    async def _claim(self, wish: Wish) -> Fetched:
        [found] = await self._external.fetch_each([wish])
        return found

    async def _claim_for_caller(self, wish: Wish) -> Fetched:
        """Claim; whoever is cancelled meanwhile gives back what the store had granted already."""
        claiming = asyncio.create_task(self._claim(wish))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back_once(claiming))
            raise

    async def _give_back_once(self, claiming: asyncio.Task[Fetched]) -> None:
        await asyncio.wait([claiming])
        if not claiming.cancelled() and claiming.exception() is None:
            await self.give_back(claiming.result())

    # -- The one who asks for all --------------------------------------------------------------

    async def _serve(self) -> None:
        seen = 0
        try:
            while self._waiting:
                if not self._look_again:
                    seen = await self._rest(seen)
                self._look_again = False
                self._looks += 1
                await self._serve_once()
        except Exception as error:  # noqa: BLE001 - each who waits is told, and decides
            for waiter in self._waiting:
                if not waiter.answer.done():
                    waiter.answer.set_exception(error)

    async def _rest(self, seen: int) -> int:
        """Return at the next hint, after a bounded time, or when somebody rouses us."""
        resting = asyncio.create_task(
            self._wait_for_work(seen), name="fetch desk, waiting for work"
        )
        self._resting = resting
        try:
            await asyncio.wait([resting])
        finally:
            self._resting = None
            resting.cancel()
        return seen if resting.cancelled() else resting.result()

    async def _wait_for_work(self, seen: int) -> int:
        return await self._assignments.wait_for_work(seen=seen, timeout_seconds=self._poll_seconds)

    async def _serve_once(self) -> None:
        asked: set[_Waiter] = set()
        exhausted: set[frozenset[str]] = set()
        # Whoever begins to wait while we claim for others is asked for as well.
        while new := [waiter for waiter in self._waiting if waiter not in asked]:
            asked.update(new[:TOGETHER_MAX])
            hopeful = [
                waiter
                for waiter in new[:TOGETHER_MAX]
                if not waiter.answer.done()
                and not any(waiter.wish.services <= services for services in exhausted)
            ]
            if not hopeful:
                continue
            found = await self._external.fetch_each([waiter.wish for waiter in hopeful])
            for waiter, assignments in zip(hopeful, found, strict=True):
                if len(assignments) < waiter.wish.limit:
                    exhausted.add(waiter.wish.services)
                await self._hand(waiter, assignments)

    async def _hand(self, waiter: _Waiter, assignments: Fetched) -> None:
        if not assignments:
            return
        if waiter.answer.done():
            # It left while we claimed for it.
            await self.give_back(assignments)
        else:
            self._waiting.pop(waiter, None)
            waiter.answer.set_result(assignments)
