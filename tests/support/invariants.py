"""What must hold of a store whatever happened to those who wrote it.

Written against the design and the stored bytes, not against the program: its own table of edges,
its own chain of statements, its own counters. What only the program can say (who must act next,
what its lists show) is asked of it and compared with that.

Three things can be wrong: something that was acknowledged is *lost*, something is there *repeated*,
or something is *unexplained*: a chain that does not hold, a counter that differs, a motion that
waits for nobody.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple, Self
from uuid import UUID, uuid5

import psycopg

from governance_flow.application.ports.flow_orchestrator import (
    ActionKind,
    MotionPipelineState,
    PipelineStatus,
)
from governance_flow.bootstrap import Flow
from governance_flow.domain.errors import CorruptStream

PIPELINE = str(uuid5(UUID(int=0), "governance-flow/pipeline"))
HEADER = "governance-flow/witness-statement/v1"

EDGES = {
    "INTRODUCED": {"DELIBERATING", "TABLED", "REJECTED", "WITHDRAWN"},
    "DELIBERATING": {"RATIFIED", "REJECTED", "TABLED", "INTRODUCED", "WITHDRAWN"},
    "RATIFIED": {"PLANNING", "TABLED", "REJECTED"},
    "PLANNING": {"EXECUTING", "DELIBERATING", "TABLED", "REJECTED"},
    "EXECUTING": {"JUDGING", "PLANNING", "TABLED", "REJECTED"},
    "JUDGING": {"WITNESSING", "EXECUTING", "TABLED", "REJECTED"},
    "WITNESSING": {"ACKNOWLEDGED", "JUDGING", "TABLED", "REJECTED"},
    "TABLED": {"DELIBERATING", "WITHDRAWN"},
}
"""Section 2 of the design, written out once more: from a state to those that may follow."""

TERMINAL = {"ACKNOWLEDGED", "REJECTED", "WITHDRAWN"}
ADMITTED = {"DELIBERATING", "RATIFIED", "PLANNING", "EXECUTING", "JUDGING", "WITNESSING"}

AT_REST = frozenset({ActionKind.PERSON, ActionKind.TAKING_UP, ActionKind.DATE})
"""What a motion may wait for when no worker has anything left to do."""

COMPARED = ("current_state", "version", "entered_state_at", "blocking_issues", "last_error")
"""What the read model must show of a motion just as its stream has it."""

PAGE = 200


class LogRow(NamedTuple):
    """One event as it is stored."""

    position: int
    stream_id: str
    version: int
    topic: str
    state: bytes


@dataclass
class Ledger:
    """What somebody was told is recorded, noted before anything was built on it."""

    introductions: set[str] = field(default_factory=set)
    completions: dict[str, str] = field(default_factory=dict)
    """From the routing to its motion."""
    events: set[tuple[str, int, str]] = field(default_factory=set)
    """Stream, version, and digest of the bytes; of two for one version, one is lost."""

    def introduced(self, motion_id: UUID) -> None:
        """Note that the introduction of a motion was acknowledged."""
        self.introductions.add(str(motion_id))

    def completed(self, motion_id: UUID, routing_id: UUID) -> None:
        """Note that the completion of a routing was acknowledged."""
        self.completions[str(routing_id)] = str(motion_id)

    def note(self, stream_id: str, version: int, digest: str) -> None:
        """Note that the append of an event with these bytes was acknowledged."""
        self.events.add((stream_id, version, digest))


@dataclass
class Findings:
    """What is wrong, each thing in a line."""

    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.repeated or self.unexplained)

    def __iadd__(self, other: Findings) -> Self:
        self.lost += other.lost
        self.repeated += other.repeated
        self.unexplained += other.unexplained
        return self

    def lines(self) -> list[str]:
        """Return everything, each line saying which kind of thing it is."""
        kinds = (("lost", self.lost), ("repeated", self.repeated))
        named = [f"{kind}: {line}" for kind, lines in kinds for line in lines]
        return named + [f"unexplained: {line}" for line in self.unexplained]


class _Story:
    """One motion, event by event. Returns nothing: what is wrong goes into ``findings``."""

    def __init__(self, motion_id: str, findings: Findings) -> None:
        self.motion_id = motion_id
        self.state: str | None = None
        self._findings = findings
        self._version = 0
        self._previous: str | None = None
        self._covered: list[dict[str, Any]] = []
        self._open: str | None = None
        self._routed: set[str] = set()
        self._completed: set[str] = set()

    def add(self, row: LogRow, event: dict[str, Any]) -> None:
        self._version += 1
        if row.version != self._version:
            self._odd(row, f"comes where version {self._version} should")
            self._version = row.version
        if (self.state is None) != (row.topic == "MOTION_INTRODUCED"):
            kind = self._twice if self.state else self._odd
            kind(row, "a motion begins with its one introduction")
        match row.topic:
            case "MOTION_INTRODUCED":
                self.state = "INTRODUCED"
            case "TRANSITION_WITNESSED":
                self._transition(row, event)
            case "MOTION_ROUTED":
                self._routing(row, event)
            case "BRANCH_COMPLETED":
                self._completion(row, event)
            case "ORCHESTRATOR_ERROR" | "VIOLATION_WITNESSED":
                # Whoever held the routing has failed, or has been refused: it is closed.
                if event["routing_id"] == self._open and event.get("by_holder", True):
                    self._open = None
            case _:
                pass
        covered = {"version": row.version, "sha256": sha256(row.state).hexdigest()}
        if row.topic == "TRANSITION_WITNESSED":
            self._previous = sha256(event["statement"].encode()).hexdigest()
            self._covered = [covered]
        else:
            self._covered.append(covered)

    def _transition(self, row: LogRow, event: dict[str, Any]) -> None:
        source, target = event["from_state"], event["to_state"]
        if source != self.state:
            self._twice(row, f"leaves {source}, but the motion is in {self.state}")
        if target not in EDGES.get(source, ()):
            self._odd(row, f"{source} to {target} is no edge of the flow")
        header, _, rest = event["statement"].partition("\n")
        try:
            said = json.loads(rest.split("\n")[0])
        except ValueError:
            said = {}
        binds = {
            "motion_id": self.motion_id,
            "version": row.version,
            "from": source,
            "to": target,
            "cause": event["cause"],
            "actor": event["actor"],
            "previous_statement": self._previous,
            "covers": self._covered,
        }
        wrong = [name for name, value in binds.items() if said.get(name) != value]
        if header != HEADER or wrong:
            self._odd(row, f"its statement does not bind {', '.join(wrong) or 'anything'}")
        self.state = target
        if target in TERMINAL:
            self._open = None

    def _routing(self, row: LogRow, event: dict[str, Any]) -> None:
        routing_id = event["event_id"]
        if routing_id in self._routed:
            self._twice(row, f"routing {routing_id} was there before")
        if event["state"] != self.state:
            self._odd(row, f"routed in {event['state']}, but the motion is in {self.state}")
        self._routed.add(routing_id)
        self._open = routing_id

    def _completion(self, row: LogRow, event: dict[str, Any]) -> None:
        routing_id = event["routing_id"]
        if routing_id in self._completed:
            self._twice(row, f"routing {routing_id} was completed before")
        elif routing_id != self._open:
            self._odd(row, f"completes routing {routing_id}, which is not open")
        self._completed.add(routing_id)
        self._open = None

    def _twice(self, row: LogRow, what: str) -> None:
        self._findings.repeated.append(f"{self._place(row)}: {what}")

    def _odd(self, row: LogRow, what: str) -> None:
        self._findings.unexplained.append(f"{self._place(row)}: {what}")

    def _place(self, row: LogRow) -> str:
        return f"motion {self.motion_id}, version {row.version}, {row.topic}"


class LogCheck:
    """Reads a whole log in its order, and keeps what can be counted from it.

    The streams in ``poisoned`` hold an event on purpose that nobody can apply: they are followed
    up to there, and no further. ``places`` is how many motions may be admitted at once.
    """

    def __init__(self, *, places: int | None = None, poisoned: Collection[str] = ()) -> None:
        self.findings = Findings()
        self.stories: dict[str, _Story] = {}
        self.position = 0
        self.admitted = 0
        self.completions = 0
        self.failures = 0
        self.finished = 0
        self.halted = False
        self._places = places
        self._poisoned = set(poisoned)
        self._parked: set[str] = set()
        self._digests: dict[tuple[str, int], str] = {}
        self._completed: set[tuple[str, str]] = set()
        self._event_ids: set[str] = set()

    @property
    def states(self) -> dict[str, str]:
        """Where each motion stands."""
        return {motion: story.state or "?" for motion, story in self.stories.items()}

    def add(self, row: LogRow) -> None:
        """Look at the next row."""
        odd, repeated = self.findings.unexplained, self.findings.repeated
        self.position += 1
        if row.position != self.position:
            odd.append(f"position {row.position} comes where {self.position} should")
            self.position = row.position
        self._digests[row.stream_id, row.version] = sha256(row.state).hexdigest()
        if row.stream_id in self._parked:
            return
        event = _readable(row)
        if event is None or (row.stream_id in self._poisoned and self._impossible(row, event)):
            self._parked.add(row.stream_id)
            if row.stream_id not in self._poisoned:
                odd.append(f"position {row.position} holds what is no event: {row.state[:80]!r}")
            return
        if event["event_id"] in self._event_ids:
            repeated.append(f"position {row.position}: event {event['event_id']} is there twice")
        self._event_ids.add(event["event_id"])
        if row.stream_id == PIPELINE:
            self.halted = {"PIPELINE_HALTED": True, "PIPELINE_RESUMED": False}.get(
                row.topic, self.halted
            )
            return
        if self.halted and row.topic in ("TRANSITION_WITNESSED", "MOTION_ROUTED"):
            odd.append(f"position {row.position}: {row.topic} while the pipeline is halted")
        story = self.stories.get(row.stream_id)
        if story is None:
            story = self.stories[row.stream_id] = _Story(row.stream_id, self.findings)
        story.add(row, event)
        self._count(row, event)

    def _impossible(self, row: LogRow, event: dict[str, Any]) -> bool:
        if row.topic != "TRANSITION_WITNESSED":
            return False
        return event["to_state"] not in EDGES.get(event["from_state"], ())

    def _count(self, row: LogRow, event: dict[str, Any]) -> None:
        match row.topic:
            case "BRANCH_COMPLETED":
                self._completed.add((row.stream_id, event["routing_id"]))
                self.completions += event["success"]
            case "ORCHESTRATOR_ERROR":
                self.failures += 1
            case "VIOLATION_WITNESSED" if event["by_holder"]:
                # Refused, and that is an answer: whoever reported was told so.
                self._completed.add((row.stream_id, event["routing_id"]))
            case "TRANSITION_WITNESSED":
                source, target = event["from_state"], event["to_state"]
                self.admitted += (target in ADMITTED) - (source in ADMITTED)
                self.finished += target in TERMINAL
                if self._places is not None and self.admitted > self._places:
                    self.findings.unexplained.append(
                        f"position {row.position}: {self.admitted} admitted, {self._places} places"
                    )
            case _:
                pass

    def require(self, ledger: Ledger) -> None:
        """Note what was acknowledged and is not there."""
        lost = self.findings.lost
        lost += [
            f"motion {m}: its introduction" for m in ledger.introductions - self.stories.keys()
        ]
        for routing, motion in ledger.completions.items():
            if (motion, routing) not in self._completed and motion not in self._parked:
                lost.append(f"motion {motion}: the completion of routing {routing}")
        for stream, version, digest in sorted(ledger.events):
            if self._digests.get((stream, version)) != digest:
                lost.append(f"stream {stream}: the event acknowledged as version {version}")


def _readable(row: LogRow) -> dict[str, Any] | None:
    try:
        event = json.loads(row.state)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event_id" in event else None


def read_log(address: str) -> list[LogRow]:
    """Read all events past the program, with the database's own driver."""
    sql = "SELECT position, stream_id, stream_version, topic, state FROM events ORDER BY position"
    if address.startswith("sqlite:///"):
        with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as file:
            return [LogRow(*row) for row in file.execute(sql)]
    with psycopg.connect(address) as connection:
        rows = connection.execute(sql)
        return [LogRow(p, str(stream), v, topic, bytes(s)) for p, stream, v, topic, s in rows]


