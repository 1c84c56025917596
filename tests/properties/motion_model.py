"""One motion, as the design tells it: the rules, written down a second time.

A deadline is a glass of time that runs only while the motion is neither blocked nor halted. Each
command tells in ``story`` what must be recorded, a line for each event, or raises ``Refusal``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.properties.motion_tables import (
    ASKED_AGAIN,
    BACK,
    BACKOFF,
    BREAKER,
    DONE,
    GRACE,
    HALT,
    INTRODUCER,
    NEVER,
    NO_TITLE,
    ONWARD,
    RESUME,
    RETURNS,
    STEPS,
    STRATEGIES,
    TERMINAL,
    WORK,
    Glass,
    Interrupted,
    Line,
    Refusal,
    Report,
    Routing,
    Unapplied,
    excludes,
)


@dataclass
class Model:
    """Everything that the rules speak of."""

    now: float = 0.0
    story: list[Line] = field(default_factory=list)

    state: str = "INTRODUCED"
    entered_at: float = 0.0
    docketed_at: float | None = 0.0
    tabled_until: float | None = None
    routing: Routing | None = None
    pending: Unapplied | None = None
    decision: str | None = None
    """What a person decided and the halted pipeline could not do yet: return or review."""
    blocked_by: str | None = None
    """Who must unblock it: "conclave" or "person"."""
    time_left: Glass = field(default_factory=lambda: Glass(None))
    returns: Counter[str] = field(default_factory=Counter)
    bad_answers: int = 0
    outputs: set[str] = field(default_factory=set)
    acts: dict[str, set[str]] = field(default_factory=lambda: {INTRODUCER: {"king"}})
    answered: dict[int, Report] = field(default_factory=dict)
    superseded: set[int] = field(default_factory=set)
    strangers: set[Line] = field(default_factory=set)

    halted: bool = False
    resumed_at: float | None = None
    system_errors: list[float] = field(default_factory=list)
    rival_admitted: bool = False
    routings: int = 0
    statements_left: int | None = None
    """How many transitions the Knight still witnesses in this command; None: all."""

    # -- What can be seen of it

    @property
    def terminal(self) -> bool:
        return self.state in TERMINAL

    @property
    def deadline(self) -> float | None:
        """By when the open routing must be answered, as things stand."""
        if self.routing is None or self.routing.glass.left is None or self.blocked_by:
            return None
        return self.now + self.routing.glass.left

    @property
    def next_action(self) -> Line | None:
        """Who must act."""
        if self.terminal:
            return None
        if self.blocked_by == "person":
            return ("person",)
        if self.decision is None and self.routing is not None:
            return ("branch", self.routing.service, self.deadline)
        docketed = self.docketed_at if self.pending is None and self.decision is None else None
        if docketed is not None and self.tabled_until is not None and docketed > self.now:
            return ("date", docketed)
        if self.state == "TABLED" and self.docketed_at is None:
            return ("taking_up",)
        if self.halted:
            return ("person",)
        return ("orchestrator",) if docketed is None else ("place",)

    # -- Time, and the pipeline

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        if not self.blocked_by and not self.halted:
            for glass in (self.time_left, self.routing.glass if self.routing else Glass(None)):
                if glass.left is not None:
                    glass.left -= seconds

    def halt(self) -> None:
        if self.halted:
            raise Refusal("refused")
        self.halted = True

    def resume(self) -> None:
        if not self.halted:
            raise Refusal("refused")
        self.halted = False
        self.resumed_at = self.now

    def break_if_too_much(self) -> None:
        """Halt the pipeline after too many system errors; called when a command is over."""
        most, window = BREAKER
        since = max(self.now - window, -1.0 if self.resumed_at is None else self.resumed_at)
        if sum(at > since for at in self.system_errors) >= most and self._has_failed_now():
            self.halted = True

    def _has_failed_now(self) -> bool:
        return any(line[0] == "error" and line[1] not in STRATEGIES for line in self.story)

    # -- People

    def amend(self, by: str) -> None:
        if by != INTRODUCER:
            raise Refusal("not_allowed")
        if self.state not in {"INTRODUCED", "TABLED"}:
            raise Refusal("refused")
        self.story.append(("amended", by))

    def withdraw(self, by: str) -> None:
        if by != INTRODUCER:
            raise Refusal("not_allowed")
        if self.state not in {"INTRODUCED", "DELIBERATING", "TABLED"}:
            raise Refusal("refused")
        if self.halted:
            raise Refusal("not_routable")
        self._guarded(lambda: self._move("WITHDRAWN", "withdraw"))

    def resolve(self, decision: str, by: str) -> None:
        if decision == "take_up":
            if self.state != "TABLED" or (
                self.docketed_at is not None and self.docketed_at <= self.now
            ):
                raise Refusal("refused")
            self.story.append(("resolved", decision, by))
            self.docketed_at, self.tabled_until = self.now, None
            return
        if self.blocked_by != "person":
            raise Refusal("refused")
        if by in self.acts:
            raise Refusal("not_allowed")
        if decision == "return" and self.state not in BACK:
            raise Refusal("refused")
        if decision == "review" and self.state == "TABLED":
            raise Refusal("refused")
        self.story.append(("resolved", decision, by))
        under_review = self.routing is not None and self.routing.purpose == "review"
        goes_on = decision == "retry" and under_review
        self.blocked_by = "conclave" if decision == "review" or goes_on else None
        self.decision = None if decision == "retry" else decision
        self.bad_answers = 0 if decision == "review" else self.bad_answers
        self._go_on()

    # -- The orchestrator

    def process(self) -> None:
        if not self.halted:
            self._go_on(admit=True, expire=True)

    def route(self, state: str) -> Routing:
        if state != self.state:
            raise Refusal("not_in_state")
        if self.routing is None:
            if self.halted:
                raise Refusal("not_routable")
            self._go_on(admit=True)
        if self.routing is None:
            raise Refusal("not_routable")
        return self.routing

    def _go_on(self, *, admit: bool = False, expire: bool = False) -> None:
        """Let happen what follows from where the motion rests, unless the pipeline is halted."""
        if not self.halted and not self.terminal:
            self._guarded(lambda: self._follow(admit=admit, expire=expire))

    def _guarded(self, follow: Callable[[], None]) -> None:
        try:
            follow()
        except Interrupted:
            self.story.append(("error", "system_error", HALT, "knight"))
            self.system_errors.append(self.now)
            self.blocked_by, self.decision = "person", None

    def _follow(self, *, admit: bool, expire: bool) -> None:
        decision, self.decision = self.decision, None
        if decision == "return":
            self._send_back()
        elif decision == "review":
            self._route("review")
        elif self.routing is not None:
            if expire and self.deadline is not None and self.deadline <= self.now:
                self._escalate("timeout_error", self.routing)
        elif self.blocked_by == "person":
            return
        elif self.pending is not None:
            self._apply(self.pending)
        elif self.state in {"INTRODUCED", "TABLED"} and self.docketed_at is not None:
            if admit and self.docketed_at <= self.now:
                self._admit()
        else:
            self._work_on()

    def _admit(self) -> None:
        self._witness("DELIBERATING")
        if self.rival_admitted:
            return
        self._move("DELIBERATING", "advance", asked=True)
        self._route("deliberate")

    def _work_on(self) -> None:
        """Give the work of this state to whoever does it; for a milestone, go on to the next."""
        if self.state == "RATIFIED":
            self._advance("PLANNING")
        elif self.state == "INTRODUCED":
            self._route("revise")
        elif self.state == "WITNESSING" and "record" in self.outputs:
            self._route("acknowledge")
        elif self.state != "TABLED":
            self._route(WORK[self.state][0])

    def _advance(self, state: str) -> None:
        self._move(state, "advance")
        if state == "RATIFIED":
            self._advance("PLANNING")
        elif state in WORK:
            self._route(WORK[state][0])

    # -- What branches report

    def report(self, report: Report) -> Report | None:
        """Take a report; returns the earlier one if this repeats it."""
        earlier = self.answered.get(report.number) if report.number is not None else None
        if earlier is not None and earlier.branch == report.branch:
            return earlier
        routing = self.routing
        if routing is None or routing.number != report.number or routing.branch != report.branch:
            self._refuse_stranger(report)
        else:
            self._take(report, routing)
        return None

    def _take(self, report: Report, routing: Routing) -> None:
        violation = self._violation(report, routing.purpose)
        self.answered[routing.number] = report
        if (routing.purpose, report.success, report.output) == ("revise", True, NO_TITLE):
            report = replace(report, success=False, error_type="validation_error")
        self.routing = None
        if violation is not None:
            self.story.append(("violation", violation, "holder", "major"))
            self.pending = Unapplied(routing, report, violation)
            self._go_on()
            return
        if report.actor is not None:
            self.acts.setdefault(report.actor, set()).add(report.branch)
        self.story.append(("completed", routing.purpose, report.success))
        self.pending = Unapplied(routing, report)
        if report.success and routing.purpose not in {"review", "revise"}:
            self.outputs.add(routing.purpose)
        if report.success and routing.purpose == "revise":
            self._revised(report)
        if report.success and routing.purpose == "review" and report.output == RESUME:
            self._resume_work()
        self._go_on()

    def _revised(self, report: Report) -> None:
        """It goes back to the docket's end, unless the King withdrew it."""
        self.outputs.add("revise")
        if "title" in report.output:
            self.story.append(("amended", report.actor or "king_service"))
        if report.next_state != "WITHDRAWN":
            self.docketed_at, self.pending = self.now, None

    def _resume_work(self) -> None:
        """The offending result is void, and what was counted against the state is forgiven."""
        if self.blocked_by != "person":
            self.blocked_by, self.pending = None, None
            self.returns[self.state] = 0

    def _refuse_stranger(self, report: Report) -> None:
        if self.terminal:
            raise Refusal("completion")
        late = report.number in self.superseded
        violation = self._violation(report, None, late=late)
        if violation is None:
            raise Refusal("completion")
        act = (report.actor or report.branch, report.branch, violation)
        if act not in self.strangers:
            self.strangers.add(act)
            self.story.append(("violation", violation, "stranger", "minor"))
        raise Refusal("violation")

    def _violation(self, report: Report, held: str | None, *, late: bool = False) -> str | None:
        acted = self.acts.get(report.actor or "", set())
        if any(excludes(branch, report.branch) for branch in acted):
            return "collapsed_role"
        if not report.success or report.next_state is None or late:
            return None
        may = set(ONWARD.get(self.state, ()))
        if held == "revise":
            may.add("WITHDRAWN")
        elif held == "record":
            may.add("WITNESSING")
        elif held == "review":
            may = {self.state, "TABLED", "REJECTED", BACK.get(self.state, self.state)}
        return None if report.next_state in may else "skipped_step"

    # -- What follows from a report

    def _apply(self, done: Unapplied) -> None:
        report, purpose = done.report, done.routing.purpose
        if done.violation is not None:
            skipped = done.violation == "skipped_step"
            self._escalate("compliance_error" if skipped else "permission_error", done.routing)
        elif not report.success:
            self._escalate(report.error_type or "system_error", done.routing)
        elif purpose == "deliberate":
            self._apply_vote(done)
        elif purpose == "review":
            self._apply_review(done)
        elif purpose == "revise":
            self._move("WITHDRAWN", "withdraw")
        elif purpose == "record":
            self._route("acknowledge")
        elif purpose == "acknowledge":
            self._move("ACKNOWLEDGED", "advance")
        else:
            self._advance(DONE[purpose])

    def _apply_vote(self, done: Unapplied) -> None:
        proposed = done.report.next_state
        until = done.report.output.get("until")
        if proposed is None or (proposed == "TABLED" and until == NEVER):
            self._escalate("validation_error", done.routing)
        elif proposed == "TABLED":
            self._table("advance", until)
        else:
            self._advance(proposed)

    def _apply_review(self, done: Unapplied) -> None:
        output = done.report.output
        if output == RESUME:
            self._resume_work()
            self._follow(admit=False, expire=False)
        elif output.get("decision") == "return" and self.state in BACK:
            self._send_back()
        elif output.get("decision") == "table" and output.get("until") != NEVER:
            self._table("review", output.get("until"))
        elif output.get("decision") == "reject":
            self._move("REJECTED", "review")
        else:
            self._escalate("validation_error", done.routing)

    def _escalate(self, error_type: str, failed: Routing) -> None:
        if failed.purpose == "review" and error_type == "validation_error":
            self.bad_answers += 1
        strategy = self._strategy(error_type, failed)
        if strategy == "return_to_previous":
            # Nothing is said of a return that the Knight has not witnessed.
            self._witness(BACK[self.state])
        self.story.append(("error", error_type, strategy, failed.branch))
        if error_type not in STRATEGIES:
            self.system_errors.append(self.now)
        self._close()
        if strategy == "retry_with_backoff":
            self._try_again(error_type, failed)
        elif strategy == "return_to_previous":
            self._send_back(asked=True)
        elif strategy == "conclave_review":
            self.blocked_by = "conclave"
            self._route("review")
        else:
            self.blocked_by = "person"

    def _strategy(self, error_type: str, failed: Routing) -> str:
        if failed.purpose == "review" and error_type == "validation_error":
            return "retry_with_backoff" if self.bad_answers <= ASKED_AGAIN else HALT
        strategy = STRATEGIES.get(error_type, HALT)
        if strategy == "retry_with_backoff" and failed.attempt > len(BACKOFF):
            return HALT
        if strategy == "return_to_previous" and (
            self.state not in BACK or self.returns[self.state] >= RETURNS
        ):
            strategy = "conclave_review"
        if strategy == "conclave_review" and failed.branch in {"conclave", "knight"}:
            return HALT
        return strategy

    def _try_again(self, error_type: str, failed: Routing) -> None:
        if error_type == "validation_error":
            self._route("review")
        else:
            wait = BACKOFF[failed.attempt - 1]
            self._route(failed.purpose, failed.attempt + 1, not_before=self.now + wait)

    # -- Steps

    def _send_back(self, *, asked: bool = False) -> None:
        left = self.state
        self._move(BACK[left], "return", asked=asked)
        self.returns[left] += 1
        self._route("revise" if self.state == "INTRODUCED" else WORK[self.state][0])

    def _table(self, kind: str, until: float | None) -> None:
        self._move("TABLED", kind)
        self.tabled_until = until
        self.docketed_at = None if until is None else max(until, self.now)

    def _witness(self, state: str) -> None:
        """Ask the Knight about the transition to ``state``."""
        if self.statements_left == 0:
            raise Interrupted(state)
        if self.statements_left is not None:
            self.statements_left -= 1

    def _move(self, state: str, kind: str, *, asked: bool = False) -> None:
        if not asked:
            self._witness(state)
        self.story.append(("moved", self.state, state, kind))
        if kind == "return" or state == "TABLED":
            first = "revise" if state == "INTRODUCED" else WORK.get(state, ("deliberate",))[0]
            self.outputs -= set(STEPS[STEPS.index(first) :])
        self._close()
        self.state, self.entered_at = state, self.now
        self.docketed_at = self.tabled_until = None
        self.decision, self.blocked_by, self.bad_answers = None, None, 0
        self.time_left = Glass(WORK[state][1] if state in WORK else None)

    def _route(self, purpose: str, attempt: int = 1, *, not_before: float | None = None) -> None:
        self._close()
        if purpose != "review":
            self.bad_answers = 0
        self.outputs.discard(purpose)
        glass, deadline = Glass(None), None
        if purpose != "review" and self.time_left.left is not None:
            starts = self.now if not_before is None else not_before
            deadline = self.now + self.time_left.left
            if deadline <= starts:
                deadline = starts + GRACE
            glass = Glass(deadline - self.now)
        self.routings += 1
        self.routing = Routing(self.routings, purpose, attempt, not_before, deadline, glass)
        self.story.append(("routed", self.routing.service, purpose, attempt))

    def _close(self) -> None:
        """Nothing is open, and nothing is left to apply."""
        if self.routing is not None:
            self.superseded.add(self.routing.number)
        self.routing = self.pending = None
