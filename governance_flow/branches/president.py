"""The built-in President: turns a motion into tasks with success criteria.

The tasks come from the motion's metadata, under ``tasks``: a list of texts, or of objects with a
``name``, optionally ``criteria`` (a text or a list of texts), and any further keys, which go to the
Earl as the task's ``details``. A motion without tasks is one task: itself.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    Purpose,
)
from governance_flow.branches.plan import MAX_CRITERIA, MAX_TASKS, Words
from governance_flow.branches.results import done, failed, faults, in_one_line, not_its_work
from governance_flow.domain.escalation import VALIDATION_ERROR

DEFAULT_CRITERION = "it is done, and there is evidence of it"


class _TaskObject(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    name: Words
    criteria: Words | Annotated[list[Words], Field(max_length=MAX_CRITERIA)] = Field(
        default_factory=list
    )


_TASKS = TypeAdapter(Annotated[list[Words | _TaskObject], Field(max_length=MAX_TASKS)])


class President:
    """Plans."""

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        """Return the plan, or everything that is wrong with the motion's tasks."""
        if assignment.purpose is not Purpose.PLAN:
            return not_its_work(assignment, "President")
        named = assignment.metadata.get("tasks")
        if named is None or named == []:
            named = [assignment.title]
        try:
            tasks = _TASKS.validate_python(named)
        except ValidationError as error:
            findings = faults(error, "tasks")
            return failed(
                assignment, VALIDATION_ERROR, in_one_line(findings), {"findings": findings}
            )
        output: dict[str, Any] = {
            "tasks": [_planned(number, task) for number, task in enumerate(tasks, 1)]
        }
        if assignment.findings:
            output["considered"] = list(assignment.findings)
        return done(assignment, output)


def _planned(number: int, task: str | _TaskObject) -> dict[str, Any]:
    planned: dict[str, Any] = {"id": f"task-{number}"}
    if isinstance(task, str):
        return planned | {"description": task, "criteria": [DEFAULT_CRITERION]}
    criteria = [task.criteria] if isinstance(task.criteria, str) else task.criteria
    planned |= {"description": task.name, "criteria": criteria or [DEFAULT_CRITERION]}
    if task.model_extra:
        planned["details"] = task.model_extra
    return planned
