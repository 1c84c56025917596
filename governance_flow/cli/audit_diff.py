"""``audit diff``: what changed between two moments, each a position or a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from governance_flow.application.audit.explain.phrases import counted
from governance_flow.application.audit.explain.pipeline_sentences import pipeline_sentence
from governance_flow.cli.arguments import time_value
from governance_flow.cli.command import JsonOption, Place, opened
from governance_flow.cli.errors import UsedWrongly
from governance_flow.cli.output import print_json, time_json
from governance_flow.cli.progress import progress
from governance_flow.cli.rendering import (
    begins,
    clock_time,
    headed,
    indented,
    length_of_time,
    motions,
    state_text,
)
from governance_flow.cli.terminal import plain, results
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.events import Actor, Authentication

if TYPE_CHECKING:
    from governance_flow.application.audit.differences import Diff, MotionDiff
    from governance_flow.application.audit.replay import Moment
    from governance_flow.bootstrap import Flow

MOTIONS_SHOWN_MAX = 50
ACTORS_SHOWN_MAX = 5
POSITION_DIGITS_MAX = 18
UUID_COLUMNS = 36
"""An id is there to be copied: it stands in one line."""
NOT_COUNTED = "Only motions that changed were counted; --totals counts every motion, then and now."

MomentArgument = Annotated[
    str,
    typer.Argument(metavar="A", help="From: a position (1000) or a time (2026-01-31T18:00:00Z)."),
]
LaterArgument = Annotated[
    str | None,
    typer.Argument(metavar="B", help="To: a position or a time.", show_default="now"),
]


def diff(
    place: Place,
    first: MomentArgument,
    second: LaterArgument = None,
    *,
    totals: Annotated[
        bool | None,
        typer.Option(
            "--totals/--no-totals",
            metavar="",
            help="Count every motion, then and now.",
            show_default="in logs of up to 100,000 events",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--motions", metavar="", help="Every motion that changed, a line each.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what changed from A to B, from the events alone: the pipeline, and every motion touched.

    What happened exactly at A belongs to the past, what happened exactly at B to what changed. A
    number is a position, anything else a time; a time without an offset is UTC. Without B: up to
    now. B may not come before A.
    """
    if every and totals is not None:
        raise UsedWrongly("--motions counts nothing; say it without --totals or --no-totals")
    earlier = moment_value("A", first)
    later = None if second is None else moment_value("B", second)
    opened(place, lambda flow: _diff(flow, earlier, later, totals, every=every, as_json=as_json))


def moment_value(name: str, value: str) -> int | datetime:
    """Return the position or the time that an argument means."""
    if not (value.isascii() and value.isdigit()):
        return time_value(name, value)
    if len(value) > POSITION_DIGITS_MAX:
        raise UsedWrongly(f"{name}: there is no position {value[:POSITION_DIGITS_MAX]}…")
    return int(value)


async def _moment(flow: Flow, point: int | datetime | None) -> Moment:
    if isinstance(point, datetime):
        return await flow.audit.replayer.moment(at=point)
    return await flow.audit.replayer.moment(position=point)


async def _diff(
    flow: Flow,
    earlier: int | datetime,
    later: int | datetime | None,
    totals: bool | None,  # noqa: FBT001 - three answers: yes, no, and as the log allows
    *,
    every: bool,
    as_json: bool,
) -> None:
    then, now = await _moment(flow, earlier), await _moment(flow, later)
    with progress("comparing", "events", quiet=every) as show:
        if every:
            async for change in flow.audit.differ.motions(then, now, show):
                line = json.dumps(change_json(change)) if as_json else _line(change)
                sys.stdout.write(line + "\n")
            return
        found = await flow.audit.differ.diff(
            then, now, totals=totals, motions_max=MOTIONS_SHOWN_MAX, progress=show
        )
    if as_json:
        print_json(diff_json(found))
    else:
        results().print(diff_view(found))


# -- For programs ----------------------------------------------------------------------------------


