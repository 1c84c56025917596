"""Commands that put motions before the assembly, change them, and show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from governance_flow.cli.arguments import ByOption, MotionArgument, json_value, text_value
from governance_flow.cli.command import JsonOption, Place, command, opened
from governance_flow.cli.errors import Failed
from governance_flow.cli.importing import ImportReport
from governance_flow.cli.intake import FileArgument, QuietOption, introduce_file, said
from governance_flow.cli.output import motion_json, page_json, print_json, timeline_json
from governance_flow.cli.rendering import motion_view, motions_table
from governance_flow.cli.stopping import Stopping
from governance_flow.cli.terminal import results, say
from governance_flow.cli.timeline import read_timeline
from governance_flow.domain.states import GovernanceState

if TYPE_CHECKING:
    from governance_flow.application.ports.flow_orchestrator import MotionPipelineState
    from governance_flow.bootstrap import Flow

PANEL = "Motions"

BallotsOption = Annotated[
    str | None,
    typer.Option(
        "--ballots",
        metavar="JSON|@FILE",
        help='Votes by member: {"Ada": "yes", "Bo": "no", "Cy": "abstain"}.',
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    command(
        app,
        "introduce",
        "introduce --title 'A new jetty' --text 'Rebuild it in oak.' --by Ada",
        "introduce --title 'A new jetty' --text @jetty.txt --by Ada --ballots @votes.json",
        panel=PANEL,
    )(introduce)
    command(
        app,
        "import",
        "import motions.jsonl",
        "import motions.jsonl --json --store postgresql://user@host/flow",
        panel=PANEL,
    )(import_motions)
    command(
        app,
        "motions",
        "motions --blocked",
        "motions --state DELIBERATING --limit 100 --json",
        panel=PANEL,
    )(list_motions)
    command(app, "motion", "motion 0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b", panel=PANEL)(motion)
    command(
        app,
        "amend",
        "amend 0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b --by Ada --text @jetty.txt",
        panel=PANEL,
    )(amend)
    command(
        app,
        "withdraw",
        "withdraw 0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b --by Ada --reason 'it was built'",
        panel=PANEL,
    )(withdraw)


def introduce(
    place: Place,
    *,
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="What it is called.")],
    text: Annotated[
        str,
        typer.Option("--text", metavar="TEXT|@FILE", help="What it says; @- reads stdin."),
    ],
    by: ByOption,
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="TEXT", help="The assembly's own number for it."),
    ] = None,
    motion_id: Annotated[
        UUID | None,
        typer.Option("--motion-id", metavar="UUID", help="Its id, if it is to have a certain one."),
    ] = None,
    ballots: BallotsOption = None,
    metadata: Annotated[
        str | None,
        typer.Option(
            "--metadata", metavar="JSON|@FILE", help='Anything else: {"topics": [], "tasks": []}.'
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put one motion before the assembly, and print its id.

    A worker takes it from there: governance-flow worker. Introducing the same motion again under
    the same --motion-id changes nothing.
    """

    async def work(flow: Flow) -> tuple[UUID, bool]:
        return await flow.introducing.introduce(
            motion_id,
            title=title,
            text=text_value("--text", text),
            introduced_by=by,
            reference=reference,
            ballots=json_value("--ballots", ballots),
            metadata=json_value("--metadata", metadata),
        )

    introduced, is_new = opened(place, work, creates=True)
    if as_json:
        print_json({"motion_id": str(introduced), "new": is_new})
        return
    results().print(str(introduced))
    if not is_new:
        say("it was there already, just the same")


