"""How long one motion takes alone, and how soon a completion leads to the next assignment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    Purpose,
)
from governance_flow.bootstrap import Flow
from governance_flow.domain.states import is_terminal
from scripts.bench.child import run_part
from scripts.bench.noop import done, introduce_one, opened
from scripts.bench.results import Results
from scripts.bench.scale import Scale
from scripts.bench.stores import NAMES, Stores

MOTION_EVENTS = 20
"""How many events a motion has that goes straight through all steps."""

WARM_UP_MOTIONS = 5
"""Motions that go first and are not counted."""

_PATIENCE_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.05
_HINT_SECONDS = 1.0


def measure(
    results: Results, stores: Stores, scale: Scale, kind: str, motions_per_second: float
) -> None:
    """Measure both on one store; ``motions_per_second`` is what one worker can take."""
    with stores.fresh(kind) as address:
        said = run_part(
            f"{__name__}:alone",
            address=address,
            motions=scale.lone_motions,
            in_flight=scale.in_flight,
        )
    store = NAMES[kind]
    results.samples(f"alone.{kind}", f"one motion alone, {store}", "ms", said["whole"])
    results.samples(
        f"next.{kind}.idle", f"  completion to next assignment, idle, {store}", "ms", said["next"]
    )
    with stores.fresh(kind) as address:
        said = run_part(
            f"{__name__}:loaded",
            address=address,
            rate=motions_per_second / 2,
            seconds=scale.half_load_seconds,
            in_flight=scale.in_flight,
        )
    results.samples(
        f"next.{kind}.half",
        f"  completion to next assignment, half load, {store}",
        "ms",
        said["next"],
    )


# -- In a process of its own -----------------------------------------------------------------------


class Stopwatch:
    """Every branch at once: does nothing, and notes when it was asked and when it answered.

    From the answer to one assignment to the call with the motion's next one, everything has
    happened: the completion is durable, the next assignment is in its table, and was claimed.
    So this is a little more than the time until it could be claimed.
    """

    def __init__(self) -> None:
        self.next_ms: list[float] = []
        self._answered: dict[UUID, float] = {}
        self._ending: dict[UUID, asyncio.Event] = {}

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        """Note the time, do nothing, and note the time again."""
        motion_id = assignment.motion_id
        answered = self._answered.pop(motion_id, None)
        if answered is not None:
            self.next_ms.append(1000 * (time.perf_counter() - answered))
        result = done(assignment)
        if assignment.purpose is Purpose.ACKNOWLEDGE:
            self.ending(motion_id).set()
        else:
            self._answered[motion_id] = time.perf_counter()
        return result

    def ending(self, motion_id: UUID) -> asyncio.Event:
        """Return what is set when the last service has answered."""
        return self._ending.setdefault(motion_id, asyncio.Event())


async def alone(address: str, motions: int, in_flight: int) -> dict[str, list[float]]:
    """Introduce one motion after the other, each when the one before it is acknowledged."""
    watch = Stopwatch()
    whole = []
    async with opened(address, in_flight, watch) as flow, _working(flow):
        for number in range(WARM_UP_MOTIONS + motions):
            if number == WARM_UP_MOTIONS:
                watch.next_ms.clear()
            position = (await flow.store.head()).position
            started = time.perf_counter()
            motion_id = await introduce_one(flow, number)
            # The last event is committed: so much is durable, and whoever waits for it hears of it.
            await flow.store.wait_for_append(
                after_position=position + MOTION_EVENTS - 1, timeout_seconds=_HINT_SECONDS
            )
            ended = time.perf_counter()
            if not await _acknowledged(flow, motion_id):
                # The hint came too early, or not at all.
                await _ended(flow, watch, motion_id)
                ended = time.perf_counter()
            whole.append(1000 * (ended - started))
    return {"whole": whole[WARM_UP_MOTIONS:], "next": watch.next_ms}


async def loaded(
    address: str, rate: float, seconds: float, in_flight: int
) -> dict[str, list[float]]:
    """Let motions arrive evenly at a rate for a while, and wait for the last to be acknowledged."""
    watch = Stopwatch()
    async with (
        opened(address, in_flight, watch) as flow,
        _working(flow),
        asyncio.TaskGroup() as arrived,
    ):
        started = time.perf_counter()
        for number in range(max(1, int(rate * seconds))):
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            arrived.create_task(_through(flow, watch, number))
    return {"next": watch.next_ms}


async def _through(flow: Flow, watch: Stopwatch, number: int) -> None:
    motion_id = await introduce_one(flow, number)
    await _ended(flow, watch, motion_id)


async def _ended(flow: Flow, watch: Stopwatch, motion_id: UUID) -> None:
    """Return once the motion is acknowledged, as its stream has it."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await watch.ending(motion_id).wait()
        while True:
            position = (await flow.store.head()).position
            if await _acknowledged(flow, motion_id):
                return
            await flow.store.wait_for_append(
                after_position=position, timeout_seconds=_LOOK_AGAIN_SECONDS
            )


async def _acknowledged(flow: Flow, motion_id: UUID) -> bool:
    """Return whether the motion has come to its end, as its stream has it."""
    status = await flow.orchestrator.get_motion_status(motion_id)
    return is_terminal(status.current_state)


@asynccontextmanager
async def _working(flow: Flow) -> AsyncIterator[None]:
    """Let a worker run; stop it at the end."""
    worker: asyncio.Task[Any] = asyncio.create_task(flow.worker.run())
    try:
        yield
    finally:
        flow.worker.stop()
        await worker
