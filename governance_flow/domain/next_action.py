"""Who must act next on a motion. Every live motion has an answer, whatever happened to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from governance_flow.domain.escalation import Resolution
from governance_flow.domain.states import GovernanceState

if TYPE_CHECKING:
    from datetime import datetime

    from governance_flow.domain.events import MotionRouted, OrchestratorError
    from governance_flow.domain.motion import Motion


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing is left to do."""


@dataclass(frozen=True, slots=True)
class AwaitPlace:
    """It waits in the docket, in order of ``since``, from then on."""

    since: datetime


@dataclass(frozen=True, slots=True)
class AwaitTakingUp:
    """Tabled without a date: somebody must take it up."""


@dataclass(frozen=True, slots=True)
class AwaitBranch:
    """A branch service must answer ``routing``."""

    routing: MotionRouted


@dataclass(frozen=True, slots=True)
class AwaitPerson:
    """A named person must resolve ``error``."""

    error: OrchestratorError


@dataclass(frozen=True, slots=True)
class AwaitOrchestrator:
    """What was reported or decided must be applied, as soon as the pipeline runs."""


NextAction = Finished | AwaitPlace | AwaitTakingUp | AwaitBranch | AwaitPerson | AwaitOrchestrator


def next_action(motion: Motion) -> NextAction:
    """Return what ``motion`` waits for."""
    if motion.terminal:
        return Finished()
    if motion.block is not None and motion.block.needs_person:
        return AwaitPerson(motion.block.error)
    # A motion to be tried again waits for what it waited for before.
    if motion.resolution is not None and motion.resolution.decision is not Resolution.RETRY:
        return AwaitOrchestrator()
    if motion.routing is not None:
        return AwaitBranch(motion.routing)
    if motion.pending is not None or motion.block is not None:
        return AwaitOrchestrator()
    if motion.docketed_at is not None:
        return AwaitPlace(motion.docketed_at)
    if motion.state is GovernanceState.TABLED:
        return AwaitTakingUp()
    return AwaitOrchestrator()
