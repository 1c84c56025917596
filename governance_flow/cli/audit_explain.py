"""``audit explain``: one motion's story in plain language."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from governance_flow.application.audit.explain.phrases import (
    BRANCH_TITLES,
    counted,
    day_and_time,
    how_we_know,
    length_of_time,
    listed,
)
from governance_flow.application.audit.explain.story import Acted, Entry, Kind, Step, Story
from governance_flow.cli.arguments import MotionArgument, time_value
from governance_flow.cli.command import JsonOption, Place, opened
from governance_flow.cli.errors import UsedWrongly
from governance_flow.cli.output import print_json, time_json
from governance_flow.cli.rendering import clock_time, headed, indented, state_text, to_type
from governance_flow.cli.terminal import plain, results

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from governance_flow.bootstrap import Flow

KIND_STYLES = {
    Kind.STEP: "",
    Kind.REPORT: "",
    Kind.TROUBLE: "yellow",
    Kind.REFUSAL: "red",
    Kind.DECISION: "bold",
    Kind.PIPELINE: "dim",
}


def explain(
    place: Place,
    *,
    motion_id: MotionArgument,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="As committed by then: 2026-01-31T18:00:00Z."),
    ] = None,
    position: Annotated[
        int | None, typer.Option("--position", metavar="N", min=0, help="As of this position.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell a motion's story: who did what, when and why, what was refused, and what comes next.

    From the events alone. All times are in UTC, as the store committed the events. How each name
    is known is said: one given with --by is its bearer's own word, and nothing proves it.
    """
    if at is not None and position is not None:
        raise UsedWrongly("say --at or --position, not both")
    moment_at = None if at is None else time_value("--at", at)
    story = opened(place, lambda flow: _story(flow, motion_id, moment_at, position))
    if as_json:
        print_json(story_json(story))
    else:
        results().print(story_view(story, place))


async def _story(flow: Flow, motion_id: UUID, at: datetime | None, position: int | None) -> Story:
    moment = await flow.audit.replayer.moment(at=at, position=position)
    return await flow.audit.storyteller.story(motion_id, moment)


# -- For programs ----------------------------------------------------------------------------------


def story_json(story: Story) -> dict[str, Any]:
    """Return a story as data, each sentence with what it was made from."""
    action = story.action
    return {
        "position": story.position,
        "as_of": time_json(story.as_of),
        "motion_id": str(story.motion_id),
        "title": story.title,
        "reference": story.reference,
        "current_state": story.state.value,
        "version": story.version,
        "summary": story.summary,
        "story": [_entry_json(entry) for entry in story.entries],
        "steps": [
            {
                "state": step.state.value,
                "entered_at": time_json(step.entered_at),
                "left_at": time_json(step.left_at),
                "took_seconds": step.took.total_seconds(),
            }
            for step in story.steps
        ],
        "actors": [
            {
                "id": acted.actor.id,
                "authenticated_by": acted.actor.authenticated_by.value,
                "how_we_know": how_we_know(acted.actor),
                "acts": acted.acts,
                "branches": sorted(branch.value for branch in acted.branches),
            }
            for acted in story.people
        ],
        "ending": story.ending,
        "coming": story.coming,
        "next_action": None
        if action is None
        else {
            "kind": action.kind.value,
            "who": action.who,
            "what": action.what,
            "by": time_json(action.by),
        },
    }


def _entry_json(entry: Entry) -> dict[str, Any]:
    actor = entry.event.actor
    return {
        "position": entry.position,
        "version": entry.version,
        "committed_at": time_json(entry.committed_at),
        "topic": entry.event.topic,
        "kind": entry.kind.value,
        "actor": {"id": actor.id, "authenticated_by": actor.authenticated_by.value},
        "sentence": entry.sentence,
        "shortened": entry.shortened,
    }


# -- For people ------------------------------------------------------------------------------------


def story_view(story: Story, place: Place) -> Group:
    """Return a story: what happened, how long it took, who acted, and what comes next."""
    title = plain(story.title) + (f"  {plain(story.reference)}" if story.reference else "")
    motion_id = str(story.motion_id)
    parts: list[RenderableType] = [
        headed(title, Group(Text(motion_id, style="dim"), Text(plain(story.summary)))),
        headed("What happened", Group(*_told(story))),
        headed("How long each step took", _steps_table(story)),
        headed("Who acted, and how we know", _actors_table(story)),
    ]
    if story.ending is not None:
        parts.append(headed("How it ended", Text(plain(story.ending))))
    if story.coming is not None:
        coming = Text(f"{_capital(plain(story.coming))}.", style="bold")
        parts.append(headed(f"What comes next, as of {day_and_time(story.as_of)}", coming))
    if story.shortened:
        parts.append(Text(f"What ends in […] is shortened. Whole: {_whole(place, motion_id)}"))
    parts += [
        Text("This tells what the record says. Whether the record is sound:", style="dim"),
        to_type(place.command("audit", "verify")),
    ]
    return Group(*parts)


def _whole(place: Place, motion_id: str) -> str:
    return place.command("motion", motion_id, "--json")


def _told(story: Story) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for when, entries in groupby(story.entries, key=lambda entry: day_and_time(entry.committed_at)):
        lines.append(Text(f"On {when}", style="cyan"))
        for entry in entries:
            line = Text(f"{_capital(plain(entry.told))}.", style=KIND_STYLES[entry.kind])
            lines.append(indented(_bulleted(line)))
    return lines


def _bulleted(line: Text) -> Table:
    """Return a line behind a dash; where it is folded, it goes on below its beginning."""
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text("-", style="dim"), line)
    return grid


def _capital(sentence: str) -> str:
    """Begin a sentence with a capital letter, unless it begins with somebody's name."""
    begins_with_ours = sentence.split(" ", 1)[0] in _OUR_FIRST_WORDS
    return sentence[:1].upper() + sentence[1:] if begins_with_ours else sentence


_OUR_FIRST_WORDS = frozenset(
    {"the", "it", "an", "a", "attempt", "deliberation", "planning", "nothing"}
)


def _steps_table(story: Story) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for heading in ("STATE", "FROM (UTC)", "TO (UTC)", "TOOK"):
        table.add_column(heading)
    for step in story.steps:
        table.add_row(
            state_text(step.state),
            Text(clock_time(step.entered_at)),
            Text(_left(step, story)),
            Text(_took(step, story)),
        )
    return table


def _left(step: Step, story: Story) -> str:
    if step.left_at is not None:
        return clock_time(step.left_at)
    return "" if story.ending is not None else "still there"


def _took(step: Step, story: Story) -> str:
    if step.left_at is None and story.ending is not None:
        return "ended here"
    return length_of_time(step.took) + ("" if step.left_at is not None else " so far")


def _actors_table(story: Story) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for heading in ("NAME", "ACTS", "FOR", "HOW WE KNOW"):
        table.add_column(heading, overflow="fold")
    for acted in story.people:
        table.add_row(
            Text(plain(acted.actor.id)),
            Text(counted(acted.acts, "act")),
            Text(_branches(acted)),
            Text(how_we_know(acted.actor)),
        )
    return table


def _branches(acted: Acted) -> str:
    return listed([BRANCH_TITLES[branch] for branch in sorted(acted.branches)]) or "-"
