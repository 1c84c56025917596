"""President, Duke, Earl and Prince: a plan is made, executed and judged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from governance_flow.application.ports.branch_services import EarlTask
from governance_flow.application.ports.flow_orchestrator import BranchResult, Purpose
from governance_flow.branches.duke import Duke
from governance_flow.branches.earl import Earl
from governance_flow.branches.president import DEFAULT_CRITERION, President
from governance_flow.branches.prince import Prince
from tests.support.assignments import make_assignment

TASKS: list[dict[str, Any]] = [
    {"id": "task-1", "description": "Cut the beams", "criteria": ["six beams", "of oak"]},
    {"id": "task-2", "description": "Lay the beams", "criteria": ["it holds"], "details": {"n": 1}},
]
PLAN = {"tasks": TASKS}
RESULTS = {
    "task-1": {"done": True, "evidence": {"six beams": "counted", "of oak": "smelled"}},
    "task-2": {"done": True, "evidence": {"it holds": "an ox crossed it"}},
}


async def plan(**changes: Any) -> BranchResult:
    return await President().perform(make_assignment(Purpose.PLAN, **changes))


async def execute(earl: Any, **changes: Any) -> BranchResult:
    changes.setdefault("outputs", {Purpose.PLAN: PLAN})
    return await Duke(earl).perform(make_assignment(Purpose.EXECUTE, **changes))


async def judge(execution: object, plan: object = PLAN) -> BranchResult:
    outputs = {Purpose.PLAN: plan, Purpose.EXECUTE: execution}
    outputs = {purpose: output for purpose, output in outputs.items() if output is not None}
    return await Prince().perform(make_assignment(Purpose.JUDGE, outputs=outputs))


# -- The President ------------------------------------------------------------------------------


async def test_tasks_become_a_plan_with_ids_and_criteria() -> None:
    tasks = [
        "Cut the beams",
        {"name": "Lay the beams", "criteria": ["it holds"], "crew": 4},
        {"name": "Paint them", "criteria": "they are red"},
        {"name": "Open it", "criteria": []},
    ]
    result = await plan(metadata={"tasks": tasks})
    assert result.success
    assert result.output == {
        "tasks": [
            {"id": "task-1", "description": "Cut the beams", "criteria": [DEFAULT_CRITERION]},
            {
                "id": "task-2",
                "description": "Lay the beams",
                "criteria": ["it holds"],
                "details": {"crew": 4},
            },
            {"id": "task-3", "description": "Paint them", "criteria": ["they are red"]},
            {"id": "task-4", "description": "Open it", "criteria": [DEFAULT_CRITERION]},
        ]
    }


@pytest.mark.parametrize("metadata", [{}, {"tasks": None}, {"tasks": []}])
async def test_a_motion_without_tasks_is_one_task(metadata: dict[str, Any]) -> None:
    result = await plan(metadata=metadata)
    assert [task["description"] for task in result.output["tasks"]] == ["Mend the bridge"]


async def test_what_was_found_is_considered_in_the_next_plan() -> None:
    result = await plan(findings=("the quay does not exist",))
    assert result.output["considered"] == ["the quay does not exist"]


@pytest.mark.parametrize(
    ("tasks", "paths"),
    [
        ("Cut the beams", ["tasks: "]),
        ({"name": "Cut the beams"}, ["tasks: "]),
        (["fine", ""], ["tasks.1"]),
        (["fine", 3, None], ["tasks.1", "tasks.2"]),
        ([{"criteria": ["it holds"]}], ["tasks.0"]),
        ([{"name": "Lay", "criteria": [" "]}], ["tasks.0"]),
        ([{"name": "Lay", "criteria": 3}], ["tasks.0"]),
        (["task"] * 1001, ["tasks: "]),
    ],
)
async def test_every_malformed_task_is_named(tasks: object, paths: list[str]) -> None:
    result = await plan(metadata={"tasks": tasks})
    assert (result.success, result.error_type) == (False, "validation_error")
    for path in paths:
        assert any(finding.startswith(path) for finding in result.output["findings"])
        assert path in str(result.error)


async def test_a_message_about_very_many_faults_is_of_bounded_length() -> None:
    result = await plan(metadata={"tasks": [3] * 900})
    assert str(result.error).endswith("more")
    assert len(str(result.error)) < 5000


# -- The Duke and the Earls ---------------------------------------------------------------------


class ScriptedEarl:
    """Does tasks, or raises what it is told to, by the task's id."""

    def __init__(self, **by_task: object) -> None:
        self.by_task = by_task
        self.asked: list[str] = []

    async def carry_out(self, task: EarlTask) -> Mapping[str, Any]:
        task_id = task.task["id"]
        self.asked.append(task_id)
        answer = self.by_task.get(task_id.replace("-", "_"), {"done": True})
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[return-value]


