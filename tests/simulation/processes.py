"""Worker processes that share one store, and die at any of their steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from governance_flow.bootstrap import Flow, open_flow
from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.domain.errors import GovernanceFlowError
from tests.simulation.store import LINE, Line
from tests.simulation.virtual_time import OWNER, VirtualClock, tasks_of
from tests.support.keys import fixed_keyring

if TYPE_CHECKING:
    from governance_flow.application.ports.alerts import AlertSink
    from governance_flow.application.ports.branch_services import BranchService
    from governance_flow.application.ports.knight_witness import KnightWitnessProtocol


@dataclass(frozen=True)
class Equipment:
    """What every process is started with."""

    configuration: FlowConfiguration
    branches: Mapping[str, BranchService]
    knight: KnightWitnessProtocol
    sinks: tuple[AlertSink, ...]
    new_id: Callable[[], UUID]


class Process:
    """One process: a pipeline opened on the shared store, and a worker that runs until told not to.

    A process that dies does nothing more, not even clean up: whatever its tasks still try when they
    are cancelled ends at its line, which is dead already.
    """

    def __init__(
        self,
        name: str,
        line: Line,
        clock: VirtualClock,
        equipment: Equipment,
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.name = name
        self.line = line
        self.flow: Flow | None = None
        self._clock = clock
        self._equipment = equipment
        self._on_error = on_error
        self._main: asyncio.Task[None] | None = None
        line.on_death = self.die

    @property
    def ended(self) -> bool:
        """Whether it is over, one way or the other."""
        return self._main is not None and self._main.done()

    def start(self) -> None:
        """Let it open the store and work."""
        context = copy_context()
        context.run(OWNER.set, self)
        context.run(LINE.set, self.line)
        self._main = asyncio.get_running_loop().create_task(self._live(), context=context)
        self._main.add_done_callback(self._over)

    async def _live(self) -> None:
        tools = self._equipment
        async with open_flow(
            "memory:",
            config=tools.configuration,
            branches=tools.branches,
            knight=tools.knight,
            keyring=fixed_keyring(),
            alert_sinks=tools.sinks,
            clock=self._clock,
            new_id=tools.new_id,
            environ={},
            worker_name=self.name,
        ) as flow:
            self.flow = flow
            try:
                await flow.worker.run()
            finally:
                self.flow = None

    def _over(self, main: asyncio.Task[None]) -> None:
        if main.cancelled():
            return
        error = main.exception()
        if error is not None and not isinstance(error, GovernanceFlowError):
            self._on_error(error)

    def die(self) -> None:
        """Stop at once, wherever it stands."""
        self.line.dead = True
        self.flow = None
        for task in tasks_of(self):
            task.cancel()

    async def stop(self) -> None:
        """Ask it to finish, and wait until it has."""
        if self.flow is not None:
            self.flow.worker.stop()
        elif self._main is not None:
            self._main.cancel()
        await self.over()

    async def over(self) -> None:
        """Return once it has ended."""
        if self._main is not None:
            await asyncio.wait({self._main})

    def hold_up(self, seconds: float) -> None:
        """Let it reach nothing for a while, as a machine that sleeps; it knows nothing of it."""
        self.line.held_up_until = asyncio.get_running_loop().time() + seconds
