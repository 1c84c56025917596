"""The plan and the results as the built-in President, Duke, Prince and Knight understand them.

A plan is ``{"tasks": [{"id", "description", "criteria": [...]}, ...]}``; what was executed is
``{"results": {<task id>: {"done": true, "evidence": {<criterion>: <text>}}}}``. Further keys are
kept and passed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MAX_TASKS = 1000
MAX_CRITERIA = 100

Words = Annotated[str, StringConstraints(strict=True, pattern=r"\S", max_length=10_000)]


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Task(_Read):
    """One thing to do, and what must be true once it is done."""

    id: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]
    description: Words
    criteria: Annotated[tuple[Words, ...], Field(max_length=MAX_CRITERIA)] = ()

    @property
    def label(self) -> str:
        """Its id and what it is, for messages."""
        return f"{self.id} ({self.description})"


class Plan(_Read):
    """What the President decided must be done."""

    tasks: Annotated[tuple[Task, ...], Field(min_length=1, max_length=MAX_TASKS)]

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        if len({task.id for task in self.tasks}) < len(self.tasks):
            raise ValueError("two tasks have the same id")
        return self


class TaskResult(_Read):
    """What an Earl says about a task: whether it is done, and what shows it."""

    done: Annotated[bool, Field(strict=True)] = False
    evidence: dict[str, Any] = Field(default_factory=dict)

    def shows(self, criterion: str) -> bool:
        """Whether there is evidence for a criterion: anything but nothing."""
        return self.evidence.get(criterion) not in (None, False, "", [], {})


class Execution(_Read):
    """The results by task id; each is read on its own, so that one bad one spoils no other."""

    results: dict[str, Any]


def read_plan(output: Mapping[str, Any] | None) -> Plan:
    """Read the President's output; raises pydantic's ValidationError if it is no plan."""
    return Plan.model_validate(dict(output or {}))


def read_execution(output: Mapping[str, Any] | None) -> Execution:
    """Read the Duke's output; raises pydantic's ValidationError if it holds no results."""
    return Execution.model_validate(dict(output or {}))
