"""What the read model should say, counted from the events without a line of the product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from governance_flow.application.ports.flow_orchestrator import (
    ActionKind,
    MotionPipelineState,
    PipelineStatus,
)
from governance_flow.bootstrap import Flow
from tests.simulation import law
from tests.simulation.account import Account, require, when
from tests.simulation.referee import PIPELINE, Referee

PAGE = 3

WAITS = {
    "AwaitPlace": {ActionKind.PLACE, ActionKind.DATE},
    "AwaitTakingUp": {ActionKind.TAKING_UP},
    "AwaitBranch": {ActionKind.BRANCH},
    "AwaitPerson": {ActionKind.PERSON},
    "AwaitOrchestrator": {ActionKind.ORCHESTRATOR, ActionKind.PERSON},
}


class Counting:
    """Counts everything anew, each time it is asked."""

    def __init__(self, referee: Referee) -> None:
        self._referee = referee

    def compare_status(self, status: PipelineStatus) -> None:
        """Hold the status of the pipeline against our own count."""
        referee = self._referee
        accounts = list(referee.accounts.values())
        states = Counter(account.state for account in accounts)
        live = [account for account in accounts if account.state not in law.TERMINAL]
        waiting = [a for a in live if a.waits_for == "AwaitPlace" and not a.dated]
        happened = self._happened()
        oldest = min((account.introduced_at for account in live), default=None)
        age = status.as_of - oldest if oldest else timedelta()
        ours = {
            "position": referee.position,
            "states": {state: n for state, n in states.items() if n},
            "active": len(live),
            "blocked": sum(account.block is not None for account in live),
            "waiting": len(waiting),
            "admitted": referee.admitted,
            "halted": referee.halted,
            "age": age,
            **{kind: happened[kind] for kind in ("completions", "failures", "finished")},
        }
        theirs = {
            "position": status.position,
            "states": {s.value: n for s, n in status.motions_by_state.items() if n},
            "active": status.active_motions,
            "blocked": status.blocked_motions,
            "waiting": status.waiting_motions,
            "admitted": status.admitted,
            "halted": status.halted,
            "age": status.oldest_motion_age,
            "completions": status.recent_completions,
            "failures": status.recent_failures,
            "finished": status.finished_recently,
        }
        differ = {key: (theirs[key], ours[key]) for key in ours if theirs[key] != ours[key]}
        require(not differ, "the status says (and should say):", differ)

    async def compare_all(self, flow: Flow) -> None:
        """Hold the whole read model against our own count: status, totals, and every row."""
        self.compare_status(await flow.orchestrator.get_pipeline_status())
        totals = await flow.read_model.totals()
        ours = self._totals()
        theirs: dict[str, dict[Any, int]] = {
            "transitions": {(str(a), str(b)): n for (a, b), n in totals.transitions.items()},
            "errors": dict(totals.errors),
            "retries": dict(totals.retries),
            "violations": dict(totals.violations),
            "left": {str(state): item.left for state, item in totals.time_in_state.items()},
        }
        require(theirs == ours, "totals", theirs, "should be", ours)
        rows: list[MotionPipelineState] = []
        after = None
        while after is not None or not rows:
            page = await flow.orchestrator.list_motions(limit=PAGE, after=after)
            rows += page.motions
            after = page.next_after
            if after is None:
                break
        require(len(rows) == len(self._referee.accounts), "motions listed:", len(rows))
        for row in rows:
            self._compare_row(row)
            shown = await flow.orchestrator.get_motion_status(row.motion_id)
            require(_steady(shown) == _steady(row), "listed as", row, "but shown as", shown)

    def _compare_row(self, row: MotionPipelineState) -> None:
        account = self._referee.accounts[str(row.motion_id)]
        routing = account.routing
        ours = (account.state, account.version, account.block is not None, account.entered_at)
        theirs = (
            row.current_state.value,
            row.version,
            bool(row.blocking_issues),
            row.entered_state_at,
        )
        require(ours == theirs, "listed as", theirs, "not", ours)
        require(row.owner == (routing["service"] if routing else None), "owner", row.owner)
        self.require_next_action(account, row)

    def require_next_action(self, account: Account, shown: MotionPipelineState) -> None:
        """Make sure that a live motion says who must act, and that it is the right one."""
        if account.waits_for == "Finished":
            require(shown.next_action is None, account.id, "has ended and waits")
            return
        action = shown.next_action
        require(action is not None, account.id, "waits for nobody in", account.state)
        assert action is not None
        allowed = WAITS[account.waits_for]
        if account.waits_for == "AwaitPlace" and self._referee.halted:
            allowed = {*allowed, ActionKind.PERSON}
        require(action.kind in allowed and action.who, f"waits for {action}, not {allowed}")

    def _happened(self) -> Counter[str]:
        happened: Counter[str] = Counter()
        for _, topic, event in self._motion_events():
            match topic:
                case "BRANCH_COMPLETED":
                    happened["completions"] += event["success"]
                case "ORCHESTRATOR_ERROR":
                    happened["failures"] += 1
                case "TRANSITION_WITNESSED":
                    happened["finished"] += event["to_state"] in law.TERMINAL
        return happened

    def _totals(self) -> dict[str, dict[Any, int]]:
        totals: dict[str, Counter[Any]] = {
            name: Counter() for name in ("transitions", "errors", "retries", "violations", "left")
        }
        for _, topic, event in self._motion_events():
            match topic:
                case "TRANSITION_WITNESSED":
                    totals["transitions"][event["from_state"], event["to_state"]] += 1
                    totals["left"][event["from_state"]] += 1
                case "ORCHESTRATOR_ERROR":
                    known = {*law.STRATEGIES, "system_error"}
                    kind = event["error_type"] if event["error_type"] in known else "other"
                    totals["errors"][kind, event["strategy"]] += 1
                case "MOTION_ROUTED":
                    totals["retries"][event["service"]] += event["attempt"] > 1
                case "VIOLATION_WITNESSED":
                    totals["violations"][event["kind"]] += 1
        return {name: {k: n for k, n in counts.items() if n} for name, counts in totals.items()}

    def _motion_events(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        return [entry for entry in self._referee.log if entry[0] != PIPELINE]

    def wanted_alerts(self) -> set[str]:
        """Return the alerts that must have gone out: every halt of a motion or of the pipeline."""
        return {
            event["event_id"]
            for _, topic, event in self._referee.log
            if topic == "PIPELINE_HALTED"
            or (topic == "ORCHESTRATOR_ERROR" and event["strategy"] == law.HALT)
        }

    def system_errors_within(self, seconds: float) -> int:
        """Return the most system errors there were in such a time, since the last resumption."""
        resumed_at, times, most = None, list[datetime](), 0
        for _, topic, event in self._referee.log:
            if topic == "PIPELINE_RESUMED":
                resumed_at, times, most = when(event), [], 0
            elif topic == "ORCHESTRATOR_ERROR":
                at = when(event)
                system = law.strategy_of(event["error_type"]) == law.HALT
                if system and (resumed_at is None or at > resumed_at):
                    times = [t for t in times if at - t < timedelta(seconds=seconds)]
                    times.append(at)
                    most = max(most, len(times))
        return most


def _steady(shown: MotionPipelineState) -> tuple[object, ...]:
    """Return what does not change while one looks."""
    return (
        shown.current_state,
        shown.entered_state_at,
        shown.expected_completion,
        shown.blocking_issues,
        shown.next_action,
        shown.owner,
        shown.attempt,
        shown.last_error,
        shown.version,
    )
