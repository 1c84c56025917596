"""The built-in Knight: witnesses every transition, and records the outcome of each motion."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    Purpose,
)
from governance_flow.application.ports.knight_witness import WitnessRequest, WitnessStatement
from governance_flow.branches.plan import read_execution, read_plan
from governance_flow.branches.results import done, failed, in_one_line, not_its_work
from governance_flow.domain.branches import KNIGHT_SERVICE
from governance_flow.domain.canonical import sorted_json
from governance_flow.domain.errors import WitnessFailed
from governance_flow.domain.escalation import SYSTEM_ERROR, VALIDATION_ERROR
from governance_flow.domain.states import EDGES, GovernanceState
from governance_flow.domain.witness import digest_of

RecordReader = Callable[[UUID], Awaitable[Sequence[str] | None]]
"""Checks the stored record of a motion; returns what is wrong with it, nothing if all is well."""

STEPS = (Purpose.DELIBERATE, Purpose.PLAN, Purpose.EXECUTE, Purpose.JUDGE)
"""The steps whose outputs must be there before an outcome is recorded."""


class KnightWitness:
    """Makes witness statements, and refuses to witness what cannot be right."""

    def __init__(self, name: str = KNIGHT_SERVICE) -> None:
        self._name = name

    async def witness(self, request: WitnessRequest) -> WitnessStatement:
        """Return the statement about ``request``.

        Raises:
            WitnessFailed: the transition is no edge of the flow, or the statement would leave an
                event of the motion uncovered.
        """
        proposed = request.transition
        edge = (proposed.from_state, proposed.to_state)
        if proposed.cause.kind not in EDGES.get(edge, ()):
            raise WitnessFailed(
                f"{edge[0]} to {edge[1]} ({proposed.cause.kind}) is not a step of the flow",
                motion_id=request.motion_id,
            )
        covered = [event.version for event in request.covered]
        first = covered[0] if covered and request.previous_statement else 1
        if not covered or covered != list(range(first, request.version)):
            raise WitnessFailed(
                f"a statement at version {request.version} would not cover every event before it",
                motion_id=request.motion_id,
            )
        return WitnessStatement.about(request, self._name)


class KnightService:
    """Records outcomes, after checking the motion's whole record.

    ``read_record`` checks what is stored (that no byte of it was changed, say). A fault there
    halts the motion; outputs that are missing or contradict each other go back to be judged anew.
    """

    def __init__(self, read_record: RecordReader | None = None) -> None:
        self._read_record = read_record

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        """Return a summary of the outcome and the digest of all that led to it."""
        if assignment.purpose is not Purpose.RECORD:
            return not_its_work(assignment, "Knight")
        problems = None
        if self._read_record is not None:
            problems = await self._read_record(assignment.motion_id)
        if problems:
            message = f"the stored record is not sound: {in_one_line(problems)}"
            return failed(assignment, SYSTEM_ERROR, message, {"problems": list(problems)})
        findings = list(_missing(assignment)) or list(_contradictions(assignment))
        if findings:
            return failed(
                assignment, VALIDATION_ERROR, in_one_line(findings), {"findings": findings}
            )
        return done(
            assignment,
            {"outcome": _summary(assignment), "digest": digest_of(_content(assignment).encode())},
        )


def _missing(assignment: BranchAssignment) -> Iterator[str]:
    for step in STEPS:
        if step not in assignment.outputs:
            yield f"the record has no output of the step to {step}"


def _contradictions(assignment: BranchAssignment) -> Iterator[str]:
    """Compare the steps as far as they speak the language of the built-in services.

    Services of others may answer in any form: what is not understood is not judged.
    """
    vote = assignment.outputs[Purpose.DELIBERATE]
    if vote.get("outcome", GovernanceState.RATIFIED) != GovernanceState.RATIFIED:
        yield f"the vote says {vote['outcome']}, yet the motion was carried out"
    try:
        planned = {task.id for task in read_plan(assignment.outputs[Purpose.PLAN]).tasks}
    except ValidationError:
        return
    try:
        executed = set(read_execution(assignment.outputs[Purpose.EXECUTE]).results)
    except ValidationError:
        executed = planned
    judged = assignment.outputs[Purpose.JUDGE].get("judged")
    judged = set(judged) if isinstance(judged, Mapping) else planned
    for done_to_them, tasks in (("executed", executed), ("judged", judged)):
        for task in sorted(planned - tasks):
            yield f"{task} was planned but not {done_to_them}"
        for task in sorted(tasks - planned):
            yield f"{task} was {done_to_them} but not planned"


def _summary(assignment: BranchAssignment) -> dict[str, Any]:
    outputs = assignment.outputs
    summary: dict[str, Any] = {
        "motion_id": str(assignment.motion_id),
        "title": assignment.title,
        "reference": assignment.reference,
        "introduced_by": assignment.introduced_by,
    }
    if "tally" in outputs[Purpose.DELIBERATE]:
        summary["tally"] = outputs[Purpose.DELIBERATE]["tally"]
    if isinstance(tasks := outputs[Purpose.PLAN].get("tasks"), list):
        summary["tasks"] = len(tasks)
    if "verdict" in outputs[Purpose.JUDGE]:
        summary["verdict"] = outputs[Purpose.JUDGE]["verdict"]
    return summary


def _content(assignment: BranchAssignment) -> str:
    return sorted_json(
        {
            "motion_id": str(assignment.motion_id),
            "title": assignment.title,
            "text": assignment.text,
            "introduced_by": assignment.introduced_by,
            "reference": assignment.reference,
            "ballots": dict(assignment.ballots),
            "outputs": {step.value: dict(assignment.outputs[step]) for step in STEPS},
        }
    )
