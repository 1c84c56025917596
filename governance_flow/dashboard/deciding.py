"""What a person can decide about a motion, as pages offer it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from governance_flow.application.ports.flow_orchestrator import ActionKind
from governance_flow.domain.errors import InvalidInput
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.states import (
    RETURN_TO,
    REVIEWABLE_STATES,
    WITHDRAWABLE_STATES,
)

if TYPE_CHECKING:
    from governance_flow.application.access.bearers import Bearer
    from governance_flow.application.ports.flow_orchestrator import MotionPipelineState


class Choice(NamedTuple):
    """A decision, what the button for it says, and what comes of it."""

    decision: Resolution
    title: str
    meaning: str


CHOICES: Mapping[Resolution, Choice] = MappingProxyType(
    {
        choice.decision: choice
        for choice in (
            Choice(Resolution.RETRY, "Retry", "the same work is given out again"),
            Choice(Resolution.RETURN, "Return", "the motion goes back to the step before"),
            Choice(Resolution.REVIEW, "Review", "the Conclave decides how it goes on"),
            Choice(Resolution.TAKE_UP, "Take up", "it waits in the docket for a place"),
        )
    }
)


def choices_for(motion: MotionPipelineState) -> list[Choice]:
    """Return what a person can decide about a motion now; nothing, if it waits for none."""
    action = motion.next_action
    if action is not None and action.kind is ActionKind.TAKING_UP:
        return [CHOICES[Resolution.TAKE_UP]]
    if action is None or action.kind is not ActionKind.PERSON or not motion.blocking_issues:
        # A person must resume the pipeline, say: that is not decided motion by motion.
        return []
    state = motion.current_state
    possible = [Resolution.RETRY]
    if state in RETURN_TO:
        possible.append(Resolution.RETURN)
    if state in REVIEWABLE_STATES:
        possible.append(Resolution.REVIEW)
    return [CHOICES[decision] for decision in possible]


def may_withdraw(motion: MotionPipelineState, bearer: Bearer) -> bool:
    """Return whether the motion is the bearer's, and can still be withdrawn."""
    own = motion.introduced_by == bearer.name
    return own and motion.current_state in WITHDRAWABLE_STATES


def decision_in(text: str) -> Resolution:
    """Return the decision that a form has sent; raises InvalidInput."""
    try:
        return Resolution(text)
    except ValueError as error:
        allowed = ", ".join(CHOICES)
        msg = f"decision: {text!r:.60} is none of {allowed}"
        raise InvalidInput(msg, field="decision") from error
