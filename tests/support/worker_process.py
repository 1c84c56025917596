"""A worker in a process of its own, with branch services that do as they are told.

    python -m tests.support.worker_process ORDERS

``ORDERS`` is JSON: ``address`` of the store, ``now`` (a time at which all its clocks stand still;
without one they run), ``settings``, ``until_idle``, and ``script``: for each service what it does,
"hold" (wait until told to go on) or "time out", once for each call; then, or without one, its work.

It says what happens in lines of JSON, and listens to one word: "go".
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import deque
from collections.abc import MutableMapping
from datetime import datetime
from typing import Any

import structlog

from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult
from governance_flow.bootstrap import open_flow
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.configuration import FlowConfiguration
from tests.support.clock import ManualClock
from tests.support.flows import Postbox, success
from tests.support.keys import fixed_keyring


def say(what: str, **details: Any) -> None:
    """Tell the test."""
    sys.stdout.write(json.dumps({"said": what, **details}) + "\n")
    sys.stdout.flush()


class Told:
    """A branch service that says what it is asked, and does as it was told."""

    def __init__(self, name: str, script: list[str], go: asyncio.Event) -> None:
        self.name = name
        self.script = deque(script)
        self.go = go

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        """Say so, then do what the script says, then the work."""
        said = {"service": self.name, "routing_id": str(assignment.routing_id)}
        say("begun", motion_id=str(assignment.motion_id), **said)
        match self.script.popleft() if self.script else None:
            case "hold":
                await self.go.wait()
            case "time out":
                raise TimeoutError
            case None:
                pass
            case other:
                raise AssertionError(other)
        say("done", **said)
        return success(assignment.motion_id, assignment.branch, assignment.purpose)


def tell_of_log(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """Pass on what is logged."""
    say("log", event=event["event"], error=str(event.get("error")))
    raise structlog.DropEvent


async def main(orders: dict[str, Any]) -> None:
    """Work until idle, or until told to stop."""
    structlog.configure(processors=[tell_of_log])
    loop = asyncio.get_running_loop()
    go = asyncio.Event()

    def listen() -> None:
        if sys.stdin.readline().strip() == "go":
            go.set()

    loop.add_reader(sys.stdin, listen)
    script = orders.get("script", {})
    clock = ManualClock(datetime.fromisoformat(orders["now"])) if "now" in orders else None
    async with open_flow(
        orders["address"],
        config=FlowConfiguration.model_validate(orders.get("settings", {})),
        branches={name: Told(name, script.get(name, []), go) for name in orders["services"]},
        alert_sinks=[Postbox()],
        clock=clock,
        keyring=fixed_keyring(),
        environ={},
    ) as flow:

        def stop() -> None:
            flow.worker.stop()
            say("stopping")

        loop.add_signal_handler(signal.SIGTERM, stop)
        say("ready")
        if orders["until_idle"]:
            await flow.worker.run_until_idle()
        else:
            await flow.worker.run()
    loop.remove_reader(sys.stdin)
    say("ended")


if __name__ == "__main__":
    asyncio.run(
        main({"services": list(SERVICE_BRANCH), "until_idle": False} | json.loads(sys.argv[1]))
    )