async def test_every_task_goes_to_the_earl_whole_and_its_result_comes_back() -> None:
    seen: dict[str, EarlTask] = {}

    class Watched(Earl):
        async def carry_out(self, task: EarlTask) -> Mapping[str, Any]:
            seen[task.task["id"]] = task
            return await super().carry_out(task)

    result = await execute(Watched())
    assert result.success
    assert [dict(seen[task["id"]].task) for task in TASKS] == TASKS
    assert seen["task-1"].motion.title == "Mend the bridge"
    assert result.output["results"]["task-1"] == {
        "done": True,
        "evidence": {
            "six beams": "reported by the Earl for 'Cut the beams'",
            "of oak": "reported by the Earl for 'Cut the beams'",
        },
    }


async def test_tasks_run_at_the_same_time_but_not_too_many() -> None:
    at_once = 0
    most = 0
    full = asyncio.Event()

    class Counting:
        async def carry_out(self, task: EarlTask) -> Mapping[str, Any]:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            if at_once == 3:
                # Not before everybody who is let in has come in.
                asyncio.get_running_loop().call_soon(full.set)
            # Nobody gets past here unless three are inside together.
            await full.wait()
            at_once -= 1
            return {"done": True}

    tasks = [{"id": f"t{n}", "description": "work"} for n in range(10)]
    duke = Duke(Counting(), max_concurrent_tasks=3)
    outputs = {Purpose.PLAN: {"tasks": tasks}}
    result = await duke.perform(make_assignment(Purpose.EXECUTE, outputs=outputs))
    assert len(result.output["results"]) == 10
    assert most == 3


async def test_a_failed_task_fails_the_execution_but_stops_no_other() -> None:
    earl = ScriptedEarl(task_1=TimeoutError("no answer"))
    result = await execute(earl)
    assert earl.asked == ["task-1", "task-2"]
    assert (result.success, result.error_type) == (False, "timeout_error")
    assert result.error == "task-1 (Cut the beams): no answer"
    assert result.output == {
        "results": {"task-2": {"done": True}},
        "failures": {"task-1": {"error_type": "timeout_error", "message": "no answer"}},
    }


@pytest.mark.parametrize(
    ("first", "second", "error_type"),
    [
        (TimeoutError(), ValueError("odd"), "validation_error"),
        (PermissionError("no key"), ValueError("odd"), "permission_error"),
        (PermissionError("no key"), KeyError("beam"), "system_error"),
        (TimeoutError(), "not a mapping", "system_error"),
        (ExceptionGroup("two", [TimeoutError(), PermissionError()]), None, "permission_error"),
    ],
)
async def test_the_gravest_failure_decides(first: object, second: object, error_type: str) -> None:
    result = await execute(ScriptedEarl(task_1=first, task_2=second or {"done": True}))
    assert result.error_type == error_type


async def test_an_unforeseen_failure_is_reported_with_its_traceback() -> None:
    result = await execute(ScriptedEarl(task_2=KeyError("beam")))
    failure = result.output["failures"]["task-2"]
    assert failure["message"] == "KeyError: 'beam'"
    assert "carry_out" in failure["traceback"]
    assert "KeyError: 'beam'" in failure["traceback"]


