"""The bounded queue of appends on their way to the committer."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from governance_flow.application.ports.event_store import Append, CommittedEvent
from governance_flow.domain.errors import StoreBusy, StoreError
from governance_flow.infrastructure.outcomes import settle


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what waits (``queue``) and on what shares a transaction (``group``).

    ``wait_seconds`` is how long an append may wait for a place in the queue.
    """

    queue_appends: int = 2048
    queue_bytes: int = 64 * 2**20
    group_appends: int = 256
    group_bytes: int = 8 * 2**20
    wait_seconds: float = 10.0


class PendingAppend:
    """An append and whoever waits for its outcome."""

    __slots__ = ("append", "outcome", "size_bytes")

    def __init__(self, append: Append) -> None:
        self.append = append
        self.size_bytes = sum(len(event.state) for event in append.events)
        self.outcome: asyncio.Future[tuple[CommittedEvent, ...]] = (
            asyncio.get_running_loop().create_future()
        )

    def resolve(self, outcome: tuple[CommittedEvent, ...] | BaseException) -> None:
        """Hand over the outcome, unless whoever waited was cancelled."""
        settle(self.outcome, outcome)


class AppendQueue:
    """First in, first out; bounded by number and by bytes. For one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pending: deque[PendingAppend] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._waiting_for_room: deque[asyncio.Future[None]] = deque()
        self._closed: StoreError | None = None

    async def put(self, pending: PendingAppend) -> None:
        """Add an append, waiting for room if need be.

        Raises StoreBusy if there was none in time, the closing error if the queue is closed.
        """
        if self._closed is None and not self._has_room(pending):
            try:
                async with asyncio.timeout(self._limits.wait_seconds):
                    await self._room_for(pending)
            except TimeoutError:
                raise StoreBusy(
                    f"{len(self._pending)} appends were waiting to be committed for "
                    f"{self._limits.wait_seconds:g} s; the store cannot keep up: "
                    "drive fewer motions at once, or try again later",
                    stream_id=pending.append.stream_id,
                ) from None
        if self._closed is not None:
            raise self._closed
        self._pending.append(pending)
        self._bytes += pending.size_bytes
        self._filled.set()

    async def take_group(self) -> list[PendingAppend]:
        """Wait until something is there; return what may share one transaction.

        Empty once the queue is closed and there is nothing left in it. Appends whose waiter was
        cancelled meanwhile are dropped: nothing of them was recorded.
        """
        while True:
            await self._filled.wait()
            group = self._next_group()
            if group or self._closed is not None:
                return group

    def drain(self) -> list[PendingAppend]:
        """Take everything at once."""
        drained = list(self._pending)
        self._pending.clear()
        self._taken(self._bytes)
        return drained

    def close(self, error: StoreError) -> None:
        """Raise ``error`` to whoever puts anything from now on, or waits to."""
        self._closed = error
        self._filled.set()
        self._wake_waiting()

    def _next_group(self) -> list[PendingAppend]:
        group: list[PendingAppend] = []
        size_bytes = taken_bytes = 0
        while self._pending and len(group) < self._limits.group_appends:
            pending = self._pending[0]
            # One that is larger than a group may be has a group to itself.
            if group and size_bytes + pending.size_bytes > self._limits.group_bytes:
                break
            self._pending.popleft()
            taken_bytes += pending.size_bytes
            if not pending.outcome.done():
                group.append(pending)
                size_bytes += pending.size_bytes
        self._taken(taken_bytes)
        return group

    def _taken(self, size_bytes: int) -> None:
        self._bytes -= size_bytes
        if not self._pending and self._closed is None:
            self._filled.clear()
        self._wake_waiting()

    def _has_room(self, pending: PendingAppend) -> bool:
        # An empty queue takes anything: one append may be larger than the bound.
        return not self._pending or (
            len(self._pending) < self._limits.queue_appends
            and self._bytes + pending.size_bytes <= self._limits.queue_bytes
        )

    async def _room_for(self, pending: PendingAppend) -> None:
        while self._closed is None and not self._has_room(pending):
            room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting_for_room.append(room)
            await room

    def _wake_waiting(self) -> None:
        while self._waiting_for_room:
            room = self._waiting_for_room.popleft()
            if not room.done():
                room.set_result(None)
