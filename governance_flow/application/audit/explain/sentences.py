"""What each event of a motion says, in a sentence. Every type of event has its own.

A sentence begins with who did it, or with what happened, so that it can follow "On 3 March 2026 at
14:05 UTC,"; it ends without a full stop. ``before`` is the motion as it was before the event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, assert_never

from governance_flow.application.audit.explain.phrases import (
    BRANCH_TITLES,
    TO_DO,
    counted,
    day_and_time,
    listed,
    name,
    quoted,
    title_of,
    votes,
    who,
)
from governance_flow.domain.branches import Purpose
from governance_flow.domain.errors import WitnessFailed
from governance_flow.domain.escalation import (
    ErrorEscalationStrategy,
    Resolution,
    ReviewDecision,
    ViolationKind,
)
from governance_flow.domain.events import (
    BranchCompleted,
    EscalationResolved,
    MotionAmended,
    MotionEvent,
    MotionIntroduced,
    MotionRouted,
    OrchestratorError,
    TransitionWitnessed,
    ViolationWitnessed,
)
from governance_flow.domain.states import EdgeKind, GovernanceState
from governance_flow.domain.witness import WitnessStatement

if TYPE_CHECKING:
    from governance_flow.domain.motion import Motion

S = GovernanceState

NAMED_TASKS_MAX = 3

STAGES = {
    S.INTRODUCED: "introduction",
    S.DELIBERATING: "deliberation",
    S.RATIFIED: "ratification",
    S.PLANNING: "planning",
    S.EXECUTING: "execution",
    S.JUDGING: "judgement",
    S.WITNESSING: "the recording of the outcome",
    S.TABLED: "the table",
    S.ACKNOWLEDGED: "acknowledgement",
    S.REJECTED: "rejection",
    S.WITHDRAWN: "withdrawal",
}
"""What a person calls a state."""

ENTERED = {
    S.INTRODUCED: "the motion was back where it was introduced",
    S.DELIBERATING: "deliberation began",
    S.RATIFIED: "the motion was ratified",
    S.PLANNING: "planning began",
    S.EXECUTING: "the carrying out began",
    S.JUDGING: "the judging of the result began",
    S.WITNESSING: "the recording of the outcome began",
    S.TABLED: "the motion was tabled",
    S.ACKNOWLEDGED: "the motion was acknowledged, which completed it",
    S.REJECTED: "the motion was rejected, which ended it",
    S.WITHDRAWN: "the motion was withdrawn, which ended it",
}


def sentence(event: MotionEvent, before: Motion | None) -> str:
    """Return what an event says."""
    match event:
        case MotionIntroduced():
            return _introduced(event)
        case MotionAmended():
            return _amended(event, before)
        case MotionRouted():
            return _routed(event)
        case BranchCompleted():
            return _completed(event) if event.success else _reported_failure(event)
        case TransitionWitnessed():
            return _moved(event)
        case OrchestratorError():
            return _failed(event)
        case EscalationResolved():
            return _decided(event, before)
        case ViolationWitnessed():
            return _refused(event)
        case _:
            assert_never(event)


def _introduced(event: MotionIntroduced) -> str:
    said = f"{who(event.actor)} introduced the motion {quoted(event.title)}"
    if event.introduced_by != event.actor.id:
        said += f" in the name of {name(event.introduced_by)}"
    if event.reference:
        said += f", reference {quoted(event.reference)}"
    if not event.ballots:
        return f"{said}, without any ballots"
    return f"{said}, with {_ballots(event.ballots)}"


def _ballots(ballots: Mapping[str, Any]) -> str:
    return f"{counted(len(ballots), 'ballot')} ({votes(ballots.values())})"


def _amended(event: MotionAmended, before: Motion | None) -> str:
    changes = []
    if before is None or before.title != event.title:
        changes.append(f"its title is now {quoted(event.title)}")
    if before is None or before.text != event.text:
        changes.append("its text is a new one")
    cast = _ballots(event.ballots) if event.ballots else "none were cast anew"
    changes.append(f"ballots cast before are void, {cast}")
    return f"{who(event.actor)} amended the motion: {'; '.join(changes)}"


def _routed(event: MotionRouted) -> str:
    parts = [
        f"{who(event.actor)} gave the motion to {title_of(event.service)} to {TO_DO[event.purpose]}"
    ]
    if event.attempt > 1:
        parts.append(f"attempt {event.attempt}")
    if event.not_before is not None:
        parts.append(f"not before {day_and_time(event.not_before)}")
    if event.deadline is not None:
        parts.append(f"to be done by {day_and_time(event.deadline)}")
    if event.findings:
        parts.append(f"because of {listed([quoted(finding) for finding in event.findings])}")
    return ", ".join(parts)


# -- What branches reported ------------------------------------------------------------------------


def _completed(event: BranchCompleted) -> str:
    return f"{who(event.actor, event.branch)} {_achieved(event)}"


def _achieved(event: BranchCompleted) -> str:
    output = event.output
    match event.purpose:
        case Purpose.DELIBERATE:
            return _voted(event)
        case Purpose.REVIEW:
            return _reviewed(output)
        case Purpose.REVISE if event.next_state is S.WITHDRAWN:
            return _with(output, "had no revision to make and withdrew the motion", "reason")
        case Purpose.REVISE:
            return _with(output, "revised the motion", "applied", "reason")
        case Purpose.PLAN:
            return f"planned the motion{_tasks(output.get('tasks'))}"
        case Purpose.EXECUTE:
            return f"carried out the plan{_results(output.get('results'))}"
        case Purpose.JUDGE:
            return _with(output, "judged the result", "verdict", "reason")
        case Purpose.RECORD:
            return _with(output, "recorded the outcome", "reason")
        case Purpose.ACKNOWLEDGE:
            return _with(output, "acknowledged the outcome", "reason")
        case _:
            assert_never(event.purpose)


def _voted(event: BranchCompleted) -> str:
    match event.next_state:
        case S.RATIFIED:
            said = "voted to ratify the motion"
        case S.REJECTED:
            said = "voted to reject the motion"
        case S.TABLED:
            said = "voted to table the motion"
        case _:
            said = "deliberated, but named no outcome"
    tally, reason = _tally(event.output), event.output.get("reason")
    if isinstance(reason, str) and reason:
        # The Conclave's own reasons end with the count.
        count = "" if tally is None or tally in reason else f", {tally}"
        return f"{said}{count}: {quoted(reason)}"
    return said if tally is None else f"{said}: {tally}"


def _tally(output: Mapping[str, Any]) -> str | None:
    tally = output.get("tally")
    if not isinstance(tally, Mapping):
        return None
    counts = [tally.get(vote, 0) for vote in ("yes", "no", "abstain")]
    if not all(type(count) is int and count >= 0 for count in counts):
        return None
    return "{} yes, {} no, {} abstained".format(*counts)


def _reviewed(output: Mapping[str, Any]) -> str:
    answer = output.get("decision")
    match answer:
        case ReviewDecision.RESUME.value:
            said = "reviewed the motion and let it go on"
        case ReviewDecision.RETURN.value:
            said = "reviewed the motion and sent it back a step"
        case ReviewDecision.TABLE.value:
            said = "reviewed the motion and tabled it"
        case ReviewDecision.REJECT.value:
            said = "reviewed the motion and rejected it"
        case _:
            said = f"answered the review with {quoted(str(answer))}, which is no decision"
    return _with(output, said, "reason")


def _tasks(tasks: object) -> str:
    if not isinstance(tasks, list) or not tasks:
        return ""
    names = [
        quoted(str(task.get("description") or task.get("id") or "a task"))
        for task in tasks[:NAMED_TASKS_MAX]
        if isinstance(task, Mapping)
    ]
    more = len(tasks) - len(names)
    if more and names:
        names.append(f"{more:,} more")
    return f" in {counted(len(tasks), 'task')}" + (f": {listed(names)}" if names else "")


def _results(results: object) -> str:
    if not isinstance(results, Mapping) or not results:
        return ""
    return f", with {counted(len(results), 'result')}"


def _with(output: Mapping[str, Any], said: str, *keys: str) -> str:
    """Add the first of these texts that the output holds."""
    for key in keys:
        text = output.get(key)
        if isinstance(text, str) and text:
            return f"{said}: {quoted(text)}"
    return said


def _reported_failure(event: BranchCompleted) -> str:
    why = quoted(event.error) if event.error else "it did not say why"
    kind = name(event.error_type) if event.error_type else "an error of no stated type"
    could_not = f"reported that it could not {TO_DO[event.purpose]}"
    return f"{who(event.actor, event.branch)} {could_not}: {why} ({kind})"


# -- Transitions -----------------------------------------------------------------------------------


def _moved(event: TransitionWitnessed) -> str:
    sent_back = event.cause.kind is EdgeKind.RETURN
    if sent_back:
        said = f"the motion was sent back from {STAGES[event.from_state]}"
        said += f" to {STAGES[event.to_state]}"
    else:
        said = ENTERED[event.to_state]
    if event.to_state is S.TABLED:
        until = f"until {day_and_time(event.until)}" if event.until else "until it is taken up"
        said = f"{said} {until}"
    return (
        f"{said} ({event.from_state} to {event.to_state}): {quoted(event.cause.reason)}, "
        f"set off by {who(event.actor)} and witnessed by {_witness(event)}"
    )


def _witness(event: TransitionWitnessed) -> str:
    try:
        witness = WitnessStatement(event.statement).body().get("witness")
    except WitnessFailed:
        return "the Knight, in a statement that cannot be read"
    if not isinstance(witness, str) or not witness:
        return "the Knight, in a statement that names nobody"
    return f"the Knight ({name(witness)})"


# -- Errors, decisions, refusals -------------------------------------------------------------------


def _failed(event: OrchestratorError) -> str:
    if event.purpose is None:
        what = "the transition could not be witnessed"
    else:
        whose = "" if event.branch is None else f" by {BRANCH_TITLES[event.branch]}"
        what = f"attempt {event.attempt}{whose} to {TO_DO[event.purpose]} failed"
    said = f"{what}: {quoted(event.message)} ({name(event.error_type)})"
    said += (
        f"; {who(event.actor)} decided that {_strategy(event.strategy)} ({quoted(event.action)})"
    )
    if event.retry_at is not None:
        said += f", the next attempt on {day_and_time(event.retry_at)}"
    return said


def _strategy(strategy: ErrorEscalationStrategy) -> str:
    match strategy:
        case ErrorEscalationStrategy.RETRY_WITH_BACKOFF:
            return "it is tried again"
        case ErrorEscalationStrategy.RETURN_TO_PREVIOUS:
            return "the motion goes back a step"
        case ErrorEscalationStrategy.CONCLAVE_REVIEW:
            return "the motion is blocked and the Conclave reviews it"
        case ErrorEscalationStrategy.HALT_AND_ALERT:
            return "the motion is blocked until a named person decides"
        case _:
            assert_never(strategy)


def _decided(event: EscalationResolved, before: Motion | None) -> str:
    said = f"{who(event.actor)} {_decision(event.decision)}"
    if before is not None and before.block is not None:
        said += f", after {quoted(before.block.error.message)}"
    return f"{said}: {quoted(event.notes)}" if event.notes else f"{said}, without giving a reason"


def _decision(decision: Resolution) -> str:
    match decision:
        case Resolution.RETRY:
            return "decided that the motion be tried again"
        case Resolution.RETURN:
            return "decided that the motion go back a step"
        case Resolution.REVIEW:
            return "decided that the Conclave review the motion"
        case Resolution.TAKE_UP:
            return "took the motion up again from the table"
        case _:
            assert_never(decision)


def _refused(event: ViolationWitnessed) -> str:
    held = (
        "whoever did it held the assignment, so the matter is reviewed"
        if event.by_holder
        else "whoever did it did not hold the assignment, so the motion was not touched"
    )
    return (
        f"an act of {who(event.actor, event.branch)} was refused: {quoted(event.attempted)}; "
        f"{_rule(event.kind)}: {quoted(event.reason)} "
        f"(a {event.severity} violation: {held})"
    )


def _rule(kind: ViolationKind) -> str:
    match kind:
        case ViolationKind.SKIPPED_STEP:
            return "it would have skipped a step"
        case ViolationKind.COLLAPSED_ROLE:
            return "it would have let one actor hold two roles"
        case _:
            assert_never(kind)
