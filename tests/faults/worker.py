"""What runs in a worker's process: a pipeline with branch services, and ways to go wrong.

It says what happens over the line it is given, one mapping at a time, and does what it is told
over the same line:

    go                      services that hold go on
    speak                   services that are silent answer from now on
    wake                    the Knight witnesses again
    die when commits        SIGKILL before or after the so-manieth commit from now
    clock seconds           the machine's clock is wrong by so much from now on
    limit bytes             no file may grow beyond this; without bytes: any may
    stop                    finish what is in hand and end
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import resource
import signal
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any, cast

import structlog

from governance_flow.application.ports.clock import SystemClock
from governance_flow.application.ports.event_store import Append, CommittedEvent
from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult
from governance_flow.application.ports.knight_witness import WitnessRequest, WitnessStatement
from governance_flow.bootstrap import Flow, open_flow
from governance_flow.branches.knight import KnightWitness
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.infrastructure.database.postgres import PostgresTransaction
from governance_flow.infrastructure.database.sqlite import SqliteTransaction
from tests.support.driving import answer, motion_id
from tests.support.flows import Postbox
from tests.support.keys import fixed_keyring

Line = Connection

Receipt = tuple[str, int, str, str | None]
"""Of an event that was acknowledged: its stream, its version, the digest of its bytes, and, if it
is a completion, of which routing."""

HOLD, SILENT, SILENT_ONCE, TWICE = "hold", "silent", "silent once", "twice"
"""How a service may treat a motion, besides answering."""


def number_of(title: str) -> int:
    """Return the number of a motion, which its title holds."""
    return int(title.removeprefix("motion "))


@dataclass
class Desk:
    """What the parts of one process share."""

    name: str
    line: Line
    go: asyncio.Event = field(default_factory=asyncio.Event)
    speak: asyncio.Event = field(default_factory=asyncio.Event)
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    clock_error: timedelta = timedelta(0)
    doom: Callable[[str], None] = lambda _moment: None
    flow: Flow | None = None
    stopping: bool = False

    def say(self, what: str, **details: Any) -> None:
        """Tell the driving program; what was said is known even if we die the next moment."""
        self.line.send({"said": what, **details})


class Player:
    """A branch service that gives the answer a motion's number calls for, in the manner told."""

    def __init__(self, name: str, manners: dict[int, str], desk: Desk) -> None:
        self.name = name
        self.manners = manners
        self.desk = desk

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        """Say so, behave, and answer."""
        number = number_of(assignment.title)
        said = {"service": self.name, "number": number, "routing_id": str(assignment.routing_id)}
        self.desk.say("begun", attempt=assignment.attempt, **said)
        manner = self.manners.get(number)
        match manner:
            case "hold":
                await self.desk.go.wait()
            case "silent":
                await self.desk.speak.wait()
            case "silent once" if assignment.attempt == 1:
                await asyncio.Event().wait()
            case _:
                pass
        result = answer(number, assignment)
        if manner == HOLD:
            result = replace(result, output={**result.output, "by": self.desk.name})
        if manner == TWICE:
            await self._hand_in(assignment, result)
        self.desk.say("done", **said)
        return result

    async def _hand_in(self, assignment: BranchAssignment, result: BranchResult) -> None:
        """Report three times at once, before what is returned is reported again."""
        assert self.desk.flow is not None
        orchestrator = self.desk.flow.orchestrator
        own = replace(result, lease_token=assignment.lease_token)
        outcomes = await asyncio.gather(
            *(orchestrator.handle_completion(assignment.motion_id, own) for _ in range(3))
        )
        told = [(str(one.status), str(one.next_routing_id)) for one in outcomes]
        self.desk.say("handed in", routing_id=str(assignment.routing_id), told=told)


class Knight:
    """Witnesses, but hangs when a motion that is his weakness leaves the state given with it."""

    def __init__(self, hangs: Sequence[tuple[int, str]], desk: Desk) -> None:
        self.hangs = {(motion_id(number), state) for number, state in hangs}
        self.desk = desk
        self.honest = KnightWitness()

    async def witness(self, request: WitnessRequest) -> WitnessStatement:
        """Witness, sooner or later."""
        if (request.motion_id, request.transition.from_state.value) in self.hangs:
            await self.desk.awake.wait()
        return await self.honest.witness(request)


def run(orders: dict[str, Any], line: Line) -> None:
    """Be a worker until told to stop, or until nobody is on the line any more."""
    # A person who interrupts the program interrupts the driving process, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    desk = Desk(orders["name"], line)
    with wrong_clock(lambda: desk.clock_error):
        asyncio.run(_work(orders, desk))


