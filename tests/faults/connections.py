"""Connections that break in the middle of a transaction, and answers to COMMIT that get lost."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from tests.faults.stage import PATIENCE_SECONDS, Stage, Stuck
from tests.support.proxy import Fault, Proxy

WORKERS = 2
LINES_MAX = 20


async def cut_connections(stage: Stage, times: int) -> None:
    """Cut one worker's connections: on the way to COMMIT, or all of them at any moment."""
    with ExitStack() as stack:
        proxies = await _behind_proxies(stage, stack)
        for _ in range(times):
            await stage.introduce(stage.rng.randint(1, 3))
            await stage.lines_more(stage.rng.randint(1, LINES_MAX))
            proxy = stage.rng.choice(proxies)
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
            await stage.introduce(stage.rng.randint(1, 3))
            await stage.lines_more(stage.rng.randint(1, LINES_MAX))
            await _strike(stage.rng.choice(proxies), Fault.LOSE_REPLY)
        await stage.rest()
        await stage.dismiss()


async def _behind_proxies(stage: Stage, stack: ExitStack) -> list[Proxy]:
    """Start workers, each with a proxy of its own between it and the server."""
    proxies = [stack.enter_context(Proxy(stage.flow.address)) for _ in range(WORKERS)]
    workers = [stage.start(address=proxy.url) for proxy in proxies]
    await stage.until(lambda: all(one.ready for one in workers), "all workers are ready")
    return proxies


async def _strike(proxy: Proxy, fault: Fault) -> None:
    """Let it happen to the next COMMIT; there is always one, if only of a heartbeat."""
    proxy.arm(fault)
    if not await asyncio.to_thread(proxy.struck.wait, PATIENCE_SECONDS):
        raise Stuck(f"no COMMIT came to {fault.name}")
