"""Writing transactions that share a commit, for a database that has one writer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from governance_flow.domain.errors import StoreError
from governance_flow.infrastructure.database.base import StoreTransaction
from governance_flow.infrastructure.database.errors import CommitOutcomeUnknown
from governance_flow.infrastructure.outcomes import own_copy, settle

log = structlog.get_logger(__name__)

T = TypeVar("T")

Work = Callable[[StoreTransaction], T]

TOGETHER_MAX = 64
"""How many may share a commit, so that the first of them need not wait for too many others."""


class _Waiting:
    __slots__ = ("loop", "outcome", "work")

    def __init__(self, work: Work[Any]) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.outcome: asyncio.Future[Any] = self.loop.create_future()


class SharedCommits:
    """Does one after the other, in one transaction, whatever waited while the last one was written.

    A commit waits for the disk, and what is to be written next waits for the commit: the more
    callers there are, the more share each. Everybody hears of theirs once it is durable. If
    anything goes wrong, nothing was committed, and each is done again by itself: so one that fails
    does so alone, and with its own error.

    ``write_now`` commits one piece of work in the calling thread; ``in_thread`` starts a call in
    the one thread that writes, or raises StoreUnavailable.
    """

    def __init__(
        self,
        write_now: Callable[[Work[Any]], Any],
        in_thread: Callable[[Callable[[], None]], object],
    ) -> None:
        self._write_now = write_now
        self._in_thread = in_thread
        self._queue: deque[_Waiting] = deque()

    async def write(self, work: Work[T]) -> T:
        """Commit what ``work`` does, or roll it all back and raise, as SqlDatabase.write does."""
        waiting = _Waiting(work)
        self._queue.append(waiting)
        # A turn for each: those that find nothing left to do cost next to nothing, and nobody has
        # to know whether one is under way.
        try:
            self._in_thread(self._take_turn)
        except StoreError:
            # The store was closed; but a turn that had begun may have taken it even so.
            if waiting in self._queue:
                self._queue.remove(waiting)
                raise
        result: T = await waiting.outcome
        return result

    def _take_turn(self) -> None:
        """Do what waits by now. Of what was cancelled before, nothing begins."""
        together: list[_Waiting] = []
        while self._queue and len(together) < TOGETHER_MAX:
            waiting = self._queue.popleft()
            if not waiting.outcome.done():
                together.append(waiting)
        if not together:
            return
        answers = self._done([waiting.work for waiting in together])
        # Whoever waited on a loop that was closed meanwhile does not wait any more.
        with suppress(RuntimeError):
            together[0].loop.call_soon_threadsafe(_tell, together, answers)

    def _done(self, works: Sequence[Work[Any]]) -> list[Any]:
        """Return what each came to: its result, or an exception."""
        if len(works) > 1:
            try:
                return list(self._write_now(lambda tx: [work(tx) for work in works]))
            except CommitOutcomeUnknown as error:
                return [own_copy(error) for _ in works]
            except Exception as error:  # noqa: BLE001 - raised again below, to whom it concerns
                log.debug("nothing was committed together; each goes by itself", error=repr(error))
        return [self._alone(work) for work in works]

    def _alone(self, work: Work[Any]) -> Any:
        try:
            return self._write_now(work)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for it
            return error


def _tell(together: Sequence[_Waiting], answers: Sequence[Any]) -> None:
    for waiting, answer in zip(together, answers, strict=True):
        settle(waiting.outcome, answer)
