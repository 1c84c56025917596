"""Tells whoever watches, in this process, that something has changed: one look at the log for all.

Whoever is slow misses nothing but intermediate news: what was changed meanwhile is told at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog

from governance_flow.domain.errors import StoreError
from governance_flow.domain.events import PIPELINE_ID

if TYPE_CHECKING:
    from governance_flow.application.ports.event_store import EventStore

INTERVAL_SECONDS = 1.0
LOOK_SECONDS = 5.0
NAMED_MAX = 200
"""So many motions are named in one piece of news."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """What has changed: up to where in the log, and which motions moved."""

    position: int
    halted: bool
    motions: frozenset[UUID] = frozenset()
    more: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return {
            "position": self.position,
            "halted": self.halted,
            "motions": sorted(map(str, self.motions)),
            "more": self.more,
        }

    def after(self, before: Change) -> Change:
        """Return both pieces of news in one."""
        motions = before.motions | self.motions
        more = before.more or self.more or len(motions) > NAMED_MAX
        return Change(self.position, self.halted, frozenset() if more else motions, more)


@dataclass(eq=False, slots=True)
class _Watcher:
    news: Change | None = None
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, change: Change) -> None:
        self.news = change if self.news is None else change.after(self.news)
        self.told.set()


class Changes:
    """Follows the log for as long as somebody watches."""

    def __init__(self, store: EventStore, stopping: asyncio.Event) -> None:
        self._store = store
        self._stopping = stopping
        self._watchers: set[_Watcher] = set()
        self._following: asyncio.Task[None] | None = None

    async def follow(self) -> AsyncIterator[Change]:
        """Yield how things stand, and then every change, until the process is to end."""
        watcher = _Watcher()
        head = await self._store.head()
        watcher.tell(Change(head.position, head.halted))
        self._watchers.add(watcher)
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(
                self._follow(head.position), name="changes", context=Context()
            )
        try:
            while not self._stopping.is_set():
                await self._news_for(watcher)
                if watcher.news is not None:
                    news, watcher.news = watcher.news, None
                    watcher.told.clear()
                    yield news
        finally:
            self._watchers.discard(watcher)

    async def stop(self) -> None:
        """Look at the log no more, before it is closed."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following})

    async def _news_for(self, watcher: _Watcher) -> None:
        told = asyncio.ensure_future(watcher.told.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({told, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            stopping.cancel()

    async def _follow(self, position: int) -> None:
        while self._watchers and not self._stopping.is_set():
            try:
                await self._store.wait_for_append(
                    after_position=position, timeout_seconds=LOOK_SECONDS
                )
                change = await self._since(position)
            except StoreError as error:
                # Whoever watches sees it by asking; here it is only said, and looked again.
                log.warning("the log could not be followed", error=str(error))
                change = None
            if change is not None:
                position = change.position
                for watcher in self._watchers:
                    watcher.tell(change)
            await self._pause()

    async def _since(self, position: int) -> Change | None:
        head = await self._store.head()
        if head.position <= position:
            return None
        events = await self._store.read_all(
            after_position=position, limit=NAMED_MAX, up_to_position=head.position
        )
        moved = frozenset(UUID(str(event.originator_id)) for event in events) - {PIPELINE_ID}
        more = head.position - position > NAMED_MAX
        return Change(head.position, head.halted, moved, more)

    async def _pause(self) -> None:
        """Let what follows gather; end at once if the process is to end."""
        try:
            async with asyncio.timeout(INTERVAL_SECONDS):
                await self._stopping.wait()
        except TimeoutError:
            return
