"""The referee: looks at the store after every commit, and knows the rules by itself."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from governance_flow.application.ports.clock import Clock
from governance_flow.application.times import to_us
from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.evolve import evolve
from governance_flow.domain.motion import Motion
from governance_flow.domain.next_action import next_action
from governance_flow.infrastructure.mapper import JsonEventMapper
from tests.simulation import law
from tests.simulation.account import Account, Broken, Json, Surroundings, require, when
from tests.simulation.leases import LeaseBook
from tests.simulation.ledger import Ledger
from tests.simulation.store import WatchedDatabase

READ = "SELECT position, stream_id, stream_version, topic, state, committed_at_us FROM events"
NEWS = f"{READ} WHERE position > :after ORDER BY position"
HEAD = "SELECT position, admitted, halted, halt_epoch FROM head"

PIPELINE = str(PIPELINE_ID)


class Stored(NamedTuple):
    """An event as it stands in the store."""

    position: int
    stream_id: str
    version: int
    topic: str
    state: bytes
    committed_at_us: int


class Referee:
    """Follows the log with rules of its own. Raises Broken as soon as a promise is."""

    def __init__(
        self,
        database: WatchedDatabase,
        clock: Clock,
        ledger: Ledger,
        *,
        capacity: int,
        grace_seconds: float,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._capacity = capacity
        self._mapper = JsonEventMapper()
        self._folded: dict[str, Motion] = {}
        self._digest = sha256()
        self._ids: set[str] = set()
        self._pipeline_version = 0
        self._keys: set[str] = set()
        self._committed_at_us = 0
        self._halts: list[law.Span] = []
        self._around = Surroundings(self._halts, {}, grace_seconds)
        self.leases = LeaseBook(database, clock)
        self.accounts: dict[str, Account] = {}
        self.log: list[tuple[str, str, Json]] = []
        """Stream, topic and content of every event, in order of position."""
        self.halted = False
        self.halt_epoch = 0
        self.alerts: Counter[str] = Counter()
        self.commits = 0

    @property
    def position(self) -> int:
        """How far it has followed the log."""
        return len(self.log)

    @property
    def trace(self) -> str:
        """A hash of the whole log: stored bytes, places and times."""
        return self._digest.hexdigest()

    @property
    def admitted(self) -> int:
        """How many motions hold a place."""
        return sum(account.state in law.ADMITTED for account in self.accounts.values())

    def look(self) -> None:
        """Check everything that the latest commit has changed."""
        self.commits += 1
        [head] = self._database.look_at(HEAD)
        if head[0] != self.position:
            rows = self._database.look_at(NEWS, {"after": self.position})
            known = set(self.accounts)
            touched = {self._follow(Stored(*row)) for row in rows}
            for stream_id in touched - {PIPELINE}:
                self.accounts[stream_id].committed()
                self._compare(stream_id)
                if stream_id not in known:
                    self._require_in_turn(self.accounts[stream_id])
        expected = (self.position, self.admitted, self.halted, self.halt_epoch)
        require(tuple(head) == expected, "head", head, "should be", expected)
        require(self.admitted <= self._capacity, self.admitted, "admitted,", self._capacity)
        self.leases.look()

    def reread(self) -> None:
        """Make sure that what was once in the log is still there, byte for byte."""
        digest = sha256()
        for row in self._database.look_at(NEWS, {"after": 0}):
            _hash(digest, Stored(*row))
        require(digest.hexdigest() == self.trace, "the log has changed behind its head")

    def _follow(self, stored: Stored) -> str:
        require(stored.position == self.position + 1, "a gap before position", stored.position)
        require(stored.committed_at_us >= self._committed_at_us, "the commit time went back")
        self._committed_at_us = stored.committed_at_us
        _hash(self._digest, stored)
        event: Json = json.loads(stored.state)
        require(event["event_id"] not in self._ids, "an event id twice:", event["event_id"])
        self._ids.add(event["event_id"])
        self.log.append((stored.stream_id, stored.topic, event))
        if stored.stream_id == PIPELINE:
            self._follow_pipeline(stored, event)
        else:
            self._follow_motion(stored, event)
        return stored.stream_id

    def _follow_motion(self, stored: Stored, event: Json) -> None:
        account = self.accounts.get(stored.stream_id)
        if account is None:
            require(stored.topic == "MOTION_INTRODUCED", "begins with", stored.topic)
            account = self.accounts[stored.stream_id] = Account.opened(stored.stream_id, event)
        else:
            if self.halted:
                moving = ("MOTION_ROUTED", "TRANSITION_WITNESSED", "ORCHESTRATOR_ERROR")
                require(stored.topic not in moving, stored.topic, "while the pipeline is halted")
            account.follow(stored.topic, event, self._around)
        require(stored.version == account.version, "version", stored.version, account.version)
        account.chain.stored(stored.version, stored.topic, event, stored.state)
        if stored.topic in ("BRANCH_COMPLETED", "VIOLATION_WITNESSED"):
            report = self._ledger.recorded(stored.stream_id, event)
            if report is not None:
                self.leases.require_fenced(report.routing_id, report.token)
        if stored.topic == "MOTION_ROUTED" and event["not_before"] is not None:
            at = datetime.fromisoformat(event["not_before"])
            self.leases.plan(event["event_id"], to_us(at))
        self._fold(stored)

    def _fold(self, stored: Stored) -> None:
        stream_id = UUID(stored.stream_id)
        plain = StoredEvent(stream_id, stored.version, stored.topic, stored.state)
        decoded: Any = self._mapper.to_event(plain)
        self._folded[stored.stream_id] = evolve(
            self._folded.get(stored.stream_id), decoded, stream_id
        )

    def _compare(self, stream_id: str) -> None:
        """Hold the product's own view of a motion against ours."""
        account, motion = self.accounts[stream_id], self._folded[stream_id]
        waits_for = type(next_action(motion)).__name__
        require(waits_for == account.waits_for, f"waits for {waits_for}, not {account.waits_for}")
        open_id = account.routing["event_id"] if account.routing else None
        ours = (account.state, account.version, open_id, account.block is not None)
        routing_id = str(motion.routing.routing_id) if motion.routing else None
        theirs = (motion.state.value, motion.version, routing_id, motion.block is not None)
        require(ours == theirs, "folded to", theirs, "not", ours)

    def _require_in_turn(self, newcomer: Account) -> None:
        """Make sure that one who was admitted as it came in went past nobody."""
        if newcomer.state not in law.ADMITTED:
            return
        overtaken = [
            account.id
            for account in self.accounts.values()
            if account.waits_for == "AwaitPlace"
            and account.docketed_at is not None
            and to_us(account.docketed_at) <= self._committed_at_us
        ]
        require(not overtaken, newcomer.id, "was admitted before", overtaken)

    def _follow_pipeline(self, stored: Stored, event: Json) -> None:
        self._pipeline_version += 1
        require(stored.version == self._pipeline_version, "a gap in the pipeline's stream")
        match stored.topic:
            case "PIPELINE_HALTED":
                require(not self.halted, "halted while halted")
                self.halted, self.halt_epoch = True, self.halt_epoch + 1
                self._halts.append((when(event), None))
            case "PIPELINE_RESUMED":
                require(self.halted, "resumed while running")
                self.halted, self.halt_epoch = False, self.halt_epoch + 1
                self._halts[-1] = (self._halts[-1][0], when(event))
            case "CONFIGURATION_ADOPTED":
                known: Any = self._around.configurations
                known[event["digest"]] = event["configuration"]
            case "KEY_ADOPTED":
                require(event["role"] not in self._keys, "a key adopted that nobody replaced")
                self._keys.add(event["role"])
            case "ALERT_DELIVERED":
                self.alerts[event["alert_id"]] += 1
            case topic:
                raise Broken(f"{topic} in the pipeline's stream")

    # -- What must come true in the end ----------------------------------------------------------

    def unsettled(self, now: datetime) -> list[str]:
        """Return the motions that neither have ended nor wait for a person, a date or a place."""
        return [
            f"{account.id} in {account.state}: {account.waits_for}"
            for account in self.accounts.values()
            if not self._settled(account, now)
        ]

    def _settled(self, account: Account, now: datetime) -> bool:
        match account.waits_for:
            case "Finished" | "AwaitPerson" | "AwaitTakingUp":
                return True
            case "AwaitPlace":
                since = account.docketed_at
                later = since is not None and since > now + timedelta(days=1)
                return later or self.admitted >= self._capacity
            case _:
                return False


def _hash(digest: Any, stored: Stored) -> None:
    place = f"{stored.position} {stored.stream_id} {stored.version} {stored.topic} "
    digest.update(place.encode() + stored.state + str(stored.committed_at_us).encode())