def import_motions(
    place: Place, *, file: FileArgument, quiet: QuietOption = False, as_json: JsonOption = False
) -> None:
    """Introduce the motions of a file of JSON lines, without driving them.

    One object a line: title, text and introduced_by are required; motion_id, reference,
    introduced_on, topics, ballots and tasks are known; every other key is kept as metadata.

    A line without motion_id gets an id made of its content, so importing a file again introduces
    nothing twice. A bad line stops nothing else: it is named with the reason, kept in
    FILE.rejected.jsonl beside the input, and makes the exit code 1. An empty file is no failure.
    """

    async def work(flow: Flow) -> tuple[ImportReport, int | None]:
        with Stopping(lambda: say("stopping")) as stopping:
            report = await introduce_file(flow, file, stopping, quiet=quiet)
        return report, stopping.exit_code if stopping.requested else None

    report, stopped_by = opened(place, work, creates=True)
    if as_json:
        print_json(report.as_json())
    else:
        results().print(said(report, file))
    if stopped_by is not None:
        say("stopped; import the file again to go on: nothing is introduced twice")
        raise typer.Exit(stopped_by)
    if report.introduced and not as_json:
        say(f"to drive them: {place.command('worker', '--until-idle')}")
    if report.rejected:
        raise Failed("")


def list_motions(
    place: Place,
    *,
    state: Annotated[
        GovernanceState | None,
        typer.Option(
            "--state", metavar="STATE", case_sensitive=False, help="Only motions in this state."
        ),
    ] = None,
    blocked: Annotated[
        bool | None,
        typer.Option(
            "--blocked/--not-blocked", metavar="", help="Only motions that are blocked, or are not."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Motions a page.")] = 50,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="CURSOR", help="Go on behind a page: its next_after."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List motions in the order in which they were introduced, a page at a time."""

    async def work(flow: Flow) -> None:
        page = await flow.orchestrator.list_motions(
            state=state, blocked=blocked, limit=limit, after=after
        )
        if as_json:
            print_json(page_json(page))
            return
        if page.motions:
            results().print(motions_table(page.motions))
        else:
            say("there are no such motions")
        if page.next_after is not None:
            words = ["motions", "--limit", str(limit), "--after", page.next_after]
            words += ["--state", state.value] if state else []
            words += [] if blocked is None else ["--blocked" if blocked else "--not-blocked"]
            say(f"\nthere are more: {place.command(*words)}")

    opened(place, work)


def motion(place: Place, *, motion_id: MotionArgument, as_json: JsonOption = False) -> None:
    """Show where one motion stands, what it waits for, and everything that happened to it."""

    async def work(flow: Flow) -> None:
        status = await flow.orchestrator.get_motion_status(motion_id)
        timeline = read_timeline(await flow.store.read_stream(motion_id), flow.mapper)
        if as_json:
            print_json({**motion_json(status), "timeline": timeline_json(timeline)})
        else:
            results().print(motion_view(status, timeline))

    opened(place, work)


def amend(
    place: Place,
    *,
    motion_id: MotionArgument,
    by: ByOption,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXT", help="Its new title.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT|@FILE", help="What it says from now on.")
    ] = None,
    ballots: BallotsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a motion a new title or text. Ballots cast before are void.

    Only who introduced it may, while it is INTRODUCED or TABLED.
    """

    async def work(flow: Flow) -> MotionPipelineState:
        return await flow.orchestrator.amend_motion(
            motion_id,
            by,
            title=title,
            text=None if text is None else text_value("--text", text),
            ballots=json_value("--ballots", ballots),
        )

    show_motion(opened(place, work), as_json=as_json)


def withdraw(
    place: Place,
    *,
    motion_id: MotionArgument,
    by: ByOption,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; it goes on record.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Withdraw a motion for good.

    Only who introduced it may, while it is INTRODUCED, DELIBERATING or TABLED.
    """

    async def work(flow: Flow) -> MotionPipelineState:
        return await flow.orchestrator.withdraw_motion(motion_id, by, reason)

    show_motion(opened(place, work), as_json=as_json)


def show_motion(status: MotionPipelineState, *, as_json: bool) -> None:
    """Print where a motion stands after something was done to it."""
    if as_json:
        print_json(motion_json(status))
    else:
        results().print(motions_table([status]))
