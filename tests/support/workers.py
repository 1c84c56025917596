"""What tests of the process manager hold on to: services that wait, rows, failing parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from inspect import isawaitable
from typing import Any, TypeVar
from uuid import UUID

from governance_flow.application.ports.assignments import DueWork, LeasedAssignment, WorkChange
from governance_flow.application.ports.database import Row
from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult
from tests.support.flows import PATIENCE_SECONDS, Answer, PlayedFlow, succeeding

T = TypeVar("T")


class Gate:
    """A branch service that says when it has begun, and goes on when it is let."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer or succeeding()
        self.calls: list[BranchAssignment] = []
        self.begun: asyncio.Queue[BranchAssignment] = asyncio.Queue()
        self.open = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        """Wait to be let through."""
        self.calls.append(assignment)
        self.begun.put_nowait(assignment)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        result: BranchResult = self.answer(assignment)
        return result

    async def has_begun(self) -> BranchAssignment:
        """Return the next assignment it has begun on."""
        return await soon(self.begun.get())


async def soon(waiting: Awaitable[T]) -> T:
    """Wait for something that must happen; fail if it does not."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await waiting


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Let other tasks run until something holds that tells nobody so; fail if it never does."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            holds = condition()
            if await holds if isawaitable(holds) else holds:
                return
            await asyncio.sleep(0)


@asynccontextmanager
async def working(flow: PlayedFlow) -> AsyncIterator[asyncio.Task[None]]:
    """Let a worker run beside the test; stop it at the end, which it must come to by itself."""
    task = asyncio.create_task(flow.flow.worker.run())
    try:
        yield task
    finally:
        flow.flow.worker.stop()
        await soon(task)


async def follow(flow: PlayedFlow) -> None:
    """Bring the rows up to the log, without a worker."""
    await flow.flow.runner.catch_up((await flow.flow.store.head()).position)


async def assignments(flow: PlayedFlow) -> list[LeasedAssignment]:
    """Return the open assignments."""
    await follow(flow)
    return await flow.flow.assignments.list_open(limit=1000)


async def assignment(flow: PlayedFlow) -> LeasedAssignment:
    """Return the only open assignment there is."""
    [row] = await assignments(flow)
    return row


async def agenda(flow: PlayedFlow) -> dict[UUID, tuple[str, int]]:
    """Return what is on the agenda for each motion, and when it is due."""
    await follow(flow)
    rows = await table(flow, "agenda")
    return {UUID(motion_id): (kind, due_us) for motion_id, kind, due_us, *_ in rows}


async def table(flow: PlayedFlow, name: str) -> list[Row]:
    """Return the rows of a table, in a fixed order."""
    return await flow.flow.database.read(lambda tx: sorted(tx.execute(f"SELECT * FROM {name}")))


async def change_table(flow: PlayedFlow, sql: str) -> None:
    """Reach into a table."""
    await flow.flow.database.write(lambda tx: tx.execute(sql))


async def change_work(flow: PlayedFlow, *changes: WorkChange) -> None:
    """Put something into the rows that no append calls for."""
    store = flow.flow.assignments
    await flow.flow.database.write(lambda tx: store.apply(tx, changes))


async def due(flow: PlayedFlow) -> DueWork:
    """Return what a worker sees when it looks."""
    return await flow.flow.assignments.due(flow.flow.worker._dispatcher.services)


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Put something in the place of an attribute or a method for a while."""
    was_own = name in vars(owner)
    kept = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if was_own:
            setattr(owner, name, kept)
        else:
            delattr(owner, name)


class Failing:
    """Calls a function, but fails first, once for each error; ``calls`` counts all calls."""

    def __init__(self, function: Callable[..., Any], *errors: BaseException) -> None:
        self.function = function
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raise the next error, or do as the function does."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return await self.function(*args, **kwargs)
