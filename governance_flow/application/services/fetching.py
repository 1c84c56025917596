"""Fetching that waits: whoever asks for assignments gets the first ones that there are.

However many wait in this process, one of them asks the store for all: when rows were added, or a
bounded time has passed, it claims for one after the other, the one who waits longest first, until
there is nothing more of what they want.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from governance_flow.domain.errors import CompletionRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from governance_flow.application.ports.assignments import AssignmentStore
    from governance_flow.application.ports.flow_orchestrator import BranchAssignment
    from governance_flow.application.services.external import ExternalAssignments

Fetched = list["BranchAssignment"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants: at most ``limit`` assignments of these services, under a lease."""

    services: tuple[str, ...]
    by: str
    limit: int
    lease_seconds: float


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

        Cancelled while it waits, it leaves nothing claimed. Raises as the fetch that does not wait.
        """
        wish = Wish(tuple(services), by, limit, lease_seconds)
        found = await self._claim(wish)
        if found or wait_seconds <= 0:
            return found
        waiter = _Waiter(wish)
        self._waiting[waiter] = None
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve(), name="fetch desk")
        try:
            # Shielded: an answer that comes in the same moment as the end must be seen below.
            await asyncio.wait([waiter.answer], timeout=wait_seconds)
        except asyncio.CancelledError:
            self._leave(waiter)
            if waiter.answer.done() and not waiter.answer.exception():
                await asyncio.shield(self.give_back(waiter.answer.result()))
            raise
        self._leave(waiter)
        return waiter.answer.result() if waiter.answer.done() else []

    async def give_back(self, fetched: Iterable[BranchAssignment]) -> None:
        """Let others claim what could not be handed over; what is lost already stays so."""
        for assignment in fetched:
            if assignment.lease_token is None:
                continue
            try:
                await self._external.release(assignment.routing_id, assignment.lease_token)
            except CompletionRefused:
                continue

    async def _claim(self, wish: Wish) -> Fetched:
        return await self._external.fetch(
            wish.services, by=wish.by, limit=wish.limit, lease_seconds=wish.lease_seconds
        )

    def _leave(self, waiter: _Waiter) -> None:
        self._waiting.pop(waiter, None)
        if not waiter.answer.done():
            waiter.answer.cancel()

    async def _serve(self) -> None:
        seen = 0
        try:
            while self._waiting:
                seen = await self._assignments.wait_for_work(
                    seen=seen, timeout_seconds=self._poll_seconds
                )
                await self._serve_once()
        except Exception as error:  # noqa: BLE001 - each who waits is told, and decides
            for waiter in list(self._waiting):
                if not waiter.answer.done():
                    waiter.answer.set_exception(error)

    async def _serve_once(self) -> None:
        nothing_for: set[tuple[str, ...]] = set()
        for waiter in list(self._waiting):
            if waiter.wish.services in nothing_for or waiter.answer.done():
                continue
            found = await self._claim(waiter.wish)
            if not found:
                nothing_for.add(waiter.wish.services)
            elif waiter.answer.done():
                # It left while we claimed for it.
                await self.give_back(found)
            else:
                self._waiting.pop(waiter, None)
                waiter.answer.set_result(found)
