"""Begun before it is waited for: what answers at once needs no timer, the rest can have one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any

import pytest

from governance_flow.application.begun import Begun


async def test_what_never_waits_is_done_when_it_has_begun() -> None:
    async def at_once() -> str:
        return "done"

    begun = Begun(at_once())
    assert begun.done
    assert begun.result == "done"
    assert await begun == "done"
    assert await begun == "done"


async def test_what_waits_has_run_up_to_its_first_wait_and_no_further() -> None:
    steps = []
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def waits() -> str:
        steps.append("begun")
        said = await gate
        steps.append("let on")
        await asyncio.sleep(0)
        return said + "!"

    begun = Begun(waits())
    assert not begun.done
    await asyncio.sleep(0)
    assert steps == ["begun"]
    gate.set_result("done")
    assert await begun == "done!"
    assert steps == ["begun", "let on"]


async def test_it_waits_as_often_as_it_likes_and_lets_others_run_meanwhile() -> None:
    turns = []

    async def yields() -> int:
        for turn in range(3):
            turns.append(turn)
            await asyncio.sleep(0)
        return len(turns)

    async def beside() -> None:
        for _ in range(3):
            turns.append("other")  # type: ignore[arg-type]
            await asyncio.sleep(0)

    other = asyncio.create_task(beside())
    assert await Begun(yields()) == 6
    await other
    assert turns == [0, "other", 1, "other", 2, "other"]


async def test_what_is_raised_before_the_first_wait_is_raised_at_once() -> None:
    async def fails() -> None:
        raise LookupError("early")

    with pytest.raises(LookupError, match="early"):
        Begun(fails())


async def test_what_is_raised_later_is_raised_where_it_is_waited_for() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("late")

    begun = Begun(fails())
    with pytest.raises(LookupError, match="late"):
        await begun


async def test_a_failure_of_what_it_waits_for_reaches_it_and_can_be_caught() -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def forgives() -> str:
        try:
            await gate
        except LookupError as error:
            return str(error)
        return "nothing happened"

    begun = Begun(forgives())
    gate.set_exception(LookupError("it broke"))
    assert await begun == "it broke"


async def test_it_is_cancelled_like_anything_else_and_can_tidy_up() -> None:
    seen = []

    async def tidies() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            seen.append("tidied")
            raise

    async def waits() -> None:
        await Begun(tidies())

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled", "tidied"]


async def test_a_time_limit_set_afterwards_holds_for_the_rest() -> None:
    ended = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    begun = Begun(endless())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await begun
    assert ended == [True]


async def test_a_time_limit_of_its_own_that_was_set_before_the_wait_holds_too() -> None:
    async def limited() -> str:
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return "up"
        return "never"

    async with asyncio.timeout(30):
        assert await Begun(limited()) == "up"


async def test_it_runs_in_the_task_of_whoever_began_it() -> None:
    name: ContextVar[str] = ContextVar("name")
    name.set("outside")
    tasks = []

    async def looks() -> str:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())
        name.set("inside")
        return "done"

    await Begun(looks())
    assert tasks == [asyncio.current_task()] * 2
    assert name.get() == "inside"


async def test_whoever_gives_it_up_half_way_closes_it() -> None:
    closed = []

    async def waits() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    coroutine = waits()  # held on to: forgotten, it would be closed in any case
    rest = Begun(coroutine).__await__()
    next(rest)
    rest.close()
    assert closed == [True]


class Promise:
    """Awaitable, but no coroutine."""

    def __init__(self, coroutine: Coroutine[Any, Any, str]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, str]:
        return self._coroutine.__await__()


async def works() -> str:
    await asyncio.sleep(0)
    return "done"


def in_a_task() -> Awaitable[str]:
    return asyncio.create_task(works())


def as_a_promise() -> Awaitable[str]:
    return Promise(works())


def as_a_future() -> Awaitable[str]:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    future.set_result("done")
    return future


@pytest.mark.parametrize("make", [in_a_task, as_a_promise, as_a_future])
async def test_what_is_awaitable_without_being_a_coroutine_is_waited_for(make: Any) -> None:
    begun = Begun(make())
    assert not begun.done
    assert await begun == "done"


async def test_a_time_limit_around_another_awaitable_ends_it() -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    begun = Begun(task)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await begun
    assert task.cancelled()
