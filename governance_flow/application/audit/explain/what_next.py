"""What comes next for a motion: who must do what, and by when."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from governance_flow.application.audit.explain.phrases import (
    TO_DO,
    counted,
    day_and_time,
    listed,
    name,
    quoted,
    title_of,
    who,
)
from governance_flow.application.ports.flow_orchestrator import ActionKind, ActionNeeded
from governance_flow.domain.next_action import AwaitPerson, next_action

if TYPE_CHECKING:
    from datetime import datetime

    from governance_flow.domain.motion import Motion
    from governance_flow.domain.pipeline import Halt

NAMED_ACTORS_MAX = 5


def what_next(motion: Motion, action: ActionNeeded, halt: Halt | None, as_of: datetime) -> str:
    """Return, in a sentence, what a live motion waits for; ``action`` is what its summary says."""
    match action.kind:
        case ActionKind.PLACE:
            return (
                "it waits in the docket; the orchestrator admits it as soon as a place in the "
                "pipeline is free and those before it have theirs"
            )
        case ActionKind.DATE:
            until = "its date" if action.by is None else day_and_time(action.by)
            return f"it lies on the table until {until}; a named person may take it up before that"
        case ActionKind.TAKING_UP:
            return "it lies on the table until a named person takes it up, and no date is set"
        case ActionKind.BRANCH:
            return _branch(motion, action, halt, as_of)
        case ActionKind.PERSON:
            if halt is not None and not isinstance(next_action(motion), AwaitPerson):
                return (
                    "a named person must resume the pipeline, which "
                    f"{who(halt.by)} halted on {day_and_time(halt.since)}: {quoted(halt.reason)}"
                )
            return _person(motion)
        case ActionKind.ORCHESTRATOR:
            return "the orchestrator applies what was recorded, as soon as a worker runs"
        case ActionKind.NOTHING:  # pragma: no cover - a summary without an action says None
            return "nothing more can happen to it"
        case _:
            assert_never(action.kind)


def _branch(motion: Motion, action: ActionNeeded, halt: Halt | None, as_of: datetime) -> str:
    routed = motion.routing
    if routed is None:  # pragma: no cover - a motion that waits for a branch has a routing
        return f"{name(action.who)} must act: {action.what}"
    said = f"{title_of(routed.service)} must {TO_DO[routed.purpose]}"
    if routed.attempt > 1:
        said += f", attempt {routed.attempt}"
    if routed.not_before is not None and routed.not_before > as_of:
        said += f", not before {day_and_time(routed.not_before)}"
    if action.by is not None:
        said += f", by {day_and_time(action.by)}"
        if action.by <= as_of:
            said += " (which has passed: as soon as a worker runs, that counts as a timeout)"
    elif motion.block is not None:
        said += ", with no deadline while the motion is blocked"
    if halt is not None:
        said += (
            "; the pipeline is halted, so the answer would only be recorded, and deadlines stand "
            "still"
        )
    return said


def _person(motion: Motion) -> str:
    said = "a named person must decide to retry, return or review it"
    if motion.block is not None:
        error = motion.block.error
        said += (
            f"; it is blocked since {day_and_time(error.timestamp)} by "
            f"{quoted(error.message)} ({name(error.error_type)})"
        )
    if motion.acts:
        actors = [name(actor) for actor in list(motion.acts)[:NAMED_ACTORS_MAX]]
        if more := len(motion.acts) - len(actors):
            actors.append(counted(more, "other"))
        said += f"; those who have acted on it may not: {listed(actors)}"
    return f"{said}; no date is set"