async def test_a_failure_without_words_is_named() -> None:
    result = await execute(ScriptedEarl(task_1=TimeoutError()))
    assert result.error == "task-1 (Cut the beams): TimeoutError"


async def test_cancelling_the_duke_cancels_the_earls() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    class Patient:
        async def carry_out(self, task: EarlTask) -> Mapping[str, Any]:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            return {}

    running = asyncio.create_task(execute(Patient()))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cancelled.is_set()


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {},
        {"tasks": []},
        {"tasks": "all of them"},
        {"tasks": [{"description": "no id"}]},
        {"tasks": [TASKS[0], TASKS[0]]},
    ],
)
async def test_what_is_no_plan_is_neither_executed_nor_judged(broken: object) -> None:
    earl = ScriptedEarl()
    outputs = {} if broken is None else {Purpose.PLAN: broken}
    executed = await execute(earl, outputs=outputs)
    judged = await judge({"results": RESULTS}, broken)
    for result in (executed, judged):
        assert (result.success, result.error_type) == (False, "validation_error")
        assert str(result.error).startswith("plan")
    assert earl.asked == []


# -- The Prince ---------------------------------------------------------------------------------


async def test_results_that_meet_every_criterion_pass() -> None:
    result = await judge({"results": RESULTS})
    assert result.success
    assert result.output == {
        "verdict": "met",
        "judged": {"task-1": ["six beams", "of oak"], "task-2": ["it holds"]},
    }


async def test_the_built_in_services_understand_each_other() -> None:
    tasks = ["Cut the beams", {"name": "Lay the beams", "criteria": ["it holds", "it is level"]}]
    planned = await plan(metadata={"tasks": tasks})
    executed = await execute(Earl(), outputs={Purpose.PLAN: planned.output})
    judged = await judge(executed.output, planned.output)
    assert judged.success
    assert judged.output["judged"]["task-2"] == ["it holds", "it is level"]


@pytest.mark.parametrize(
    ("results", "unmet"),
    [
        ({"task-1": RESULTS["task-1"]}, ["task-2 (Lay the beams): there is no result"]),
        (
            RESULTS | {"task-2": {"done": False, "evidence": {"it holds": "nearly"}}},
            ["task-2 (Lay the beams): not done"],
        ),
        (
            RESULTS | {"task-1": {"done": True, "evidence": {"six beams": "counted"}}},
            ["task-1 (Cut the beams): no evidence that 'of oak'"],
        ),
        (
            RESULTS | {"task-2": {"done": True, "evidence": {"it holds": ""}}},
            ["task-2 (Lay the beams): no evidence that 'it holds'"],
        ),
        (
            RESULTS | {"task-3": {"done": True}},
            ["task-3: a result for a task that nobody planned"],
        ),
        (
            RESULTS | {"task-2": {"evidence": {"it holds": "yes"}}},
            ["task-2 (Lay the beams): not done"],
        ),
    ],
)
async def test_what_is_not_met_is_named(results: object, unmet: list[str]) -> None:
    result = await judge({"results": results})
    assert (result.success, result.error_type) == (False, "validation_error")
    assert result.output == {"unmet": unmet}
    assert result.error == "; ".join(unmet)


@pytest.mark.parametrize(
    "bad", ["done", {"done": "yes", "evidence": {}}, {"done": True, "evidence": "it holds"}]
)
async def test_a_result_that_cannot_be_read_is_not_met(bad: object) -> None:
    result = await judge({"results": RESULTS | {"task-2": bad}})
    assert result.error_type == "validation_error"
    assert str(result.error).startswith("task-2 (Lay the beams): result")


@pytest.mark.parametrize("execution", [None, {}, {"results": []}])
async def test_an_execution_without_results_is_not_judged(execution: object) -> None:
    result = await judge(execution)
    assert result.error_type == "validation_error"
    assert str(result.error).startswith("execution.results")


@pytest.mark.parametrize("service", [President(), Duke(Earl()), Prince()])
async def test_none_does_anothers_work(service: Any) -> None:
    result = await service.perform(make_assignment(Purpose.REVISE))
    assert result.error_type == "system_error"
