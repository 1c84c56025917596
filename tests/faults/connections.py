"""Connections that break in the middle of a transaction, and answers to COMMIT that get lost."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from tests.faults.stage import PATIENCE_SECONDS, Stage, Stuck
from tests.faults.workers import Workman
from tests.support.proxy import Fault, Proxy

WORKERS = 2
LINES_MAX = 20
WORKING = {"ready", "begun", "done", "acknowledged"}


async def cut_connections(stage: Stage, times: int) -> None:
    """Cut a worker's connections: one on the way to COMMIT, or all of them at any moment."""
    with ExitStack() as stack:
        proxies = await _behind_proxies(stage, stack)
        for _ in range(times):
            proxy = proxies[await _victim(stage)]
            if stage.rng.random() < 0.5:
                proxy.cut_all()
            else:
                await _strike(proxy, Fault.LOSE_REQUEST)
        await stage.rest()
        await stage.dismiss()


async def lose_commit_replies(stage: Stage, times: int) -> None:
    """Let the server commit, and cut the connection before the worker hears of it."""
    with ExitStack() as stack:
        proxies = await _behind_proxies(stage, stack)
        for _ in range(times):
            await _strike(proxies[await _victim(stage)], Fault.LOSE_REPLY)
        await stage.rest()
        await stage.dismiss()


async def _behind_proxies(stage: Stage, stack: ExitStack) -> dict[str, Proxy]:
    """Start workers, each with a proxy of its own between it and the server."""
    proxies: dict[str, Proxy] = {}
    for _ in range(WORKERS):
        proxy = stack.enter_context(Proxy(stage.flow.address))
        proxies[stage.start(address=proxy.url).name] = proxy
    await stage.until(lambda: all(one.ready for one in stage.workers), "all workers are ready")
    return proxies


async def _victim(stage: Stage) -> str:
    """Let the workers work, and choose one of those that do.

    One that has just failed waits before it tries again, and longer each time: to strike at its
    first try again and again would only make it wait.
    """
    await stage.introduce(stage.rng.randint(1, 3))
    await stage.lines_more(stage.rng.randint(1, LINES_MAX))
    while True:
        await stage.until(lambda: _well(stage) != [] or stage.at_rest, "a worker is well")
        if well := _well(stage):
            return stage.pick(well).name
        await stage.introduce(1)


def _well(stage: Stage) -> list[Workman]:
    return [one for one in stage.workers if one.said[-1]["said"] in WORKING]


async def _strike(proxy: Proxy, fault: Fault) -> None:
    """Let it happen to the next COMMIT; there is always one, if only of a claim."""
    proxy.arm(fault)
    if not await asyncio.to_thread(proxy.struck.wait, PATIENCE_SECONDS):
        raise Stuck(f"no COMMIT came to {fault.name}")