def diff_json(found: Diff) -> dict[str, Any]:
    """Return what changed; of the motions the first that did, ``motions_changed`` is all."""
    then, now = found.then.pipeline, found.now.pipeline
    return {
        "from": _moment_json(found.then),
        "to": _moment_json(found.now),
        "events": found.events,
        "complete": found.complete,
        "pipeline": {
            "halted": {"then": then.halted, "now": now.halted},
            "halt_reason": {
                "then": then.halt.reason if then.halt else None,
                "now": now.halt.reason if now.halt else None,
            },
            "configuration": {"then": then.configuration, "now": now.configuration},
            "settings": [
                {"path": path, "then": before, "now": after}
                for path, before, after in found.configuration()
            ],
            "events": [
                {
                    "position": news.position,
                    "committed_at": time_json(news.committed_at),
                    "topic": news.event.topic,
                    "actor": _actor_json(news.event.actor),
                    "sentence": pipeline_sentence(news.event),
                }
                for news in found.pipeline_events
            ],
        },
        "counters": {name: _change_json(found, pair) for name, pair in found.counters().items()},
        "motions_by_state": {
            state.value: _change_json(found, pair) for state, pair in found.by_state().items()
        },
        "topics": dict(sorted(found.topics.items())),
        "completions": found.completions,
        "failures": found.failures,
        "errors": dict(sorted(found.errors.items())),
        "violations": found.violations,
        "motions_changed": found.changed,
        "motions_introduced": found.introduced,
        "motions_finished": found.finished,
        "motions": [change_json(change) for change in found.motions],
    }


def change_json(change: MotionDiff) -> dict[str, Any]:
    """Return what happened to one motion."""
    then, now = change.then, change.now
    return {
        "motion_id": str(change.motion_id),
        "title": now.title,
        "reference": now.reference,
        "first_position": change.first_position,
        "events": change.events,
        "new": change.is_new,
        "finished": change.finished,
        "state": {"then": then.state.value if then else None, "now": now.state.value},
        "path": [state.value for state in change.path],
        "blocked": {"then": then.blocked if then else False, "now": now.blocked},
        "blocking_issues": list(now.blocking_issues),
        "amended": change.amended,
        "completions": change.completions,
        "failures": change.failures,
        "errors": change.errors,
        "violations": change.violations,
        "actors": [_actor_json(actor) for actor in change.actors],
    }


def _moment_json(moment: Moment) -> dict[str, Any]:
    return {"position": moment.position, "as_of": time_json(moment.as_of)}


def _actor_json(actor: Actor) -> dict[str, str]:
    return {"id": actor.id, "authenticated_by": actor.authenticated_by.value}


def _change_json(found: Diff, pair: tuple[int, int]) -> dict[str, int | None]:
    """Return a counter; how it stood is only known where every motion was counted."""
    then, now = pair
    known = found.complete
    return {
        "then": then if known else None,
        "now": now if known else None,
        "change": now - then,
    }


# -- For people ------------------------------------------------------------------------------------


def diff_view(found: Diff) -> Group:
    """Return what changed, the motions last."""
    span = length_of_time(found.now.as_of - found.then.as_of)
    title = (
        f"From position {found.then.position:,} ({clock_time(found.then.as_of)} UTC) "
        f"to {found.now.position:,} ({clock_time(found.now.as_of)} UTC), {span}"
    )
    if not found.events:
        return headed(title, Text("Nothing changed: no event lies in between."))
    parts: list[RenderableType] = [headed(title, Text(_events(found)))]
    if news := _pipeline_lines(found):
        parts.append(headed("The pipeline", Group(*news)))
    parts.append(headed("Counters", _counters_table(found)))
    if not found.complete:
        parts += [indented(Text(NOT_COUNTED, style="dim")), Text()]
    if found.changed:
        parts.append(headed(f"{motions(found.changed)} changed", _motions_table(found)))
    return Group(*parts)


def _events(found: Diff) -> str:
    what = {
        "completion": found.completions,
        "failure": found.failures,
        "error": found.errors.total(),
        "refused act": found.violations,
        "new motion": found.introduced,
        "finished motion": found.finished,
    }
    said = _counts(what)
    events = counted(found.events, "event")
    return f"{events}: {said}" if said else events


