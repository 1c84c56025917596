"""Runs a seed, and tells what became of it."""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.ending import end
from tests.simulation.logs import unforeseen
from tests.simulation.people import People, clerk
from tests.simulation.store import shared_store
from tests.simulation.virtual_time import VirtualTimeLoop, run_virtually
from tests.simulation.world import World

FIRST_MOTIONS = 2
"""So many acts at the beginning introduce motions: without any, nothing happens."""


@dataclass(frozen=True)
class Outcome:
    """What became of a seed. ``trace`` is a hash of everything that was ever stored."""

    seed: int
    trace: str
    steps: int
    commits: int
    events: int
    virtual_seconds: float
    happened: Counter[str] = field(default_factory=Counter)
    failure: str | None = None

    def __str__(self) -> str:
        if self.failure is None:
            return f"seed {self.seed}: {self.steps} steps, {self.events} events, sound"
        return f"{self.failure}\nrun it again: python -m tests.simulation --seed {self.seed}"


def run_seed(seed: int) -> Outcome:
    """Run one seed to its end, or to the first promise that is not kept."""
    outcome: list[Outcome] = []

    async def work(loop: VirtualTimeLoop) -> None:
        outcome.append(await _run(seed, loop))

    with shared_store():
        run_virtually(work)
    return outcome[0]


async def _run(seed: int, loop: VirtualTimeLoop) -> Outcome:
    world = World(seed, loop)
    failure = None
    with unforeseen() as errors:
        try:
            await _play(world)
            await end(world)
        except Exception as error:  # noqa: BLE001 - told with all that leads to it
            failure = _told(seed, world, world.failure or error)
        if failure is None and errors:
            failure = _told(seed, world, AssertionError(f"unforeseen, in the log: {errors[0]}"))
        await world.end()
    referee = world.referee
    return Outcome(
        seed=seed,
        trace=referee.trace,
        steps=world.steps,
        commits=referee.commits,
        events=referee.position,
        virtual_seconds=loop.time(),
        happened=world.happened,
        failure=failure,
    )


async def _play(world: World) -> None:
    """Let people act and things go wrong."""
    people, whims, plan = People(world), world.whims, world.plan
    if plan.external is not None:
        world.send_off(clerk(world, plan.external))
    for number in range(plan.acts):
        world.keep_staffed()
        await asyncio.sleep(_gap(world))
        world.check()
        if whims.happens(plan.crash):
            _break_something(world)
        await people.act(first=number < FIRST_MOTIONS)
        world.check()


def _gap(world: World) -> float:
    """Return the time to the next act: mostly short, now and then as long as a deadline."""
    whims = world.whims
    gaps = {0.0: 1, whims.between(0, 3): 3, whims.between(3, 30): 5, whims.between(30, 90): 2}
    return whims.pick({**gaps, 240.0: 0.2})


def _break_something(world: World) -> None:
    """Let one process die now, or at one of its next calls, or sleep, or be restarted."""
    whims = world.whims
    process = whims.one_of(world.processes)
    match whims.pick({"dies": 2, "will die": 5, "sleeps": 4, "is restarted": 1}):
        case "dies":
            world.say(f"{process.name} dies")
            process.die()
        case "will die":
            process.line.die_at_call = whims.random.randint(1, 60)
            world.say(f"{process.name} will die at call {process.line.die_at_call}")
        case "sleeps":
            seconds = whims.between(10, 40)
            world.say(f"{process.name} sleeps for {seconds} s")
            process.hold_up(seconds)
        case _:
            world.say(f"{process.name} is restarted")
            world.send_off(process.stop())
    world.happened["breaks"] += 1


def _told(seed: int, world: World, error: BaseException) -> str:
    where = "".join(traceback.format_exception(error)[-6:])
    actions = "\n".join(f"  {action}" for action in world.actions)
    return (
        f"seed {seed} failed at step {world.steps}, {world.loop.time():.3f} s after its start, "
        f"position {world.referee.position}\n{where}last actions:\n{actions}"
    )
