"""Commands about the pipeline as a whole: drive it, look at it, halt it, mend its read model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from governance_flow.cli.arguments import ByOption
from governance_flow.cli.command import JsonOption, Place, command, opened
from governance_flow.cli.logs import configure_logs
from governance_flow.cli.output import print_json, status_json
from governance_flow.cli.progress import progress
from governance_flow.cli.rendering import headed, motions_table, status_view
from governance_flow.cli.stopping import Stopping
from governance_flow.cli.terminal import plain, results, say
from governance_flow.domain.keys import KeyRole

if TYPE_CHECKING:
    from governance_flow.bootstrap import Flow

PANEL = "Pipeline"

ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; it goes on record.")
]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    command(app, "worker", "worker", "worker --until-idle", "worker --name east-1", panel=PANEL)(
        worker
    )
    command(app, "status", "status", "status --json", panel=PANEL)(status)
    command(app, "halt", "halt --by Ada --reason 'the vote is contested'", panel=PANEL)(halt)
    command(app, "resume", "resume --by Ada --reason 'recounted'", panel=PANEL)(resume)
    command(app, "rebuild", "rebuild motions", "rebuild motions --restart", panel=PANEL)(rebuild)
    command(app, "metrics", "metrics", "metrics | promtool check metrics", panel=PANEL)(metrics)


def worker(
    place: Place,
    *,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", metavar="", help="End once nothing can be done now.")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="Its name on leases; no two workers may share one."
        ),
    ] = None,
) -> None:
    """Drive motions: claim what is due, have the branches do it, record what they report.

    Any number of workers, on any number of machines, share one store. Ctrl-C or SIGTERM lets the
    work in hand finish, gives back the rest and exits 0; a second one exits at once. With
    --until-idle it does not wait for backoffs, deadlines or people.
    """
    configure_logs(default="info")

    async def work(flow: Flow) -> None:
        drain_seconds = flow.configuration.worker.drain_seconds

        def stop() -> None:
            flow.worker.stop()
            say(f"stopping: work in hand may take {drain_seconds:g} s more; once more ends it now")

        # A worker that goes on can leave the checkpoints to another one, which has the log's key.
        await flow.keys.check(KeyRole if until_idle else (KeyRole.KNIGHT,))
        with Stopping(stop) as stopping:
            say(f"working on {place.shown}; Ctrl-C to stop")
            await (flow.worker.run_until_idle() if until_idle else flow.worker.run())
        say("stopped" if stopping.requested else "idle: nothing can be done now")

    opened(place, work, creates=True, worker_name=name)


def status(place: Place, *, as_json: JsonOption = False) -> None:
    """Show how many motions are where, what is blocked, and how the last 24 hours went."""

    async def work(flow: Flow) -> None:
        now = await flow.orchestrator.get_pipeline_status()
        if as_json:
            print_json(status_json(now))
            return
        console = results()
        console.print(headed(place.shown, status_view(now)))
        if now.active:
            more = now.active_motions - len(now.active)
            title = (
                "Active motions" if more <= 0 else f"The oldest {len(now.active)} active motions"
            )
            console.print(headed(title, motions_table(now.active)))
            if more > 0:
                say(f"{more:,} more are active: {place.command('motions')}")

    opened(place, work)


def halt(place: Place, *, by: ByOption, reason: ReasonOption) -> None:
    """Halt the whole pipeline: no state changes and nothing is routed until it is resumed.

    What branches report meanwhile is recorded, and applied once a named person resumes.
    """
    opened(place, lambda flow: flow.orchestrator.halt_pipeline(by, reason))
    results().print(f"halted; to go on: {place.command('resume', '--by', by, '--reason', '…')}")


def resume(place: Place, *, by: ByOption, reason: ReasonOption) -> None:
    """Let a halted pipeline go on exactly where it stood."""
    opened(place, lambda flow: flow.orchestrator.resume_pipeline(by, reason))
    results().print("resumed")


def rebuild(
    place: Place,
    *,
    projection: Annotated[
        str,
        typer.Argument(metavar="PROJECTION", help="Its name: motions, activity, search or log."),
    ],
    restart: Annotated[
        bool,
        typer.Option(
            "--restart", metavar="", help="Throw away what an unfinished rebuild has built."
        ),
    ] = False,
) -> None:
    """Build a projection anew from the events, beside the live one, and put it in its place.

    Queries go on meanwhile, and workers too. A rebuild that was interrupted goes on where it was.
    """

    async def work(flow: Flow) -> int:
        with progress(f"rebuilding {projection}", "events") as show:
            return await flow.rebuilder.rebuild(
                projection, lambda at: show(at.position, at.target), restart=restart
            )

    generation = opened(place, work)
    results().print(f"rebuilt {plain(projection)}: generation {generation} is live")


def metrics(place: Place) -> None:
    """Print the pipeline's metrics in Prometheus' text format.

    They are read from the store as they stand: a read model that lags behind is shown to.
    """
    sys.stdout.write(opened(place, lambda flow: flow.metrics.render(flow.health.snapshot)))
