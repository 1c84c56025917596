"""The built-in Conclave: counts the ballots, reviews what went wrong, acknowledges the outcome.

What a motion's metadata may tell it:

- ``table_until``: a time with its offset (ISO 8601). If the vote tables the motion, it waits until
  then, and not for somebody to take it up. A time that has passed is no longer waited for.
- ``review``: one of ``resume``, ``return``, ``table``, ``reject``, or a list of them: the answers
  to the first review, the second, and so on. Once they are used up, the motion is tabled: that
  ends any circle of failures, loses nothing, and leaves it to the assembly to take it up.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from governance_flow.application.ports.clock import Clock, SystemClock
from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    Purpose,
)
from governance_flow.branches.ballots import Tally, decide, exact
from governance_flow.branches.results import done, failed, not_its_work
from governance_flow.domain.configuration import ConclavePolicy
from governance_flow.domain.escalation import VALIDATION_ERROR, ReviewDecision
from governance_flow.domain.states import RETURN_TO, GovernanceState

_TIME: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


class Conclave:
    """Deliberates, reviews and acknowledges. It needs a clock only for ``table_until``."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        """Answer by the purpose of the assignment."""
        match assignment.purpose:
            case Purpose.DELIBERATE:
                return self._deliberate(assignment)
            case Purpose.REVIEW:
                return _review(assignment)
            case Purpose.ACKNOWLEDGE:
                return _acknowledge(assignment)
            case _:
                return not_its_work(assignment, "Conclave")

    def _deliberate(self, assignment: BranchAssignment) -> BranchResult:
        policy = _policy(assignment)
        tally = Tally.of(assignment.ballots.values())
        verdict = decide(tally, quorum=policy.quorum, threshold=exact(policy.threshold))
        output: dict[str, Any] = {
            "outcome": verdict.state.value,
            "reason": verdict.reason,
            "tally": {"yes": tally.yes, "no": tally.no, "abstain": tally.abstain},
            "quorum": policy.quorum,
            "threshold": policy.threshold,
        }
        if verdict.state is GovernanceState.TABLED:
            try:
                until = _table_until(assignment)
            except ValueError as error:
                return failed(assignment, VALIDATION_ERROR, str(error))
            if until is not None and until > self._clock.now():
                output["until"] = until.isoformat()
        return done(assignment, output, verdict.state)


def _policy(assignment: BranchAssignment) -> ConclavePolicy:
    known = ConclavePolicy.model_fields
    return ConclavePolicy(**{k: v for k, v in assignment.policy.items() if k in known})


def _table_until(assignment: BranchAssignment) -> datetime | None:
    raw = assignment.metadata.get("table_until")
    if raw is None:
        return None
    # Only a text: a bare number would be read as seconds since 1970.
    if isinstance(raw, str):
        try:
            return _TIME.validate_python(raw)
        except ValidationError:
            pass
    raise ValueError(f"table_until must be a time with its offset (ISO 8601), not {raw!r}")


def _review(assignment: BranchAssignment) -> BranchResult:
    decision, why = _decision(assignment)
    found = "; ".join(assignment.findings) or "nothing in particular"
    return done(
        assignment,
        {
            "decision": decision.value,
            "reason": f"{why}; found: {found}",
            "findings": list(assignment.findings),
        },
    )


def _decision(assignment: BranchAssignment) -> tuple[ReviewDecision, str]:
    """Return the decision and where it comes from."""
    given = assignment.metadata.get("review")
    answers = given if isinstance(given, list) else [] if given is None else [given]
    turn = assignment.earlier_answers
    if turn >= len(answers):
        return ReviewDecision.TABLE, "tabled, as no other answer to this review is given"
    try:
        decision = ReviewDecision(answers[turn])
    except ValueError:
        return ReviewDecision.TABLE, f"tabled, as {answers[turn]!r} in the motion is no decision"
    if decision is ReviewDecision.RETURN and assignment.state not in RETURN_TO:
        return ReviewDecision.TABLE, f"tabled, as nothing comes before {assignment.state}"
    return decision, f"{decision.value}, as the motion's metadata says"


def _acknowledge(assignment: BranchAssignment) -> BranchResult:
    recorded = assignment.outputs.get(Purpose.RECORD)
    if recorded is None:
        message = "there is nothing to acknowledge: the Knight's record of the outcome is missing"
        return failed(assignment, VALIDATION_ERROR, message)
    return done(
        assignment,
        {
            "acknowledged": f"the outcome of {assignment.title!r}",
            "outcome": recorded.get("outcome"),
            "digest": recorded.get("digest"),
        },
    )
