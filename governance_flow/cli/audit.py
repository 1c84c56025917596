"""Commands for auditors: verify the record, replay the past, hand out the log."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol
from uuid import UUID

import typer

from governance_flow.application.audit.expected import Expected
from governance_flow.application.audit.reporting import report_json
from governance_flow.cli.arguments import LogKeyOption, read_key, read_note, time_value
from governance_flow.cli.audit_conformance import conformance
from governance_flow.cli.audit_diff import diff
from governance_flow.cli.audit_explain import explain
from governance_flow.cli.audit_log import checkpoint, consistency, prove
from governance_flow.cli.auditing import verification_view, verify
from governance_flow.cli.command import JsonOption, Place, command, opened
from governance_flow.cli.errors import Failed, UsedWrongly
from governance_flow.cli.files import appearing
from governance_flow.cli.output import motion_json, print_json, status_json, time_json
from governance_flow.cli.progress import progress
from governance_flow.cli.rendering import clock_time, headed, motions_table, status_view
from governance_flow.cli.terminal import plain, results, say

if TYPE_CHECKING:
    from datetime import datetime

    from governance_flow.application.audit.replay import Moment
    from governance_flow.bootstrap import Flow

PANEL = "Audit"


def register(app: typer.Typer) -> None:
    """Add these commands to the program, below ``audit``."""
    audit = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
    command(
        audit,
        "verify",
        "audit verify",
        "audit verify --checkpoint kept.txt --log-key @log.pub --knight-key @knight.pub",
        "audit verify --json",
    )(verify_record)
    command(audit, "checkpoint", "audit checkpoint", "audit checkpoint --output kept.txt")(
        checkpoint
    )
    command(
        audit,
        "prove",
        "audit prove 0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b --output motion.bundle.json",
    )(prove)
    command(
        audit,
        "consistency",
        "audit consistency kept.txt",
        "audit consistency kept.txt later.txt --json",
    )(consistency)
    command(
        audit, "conformance", "audit conformance", "audit conformance --file log.jsonl.gz --json"
    )(conformance)
    command(
        audit,
        "replay",
        "audit replay --at 2026-01-31T18:00:00Z",
        "audit replay --position 1000 --motion 0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b",
        "audit replay --motions --json",
    )(replay)
    command(
        audit,
        "diff",
        "audit diff 1000 2000",
        "audit diff 2026-01-31T18:00:00Z",
        "audit diff 1000 2026-01-31T18:00:00Z --motions --json",
    )(diff)
    command(
        audit,
        "explain",
        "audit explain 0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b",
        "audit explain 0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b --at 2026-01-31T18:00:00Z",
    )(explain)
    command(
        audit,
        "export",
        "audit export --output log.jsonl",
        "audit export --after-position 1000 | gzip > later.jsonl.gz",
    )(export)
    app.add_typer(
        audit,
        name="audit",
        help="Verify and prove the record, replay and explain the past, hand out the log.",
        rich_help_panel=PANEL,
    )


def verify_record(
    place: Place,
    *,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="A checkpoint that was kept elsewhere; may be repeated.",
        ),
    ] = None,
    log_key: LogKeyOption = None,
    knight_key: Annotated[
        str | None,
        typer.Option(
            "--knight-key",
            metavar="KEY",
            help="A public key of the Knight's, as you know it; or @file.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check everything: streams, statements, signatures, the audit log, and the read model.

    Walks the whole log, twice. Exits 1 if it finds a fault, and names it; workers may go on.

    Somebody who has stolen both private keys can rewrite everything so that it verifies. Only a
    checkpoint that was kept elsewhere (audit checkpoint) shows that.
    """
    expected = Expected(
        log_key=read_key("--log-key", log_key),
        knight_key=read_key("--knight-key", knight_key),
        checkpoints=[(str(path), read_note(path)) for path in checkpoints or ()],
    )
    report = opened(place, lambda flow: verify(flow, expected=expected))
    if as_json:
        print_json(report_json(report))
    else:
        results().print(verification_view(report))
    if report.first_fault is not None:
        raise Failed(f"the record is faulty; first fault: {plain(str(report.first_fault))}")


def replay(
    place: Place,
    *,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="As committed by then: 2026-01-31T18:00:00Z."),
    ] = None,
    position: Annotated[
        int | None, typer.Option("--position", metavar="N", min=0, help="As of this position.")
    ] = None,
    motion_id: Annotated[
        UUID | None, typer.Option("--motion", metavar="MOTION", help="Only this motion.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--motions", metavar="", help="Every motion there was, a line each.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Rebuild the past from the events alone: the pipeline, every motion, or one.

    Without --at or --position it rebuilds the present. The read model has no part in it.
    """
    if at is not None and position is not None:
        raise UsedWrongly("say --at or --position, not both")
    if motion_id is not None and every:
        raise UsedWrongly("say --motion or --motions, not both")
    moment_at = None if at is None else time_value("--at", at)
    opened(
        place,
        lambda flow: _replay(flow, moment_at, position, motion_id, every=every, as_json=as_json),
    )


async def _replay(
    flow: Flow,
    at: datetime | None,
    position: int | None,
    motion_id: UUID | None,
    *,
    every: bool,
    as_json: bool,
) -> None:
    moment = await flow.audit.replayer.moment(at=at, position=position)
    title = f"As of {clock_time(moment.as_of)} UTC, position {moment.position:,}"
    if motion_id is not None:
        motion = await flow.audit.replayer.motion(motion_id, moment)
        if as_json:
            print_json({**_moment_json(moment), "motion": motion_json(motion)})
        else:
            results().print(headed(title, motions_table([motion])))
        return
    with progress("replaying", "events", quiet=every) as show:
        if every:
            async for motion in flow.audit.replayer.motions(moment, show):
                line = f"{motion.motion_id}  {motion.current_state:12}  {plain(motion.title)}"
                sys.stdout.write((json.dumps(motion_json(motion)) if as_json else line) + "\n")
            return
        status = await flow.audit.replayer.status(moment, show)
    if as_json:
        print_json({**_moment_json(moment), "status": status_json(status)})
    else:
        results().print(headed(title, status_view(status)))


def _moment_json(moment: Moment) -> dict[str, object]:
    return {"position": moment.position, "as_of": time_json(moment.as_of)}


def export(
    place: Place,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", dir_okay=False, help="Where to; stdout if not given."
        ),
    ] = None,
    after_position: Annotated[
        int, typer.Option("--after-position", metavar="N", min=0, help="Only what came later.")
    ] = 0,
) -> None:
    """Write the log as JSON Lines: one CloudEvents 1.0 envelope an event, in order of position.

    Each event's data is, byte for byte, what is stored and what the witness statements cover. A
    file appears whole or not at all.
    """
    if output is None:
        opened(place, lambda flow: _write(flow, sys.stdout.buffer, after_position))
        return
    with appearing(output) as file:
        count = opened(place, lambda flow: _write(flow, file, after_position))
    say(f"exported {count:,} events to {output}")


class _Writes(Protocol):
    """A stream of bytes."""

    def write(self, data: bytes, /) -> int:
        """Write them."""
        ...


async def _write(flow: Flow, file: _Writes, after_position: int) -> int:
    count = 0
    with progress("exporting", "events", quiet=file is sys.stdout.buffer) as show:
        lines = flow.audit.exporter.lines(after_position=after_position, progress=show)
        async for line in lines:
            file.write(line)
            count += 1
    return count