def check_log(
    rows: Iterable[LogRow],
    ledger: Ledger,
    *,
    places: int | None = None,
    poisoned: Collection[str] = (),
) -> LogCheck:
    """Look at a whole log, and for everything that was acknowledged in it."""
    check = LogCheck(places=places, poisoned=poisoned)
    for row in rows:
        check.add(row)
    check.require(ledger)
    return check


async def check_store(
    flow: Flow,
    ledger: Ledger,
    *,
    poisoned: Collection[str] = (),
    waits_for: frozenset[ActionKind] = AT_REST,
) -> Findings:
    """Check the log at ``flow.address``, and that all the program says of it agrees with it.

    Nobody may be at work. ``waits_for`` is what motions may be left waiting for.
    """
    places = flow.configuration.max_concurrent_motions
    check = check_log(read_log(flow.address), ledger, places=places, poisoned=poisoned)
    odd = check.findings.unexplained
    status = await flow.orchestrator.get_pipeline_status()
    shown = {str(row.motion_id): row for row in await _listed(flow, check.findings)}
    asked: dict[str, MotionPipelineState] = {}
    for motion in check.stories:
        try:
            asked[motion] = await flow.orchestrator.get_motion_status(UUID(motion))
        except CorruptStream as error:
            if motion not in poisoned:
                odd.append(f"motion {motion}: {error}")
    odd += [
        line
        for motion, state in check.states.items()
        for line in _differences(motion, state, shown, asked, poisoned)
    ]
    for motion, row in asked.items():
        if motion not in poisoned:
            odd += _waiting(row, waits_for)
    odd += _miscounted(check, status, {m: r for m, r in shown.items() if m in check.stories})
    head = await flow.store.head()
    if (head.position, head.admitted, head.halted) != (
        check.position,
        check.admitted,
        check.halted,
    ):
        odd.append(f"the head row says {head}; the log ends at {check.position}")
    for lease in await flow.assignments.list_open(limit=PAGE):
        if check.states.get(str(lease.motion_id)) in TERMINAL:
            odd.append(f"motion {lease.motion_id} has ended and is still assigned")
    report = await flow.audit.auditor.verify()
    odd += [f"audit: {fault}" for fault in report.faults if fault.stream_id not in poisoned]
    return check.findings


