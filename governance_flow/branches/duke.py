"""The built-in Duke: hands the tasks of the plan to the Earls, several at a time."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from governance_flow.application.classification import classify, gravest
from governance_flow.application.ports.branch_services import EarlService, EarlTask
from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    Purpose,
)
from governance_flow.branches.plan import Task, read_plan
from governance_flow.branches.results import done, failed, faults, in_one_line, not_its_work
from governance_flow.domain.escalation import SYSTEM_ERROR, VALIDATION_ERROR

MAX_CONCURRENT_TASKS = 16
MAX_TRACEBACK_CHARACTERS = 4000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Failure:
    error_type: str
    message: str
    trace: str | None = None

    def report(self) -> dict[str, Any]:
        said = {"error_type": self.error_type, "message": self.message}
        return said if self.trace is None else said | {"traceback": self.trace}


class Duke:
    """Executes plans through an ``EarlService``.

    All tasks are tried, whatever becomes of the others, so that the report names every failure;
    the gravest decides what is done about it.
    """

    def __init__(self, earl: EarlService, max_concurrent_tasks: int = MAX_CONCURRENT_TASKS) -> None:
        self._earl = earl
        self._max_concurrent_tasks = max_concurrent_tasks

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        """Return the results by task id, or what failed."""
        if assignment.purpose is not Purpose.EXECUTE:
            return not_its_work(assignment, "Duke")
        output = assignment.outputs.get(Purpose.PLAN)
        try:
            plan = read_plan(output)
        except ValidationError as error:
            return failed(assignment, VALIDATION_ERROR, in_one_line(faults(error, "plan")))
        raw_tasks = dict(output or {})["tasks"]
        places = asyncio.Semaphore(self._max_concurrent_tasks)
        async with asyncio.TaskGroup() as group:
            running = {
                task.id: group.create_task(self._carry_out(places, EarlTask(assignment, raw)))
                for task, raw in zip(plan.tasks, raw_tasks, strict=True)
            }
        outcomes = {task_id: task.result() for task_id, task in running.items()}
        results = {i: o for i, o in outcomes.items() if not isinstance(o, _Failure)}
        failures = {i: o for i, o in outcomes.items() if isinstance(o, _Failure)}
        if not failures:
            return done(assignment, {"results": results})
        return failed(
            assignment,
            gravest(failure.error_type for failure in failures.values()),
            in_one_line(_said(plan.tasks, failures)),
            {
                "results": results,
                "failures": {task_id: item.report() for task_id, item in failures.items()},
            },
        )

    async def _carry_out(
        self, places: asyncio.Semaphore, task: EarlTask
    ) -> dict[str, Any] | _Failure:
        async with places:
            try:
                result: object = await self._earl.carry_out(task)
            except Exception as error:
                # Reported, and so recorded and escalated, with the other failures of the plan.
                logger.warning("an Earl failed", exc_info=True)
                error_type = classify(error)
                said = str(error) or type(error).__name__
                if error_type != SYSTEM_ERROR:
                    return _Failure(error_type, said)
                trace = "".join(traceback.format_exception(error))
                message = f"{type(error).__name__}: {said}"
                return _Failure(error_type, message, trace[-MAX_TRACEBACK_CHARACTERS:])
        if isinstance(result, Mapping):
            return dict(result)
        message = f"the Earl returned {type(result).__name__}, not a mapping"
        return _Failure(SYSTEM_ERROR, message)


def _said(tasks: tuple[Task, ...], failures: Mapping[str, _Failure]) -> list[str]:
    return [f"{t.label}: {failures[t.id].message}" for t in tasks if t.id in failures]
