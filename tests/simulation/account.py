"""One motion, followed event by event by rules of our own; every event must be justified.

This is a second implementation of the flow, simpler than the product's and written against it: it
does not decide what to do, it only asks of what was done whether it was allowed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.simulation import law
from tests.simulation.chain import Chain

Json = Mapping[str, Any]


class Broken(AssertionError):
    """A promise of the product was not kept."""


def require(condition: object, *words: object) -> None:
    """Raise Broken, saying why, unless the condition holds."""
    if not condition:
        raise Broken(" ".join(str(word) for word in words))


@dataclass(frozen=True)
class Surroundings:
    """What an event may depend on besides its own motion."""

    halts: Sequence[law.Span]
    configurations: Mapping[str, Json]
    grace_seconds: float


@dataclass
class Account:
    """Where a motion stands, as its events say."""

    id: str
    introduced_by: str
    state: str
    entered_at: datetime
    introduced_at: datetime
    docketed_at: datetime | None
    """Since when it waits for a place, or from when on."""
    acts: dict[str, set[str]]
    correlation: str
    version: int = 0
    dated: bool = False
    """Whether it is tabled until a date."""
    routing: Json | None = None
    last: Json | None = None
    """The latest routing, open or not."""
    done: set[str] = field(default_factory=set)
    """Routings that somebody has answered."""
    pending: Json | None = None
    """What was reported and has not been acted on."""
    resolution: Json | None = None
    block: str | None = None
    """Who decides about a blocked motion: "person" or "conclave"."""
    block_error: str | None = None
    pauses: list[law.Span] = field(default_factory=list)
    returns: Counter[str] = field(default_factory=Counter)
    unusable: int = 0
    """How often the review under way was answered with no decision."""
    recorded: bool = False
    promised: Json | None = None
    """An error that said what follows; it must follow in the same append."""
    causes: set[tuple[str, str, str]] = field(default_factory=set)
    chain: Chain = field(default_factory=Chain)
    errors: Counter[str] = field(default_factory=Counter)

    @classmethod
    def opened(cls, motion_id: str, event: Json) -> Account:
        """Return the account that MOTION_INTRODUCED opens."""
        at, who = when(event), event["introduced_by"]
        acts = defaultdict[str, set[str]](set, {who: {"king"}})
        return cls(
            motion_id, who, "INTRODUCED", at, at, at, acts, event["correlation_id"], version=1
        )

    # -- What it waits for -----------------------------------------------------------------------

    @property
    def waits_for(self) -> str:
        """Who must act next, in the words of the product's ``next_action``."""
        if self.state in law.TERMINAL:
            return "Finished"
        if self.block == "person":
            return "AwaitPerson"
        if self.resolution is not None and self.resolution["decision"] != "retry":
            return "AwaitOrchestrator"
        if self.routing is not None:
            return "AwaitBranch"
        if self.pending is not None or self.block is not None:
            return "AwaitOrchestrator"
        if self.docketed_at is not None:
            return "AwaitPlace"
        return "AwaitTakingUp" if self.state == "TABLED" else "AwaitOrchestrator"

    # -- Events ----------------------------------------------------------------------------------

    def follow(self, topic: str, event: Json, around: Surroundings) -> None:
        """Let an event change the account; raises Broken if nothing justifies it."""
        require(self.state not in law.TERMINAL, topic, "after the end in", self.state)
        require(event["correlation_id"] == self.correlation, topic, "of another correlation")
        self.version += 1
        match topic:
            case "MOTION_AMENDED":
                self._amended(event)
            case "MOTION_ROUTED":
                self._routed(event, around)
            case "BRANCH_COMPLETED":
                self._completed(event)
            case "TRANSITION_WITNESSED":
                self._moved(event)
            case "ORCHESTRATOR_ERROR":
                self._failed(event, around)
            case "ESCALATION_RESOLVED":
                self._resolved(event)
            case "VIOLATION_WITNESSED":
                self._violated(event)
            case _:
                raise Broken(f"{topic} in the stream of a motion")

    def committed(self) -> None:
        """Make sure that an append left nothing half done."""
        require(self.promised is None, "announced and not done:", self.promised)

    def _amended(self, event: Json) -> None:
        require(self.state in law.AMENDABLE, "amended in", self.state)
        revised = self.last is not None and event["causation_id"] == self.last["event_id"]
        if not revised:
            require(event["actor"]["id"] == self.introduced_by, "amended by a stranger")

    def _routed(self, event: Json, around: Surroundings) -> None:
        purpose, promised = event["purpose"], self.promised
        service, branch = law.WORK[purpose]
        require(event["state"] == self.state, "routed in", event["state"], "while in", self.state)
        require((event["service"], event["branch"]) == (service, branch), purpose, "to", service)
        require(self.block != "person", "routed while a person must decide")
        asked = self.resolution is not None and self.resolution["decision"] == "review"
        require(self.routing is None or asked, "a second routing while one is open")
        if purpose == "review":
            require(self.block == "conclave", "a review of a motion that is not blocked")
        else:
            require(self.block is None, purpose, "of a blocked motion")
            require(purpose == self._work(), purpose, "asked for, but", self._work(), "is due")
        attempt, not_before = 1, None
        if promised is not None and promised["strategy"] == "retry_with_backoff":
            require(purpose == promised["purpose"], "another work is tried again")
            if promised["error_type"] == "timeout_error":
                attempt, not_before = promised["attempt"] + 1, promised["retry_at"]
        require(event["attempt"] == attempt, "attempt", event["attempt"], "not", attempt)
        require(event["not_before"] == not_before, "not before", event["not_before"])
        self._require_deadline(event, around)
        self.promised = None
        self.recorded &= purpose != "record"
        self.unusable = self.unusable if purpose == "review" else 0
        self.routing = self.last = event
        self.pending = self.resolution = None

    def _work(self) -> str | None:
        if self.state == "INTRODUCED" and self.docketed_at is not None:
            return None
        return "acknowledge" if self.recorded else law.OWNER_WORK.get(self.state)

    def _require_deadline(self, event: Json, around: Surroundings) -> None:
        hours = around.configurations[event["configuration"]]["state_timeout_hours"]
        limit = hours.get(self.state)
        if limit is None or event["purpose"] == "review":
            require(event["deadline"] is None, "a deadline where there is none")
            return
        at = when(event)
        paused = law.stood_still([*self.pauses, *around.halts], self.entered_at, at)
        due = self.entered_at + timedelta(hours=limit) + paused
        start = instant(event["not_before"]) or at
        if due <= start:
            due = start + timedelta(seconds=around.grace_seconds)
        require(instant(event["deadline"]) == due, "deadline", event["deadline"], "not", due)

    def _completed(self, event: Json) -> None:
        routed, actor = self._answered(event), event["actor"]
        for name in ("service", "branch", "purpose"):
            require(event[name] == routed[name], name, "of another routing")
        if actor["authenticated_by"] != "system":
            collapsed = [b for b in self.acts[actor["id"]] if law.excludes(b, event["branch"])]
            require(not collapsed, actor["id"], "acted for", collapsed, "and", event["branch"])
            self.acts[actor["id"]].add(event["branch"])
        self.pending = event
        if not event["success"]:
            return
        proposed = event["next_state"]
        require(proposed is None or proposed in self._proposable(event), "skips to", proposed)
        match event["purpose"]:
            case "review" if self.block != "person":
                # What only a person may unblock waits for a person, whatever the Conclave says.
                self._resumed(event, when(event))
            case "revise" if proposed != "WITHDRAWN":
                self.docketed_at, self.pending = when(event), None
            case "record":
                self.recorded = True
            case _:
                pass

    def _resumed(self, review: Json, at: datetime) -> None:
        if review["output"].get("decision") == "resume":
            self._unblock(at)
            self.pending = None
            self.returns[self.state] = 0

    def _proposable(self, event: Json) -> set[str]:
        kinds = {"revise": {"advance", "withdraw"}, "review": {"review", "return"}}
        allowed = kinds.get(event["purpose"], {"advance"})
        stay = {self.state} if event["purpose"] in ("review", "record") else set()
        return stay | {t for s, t, kind in law.EDGES if s == self.state and kind in allowed}

    def _answered(self, event: Json) -> Json:
        """Close the routing that ``event`` answers: it must be the one that is open."""
        routed, routing_id = self.routing, event["routing_id"]
        require(routing_id not in self.done, "routing", routing_id, "answered a second time")
        open_id = routed["event_id"] if routed else None
        require(routed and routing_id == open_id, routing_id, "answered;", open_id, "is open")
        assert routed is not None
        self.done.add(routing_id)
        self.routing = None
        return routed

    def _violated(self, event: Json) -> None:
        if event["kind"] == "collapsed_role":
            acted = self.acts.get(event["actor"]["id"], set())
            collapsed = any(law.excludes(branch, event["branch"]) for branch in acted)
            require(collapsed, "no role was collapsed by", event["actor"]["id"])
        if event["by_holder"]:
            self._answered(event)
            self.pending = event

    def _moved(self, event: Json) -> None:
        source, target, cause = event["from_state"], event["to_state"], event["cause"]
        kind = cause["kind"]
        require((source, target, kind) in law.EDGES, source, "to", target, "by", kind)
        require(source == self.state, "moved out of", source, "while in", self.state)
        if cause["event_id"] is not None:
            step = (cause["event_id"], source, target)
            require(step not in self.causes, "the same transition twice:", step)
            self.causes.add(step)
        require(self.block != "person" or kind == "withdraw", "moved while a person must decide")
        require(self._justified(event, target, kind), source, "to", target, kind, "for no reason")
        self.chain.require_statement(self.id, self.version, event)
        if kind == "return":
            self.returns[source] += 1
        until = instant(event["until"])
        require(until is None or target == "TABLED", "a date for", target)
        at = when(event)
        self.state, self.entered_at = target, at
        self.docketed_at = max(until, at) if until else None
        self.dated = until is not None
        self.routing = self.pending = self.resolution = self.promised = None
        self.block, self.pauses, self.unusable = None, [], 0
        self.recorded &= kind != "return" and target != "TABLED"

    def _justified(self, event: Json, target: str, kind: str) -> bool:
        done: Json = self.pending or {}
        worked = bool(done.get("success"))
        purpose, output = done.get("purpose"), done.get("output", {})
        decision = output.get("decision") if worked and purpose == "review" else None
        match kind:
            case "withdraw":
                by_king = worked and purpose == "revise" and done["next_state"] == target
                return bool(by_king or event["actor"]["id"] == self.introduced_by)
            case "review":
                return decision == {"TABLED": "table", "REJECTED": "reject"}[target]
            case "return":
                promised = self.promised and self.promised["strategy"] == "return_to_previous"
                resolved = self.resolution and self.resolution["decision"] == "return"
                return bool(promised or resolved or decision == "return")
        if self.block is not None or self.routing is not None:
            return False
        match self.state:
            case "INTRODUCED" | "TABLED":
                return bool(self.docketed_at and self.docketed_at <= when(event))
            case "RATIFIED":
                return True
            case "DELIBERATING":
                return worked and purpose == "deliberate" and done["next_state"] == target
            case state:
                acknowledged = state != "WITNESSING" or self.recorded
                return worked and acknowledged and (purpose, target) == law.COMPLETES[state]

    def _resolved(self, event: Json) -> None:
        actor, decision, at = event["actor"], event["decision"], when(event)
        require(actor["authenticated_by"] == "asserted", actor["id"], "is not a named person")
        if decision == "take_up":
            waits = self.docketed_at is None or self.docketed_at > at
            require(self.state == "TABLED" and waits, "taken up in", self.state)
            self.docketed_at, self.dated = at, False
            return
        require(self.block == "person" and self.resolution is None, "nothing to resolve")
        require(event["error_id"] == self.block_error, "another error is resolved")
        require(not self.acts.get(actor["id"]), actor["id"], "acted on it and resolves it")
        if decision == "return":
            require(self.state in law.RETURNS, "returned from", self.state)
        if decision == "review":
            self.block, self.unusable, self.resolution = "conclave", 0, event
            return
        retried = decision == "retry"
        if retried and self.routing is not None and self.routing["purpose"] == "review":
            self.block = "conclave"
            return
        self._unblock(at)
        self.resolution = None if retried and self.routing else event
        answer = self.pending
        if retried and answer and answer.get("success") and answer["purpose"] == "review":
            self._resumed(answer, at)

    def _unblock(self, at: datetime) -> None:
        self.block = None
        if self.pauses and self.pauses[-1][1] is None:
            self.pauses[-1] = (self.pauses[-1][0], at)

    def _failed(self, event: Json, around: Surroundings) -> None:
        require(self.promised is None, "an error instead of", self.promised)
        strategy = event["strategy"]
        self.errors[strategy] += 1
        if event["routing_id"] is None:
            witness = (event["branch"], event["error_type"], strategy)
            require(witness == ("knight", "system_error", law.HALT), "an error of nobody's")
        else:
            wanted = self._strategy(event, self._error_type(event, around))
            require(strategy == wanted, event["error_type"], "led to", strategy, "not", wanted)
            self.routing = None
        asked_again = event["purpose"] == "review" and event["error_type"] == "validation_error"
        self.unusable += asked_again
        self.resolution = None
        if strategy in (law.HALT, "conclave_review"):
            if self.block is None:
                self.pauses.append((when(event), None))
            self.block = "person" if strategy == law.HALT else "conclave"
            self.block_error = event["event_id"]
        if strategy != law.HALT:
            self.promised = event
        if event["routing_id"] is not None:
            self.pending = None

    def _error_type(self, event: Json, around: Surroundings) -> str | None:
        """Return what type of error this must be, from what it is about."""
        routed, done = self.last, self.pending
        require(routed and event["routing_id"] == routed["event_id"], "an error of no routing")
        assert routed is not None
        for name in ("purpose", "branch", "attempt"):
            require(event[name] == routed[name], "error with the", name, "of another routing")
        if self.routing is not None:
            self._require_late(event, routed, around)
            wanted = "timeout_error"
        else:
            require(done and done["routing_id"] == event["routing_id"], "an error of nothing")
            assert done is not None
            if "by_holder" in done:
                skipped = done["kind"] == "skipped_step"
                wanted = "compliance_error" if skipped else "permission_error"
            elif done["success"]:
                require(done["purpose"] in ("deliberate", "review"), "success turned into an error")
                wanted = "validation_error"
            else:
                wanted = done["error_type"] or "system_error"
        require(event["error_type"] == wanted, event["error_type"], "is not", wanted)
        return wanted

    def _require_late(self, event: Json, routed: Json, around: Surroundings) -> None:
        """Make sure that somebody's time was really up."""
        require(self.block is None, "a deadline missed while the motion is blocked")
        at = when(event)
        paused = law.stood_still([*self.pauses, *around.halts], when(routed), at)
        limits = [instant(routed["deadline"])]
        branch = around.configurations[routed["configuration"]]["branches"][routed["service"]]
        if branch["kind"] == "external" and branch["attempt_timeout_seconds"] is not None:
            start = instant(routed["not_before"]) or when(routed)
            limits.append(start + timedelta(seconds=branch["attempt_timeout_seconds"]))
        late = any(limit is not None and limit + paused <= at for limit in limits)
        require(late, "timed out at", at, "before any of", limits, "plus", paused)

    def _strategy(self, event: Json, error_type: str | None) -> str:
        strategy = law.strategy_of(error_type)
        if event["purpose"] == "review" and error_type == "validation_error":
            last = self.unusable + 1 >= law.REVIEW_ANSWERS_MAX
            return law.HALT if last else "retry_with_backoff"
        if strategy == "retry_with_backoff":
            if event["attempt"] > len(law.RETRY_SECONDS):
                return law.HALT
            delay = timedelta(seconds=law.RETRY_SECONDS[event["attempt"] - 1])
            retry_at = instant(event["retry_at"])
            require(retry_at == when(event) + delay, "tried again at", retry_at)
            return strategy
        if strategy == "return_to_previous":
            again = self.returns[self.state] >= law.RETURNS_MAX
            if self.state in law.RETURNS and not again:
                return strategy
            strategy = "conclave_review"
        if strategy == "conclave_review" and event["branch"] in ("conclave", "knight"):
            return law.HALT
        return strategy


def when(event: Json) -> datetime:
    """Return the time that an event gives itself."""
    return datetime.fromisoformat(event["timestamp"])


def instant(text: str | None) -> datetime | None:
    """Return a time that an event speaks of, if it does."""
    return None if text is None else datetime.fromisoformat(text)