async def _listed(flow: Flow, findings: Findings) -> list[MotionPipelineState]:
    rows: list[MotionPipelineState] = []
    after: str | None = None
    while True:
        page = await flow.orchestrator.list_motions(limit=PAGE, after=after)
        rows += page.motions
        after = page.next_after
        if after is None:
            break
    for motion, count in Counter(row.motion_id for row in rows).items():
        if count > 1:
            findings.repeated.append(f"motion {motion} is listed {count} times")
    return rows


def _differences(
    motion: str,
    state: str,
    shown: Mapping[str, MotionPipelineState],
    asked: Mapping[str, MotionPipelineState],
    poisoned: Collection[str],
) -> list[str]:
    row = shown.get(motion)
    if row is None:
        return [f"motion {motion} is in the log and not on the list"]
    wrong = []
    if row.current_state != state:
        wrong.append(f"motion {motion} is in {state} and listed in {row.current_state}")
    if (row.parked is not None) != (motion in poisoned):
        wrong.append(f"motion {motion}: parked says {row.parked!r}")
    told = asked.get(motion)
    if told is None or motion in poisoned:
        return wrong
    both = ((name, getattr(told, name), getattr(row, name)) for name in COMPARED)
    return wrong + [
        f"motion {motion}: {name} is {a!r}, and listed as {b!r}" for name, a, b in both if a != b
    ]


