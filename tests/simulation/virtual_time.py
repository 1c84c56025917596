"""Time that passes only when nothing is left to do, and tasks that always run in the same order.

Under ``VirtualTimeLoop`` the product's own timers, heartbeats and backoffs take no real time: as
soon as every task waits, the loop jumps to the next timer. Nothing runs in another thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from itertools import count
from math import ceil
from typing import Any, NoReturn

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
MICROSECONDS = 1_000_000

OWNER: ContextVar[object | None] = ContextVar("owner", default=None)
"""The simulated process a task belongs to; its children inherit it. None: the world outside."""


class Stalemate(Exception):
    """Every task waits, and no timer will ever wake one of them."""


class OwnedTask(asyncio.Task[Any]):
    """A task that knows its process. Its hash is its number, so that sets of tasks have an order.

    By default a task hashes to its address in memory, and a program that walks a set of tasks
    would walk it in another order each time.
    """

    def __init__(self, coro: Any, *, number: int, **named: Any) -> None:
        self.number = number
        context = named.get("context")
        self.owner = OWNER.get() if context is None else context.get(OWNER)
        super().__init__(coro, **named)

    def __hash__(self) -> int:
        return self.number


class _NothingToWaitFor:
    """Takes the place of a selector: waiting lets the time pass at once."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        """Let ``timeout`` seconds pass; raises Stalemate if there is nothing to wait for."""
        if timeout is None:
            raise Stalemate("nothing is left to do, but somebody still waits")
        if timeout > 0:
            self._loop.now_us += ceil(timeout * MICROSECONDS)
        return []


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """An event loop whose time is a number. Whole microseconds, as the store keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = 0
        self._numbers = count(1)
        self._selector = _NothingToWaitFor(self)
        self.set_task_factory(self._task)  # type: ignore[arg-type]
        # Whoever awaited an append has died with its process, and nobody hears what became of it.
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        """Return the seconds that have passed."""
        return self.now_us / MICROSECONDS

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Call ``func`` at once: there are no threads here."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits
            done.set_exception(error)
        return done

    def _task(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **named: Any
    ) -> OwnedTask:
        return OwnedTask(coro, number=next(self._numbers), loop=loop, **named)

    def _process_events(self, event_list: list[Any]) -> None:
        """Do nothing: no event ever comes from outside."""

    def _write_to_self(self) -> None:
        """Do nothing: no other thread waits to be let in."""


class VirtualClock:
    """The application's ``Clock`` port: the loop's time, on a machine whose clock may be wrong."""

    def __init__(self, loop: VirtualTimeLoop, skew_seconds: float = 0.0) -> None:
        self._loop = loop
        self.skew_us = round(skew_seconds * MICROSECONDS)

    def now(self) -> datetime:
        """Return the time this machine shows."""
        return START + timedelta(microseconds=self._loop.now_us + self.skew_us)


def tasks_of(owner: object) -> list[OwnedTask]:
    """Return the unfinished tasks of a process, the oldest first."""
    found = [
        task for task in asyncio.all_tasks() if isinstance(task, OwnedTask) and task.owner is owner
    ]
    return sorted(found, key=lambda task: task.number)


def run_virtually(work: Callable[[VirtualTimeLoop], Coroutine[Any, Any, Any]]) -> Any:
    """Run ``work`` on a loop of its own, and end whatever it leaves behind."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        if not isinstance(loop, VirtualTimeLoop):  # pragma: no cover - the factory makes no other
            _impossible(loop)
        return runner.run(work(loop))


def _impossible(loop: object) -> NoReturn:
    raise TypeError(f"not a loop of virtual time: {loop!r}")
