"""A seed's world: its store, its processes, its people, and what happens to them."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Coroutine
from contextvars import Context, copy_context
from random import Random
from typing import Any
from uuid import UUID

from governance_flow.application.ports.flow_orchestrator import BranchResult
from governance_flow.bootstrap import Flow
from governance_flow.domain.errors import (
    CompletionRefused,
    InvalidInput,
    StoreError,
    ViolationRefused,
)
from tests.simulation.branches import Knight, Office, Pager
from tests.simulation.counting import Counting
from tests.simulation.ledger import Ledger
from tests.simulation.processes import Equipment, Process
from tests.simulation.referee import Referee
from tests.simulation.setup import Plan
from tests.simulation.store import Line, LossyHints, WatchedDatabase
from tests.simulation.virtual_time import OWNER, VirtualClock, VirtualTimeLoop
from tests.simulation.whims import Whims

KEPT_ACTIONS = 25
HANDED_IN_MAX = 40
"""How often a report is handed in while the store or every process is away."""


class World:
    """Everything there is in one seed."""

    def __init__(self, seed: int, loop: VirtualTimeLoop) -> None:
        self.loop = loop
        self.random = Random(seed)
        self.whims = Whims(self.random)
        self.whims.draw()
        self.plan = Plan.drawn(self.whims)
        self.clock = VirtualClock(loop)
        self.database = WatchedDatabase(self.clock)
        self.hints = LossyHints(self.random)
        self.database.hints = self.hints
        self.hints.loss = self.plan.hint_loss
        self.ledger = Ledger()
        self.referee = Referee(
            self.database,
            self.clock,
            self.ledger,
            capacity=self.plan.capacity,
            grace_seconds=self.plan.grace_seconds,
        )
        self.counting = Counting(self.referee)
        self.database.on_commit = self._look
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self.actions: deque[str] = deque(maxlen=KEPT_ACTIONS)
        self.steps = 0
        self.happened: Counter[str] = Counter()
        self.paged: set[str] = set()
        self.processes: list[Process] = []
        self.faults = self.plan.faults
        self._outside: set[asyncio.Task[None]] = set()
        self._names = 0
        self.office = Office(self.whims, self.ledger, self.clock, self.send_off, self.hand_in)

    # -- The referee looks ---------------------------------------------------------------------

    def _look(self) -> None:
        """Let the referee look. What it finds ends the seed, and must not be caught on its way."""
        if self.failure is not None:
            return
        try:
            self.referee.look()
        except Exception as error:  # noqa: BLE001 - kept, and raised by whoever waits for it
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the seed because of an error."""
        if self.failure is None:
            self.failure = error
            self.failed.set()

    def check(self) -> None:
        """Raise what was found, if anything was."""
        if self.failure is not None:
            raise self.failure

    # -- Processes -----------------------------------------------------------------------------

    def start_process(self) -> Process:
        """Start another process."""
        self._names += 1
        plan = self.plan
        skew = self.whims.between(-plan.skew_seconds, plan.skew_seconds)
        process = Process(
            f"worker-{self._names}",
            Line(self.database, self.random, self.faults),
            VirtualClock(self.loop, skew),
            Equipment(
                configuration=plan.configuration(self.whims),
                branches=dict.fromkeys(plan.services_in_process, self.office),
                knight=Knight(self.whims),
                sinks=(Pager(self.whims, self.paged),),
                new_id=self.new_id,
            ),
            self.fail,
        )
        self.processes.append(process)
        process.start()
        return process

    def keep_staffed(self) -> None:
        """Start processes in place of those that are over."""
        self.processes = [process for process in self.processes if not process.ended]
        while len(self.processes) < self.plan.workers:
            self.start_process()

    async def end(self) -> None:
        """Let every process die, and wait until nothing of it is left."""
        for process in self.processes:
            process.die()
            await process.over()

    def flow(self) -> Flow | None:
        """Return an open pipeline to speak to, if there is one."""
        flows = [process.flow for process in self.processes if process.flow is not None]
        return self.whims.one_of(flows) if flows else None

    def new_id(self) -> UUID:
        """Return an id that only this seed has."""
        return UUID(int=self.random.getrandbits(128), version=4)

    # -- The world outside ---------------------------------------------------------------------

    def send_off(self, work: Coroutine[Any, Any, None]) -> None:
        """Start something that no process takes along when it dies."""
        task = self.loop.create_task(work, context=copy_context_outside())
        self._outside.add(task)
        task.add_done_callback(self._returned)

    def _returned(self, task: asyncio.Task[None]) -> None:
        self._outside.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    async def hand_in(self, result: BranchResult) -> None:
        """Hand in a report at whatever process is there, until somebody has an answer."""
        assert result.routing_id is not None
        for _ in range(HANDED_IN_MAX):
            flow = self.flow()
            try:
                if flow is not None:
                    outcome = await flow.orchestrator.handle_completion(result.motion_id, result)
                    self.ledger.acknowledged(result.routing_id, outcome)
                    self.happened["handed in"] += 1
                    return
            except (CompletionRefused, ViolationRefused, InvalidInput) as error:
                self.happened[f"refused: {type(error).__name__}"] += 1
                return
            except StoreError:
                self.happened["handed in anew"] += 1
            await asyncio.sleep(self.whims.between(1, 30))

    def say(self, action: str) -> None:
        """Note what is done, for whoever must find out what went wrong."""
        self.steps += 1
        self.actions.append(f"{self.loop.time():10.3f} s  {action}")

    def calm_down(self) -> None:
        """From now on, nothing goes wrong any more."""
        self.whims.calm()
        self.faults.cut_before = self.faults.cut_after = self.faults.slow = 0.0
        self.hints.loss = 0.0
        for process in self.processes:
            process.line.die_at_call = None
            process.line.held_up_until = 0.0


def copy_context_outside() -> Context:
    """Return a context that belongs to no process."""
    context = copy_context()
    context.run(OWNER.set, None)
    return context
