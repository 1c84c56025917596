"""Where faults happen: a store, workers on it, and a program that drives motions through them.

The driving program introduces motions, plays the Prince from outside, resolves what halts if it
is told to, and writes down whatever it or a worker was told is recorded. Nothing waits for a time
to pass: every wait is for something to be said or recorded, and fails if it never is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from governance_flow.application.ports.event_store import CommittedEvent
from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult
from governance_flow.bootstrap import Flow, open_flow
from governance_flow.domain.branches import PRINCE_SERVICE
from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.domain.errors import CompletionRefused, CorruptStream, Refused, StoreError
from tests.faults.worker import Receipt, number_of, tell_of_appends, wrong_clock
from tests.faults.workers import Workman
from tests.support.driving import answer, fate_of, introduce, motion_id
from tests.support.flows import Postbox
from tests.support.invariants import TERMINAL, Ledger
from tests.support.keys import fixed_keyring
from tests.support.private_postgres import PrivatePostgres

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
PERSISTENCE = 50
"""How often the driving program tries what the store was not there for."""

NUMBERS = 1_000_000
PERSON = "the chair"

ENDS = {1: "REJECTED", 4: "TABLED", 5: "REJECTED"}
"""Where the fates lead that do not lead to ACKNOWLEDGED."""

SETTINGS: dict[str, Any] = {
    # Little room, so that there is a docket; short leases, so that the dead are soon replaced.
    "max_concurrent_motions": 12,
    "retry": {"backoff_seconds": [0.0]},
    "worker": {
        "lease_seconds": 2.0,
        "heartbeat_seconds": 0.5,
        "poll_seconds": 0.1,
        "max_concurrent_assignments": 8,
        # One routing may well die with many workers here: that is the point, and no error.
        "max_lease_losses": 1000,
    },
    "branches": {PRINCE_SERVICE: {"kind": "external"}},
}


class Stuck(Exception):
    """Something that had to happen did not."""


class Stage:
    """A store with workers and motions on it."""

    def __init__(
        self,
        flow: Flow,
        rng: Random,
        settings: dict[str, Any],
        server: PrivatePostgres | None = None,
    ) -> None:
        self.flow = flow
        self.server = server
        self.rng = rng
        """Decides what goes wrong and when, always by the same number of draws."""
        self._numbers = Random(rng.random())
        """Decides which motions there are, however many it takes to keep the workers busy."""
        self.settings = settings
        self.ledger = Ledger()
        self.workers: list[Workman] = []
        self.past: list[Workman] = []
        self.motions: list[int] = []
        self.states: dict[UUID, str] = {}
        self.blocked: set[UUID] = set()
        self.poisoned: set[UUID] = set()
        self.halted = False
        self.resolving = False
        """Whether a person resolves what halts."""
        self.resuming = True
        """Whether a person resumes the pipeline when it has halted itself."""
        self.clock_error = timedelta(0)
        """How wrong the driving program's own clock is."""
        self.calm = asyncio.Event()
        """Set while nothing keeps the driving program itself from the store."""
        self.calm.set()
        self.heard: list[tuple[Workman, dict[str, Any]]] = []
        """All that workers have said, in the order in which it was heard."""
        self.judging = True
        """Whether the driving program plays the Prince."""
        self.judge_times = 1
        """How often the Prince reports each result."""
        self.interruptions = 0
        self.strangers: list[str] = []
        """Whatever was seen that nothing explains."""
        self._heard = asyncio.Event()
        self._position = 0
        self._started = 0
        self._due: dict[UUID, UUID] = {}
        self._stopping = False
        self._driving: asyncio.Task[None] | None = None

    # -- Workers -------------------------------------------------------------------------------

    def start(self, *, address: str | None = None, **orders: Any) -> Workman:
        """Start a worker, and do not wait for it."""
        branches: dict[str, Any] = self.settings["branches"]
        self._started += 1
        workman = Workman(
            {
                "name": f"worker {self._started}",
                "address": address or self.flow.address,
                "settings": self.settings,
                "external": [n for n, b in branches.items() if b.get("kind") == "external"],
                **orders,
            },
            self._on_line,
        )
        self.workers.append(workman)
        return workman

    async def start_all(self, count: int, **orders: Any) -> list[Workman]:
        """Start so many workers, and wait until all of them are at work."""
        started = [self.start(**orders) for _ in range(count)]
        await self.until(lambda: all(one.ready for one in started), "all workers are ready")
        return started

    async def bury(self, workman: Workman) -> None:
        """Wait until a worker that was killed is gone, with all it had said heard."""
        await self.until(lambda: workman.gone, f"{workman.name} is gone")
        self.workers.remove(workman)
        self.past.append(workman)
        workman.close()

    async def dismiss(self) -> None:
        """Let all workers finish and end; one that does not end well is a stranger."""
        for workman in self.workers:
            workman.tell("stop")
            workman.doomed = True
        await self.until(lambda: all(one.gone for one in self.workers), "all workers have ended")
        for workman in self.workers:
            code = await asyncio.to_thread(workman.wait)
            if code != 0 or not workman.has_said("ended"):
                self.strangers.append(f"{workman.name} ended with {code}")
        self.end_all()

    def end_all(self) -> None:
        """End all workers, whatever they do."""
        for workman in self.workers:
            workman.close()
        self.past += self.workers
        self.workers.clear()

    def astray(self) -> list[str]:
        """Return which motions have not come to the end that is their own, whatever went wrong."""
        ends = [(n, motion_id(n), ENDS.get(fate_of(n), "ACKNOWLEDGED")) for n in self.motions]
        return [
            f"motion {number} ({motion}) rests in {self.states[motion]}, but its end is {end}"
            for number, motion, end in ends
            if motion not in self.poisoned and self.states[motion] != end
        ]

    @property
    def told_by_workers(self) -> bool:
        """Whether any worker has said that something was acknowledged."""
        return any(line["said"] == "acknowledged" for _, line in self.heard)

    def _on_line(self, workman: Workman, line: dict[str, Any]) -> None:
        self.heard.append((workman, line))
        if line["said"] == "acknowledged":
            self.note(line["receipts"])
        self._notify()

    def note(self, receipts: Iterable[Receipt]) -> None:
        """Write down what was acknowledged."""
        for stream, version, digest, routing_id in receipts:
            self.ledger.note(stream, version, digest)
            if routing_id is not None:
                self.ledger.completions[routing_id] = stream

    # -- Waiting -------------------------------------------------------------------------------

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds of what was said and recorded. Raises Stuck if it never does.

        A worker that dies without having been killed is the end of it, too.
        """
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not holds():
                    if self._driving is not None and self._driving.done():
                        self._driving.result()
                    for workman in self.workers:
                        if workman.gone and not workman.doomed:
                            raise Stuck(f"{workman.name} died by itself; {self._situation()}")
                    await self._heard.wait()
        except TimeoutError:
            raise Stuck(f"never came: {what}; {self._situation()}") from None

    async def lines_more(self, count: int) -> None:
        """Wait until the workers have said so many lines more, or there is nothing to say."""
        goal = len(self.heard) + count
        await self.until(lambda: len(self.heard) >= goal or self.at_rest, f"{count} more lines")

    async def rest(self) -> None:
        """Wait until every motion has come to where it rests."""
        await self.until(lambda: self.at_rest, "every motion is at rest")

    @property
    def at_rest(self) -> bool:
        """Whether nothing is left to do, as far as the log has been read."""
        if self.halted and self.resuming:
            return False
        return all(
            state in TERMINAL
            or state == "TABLED"
            or motion in self.poisoned
            or (motion in self.blocked and not self.resolving)
            for motion, state in self.states.items()
        )

    def _notify(self) -> None:
        self._heard.set()
        self._heard = asyncio.Event()

    def _situation(self) -> str:
        resting = TERMINAL | {"TABLED"}
        live = {str(m): s for m, s in self.states.items() if s not in resting}
        gone = [one.name for one in self.workers if one.gone]
        logs = [line for one in self.workers for line in one.said if line["said"] == "log"]
        return f"live: {live}; gone: {gone}; last logs: {logs[-5:]}"

    # -- Driving -------------------------------------------------------------------------------

    async def introduce(self, count: int) -> list[int]:
        """Introduce so many motions of the seed's choosing; returns their numbers."""
        return await self.introduce_these(self.choose(count))

    async def introduce_these(self, numbers: list[int]) -> list[int]:
        """Introduce these motions, and return once all of them are recorded."""
        self.motions += numbers
        for number in numbers:
            self.states[motion_id(number)] = "INTRODUCED"
        await asyncio.gather(*(self._introduce(number) for number in numbers))
        return numbers

    def pick(self, workers: Sequence[Workman]) -> Workman:
        """Choose one of some workers, however many there are just now."""
        return workers[int(self.rng.random() * len(workers))]

    def choose(self, count: int, *, step: int = 1) -> list[int]:
        """Choose numbers of motions that are not there yet, all of them multiples of ``step``."""
        chosen: dict[int, None] = {}
        while len(chosen) < count:
            number = self._numbers.randrange(0, NUMBERS, step)
            if number not in self.motions:
                chosen[number] = None
        return list(chosen)

    async def _introduce(self, number: int) -> None:
        await self.persist(lambda: introduce(self.flow.orchestrator, number))
        self.ledger.introduced(motion_id(number))

    async def persist(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do something whose effect happens once, however often it is asked for."""
        for _ in range(PERSISTENCE):
            await self.calm.wait()
            try:
                return await act()
            except StoreError:
                self.interruptions += 1
        raise Stuck(f"the store was not there {PERSISTENCE} times running")

    async def drive(self) -> None:
        """Follow the log, and do what falls to the driving program, until told to stop."""
        while not self._stopping:
            await self.persist(self._read_on)
            await self.persist(self._play_prince)
            await self.persist(self._play_person)
            self._notify()
            await self.persist(self._await_more)

    async def _await_more(self) -> None:
        await self.flow.store.wait_for_append(
            after_position=self._position,
            timeout_seconds=self.flow.configuration.worker.poll_seconds,
        )

    async def _read_on(self) -> None:
        while page := await self.flow.store.read_all(after_position=self._position, limit=1000):
            for stored in page:
                self._read(stored)
                self._position = stored.id

    def _read(self, stored: CommittedEvent) -> None:
        motion = UUID(str(stored.originator_id))
        if motion in self.poisoned:
            return
        event = json.loads(stored.state)
        match stored.topic:
            case "PIPELINE_HALTED" | "PIPELINE_RESUMED":
                self.halted = stored.topic == "PIPELINE_HALTED"
            case "TRANSITION_WITNESSED":
                self.states[motion] = event["to_state"]
                self._due.pop(motion, None)
            case "MOTION_ROUTED":
                self.blocked.discard(motion)
                self._due.pop(motion, None)
                if event["service"] == PRINCE_SERVICE:
                    self._due[motion] = UUID(event["event_id"])
            case "ORCHESTRATOR_ERROR":
                if event["strategy"] == "halt_and_alert":
                    self.blocked.add(motion)
            case "ESCALATION_RESOLVED":
                self.blocked.discard(motion)
            case _:
                pass

    async def _play_prince(self) -> None:
        if not self._due or not self.judging:
            return
        fetched = await self.flow.external.fetch(
            [PRINCE_SERVICE], by="the prince", limit=20, lease_seconds=5.0
        )
        await asyncio.gather(*(self._judge(assignment) for assignment in fetched))

    async def _judge(self, assignment: BranchAssignment) -> None:
        judged = replace(
            answer(number_of(assignment.title), assignment), lease_token=assignment.lease_token
        )
        try:
            await asyncio.gather(*(self._report(judged) for _ in range(self.judge_times)))
        except CompletionRefused:
            # It took longer than the lease: whoever holds it now judges.
            return
        except CorruptStream:
            # Spoiled since it was fetched. Of any other motion that would be a fault of ours.
            if assignment.motion_id not in self.poisoned:
                raise
            return
        self.ledger.completed(assignment.motion_id, assignment.routing_id)

    async def _report(self, judged: BranchResult) -> None:
        motion = judged.motion_id
        await self.persist(lambda: self.flow.orchestrator.handle_completion(motion, judged))

    async def _play_person(self) -> None:
        if self.halted and self.resuming:
            try:
                await self.flow.orchestrator.resume_pipeline(PERSON, "seen to")
            except Refused:
                # Resumed already: the reply was lost.
                return
        if self.resolving:
            for motion in tuple(self.blocked - self.poisoned):
                try:
                    await self.flow.orchestrator.retry_motion(motion, PERSON)
                except Refused:
                    continue

    def stop(self) -> None:
        """End ``drive``."""
        self._stopping = True

    def begin(self) -> asyncio.Task[None]:
        """Start ``drive`` beside whatever else happens."""
        self._driving = asyncio.create_task(self.drive(), name="driving program")
        self._driving.add_done_callback(lambda _: self._notify())
        return self._driving


@asynccontextmanager
async def staged(
    address: str, rng: Random, *, server: PrivatePostgres | None = None, **settings: Any
) -> AsyncIterator[Stage]:
    """Open a store for a fault to happen on; end every process with the block."""
    merged = {
        name: {**SETTINGS.get(name, {}), **value} if isinstance(value, dict) else value
        for name, value in {**SETTINGS, **settings}.items()
    }
    async with AsyncExitStack() as stack:
        flow = await stack.enter_async_context(
            open_flow(
                address,
                config=FlowConfiguration.model_validate(merged),
                branches={},
                alert_sinks=[Postbox()],
                keyring=fixed_keyring(),
                environ={},
            )
        )
        stage = Stage(flow, rng, merged, server)
        stack.enter_context(wrong_clock(lambda: stage.clock_error))
        tell_of_appends(flow, stage.note)
        driving = stage.begin()
        try:
            yield stage
        finally:
            stage.stop()
            stage.end_all()
            stage.calm.set()
            await asyncio.wait({driving}, timeout=PATIENCE_SECONDS)