async def _work(orders: dict[str, Any], desk: Desk) -> None:
    _pass_on_logs(desk)
    _set_up_doom(desk)
    loop = asyncio.get_running_loop()
    loop.add_reader(desk.line.fileno(), lambda: _listen(desk))
    manners: dict[str, dict[int, str]] = orders.get("manners", {})
    external = orders.get("external", ())
    async with open_flow(
        orders["address"],
        config=FlowConfiguration.model_validate(orders["settings"]),
        branches={
            name: Player(name, manners.get(name, {}), desk)
            for name in SERVICE_BRANCH
            if name not in external
        },
        knight=Knight(orders.get("hangs", ()), desk),
        alert_sinks=[Postbox()],
        keyring=fixed_keyring(),
        environ={},
    ) as flow:
        desk.flow = flow
        tell_of_appends(flow, lambda receipts: desk.say("acknowledged", receipts=receipts))
        if desk.stopping:
            # It was told so while it opened the store; then the run ends as it begins.
            flow.worker.stop()
        desk.say("ready")
        await flow.worker.run()
    loop.remove_reader(desk.line.fileno())
    desk.say("ended")


def tell_of_appends(flow: Flow, tell: Callable[[list[Receipt]], None]) -> None:
    """Tell what was acknowledged before whoever asked for it hears of it."""
    store: Any = flow.store

    async def append(asked: Append) -> tuple[CommittedEvent, ...]:
        committed = await type(store).append(store, asked)
        tell([_receipt(event) for event in asked.events])
        return cast("tuple[CommittedEvent, ...]", committed)

    store.append = append


def _receipt(event: Any) -> Receipt:
    completed = event.topic == "BRANCH_COMPLETED"
    routing_id = str(json.loads(event.state)["routing_id"]) if completed else None
    digest = hashlib.sha256(event.state).hexdigest()
    return str(event.originator_id), event.originator_version, digest, routing_id


def _listen(desk: Desk) -> None:
    try:
        told = desk.line.recv()
    except EOFError:
        # Whoever started us is gone.
        os._exit(1)
    match told:
        case {"do": "go"}:
            desk.go.set()
        case {"do": "speak"}:
            desk.speak.set()
        case {"do": "wake"}:
            desk.awake.set()
        case {"do": "die", "when": when, "commits": commits}:
            desk.doom = _death(when, commits)
        case {"do": "clock", "seconds": seconds}:
            desk.clock_error = timedelta(seconds=seconds)
        case {"do": "limit", "bytes": most}:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard if most is None else most, hard))
        case {"do": "stop"}:
            desk.stopping = True
            if desk.flow is not None:
                desk.flow.worker.stop()
        case _:
            raise AssertionError(told)
    desk.say("heard", order=told["do"])


def _death(when: str, commits: int) -> Callable[[str], None]:
    """Return what kills this process at a moment: before or after the so-manieth commit."""
    left = commits

    def reached(moment: str) -> None:
        nonlocal left
        left -= moment == when
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def _set_up_doom(desk: Desk) -> None:
    for kind in (PostgresTransaction, SqliteTransaction):
        _watch_commits(cast("Any", kind), desk)


def _watch_commits(kind: Any, desk: Desk) -> None:
    commit = kind.commit

    def watched(transaction: Any) -> None:
        desk.doom("before")
        commit(transaction)
        desk.doom("after")

    kind.commit = watched


@contextmanager
def wrong_clock(error: Callable[[], timedelta]) -> Iterator[None]:
    """Let the machine's clock be wrong by ``error()`` for all of this process."""
    clock: Any = SystemClock
    right = clock.now

    def now(_clock: SystemClock) -> datetime:
        return datetime.now(UTC) + error()

    clock.now = now
    try:
        yield
    finally:
        clock.now = right


class _Passing(logging.Handler):
    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    def emit(self, record: logging.LogRecord) -> None:
        self._desk.say("log", event=record.getMessage(), error=str(record.exc_info or ""))


def _pass_on_logs(desk: Desk) -> None:
    def tell(_logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        details = {name: str(value) for name, value in event.items() if name != "event"}
        desk.say("log", level=method, event=event["event"], details=details)
        raise structlog.DropEvent

    structlog.configure(processors=[tell])
    logging.basicConfig(handlers=[_Passing(desk)], level=logging.WARNING, force=True)