def _waiting(row: MotionPipelineState, waits_for: frozenset[ActionKind]) -> list[str]:
    action = row.next_action
    if row.current_state.value in TERMINAL:
        return [f"motion {row.motion_id} has ended and waits for {action}"] if action else []
    if action is None or not action.who or not action.what:
        return [f"motion {row.motion_id} in {row.current_state} waits for nobody"]
    if action.kind not in waits_for:
        return [f"motion {row.motion_id} in {row.current_state} is stuck, waiting for {action}"]
    return []


def _miscounted(
    check: LogCheck, status: PipelineStatus, shown: Mapping[str, MotionPipelineState]
) -> list[str]:
    states = Counter(check.states.values())
    rows = shown.values()
    kinds = [row.next_action.kind for row in rows if row.next_action]
    counted: dict[str, tuple[object, object]] = {
        "motions by state": (
            states,
            +Counter({str(s): n for s, n in status.motions_by_state.items()}),
        ),
        "active motions": (
            sum(n for state, n in states.items() if state not in TERMINAL),
            status.active_motions,
        ),
        "admitted motions": (check.admitted, status.admitted),
        "blocked motions": (sum(bool(row.blocking_issues) for row in rows), status.blocked_motions),
        "waiting motions": (kinds.count(ActionKind.PLACE), status.waiting_motions),
        "completions": (check.completions, status.recent_completions),
        "failures": (check.failures, status.recent_failures),
        "finished motions": (check.finished, status.finished_recently),
        "position": (check.position, status.position),
        "halted": (check.halted, status.halted),
    }
    return [
        f"{name}: a replay has {replayed}, the read model {told}"
        for name, (replayed, told) in counted.items()
        if replayed != told
    ]
