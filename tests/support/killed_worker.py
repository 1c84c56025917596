"""A worker in a process of its own that is killed at a moment of the test's choosing.

    python -m tests.support.killed_worker ORDERS

``ORDERS`` is JSON: ``address`` of the store, ``keys`` (the folder of the private keys), ``now``,
``first`` and ``motions`` (which motions to introduce before it works), ``at`` (one of ``MOMENTS``,
or null to work until idle), and ``nth``: how often the moment comes before SIGKILL does.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from governance_flow.bootstrap import Flow, open_flow
from projections.log import LogProjection
from tests.support.clock import ManualClock
from tests.support.driving import introduce
from tests.support.flows import cast

MOMENTS = {
    "appended": 25,
    "applying": 5,
    "followed": 2,
    "promising": 4,
    "promised": 4,
    "keeping": 4,
    "kept": 4,
}
"""What a worker has just done, or is about to do; and how often at most it is let do so before."""

SECONDS_AN_APPEND = 0.3
"""Time goes on with the events, so that they are followed several times in a run."""


class Death:
    """Counts the moments of one kind."""

    def __init__(self, at: str | None, nth: int) -> None:
        self._at = at
        self._left = nth

    def may_come(self, moment: str) -> None:
        """Die, if this is the moment."""
        if moment != self._at:
            return
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def around(owner: Any, name: str, before: Callable[[], None], after: Callable[[], None]) -> None:
    """Let something happen before and after a method of one object."""
    inner = getattr(owner, name)

    async def method(*args: Any, **named: Any) -> Any:
        before()
        result = await inner(*args, **named)
        after()
        return result

    # Objects with slots and frozen ones are told so as well.
    object.__setattr__(owner, name, method)


def arm(flow: Flow, clock: ManualClock, death: Death) -> None:
    """Let death look in at every moment."""
    checkpointing = flow.audit.proofs._checkpointing

    def appended() -> None:
        clock.advance(SECONDS_AN_APPEND)
        death.may_come("appended")

    def nothing() -> None:
        return

    def at(moment: str) -> Callable[[], None]:
        return lambda: death.may_come(moment)

    around(flow.store, "append", nothing, appended)
    around(flow.runner, "run_once", nothing, at("followed"))
    around(checkpointing._last_signed, "write", at("promising"), at("promised"))
    around(checkpointing._checkpoints, "keep", at("keeping"), at("kept"))
    log: Any = LogProjection
    inner = log.apply

    def apply(self: LogProjection, *args: Any) -> None:
        inner(self, *args)
        # The tiles are written, and not committed.
        death.may_come("applying")

    log.apply = apply


async def main(orders: dict[str, Any]) -> None:
    """Work until idle, or until killed."""
    clock = ManualClock(datetime.fromisoformat(orders["now"]))
    async with open_flow(
        orders["address"],
        branches=cast(),
        alert_sinks=[],
        clock=clock,
        environ={"GOVERNANCE_FLOW_KEYS": orders["keys"]},
    ) as flow:
        arm(flow, clock, Death(orders["at"], orders["nth"]))
        for number in range(orders["first"], orders["first"] + orders["motions"]):
            await introduce(flow.orchestrator, number)
            await flow.worker.run_until_idle()
        await flow.worker.run_until_idle()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
