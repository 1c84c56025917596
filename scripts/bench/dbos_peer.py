"""The peer's side: DBOS takes workflows of seven steps to the end, in a process of its own.

Nothing of ours is imported here, so that any Python with ``dbos`` installed can run it. DBOS keeps
its own defaults for durability; what would look for a network is off. A step returns what our
no-op branches return, a small result, and the workflow takes what a motion says.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from scripts.bench.child import wait_for_go

STEPS = 7
WARM_UP_WORKFLOWS = 5

_QUEUE = "motions"
_QUEUE_POLL_SECONDS = 0.05


def version() -> dict[str, str]:
    """Return the version of DBOS; raises ImportError if it is not installed."""
    importlib.import_module("dbos")
    return {"version": importlib.import_module("importlib.metadata").version("dbos")}


def throughput(address: str, workflows: int, setup: str, concurrency: int) -> dict[str, float]:
    """Take workflows to the end in one of the ``SETUPS``; return how long that took."""
    with _launched(address, concurrency if setup == "executor" else None) as peer:
        run = SETUPS[setup]
        run(peer, WARM_UP_WORKFLOWS, concurrency)
        wait_for_go()
        started = time.perf_counter()
        done = run(peer, workflows, concurrency)
        elapsed = time.perf_counter() - started
    if done != [STEPS] * workflows:
        raise RuntimeError(f"{done.count(STEPS)} of {workflows} workflows were finished")
    return {"seconds": elapsed}


def alone(address: str, workflows: int) -> dict[str, list[float]]:
    """Take workflows to the end one after the other; return how long each took, in ms."""
    with _launched(address, None) as peer:
        for number in range(WARM_UP_WORKFLOWS):
            peer.steps(_about(number))
        took = []
        for number in range(workflows):
            started = time.perf_counter()
            peer.steps(_about(number))
            took.append(1000 * (time.perf_counter() - started))
    return {"milliseconds": took}


# -- Ways to run many at once ----------------------------------------------------------------------


def _threads(peer: _Peer, workflows: int, concurrency: int) -> list[int]:
    """Call the workflow from so many threads."""
    with ThreadPoolExecutor(concurrency) as pool:
        return list(pool.map(peer.steps, map(_about, range(workflows))))


def _executor(peer: _Peer, workflows: int, _: int) -> list[int]:
    """Start all workflows; DBOS runs them in its executor, which has so many threads."""
    handles = [peer.dbos.start_workflow(peer.steps, _about(n)) for n in range(workflows)]
    return [handle.get_result() for handle in handles]


def _queue(peer: _Peer, workflows: int, concurrency: int) -> list[int]:
    """Enqueue all workflows; DBOS takes so many off its queue at once."""
    peer.dbos.register_queue(
        _QUEUE, worker_concurrency=concurrency, polling_interval_sec=_QUEUE_POLL_SECONDS
    )
    handles = [
        peer.dbos.enqueue_workflow(_QUEUE, peer.steps, _about(number))
        for number in range(workflows)
    ]
    return [handle.get_result() for handle in handles]


def _tasks(peer: _Peer, workflows: int, concurrency: int) -> list[int]:
    """Start the workflow with its steps as coroutines, so many at once."""

    async def everything() -> list[int]:
        room = asyncio.Semaphore(concurrency)

        async def one(number: int) -> int:
            async with room:
                handle = await peer.dbos.start_workflow_async(peer.steps_async, _about(number))
                return int(await handle.get_result())

        return await asyncio.gather(*map(one, range(workflows)))

    return asyncio.run(everything())


SETUPS: dict[str, Callable[[_Peer, int, int], list[int]]] = {
    "threads": _threads,
    "executor": _executor,
    "queue": _queue,
    "tasks": _tasks,
}


# -- The workflow ----------------------------------------------------------------------------------


class _Peer:
    """DBOS, and the workflow in both its forms. Must be made before DBOS is launched."""

    def __init__(self, dbos: Any) -> None:
        self.dbos = dbos
        plain = [_step(dbos, number) for number in range(STEPS)]
        coroutines = [_async_step(dbos, number) for number in range(STEPS)]

        def steps(motion: dict[str, str]) -> int:
            return sum(step(motion)["done"] for step in plain)

        async def steps_async(motion: dict[str, str]) -> int:
            return sum([(await step(motion))["done"] for step in coroutines])

        self.steps: Callable[[dict[str, str]], int] = dbos.workflow(name="steps")(steps)
        self.steps_async = dbos.workflow(name="steps_async")(steps_async)


def _step(dbos: Any, number: int) -> Any:
    def step(motion: dict[str, str]) -> dict[str, int]:  # noqa: ARG001 - a step is given its motion
        return {"done": 1}

    return dbos.step(name=f"step_{number}")(step)


def _async_step(dbos: Any, number: int) -> Any:
    async def step(motion: dict[str, str]) -> dict[str, int]:  # noqa: ARG001 - as above
        return {"done": 1}

    return dbos.step(name=f"async_step_{number}")(step)


def _about(number: int) -> dict[str, str]:
    return {"title": f"motion {number}", "text": "Whereas.", "introduced_by": "ada"}


@contextmanager
def _launched(address: str, executor_threads: int | None) -> Iterator[_Peer]:
    dbos = importlib.import_module("dbos").DBOS
    config: dict[str, Any] = {
        "name": "bench-peer",
        "system_database_url": address,
        "enable_otlp": False,
        "log_level": "ERROR",
    }
    if executor_threads is not None:
        config["max_executor_threads"] = executor_threads
    dbos(config=config)
    peer = _Peer(dbos)
    dbos.launch()
    try:
        yield peer
    finally:
        dbos.destroy()