def _counts(what: Mapping[str, int]) -> str:
    """Return counts in one line, the zeros left out."""
    return ", ".join(counted(number, noun) for noun, number in what.items() if number)


def _pipeline_lines(found: Diff) -> list[RenderableType]:
    then, now = found.then.pipeline, found.now.pipeline
    lines: list[RenderableType] = []
    if then.halted != now.halted:
        words = ("running", "halted")
        change = f"{words[then.halted]} → {words[now.halted]}"
        lines.append(Text(change, style="bold red" if now.halted else "bold green"))
    lines += [
        Text.assemble(
            (f"{clock_time(news.committed_at)}  ", "dim"), plain(pipeline_sentence(news.event))
        )
        for news in found.pipeline_events
    ]
    lines += [
        indented(Text(begins(f"{path}: {_setting(before)} → {_setting(after)}")))
        for path, before, after in found.configuration()
        if then.configuration is not None
    ]
    return lines


def _setting(value: object) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)


def _counters_table(found: Diff) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("")
    for heading in ("THEN", "NOW", "CHANGE") if found.complete else ("CHANGE",):
        table.add_column(heading, justify="right")
    rows = {
        **{state.value: pair for state, pair in found.by_state().items()},
        **{name.replace("_", " "): pair for name, pair in found.counters().items()},
    }
    for name, (then, now) in rows.items():
        if not then and not now:
            continue
        change = f"{now - then:+,}" if now != then else "-"
        numbers = (f"{then:,}", f"{now:,}", change) if found.complete else (change,)
        table.add_row(name, *numbers, style=None if now != then else "dim")
    return table


def _motions_table(found: Diff) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for heading in ("MOTION", "STATE", "WHAT HAPPENED", "WHO"):
        table.add_column(heading, overflow="fold")
    table.columns[0].min_width = UUID_COLUMNS
    for change in found.motions:
        title = Text(plain(change.now.title), overflow="ellipsis", no_wrap=True)
        table.add_row(
            Group(title, Text(str(change.motion_id), style="dim")),
            _state_change(change),
            Text(_happened(change)),
            Text(_actors(change), style="dim"),
        )
    if found.changed == len(found.motions):
        return table
    more = f"and {found.changed - len(found.motions):,} more; --motions lists every one"
    return Group(table, Text(more, style="dim"))


def _state_change(change: MotionDiff) -> Text:
    now = state_text(change.now.state)
    if change.then is None:
        return Text.assemble(("new → ", "dim"), now)
    if change.then.state is change.now.state:
        return now
    return Text.assemble((f"{change.then.state} → ", "dim"), now)


def _happened(change: MotionDiff) -> str:
    was_blocked = change.then is not None and change.then.blocked
    said = []
    if change.now.blocked:
        issue = begins("; ".join(change.now.blocking_issues))
        said.append(f"{'still ' if was_blocked else ''}blocked: {issue}")
    elif was_blocked:
        said.append("unblocked")
    if change.amended:
        said.append("amended")
    said.append(
        _counts(
            {
                "completion": change.completions,
                "failure": change.failures,
                "error": change.errors,
                "refused act": change.violations,
            }
        )
    )
    return "; ".join(part for part in said if part)


def _actors(change: MotionDiff) -> str:
    names = [_known(actor) for actor in change.actors[:ACTORS_SHOWN_MAX]]
    if more := len(change.actors) - len(names):
        names.append(f"and {more:,} more")
    return ", ".join(names)


def _known(actor: Actor) -> str:
    """Return a name, and how we know it unless it is a service's own."""
    known = actor.authenticated_by
    if actor.id in SERVICE_BRANCH and known is Authentication.SERVICE:
        return actor.id
    return f"{plain(actor.id)} ({known})"


def _line(change: MotionDiff) -> str:
    states = " → ".join(change.path) if change.then else f"new → {' → '.join(change.path)}"
    return f"{change.motion_id}  {states}  {plain(change.now.title)}"
