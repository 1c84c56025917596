"""Commands by which people decide what waits for them, about one motion or about many."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from governance_flow.application.services.bulk import Decide, Decided, Selection
from governance_flow.cli.arguments import ByOption, time_value
from governance_flow.cli.command import JsonOption, Place, command, opened
from governance_flow.cli.errors import Failed, UsedWrongly
from governance_flow.cli.motions import show_motion
from governance_flow.cli.rendering import motions
from governance_flow.cli.terminal import plain, say
from governance_flow.domain.states import GovernanceState

if TYPE_CHECKING:
    from governance_flow.application.ports.flow_orchestrator import MotionPipelineState
    from governance_flow.bootstrap import Flow

PANEL = "People decide"


class Decision(StrEnum):
    """What may be decided about a blocked motion."""

    RETRY = "retry"
    RETURN = "return"
    REVIEW = "review"


OptionalMotion = Annotated[
    UUID | None, typer.Argument(metavar="MOTION", help="The motion's id; or --all.")
]
AllOption = Annotated[
    bool,
    typer.Option(
        "--all", metavar="", help="Every motion that waits for a person, or is selected below."
    ),
]
StateFilter = Annotated[
    GovernanceState | None,
    typer.Option(
        "--state",
        metavar="STATE",
        case_sensitive=False,
        help="With --all: only motions in this state.",
    ),
]
ErrorTypeFilter = Annotated[
    str | None,
    typer.Option("--error-type", metavar="TYPE", help="With --all: only blocked by this error."),
]
SinceFilter = Annotated[
    str | None,
    typer.Option(
        "--blocked-since",
        metavar="TIME",
        help="With --all: only blocked at this time or later, such as 2026-01-31T18:00:00Z.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    command(
        app,
        "resolve",
        "resolve 0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b --by Ada --decision retry",
        "resolve --all --error-type system_error --by Ada --decision review --notes 'see log'",
        panel=PANEL,
    )(resolve)
    command(
        app,
        "retry",
        "retry 0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b --by Ada",
        "retry --all --blocked-since 2026-01-31T18:00:00Z --by Ada",
        "retry --all --state TABLED --by Ada",
        panel=PANEL,
    )(retry)


def resolve(
    place: Place,
    *,
    motion_id: OptionalMotion = None,
    by: ByOption,
    decision: Annotated[
        Decision,
        typer.Option(
            "--decision",
            help="retry: do it again; return: back one step; review: the Conclave decides.",
        ),
    ],
    notes: Annotated[
        str, typer.Option("--notes", metavar="TEXT", help="Why; it goes on record.")
    ] = "",
    every: AllOption = False,
    state: StateFilter = None,
    error_type: ErrorTypeFilter = None,
    blocked_since: SinceFilter = None,
    as_json: JsonOption = False,
) -> None:
    """Decide about a motion that is blocked until a person does.

    Not by somebody who has acted on the motion. With --all it decides about every motion selected,
    a page at a time, and says of each what became of it: with --json in one object a line.
    """
    selection = _selection(state, error_type, blocked_since)
    _require_one_or_all(motion_id, selection, every=every)

    def decide(flow: Flow) -> Decide:
        async def one(chosen: UUID) -> MotionPipelineState:
            return await flow.orchestrator.resolve_escalation(chosen, by, decision.value, notes)

        return one

    if motion_id is not None:
        chosen = motion_id
        show_motion(opened(place, lambda flow: decide(flow)(chosen)), as_json=as_json)
    else:
        opened(place, lambda flow: _all(flow, selection, decide(flow), as_json=as_json))


def retry(
    place: Place,
    *,
    motion_id: OptionalMotion = None,
    by: ByOption,
    every: AllOption = False,
    state: StateFilter = None,
    error_type: ErrorTypeFilter = None,
    blocked_since: SinceFilter = None,
    as_json: JsonOption = False,
) -> None:
    """Try a blocked motion again, or take up a tabled one.

    With --all it tries every blocked motion selected, or with --state TABLED takes up every tabled
    one, a page at a time, and says of each what became of it: with --json in one object a line.
    """
    selection = _selection(state, error_type, blocked_since)
    _require_one_or_all(motion_id, selection, every=every)

    def decide(flow: Flow) -> Decide:
        async def one(chosen: UUID) -> MotionPipelineState:
            return await flow.orchestrator.retry_motion(chosen, by)

        return one

    if motion_id is not None:
        chosen = motion_id
        show_motion(opened(place, lambda flow: decide(flow)(chosen)), as_json=as_json)
    else:
        opened(
            place,
            lambda flow: _all(flow, selection, decide(flow), as_json=as_json, taking_up=True),
        )


def _selection(
    state: GovernanceState | None, error_type: str | None, blocked_since: str | None
) -> Selection:
    since = None if blocked_since is None else time_value("--blocked-since", blocked_since)
    return Selection(state, error_type, since)


def _require_one_or_all(motion_id: UUID | None, selection: Selection, *, every: bool) -> None:
    if (motion_id is None) != every:
        raise UsedWrongly("name one motion, or say --all: exactly one of the two")
    if not every and selection != Selection():
        raise UsedWrongly("--state, --error-type and --blocked-since go with --all")


async def _all(
    flow: Flow, selection: Selection, decide: Decide, *, as_json: bool, taking_up: bool = False
) -> None:
    done = refused = 0
    async for decided in flow.bulk.all(selection, decide, taking_up=taking_up):
        done += decided.status is not None
        refused += decided.status is None
        line = json.dumps(decided.as_json()) if as_json else _line(decided)
        sys.stdout.write(f"{line}\n")
    if not done + refused:
        say("no motion that waits for a person is selected: nothing was done")
        return
    say(f"decided about {motions(done)}, {refused:,} refused")
    if refused:
        raise Failed("")


def _line(decided: Decided) -> str:
    if decided.status is None:
        return f"{decided.motion_id}  refused: {plain(decided.refusal or '')}"
    return f"{decided.motion_id}  {decided.status.current_state}  {plain(decided.title)}"
