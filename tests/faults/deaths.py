"""Processes and servers that die: in the middle of things, and again and again."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from functools import partial
from random import Random

from tests.faults.stage import Stage

GONE_ON = "the worker failed and goes on"
LINES_MAX = 30
COMMITS_MAX = 8


class Death(StrEnum):
    """When a worker dies. Each is SIGKILL."""

    AT_A_LINE = "line"
    """From outside, when the workers together have said something so often."""
    BEFORE_COMMIT = "before"
    """By its own hand: what it asked for is not recorded."""
    AFTER_COMMIT = "after"
    """By its own hand: what it asked for is recorded, and nobody was told."""
    AT_BIRTH = "birth"
    """From outside, while it opens the store."""


async def kill_workers(stage: Stage, times: int, workers: int) -> None:
    """Kill workers while motions come in and are worked on, each replaced as it dies."""
    await stage.start_all(workers)
    for _ in range(times):
        await stage.introduce(stage.rng.randint(1, 2))
        await stage.until(lambda: any(one.ready for one in stage.workers), "a worker is ready")
        await _kill_one(stage)
        while len(stage.workers) < workers:
            stage.start()
    await stage.rest()


async def _kill_one(stage: Stage) -> None:
    victim = stage.pick([one for one in stage.workers if one.ready])
    match _death(stage.rng):
        case Death.AT_A_LINE:
            await stage.lines_more(stage.rng.randint(1, LINES_MAX))
        case Death.AT_BIRTH:
            victim = stage.start()
        case Death.BEFORE_COMMIT | Death.AFTER_COMMIT as when:
            victim.doomed = True
            victim.tell("die", when=when.value, commits=stage.rng.randint(1, COMMITS_MAX))
            await stage.until(lambda: victim.gone or stage.at_rest, f"{victim.name} has died")
    victim.kill()
    await stage.bury(victim)


def _death(rng: Random) -> Death:
    return rng.choices(list(Death), weights=[4, 3, 3, 1])[0]


async def crash_server(stage: Stage, times: int) -> None:
    """Crash PostgreSQL as ``pg_ctl stop -m immediate`` does and start it; workers live on."""
    server = stage.server
    assert server is not None
    await stage.start_all(2)
    for _ in range(times):
        await stage.introduce(stage.rng.randint(2, 4))
        await stage.lines_more(stage.rng.randint(5, 3 * LINES_MAX))
        before = _failures(stage)
        stage.calm.clear()
        try:
            await asyncio.to_thread(server.crash)
            await stage.until(partial(_noticed, stage, before), "a worker noticed")
        finally:
            await asyncio.to_thread(server.start)
            stage.calm.set()
    await stage.rest()


def _noticed(stage: Stage, before: int) -> bool:
    return _failures(stage) > before


def _failures(stage: Stage) -> int:
    return sum(one.count("log", event=GONE_ON) for one in stage.workers)
