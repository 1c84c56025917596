"""The main job: introduce a file's motions, drive them to the end, show the result, verify it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from governance_flow.application.audit.reporting import report_json
from governance_flow.application.ports.flow_orchestrator import PipelineStatus
from governance_flow.cli.auditing import verification_view, verify
from governance_flow.cli.command import JsonOption, Place, command, opened
from governance_flow.cli.driving import drive
from governance_flow.cli.errors import Failed
from governance_flow.cli.importing import ImportReport
from governance_flow.cli.intake import FileArgument, QuietOption, introduce_file, said
from governance_flow.cli.logs import configure_logs
from governance_flow.cli.output import motion_json, print_json, status_json
from governance_flow.cli.rendering import headed, status_view
from governance_flow.cli.stopping import Stopping
from governance_flow.cli.terminal import results, say
from governance_flow.cli.waiting import Waiting, find_waiting, hints_view, waiting_view

if TYPE_CHECKING:
    from governance_flow.application.audit.faults import AuditReport
    from governance_flow.bootstrap import Flow

PANEL = "Pipeline"
WAIT_SECONDS_MIN = 0.05

WaitOption = Annotated[
    float,
    typer.Option(
        "--wait", min=0, metavar="SECONDS", help="Wait so long, in all, for retries that are due."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "run",
        "run motions.jsonl",
        "run motions.jsonl --store postgresql://user@host/flow --json",
        panel=PANEL,
    )(run)


@dataclass(slots=True)
class _Run:
    """What a run has come to so far."""

    imported: ImportReport | None = None
    status: PipelineStatus | None = None
    waiting: Waiting | None = None
    verified: AuditReport | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        waiting = self.waiting or Waiting()
        return {
            "import": None if self.imported is None else self.imported.as_json(),
            "status": None if self.status is None else status_json(self.status),
            "blocked": [motion_json(motion) for motion in waiting.blocked],
            "waiting": [motion_json(motion) for motion in waiting.others],
            "verification": None if self.verified is None else report_json(self.verified),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
        }


def run(
    place: Place,
    *,
    file: FileArgument,
    wait: WaitOption = 10.0,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Introduce the motions of a file, drive them to the end, show the result, and verify it.

    The end is when nothing can be done now or shortly: retries that are due within --wait seconds
    are waited for. What waits for a person or for a date is listed with what to type. That is no
    failure; bad lines, a fault in the record and a halted pipeline are.

    Stopped in any way, even killed, the same command goes on where it was and introduces nothing
    twice. For the lines of the file see governance-flow import --help.
    """
    configure_logs(halted_motions=False)
    so_far = _Run()
    stopped_by = opened(
        place, lambda flow: _work(flow, file, so_far, wait, quiet=quiet), creates=True
    )
    if as_json:
        print_json(so_far.as_json())
    else:
        _show(place, file, so_far)
    if stopped_by is not None:
        say("stopped; the same command goes on where this one was")
        raise typer.Exit(stopped_by)
    _fail_if_something_is_wrong(place, so_far)


async def _work(
    flow: Flow, file: Path, so_far: _Run, wait_seconds: float, *, quiet: bool
) -> int | None:
    """Do the phases one after the other; return the exit code if somebody asked to stop."""

    def stop() -> None:
        flow.worker.stop()
        say("stopping once what is in hand is done; once more ends it now")

    with Stopping(stop) as stopping:
        started = time.monotonic()
        so_far.imported = await introduce_file(flow, file, stopping, quiet=quiet)
        imported = time.monotonic()
        so_far.seconds["import"] = imported - started
        if not stopping.requested:
            await drive(flow, quiet=quiet)
            await _drive_on(flow, stopping, wait_seconds, quiet=quiet)
        driven = time.monotonic()
        so_far.seconds["drive"] = driven - imported
        so_far.status = await flow.orchestrator.get_pipeline_status()
        so_far.waiting = await find_waiting(flow)
        if not stopping.requested:
            so_far.verified = await stopping.unless_requested(verify(flow, quiet=quiet))
        so_far.seconds["verify"] = time.monotonic() - driven
        return stopping.exit_code if stopping.requested else None


async def _drive_on(
    flow: Flow, stopping: Stopping, patience_seconds: float, *, quiet: bool
) -> None:
    """Wait for what becomes due shortly, and drive again, as long as patience lasts."""
    while not stopping.requested:
        due_seconds = (await flow.assignments.due(())).next_seconds
        if due_seconds is None or due_seconds > patience_seconds:
            return
        due_seconds = max(due_seconds, WAIT_SECONDS_MIN)
        patience_seconds -= due_seconds
        if not quiet:
            say(f"nothing to do for {due_seconds:.1f} s, then something is due again")
        await stopping.unless_requested(asyncio.sleep(due_seconds))
        if not stopping.requested:
            await drive(flow, quiet=quiet)


def _show(place: Place, file: Path, so_far: _Run) -> None:
    console = results()
    if so_far.imported is not None:
        console.print(said(so_far.imported, file))
        console.print()
    if so_far.status is not None:
        console.print(headed(place.shown, status_view(so_far.status)))
    if so_far.waiting is not None:
        console.print(waiting_view(place, so_far.waiting), crop=False)
    if so_far.verified is not None:
        console.print(verification_view(so_far.verified))
    if so_far.verified is not None and so_far.status is not None and so_far.waiting is not None:
        console.print(hints_view(place, so_far.status, so_far.waiting), crop=False)


def _fail_if_something_is_wrong(place: Place, so_far: _Run) -> None:
    if so_far.verified is not None and not so_far.verified.passed:
        raise Failed(f"the record of {place.shown} is faulty: see above")
    if so_far.status is not None and so_far.status.halted:
        raise Failed("the pipeline is halted, so nothing moves until a named person resumes it")
    if so_far.imported is not None and so_far.imported.rejected:
        rejected = so_far.imported.rejected
        raise Failed(f"{rejected:,} bad {'line was' if rejected == 1 else 'lines were'} left out")
