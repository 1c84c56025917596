"""The event store: concurrent appends share a transaction, and each hears only of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic, perf_counter
from uuid import UUID

from governance_flow.application.ports.event_store import Append, CommittedEvent, Head
from governance_flow.domain.errors import StoreError, StoreUnavailable
from governance_flow.infrastructure.append_queue import AppendQueue, Limits, PendingAppend
from governance_flow.infrastructure.append_rules import Outcome, check_append
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.database.hints import Channel
from governance_flow.infrastructure.event_table import END, EventTable
from governance_flow.infrastructure.outcomes import own_copy
from governance_flow.infrastructure.recorder import SqlRecorder
from governance_flow.infrastructure.tail import Tail

logger = logging.getLogger(__name__)

OnGroup = Callable[[int, int, float], None]
"""Told of every group: how many appends, how many events of them were committed, seconds taken."""

POLL_SECONDS = 0.2
"""How often a follower looks whether another process wrote to an SQLite file."""


class GroupCommitEventStore:
    """The EventStore port on an SQL database. Use it from one event loop.

    Whatever was appended while one group was being committed is the next group, so groups grow
    with the load, and a lone append waits for nothing. In memory there is nothing to wait for:
    appends are committed one by one, in place.
    """

    def __init__(
        self,
        database: AnyDatabase,
        *,
        recorder: SqlRecorder | None = None,
        limits: Limits | None = None,
        on_group: OnGroup | None = None,
    ) -> None:
        self._database = database
        self._recorder = recorder or SqlRecorder(database)
        self._table = EventTable(database.dialect)
        self._queue = AppendQueue(limits or Limits())
        self._on_group = on_group
        self._committer: asyncio.Task[None] | None = None
        self._tail = Tail()

    async def append(self, append: Append) -> tuple[CommittedEvent, ...]:
        """Commit ``append`` or raise and leave no trace.

        A caller that is cancelled while it waits does not know whether its events are recorded.
        """
        check_append(append)
        pending = PendingAppend(append)
        if self._database.inline:
            await self._commit([pending])
        else:
            await self._queue.put(pending)
            self._ensure_committer()
        return await pending.outcome

    async def read_stream(
        self, stream_id: UUID, *, after_version: int = 0, up_to_version: int | None = None
    ) -> list[CommittedEvent]:
        """Return the stream's events in order of version; empty for an unknown stream."""
        return await self._database.read_once(
            lambda tx: self._table.stream(
                tx,
                stream_id,
                after_version=after_version,
                up_to_version=END if up_to_version is None else up_to_version,
            )
        )

    async def read_streams(self, stream_ids: Sequence[UUID]) -> list[CommittedEvent]:
        """Return the events of several streams, of each in order of version."""
        return await self._database.read_once(lambda tx: self._table.streams(tx, stream_ids))

    async def read_all(
        self,
        *,
        after_position: int,
        limit: int,
        up_to_position: int | None = None,
        topics: Sequence[str] = (),
    ) -> list[CommittedEvent]:
        """Return at most ``limit`` events of all streams in order of position."""
        last = END if up_to_position is None else up_to_position
        if not topics:
            recent = self._tail.after(after_position, limit=limit, up_to_position=last)
            if recent:
                return recent
        return await self._database.read_once(
            lambda tx: self._table.page(
                tx,
                after_position=after_position,
                limit=limit,
                up_to_position=last,
                topics=topics,
            )
        )

    async def read_latest(
        self, topic: str, *, limit: int, before_position: int | None = None
    ) -> list[CommittedEvent]:
        """Return the newest events of one topic, newest first."""
        before = END if before_position is None else before_position
        return await self._database.read_once(
            lambda tx: self._table.latest(tx, topic, before_position=before, limit=limit)
        )

    async def head(self) -> Head:
        """Return the head row as last committed."""
        return await self._database.read_row(self._table.head)

    async def wait_for_append(self, *, after_position: int, timeout_seconds: float) -> None:
        """Return once something may stand after the position, or the time is up: only a hint."""
        hints = self._database.hints
        if self._database.inline or self._database.dialect == "postgres":
            self._database.start_listening()
            await hints.wait(Channel.EVENTS, above=after_position, timeout_seconds=timeout_seconds)
            return
        # No process hears of what another one writes to a file: it has to look.
        deadline = monotonic() + timeout_seconds
        while hints.latest(Channel.EVENTS) <= after_position:
            hints.publish(Channel.EVENTS, (await self.head()).position)
            remaining_seconds = deadline - monotonic()
            if remaining_seconds <= 0:
                return
            await hints.wait(
                Channel.EVENTS,
                above=after_position,
                timeout_seconds=min(POLL_SECONDS, remaining_seconds),
            )

    async def close(self) -> None:
        """Finish the group under way; everybody behind it gets StoreUnavailable.

        Does not close the database. May be repeated.
        """
        closing = StoreUnavailable("the store is being closed; nothing was recorded")
        self._queue.close(closing)
        self._fail(self._queue.drain(), closing)
        if self._committer is not None:
            await asyncio.wait({self._committer})

    def _ensure_committer(self) -> None:
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._run(), name="committer")

    async def _run(self) -> None:
        while group := await self._queue.take_group():
            await self._commit(group)

    async def _commit(self, group: Sequence[PendingAppend]) -> None:
        """Commit a group and resolve each of its appends, whatever happens."""
        appends = [pending.append for pending in group]
        started = perf_counter()
        try:
            outcomes = await self._database.in_write_thread(
                lambda: self._recorder.commit_group(appends)
            )
        except asyncio.CancelledError:
            ending = StoreUnavailable("the program is ending", outcome_unknown=True)
            self._fail([*group, *self._queue.drain()], ending)
            raise
        except StoreUnavailable as error:
            # Whoever is queued would only wait for the same failure.
            self._fail([*group, *self._queue.drain()], error)
        except StoreError as error:
            self._fail(group, error)
        except Exception as error:
            logger.exception("a group of %d appends failed in an unforeseen way", len(group))
            self._fail(group, StoreError(f"the append failed: {error!r}"))
        else:
            for pending, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, tuple):
                    self._tail.extend(outcome)
                pending.resolve(outcome)
            self._report(outcomes, perf_counter() - started)

    @staticmethod
    def _fail(group: Sequence[PendingAppend], error: StoreError) -> None:
        for pending in group:
            pending.resolve(own_copy(error))

    def _report(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        if self._on_group is None:
            return
        events = sum(len(outcome) for outcome in outcomes if isinstance(outcome, tuple))
        try:
            self._on_group(len(outcomes), events, seconds)
        except Exception:
            # Metrics must not stop commits; the events are recorded and acknowledged.
            logger.exception("the metrics hook failed")
