"""Machines whose clocks are wrong, and become wrong while they work."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from governance_flow.domain.branches import DUKE_SERVICE
from tests.faults.conduct import IMPATIENT, ordinary
from tests.faults.stage import Stage
from tests.faults.worker import SILENT_ONCE
from tests.faults.workers import Workman

HOUR_SECONDS = 3600.0
LINES_MAX = 20

# Whatever a jump holds up must not take the places of what comes in after it.
SETTINGS = {**IMPATIENT, "max_concurrent_motions": 100}


async def turn_one_clock(stage: Stage, times: int) -> None:
    """Turn a worker's clock an hour forward, back, and right again, while it works.

    The store's clock is right. Some motions need a second try: when that is due is its affair.
    """
    numbers = await _start(stage, times)
    for number in numbers:
        await _bring_in(stage, number)
        workman = stage.pick(stage.workers)
        await _set_clock(stage, [workman], stage.rng.choice((-HOUR_SECONDS, HOUR_SECONDS, 0.0)))
    await stage.rest()


async def turn_the_clock(stage: Stage, times: int) -> None:
    """Turn the one clock that all processes and the store go by, an hour at a time.

    What is put off while it is ahead comes due later by what it is turned back; so it is turned
    forward again each time, and further than before: then everything must be due.
    """
    numbers = await _start(stage, times)
    peak_seconds = 0.0
    for turn, number in enumerate(numbers):
        if turn % 2:
            error_seconds = peak_seconds - HOUR_SECONDS * stage.rng.randint(1, 2)
        else:
            peak_seconds += HOUR_SECONDS
            error_seconds = peak_seconds
        stage.clock_error = timedelta(seconds=error_seconds)
        await _set_clock(stage, stage.workers, error_seconds)
        await _bring_in(stage, number)
    stage.clock_error = timedelta(seconds=peak_seconds + HOUR_SECONDS)
    await _set_clock(stage, stage.workers, peak_seconds + HOUR_SECONDS)
    await stage.rest()


async def _start(stage: Stage, count: int) -> list[int]:
    numbers = ordinary(stage, count)
    await stage.start_all(2, manners={DUKE_SERVICE: dict.fromkeys(numbers, SILENT_ONCE)})
    return numbers


async def _bring_in(stage: Stage, number: int) -> None:
    await stage.introduce_these([number])
    await stage.introduce(1)
    await stage.lines_more(stage.rng.randint(1, LINES_MAX))


async def _set_clock(stage: Stage, workers: list[Workman], seconds: float) -> None:
    for workman in workers:
        turned = workman.count("heard", order="clock")
        workman.tell("clock", seconds=seconds)
        await stage.until(partial(_has_turned, workman, turned), f"{workman.name} heard")


def _has_turned(workman: Workman, before: int) -> bool:
    return workman.count("heard", order="clock") > before
