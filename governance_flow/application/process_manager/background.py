"""Tasks beside the worker's loop: none is forgotten, and none can hold up the worker's end."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import structlog

from governance_flow.domain.errors import GovernanceFlowError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

CANCEL_SECONDS = 5.0
"""How long a cancelled task may take to end."""

KEPT_MAX = 100
"""How many failures are kept; of more, the oldest are only in the log."""

MAX_BACKOFF_SECONDS = 30.0
_DOUBLINGS_MAX = 16

log = structlog.get_logger(__name__)


class Failures:
    """What went wrong beside the worker's loop: logged at once, and kept until it is taken."""

    def __init__(self) -> None:
        self._kept: deque[BaseException] = deque(maxlen=KEPT_MAX)

    def note(self, what: str, error: BaseException) -> None:
        """Log an error and keep it; ``what`` says what was being done."""
        self._kept.append(error)
        expected = isinstance(error, GovernanceFlowError)
        log.error(
            "failed, and left for later",
            what=what,
            error=f"{type(error).__name__}: {error}",
            exc_info=None if expected else error,
        )

    def take(self) -> list[BaseException]:
        """Return what was noted since this was last asked."""
        kept = list(self._kept)
        self._kept.clear()
        return kept


class Background:
    """A set of running tasks; ``on_done`` is called whenever one has ended, however it did."""

    def __init__(self, on_done: Callable[[], None], failures: Failures) -> None:
        self._on_done = on_done
        self._failures = failures
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return how many tasks are running."""
        return len(self._tasks)

    def start(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """Run ``work``."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def finish(self, seconds: float) -> None:
        """Wait until every task has ended, at most so long."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def cancel(self) -> None:
        """Cancel every task and wait for it to end; one that will not is left behind, and named."""
        for task in self._tasks:
            task.cancel()
        await self.finish(CANCEL_SECONDS)
        for task in self._tasks:
            log.error("the work was cancelled and goes on all the same", task=task.get_name())

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.note(task.get_name(), error)
        self._on_done()


def backoff_seconds(base_seconds: float, failures: int) -> float:
    """Return how long to wait after so many failures running, the first being number 1."""
    doubled: float = base_seconds * 2 ** min(failures, _DOUBLINGS_MAX)
    return min(doubled, MAX_BACKOFF_SECONDS)
