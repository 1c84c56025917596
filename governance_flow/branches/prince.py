"""The built-in Prince: checks what was executed against what was planned, task by task."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    Purpose,
)
from governance_flow.branches.plan import (
    Execution,
    Plan,
    Task,
    TaskResult,
    read_execution,
    read_plan,
)
from governance_flow.branches.results import done, failed, faults, in_one_line, not_its_work
from governance_flow.domain.escalation import VALIDATION_ERROR


class Prince:
    """Judges. A task passes if it is done and there is evidence for each of its criteria."""

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        """Return what was found met, or a validation error that names what is not."""
        if assignment.purpose is not Purpose.JUDGE:
            return not_its_work(assignment, "Prince")
        try:
            plan = read_plan(assignment.outputs.get(Purpose.PLAN))
        except ValidationError as error:
            return failed(assignment, VALIDATION_ERROR, in_one_line(faults(error, "plan")))
        try:
            execution = read_execution(assignment.outputs.get(Purpose.EXECUTE))
        except ValidationError as error:
            return failed(assignment, VALIDATION_ERROR, in_one_line(faults(error, "execution")))
        unmet = list(_unmet(plan, execution))
        if unmet:
            return failed(assignment, VALIDATION_ERROR, in_one_line(unmet), {"unmet": unmet})
        judged = {task.id: list(task.criteria) for task in plan.tasks}
        return done(assignment, {"verdict": "met", "judged": judged})


def _unmet(plan: Plan, execution: Execution) -> Iterator[str]:
    for task in plan.tasks:
        yield from _unmet_of(task, execution)
    for stranger in sorted(execution.results.keys() - {task.id for task in plan.tasks}):
        yield f"{stranger}: a result for a task that nobody planned"


def _unmet_of(task: Task, execution: Execution) -> Iterator[str]:
    if task.id not in execution.results:
        yield f"{task.label}: there is no result"
        return
    try:
        result = TaskResult.model_validate(execution.results[task.id])
    except ValidationError as error:
        yield from (f"{task.label}: {fault}" for fault in faults(error, "result"))
        return
    if not result.done:
        yield f"{task.label}: not done"
    for criterion in task.criteria:
        if not result.shows(criterion):
            yield f"{task.label}: no evidence that {criterion!r}"
