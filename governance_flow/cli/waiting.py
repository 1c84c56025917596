"""What is left when nothing can be done now: who must act, and what they can type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from governance_flow.application.ports.flow_orchestrator import (
    ActionKind,
    MotionPipelineState,
    PipelineStatus,
)
from governance_flow.cli.command import Place
from governance_flow.cli.rendering import action_text, begins, indented, to_type
from governance_flow.cli.terminal import plain
from governance_flow.domain.states import TERMINAL_STATES, GovernanceState

if TYPE_CHECKING:
    from governance_flow.bootstrap import Flow

SHOWN_MAX = 10
"""Of each kind; a longer list is a page of its own."""

YOU = "YOUR-NAME"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The first motions that are blocked, and the first ones that wait for anything else."""

    blocked: tuple[MotionPipelineState, ...] = ()
    others: tuple[MotionPipelineState, ...] = ()


async def find_waiting(flow: Flow) -> Waiting:
    """Return what waits, at most ``SHOWN_MAX`` motions of each kind."""
    blocked = await flow.orchestrator.list_motions(blocked=True, limit=SHOWN_MAX)
    others: list[MotionPipelineState] = []
    for state in GovernanceState:
        room = SHOWN_MAX - len(others)
        if state in TERMINAL_STATES or room == 0:
            continue
        page = await flow.orchestrator.list_motions(state=state, blocked=False, limit=room)
        others += page.motions
    return Waiting(blocked.motions, tuple(others))


def waiting_view(place: Place, waiting: Waiting) -> Group:
    """Return what waits for a person, with the command to type, and what waits for all else."""
    parts: list[RenderableType] = []
    if waiting.blocked:
        parts.append(Text("Blocked", style="bold red"))
        for motion in waiting.blocked:
            parts += _blocked(place, motion)
        parts.append(Text())
    if waiting.others:
        parts.append(Text("Waiting", style="bold"))
        for motion in waiting.others:
            parts += _waiting(place, motion)
        parts.append(Text())
    return Group(*parts)


def _blocked(place: Place, motion: MotionPipelineState) -> list[RenderableType]:
    lines: list[RenderableType] = [_title(motion)]
    lines += [
        indented(Text(begins(issue), style="red"), columns=4) for issue in motion.blocking_issues
    ]
    if motion.next_action is not None and motion.next_action.kind is ActionKind.PERSON:
        words = ("resolve", str(motion.motion_id), "--by", YOU, "--decision", "retry")
        lines.append(to_type(place.command(*words), columns=4))
    else:
        lines.append(indented(action_text(motion.next_action), columns=4))
    return lines


def _waiting(place: Place, motion: MotionPipelineState) -> list[RenderableType]:
    lines: list[RenderableType] = [
        _title(motion),
        indented(action_text(motion.next_action), columns=4),
    ]
    action = motion.next_action
    if action is not None and action.kind in (ActionKind.TAKING_UP, ActionKind.DATE):
        words = ("retry", str(motion.motion_id), "--by", YOU)
        lines.append(to_type(place.command(*words), columns=4))
    return lines


def _title(motion: MotionPipelineState) -> RenderableType:
    where = (f"  {motion.current_state}, {motion.motion_id}", "dim")
    return indented(Text.assemble(plain(motion.title), where))


def hints_view(place: Place, status: PipelineStatus, waiting: Waiting) -> Group:
    """Return what to type next."""
    hints: list[tuple[str, str]] = []
    if status.halted:
        resume = ("resume", "--by", YOU, "--reason", "WHY")
        hints.append((place.command(*resume), "let the halted pipeline go on"))
    if waiting.blocked:
        story = str(waiting.blocked[0].motion_id)
        hints.append((place.command("motion", story), "see how it came to be blocked"))
    elif waiting.others:
        story = str(waiting.others[0].motion_id)
        hints.append((place.command("motion", story), "see everything that happened to it"))
    if status.blocked_motions > len(waiting.blocked):
        hints.append((place.command("motions", "--blocked"), "list all that is blocked"))
    if status.active_motions:
        hints.append((place.command("worker"), "keep driving what becomes due"))
    hints.append((place.command("motions"), "list the motions"))
    hints.append((place.command("audit", "replay"), "rebuild all of this from the events alone"))
    lines: list[RenderableType] = [
        line
        for words, purpose in hints
        for line in (to_type(words), Text(f"      {purpose}", style="dim"))
    ]
    return Group(Text("What to type next", style="bold"), *lines)
