"""Fetching that waits: who waits longest is served first, and nobody who left keeps anything."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from governance_flow.application.ports.assignments import Wish
from governance_flow.application.services.fetching import FetchDesk
from governance_flow.domain.errors import CompletionRefused, StoreUnavailable
from tests.support.workers import soon, until

DUKE, PRINCE = "duke_service", "prince_service"


@dataclass(frozen=True)
class Held:
    """As much of an assignment as the desk looks at."""

    service: str
    by: str
    routing_id: UUID
    lease_token: int | None = 1


@dataclass
class Stock:
    """Assignments that there are, in place of the store: claimed, given back, hinted at."""

    free: list[str] = field(default_factory=list)
    claims: list[str] = field(default_factory=list)
    held: dict[UUID, Held] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)
    hints: int = 0
    told: asyncio.Condition = field(default_factory=asyncio.Condition)
    gate: asyncio.Event | None = None
    """Where it stands, a claim has been granted but not told."""
    lost: bool = False

    async def fetch_each(self, wishes: Sequence[Wish]) -> list[list[Any]]:
        exhausted: list[frozenset[str]] = []
        fetched: list[list[Any]] = []
        for wish in wishes:
            if any(wish.services <= services for services in exhausted):
                fetched.append([])
                continue
            self.claims.append(wish.owner)
            if self.errors:
                raise self.errors.pop(0)
            fetched.append(self._claim(wish))
            if len(fetched[-1]) < wish.limit:
                exhausted.append(wish.services)
        if self.gate is not None:
            await self.gate.wait()
        return fetched

    def _claim(self, wish: Wish) -> list[Held]:
        taken = [service for service in self.free if service in wish.services][: wish.limit]
        for service in taken:
            self.free.remove(service)
        fetched = [Held(service, wish.owner, uuid4()) for service in taken]
        self.held |= {one.routing_id: one for one in fetched}
        return fetched

    async def release(self, routing_id: UUID, lease_token: int) -> None:
        if self.lost:
            raise CompletionRefused("it is lost")
        self.free.append(self.held.pop(routing_id).service)

    async def wait_for_work(self, *, seen: int, timeout_seconds: float) -> int:
        assert timeout_seconds == 7.0
        async with self.told:
            await self.told.wait_for(lambda: self.hints > seen)
        return self.hints

    async def add(self, *services: str) -> None:
        """Let there be assignments, and say so."""
        self.free += services
        await self.hint()

    async def hint(self) -> None:
        """Say that rows were added, be it true or not: as a bounded time that has passed does."""
        async with self.told:
            self.hints += 1
            self.told.notify_all()

    @property
    def owners(self) -> list[str]:
        return [one.by for one in self.held.values()]


class Desk:
    """A desk over a stock."""

    def __init__(self) -> None:
        self.stock = Stock()
        self.desk = FetchDesk(cast("Any", self.stock), cast("Any", self.stock), poll_seconds=7.0)
        self.tasks: list[asyncio.Task[Any]] = []

    def fetch(
        self, by: str, *services: str, limit: int = 1, wait_seconds: float = 1000.0
    ) -> asyncio.Task[Any]:
        task = asyncio.create_task(
            self.desk.fetch(
                services or (DUKE,),
                by=by,
                limit=limit,
                lease_seconds=60,
                wait_seconds=wait_seconds,
            )
        )
        self.tasks.append(task)
        return task

    async def waiting(self, count: int) -> None:
        await until(lambda: self.desk.waiting == count)
        await settled()


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def desk() -> Any:
    desk = Desk()
    yield desk
    for task in desk.tasks:
        task.cancel()
    await asyncio.gather(*desk.tasks, return_exceptions=True)
    await until(lambda: desk.desk._serving is None or desk.desk._serving.done())
    assert desk.desk.waiting == 0


async def test_what_there_is_is_handed_out_at_once(desk: Desk) -> None:
    await desk.stock.add(DUKE, DUKE, PRINCE)

    fetched = await soon(desk.fetch("a", limit=5))

    assert [one.service for one in fetched] == [DUKE, DUKE]
    assert desk.stock.claims == ["a"]


async def test_without_waiting_nothing_is_an_answer(desk: Desk) -> None:
    assert await soon(desk.fetch("a", wait_seconds=0)) == []
    assert desk.desk.waiting == 0


async def test_whoever_waits_is_woken_by_the_first(desk: Desk) -> None:
    waiting = desk.fetch("a")
    await desk.waiting(1)

    await desk.stock.add(DUKE)

    [fetched] = await soon(waiting)
    assert fetched.by == "a"
    assert desk.desk.waiting == 0


async def test_whoever_waits_for_too_long_gets_nothing(desk: Desk) -> None:
    assert await soon(desk.fetch("a", wait_seconds=0.001)) == []
    assert desk.desk.waiting == 0


async def test_the_longest_waiting_is_served_first(desk: Desk) -> None:
    tasks = []
    for number in range(5):
        tasks.append(desk.fetch(str(number)))
        await desk.waiting(number + 1)

    await desk.stock.add(DUKE, DUKE)
    await desk.waiting(3)
    assert [task.done() for task in tasks] == [True, True, False, False, False]
    await desk.stock.add(DUKE, DUKE, DUKE)

    await soon(asyncio.wait(tasks))
    assert desk.stock.owners == ["0", "1", "2", "3", "4"]


async def test_nobody_pushes_in_before_those_who_wait(desk: Desk) -> None:
    first = desk.fetch("first")
    await desk.waiting(1)
    # Rows were added, but whoever waits has not been told yet.
    desk.stock.free.append(DUKE)

    second = desk.fetch("second")
    await desk.waiting(2)
    await desk.stock.hint()

    assert [one.by for one in await soon(first)] == ["first"]
    assert not second.done()


async def test_whoever_wants_something_else_is_not_held_up(desk: Desk) -> None:
    desk.fetch("a")
    await desk.waiting(1)
    desk.stock.free.append(PRINCE)

    assert len(await soon(desk.fetch("b", PRINCE))) == 1


async def test_those_who_want_something_else_are_served_after_one_who_gets_nothing(
    desk: Desk,
) -> None:
    desk.fetch("a", DUKE)
    await desk.waiting(1)
    other = desk.fetch("b", PRINCE)
    await desk.waiting(2)

    await desk.stock.add(PRINCE)

    assert len(await soon(other)) == 1


async def test_many_who_wait_cost_one_look(desk: Desk) -> None:
    for number in range(200):
        desk.fetch(str(number))
    await desk.waiting(200)
    desk.fetch("late")
    await desk.waiting(201)
    desk.stock.claims.clear()

    await desk.stock.hint()
    await settled()
    assert len(desk.stock.claims) == 1, "nothing is there for any of them"

    await desk.stock.add(DUKE, DUKE)
    await desk.waiting(199)
    assert len(desk.stock.claims) <= 4


async def test_whoever_begins_to_wait_costs_no_look_of_its_own(desk: Desk) -> None:
    desk.fetch("a")
    await desk.waiting(1)
    looks = len(desk.stock.claims)

    desk.fetch("b")
    await desk.waiting(2)

    assert len(desk.stock.claims) == looks


async def test_rows_added_while_one_looks_are_not_missed(desk: Desk) -> None:
    desk.fetch("a", PRINCE)
    await desk.waiting(1)
    # b looks, and finds nothing; before it is told so, a row is added and the hint is spent on a.
    desk.stock.gate = asyncio.Event()
    late = desk.fetch("b", DUKE)
    await until(lambda: "b" in desk.stock.claims)
    gate, desk.stock.gate = desk.stock.gate, None
    await desk.stock.add(DUKE)
    await settled()

    gate.set()

    assert len(await soon(late)) == 1


async def test_whoever_joins_while_others_are_served_is_served_too(desk: Desk) -> None:
    desk.fetch("a")
    await desk.waiting(1)
    desk.stock.gate = asyncio.Event()
    desk.stock.claims.clear()
    await desk.stock.add(DUKE, DUKE)
    await until(lambda: desk.stock.claims == ["a"])
    late = desk.fetch("b")
    await desk.waiting(2)

    desk.stock.gate.set()

    assert len(await soon(late)) == 1


# -- Leaving ---------------------------------------------------------------------------------------


async def test_whoever_leaves_while_waiting_is_claimed_nothing_for(desk: Desk) -> None:
    waiting = desk.fetch("a")
    await desk.waiting(1)

    waiting.cancel()
    await desk.waiting(0)
    await desk.stock.add(DUKE)
    await settled()

    assert waiting.cancelled()
    assert desk.stock.owners == []


async def test_whoever_leaves_while_it_is_claimed_gives_it_back(desk: Desk) -> None:
    desk.stock.gate = asyncio.Event()
    desk.stock.free.append(DUKE)
    waiting = desk.fetch("a")
    await until(lambda: desk.stock.owners == ["a"])

    waiting.cancel()
    await settled()
    assert not waiting.done(), "it left with what it had not given back"
    desk.stock.gate.set()

    await soon(asyncio.wait([waiting]))
    assert waiting.cancelled()
    assert (desk.stock.owners, desk.stock.free) == ([], [DUKE])


async def test_whoever_leaves_while_it_is_claimed_for_them_keeps_nothing(desk: Desk) -> None:
    waiting = desk.fetch("a")
    await desk.waiting(1)
    desk.stock.gate = asyncio.Event()
    await desk.stock.add(DUKE)
    await until(lambda: desk.stock.owners == ["a"])

    waiting.cancel()
    await settled()
    desk.stock.gate.set()

    await until(lambda: desk.stock.owners == [])
    assert desk.stock.free == [DUKE]


async def test_whoever_leaves_in_the_moment_of_the_answer_gives_it_back(desk: Desk) -> None:
    waiting = desk.fetch("a")
    await desk.waiting(1)
    [waiter] = desk.desk._waiting
    await desk.stock.add(DUKE)
    await until(waiter.answer.done)

    waiting.cancel()

    await soon(asyncio.wait([waiting]))
    assert waiting.cancelled()
    assert (desk.stock.owners, desk.stock.free) == ([], [DUKE])


async def test_what_is_given_back_goes_to_the_next_who_waits(desk: Desk) -> None:
    first = desk.fetch("first")
    await desk.waiting(1)
    desk.stock.gate = gate = asyncio.Event()
    await desk.stock.add(DUKE)
    await until(lambda: desk.stock.owners == ["first"])
    second = desk.fetch("second")
    await desk.waiting(2)
    first.cancel()
    await settled()
    desk.stock.gate = None

    gate.set()

    assert [one.by for one in await soon(second)] == ["second"]


async def test_what_came_too_late_goes_to_the_next_who_waits(desk: Desk) -> None:
    first, second = desk.fetch("first"), desk.fetch("second")
    await desk.waiting(2)
    [waiter, _] = desk.desk._waiting
    await desk.stock.add(DUKE)
    await until(waiter.answer.done)

    first.cancel()

    # No hint comes for what is given back.
    assert [one.by for one in await soon(second)] == ["second"]


async def test_what_is_lost_already_is_not_given_back(desk: Desk) -> None:
    desk.stock.lost = True

    await desk.desk.give_back([cast("Any", Held(DUKE, "a", uuid4()))])

    assert desk.stock.free == []


async def test_once_nobody_waits_nothing_is_asked(desk: Desk) -> None:
    waiting = desk.fetch("a")
    await desk.waiting(1)
    serving = desk.desk._serving
    assert serving is not None

    waiting.cancel()
    await soon(asyncio.wait([serving]))

    claims = len(desk.stock.claims)
    await desk.stock.hint()
    await settled()
    assert len(desk.stock.claims) == claims


async def test_after_a_rest_whoever_comes_is_served(desk: Desk) -> None:
    desk.fetch("a").cancel()
    await settled()

    again = desk.fetch("b")
    await desk.waiting(1)
    await desk.stock.add(DUKE)

    assert len(await soon(again)) == 1


# -- Errors ----------------------------------------------------------------------------------------


async def test_an_error_reaches_all_who_wait_and_nobody_after(desk: Desk) -> None:
    waiting = [desk.fetch(str(number)) for number in range(3)]
    await desk.waiting(3)
    desk.stock.errors.append(StoreUnavailable("gone"))

    await desk.stock.hint()

    await soon(asyncio.wait(waiting))
    assert [str(task.exception()) for task in waiting] == ["gone"] * 3
    later = desk.fetch("later")
    await desk.waiting(1)
    await desk.stock.add(DUKE)
    assert len(await soon(later)) == 1


async def test_an_error_at_the_first_look_reaches_whoever_looked(desk: Desk) -> None:
    desk.stock.errors.append(StoreUnavailable("gone"))

    with pytest.raises(StoreUnavailable):
        await soon(desk.fetch("a"))

    assert desk.desk.waiting == 0


async def test_an_error_while_waiting_for_hints_reaches_all_who_wait(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(**_: Any) -> int:
        raise StoreUnavailable("no hints")

    monkeypatch.setattr(desk.stock, "wait_for_work", fails)

    with pytest.raises(StoreUnavailable, match="no hints"):
        await soon(desk.fetch("a"))


async def test_a_store_that_is_away_keeps_nobody_from_leaving(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(desk.stock, "release", fails)
    desk.stock.gate = asyncio.Event()
    desk.stock.free.append(DUKE)
    waiting = desk.fetch("a")
    await until(lambda: desk.stock.owners == ["a"])
    waiting.cancel()
    await settled()
    desk.stock.gate.set()

    await soon(asyncio.wait([waiting]))

    assert waiting.cancelled()
