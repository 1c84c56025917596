"""The import as a person sees it: progress while it runs, and what became of the lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from governance_flow.cli.importing import ImportReport, import_file
from governance_flow.cli.progress import BYTES, progress
from governance_flow.cli.rendering import motions
from governance_flow.cli.terminal import say

if TYPE_CHECKING:
    from uuid import UUID

    from governance_flow.application.importing import MotionLine
    from governance_flow.bootstrap import Flow
    from governance_flow.cli.stopping import Stopping

FileArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE.jsonl",
        exists=True,
        dir_okay=False,
        readable=True,
        help="Motions, one JSON object a line.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Show no progress.")]


async def introduce_file(
    flow: Flow, path: Path, stopping: Stopping, *, quiet: bool
) -> ImportReport:
    """Import a file; on an error of the store say how far it came before passing it on."""
    report = ImportReport()

    async def introduce(motion_id: UUID, line: MotionLine) -> bool:
        _, is_new = await flow.introducing.introduce(
            motion_id,
            title=line.title,
            text=line.text,
            introduced_by=line.introduced_by,
            reference=line.reference,
            ballots=line.ballots,
            metadata=line.metadata,
        )
        return is_new

    try:
        with progress("importing", BYTES, quiet=quiet) as show:
            await import_file(
                path,
                introduce,
                report,
                max_motion_bytes=flow.configuration.limits.max_motion_bytes,
                on_progress=lambda: show(report.read_bytes, path.stat().st_size),
                stopped=lambda: stopping.requested,
            )
    except Exception:
        say(
            f"the import stopped after {report.lines:,} lines: {report.introduced:,} motions were "
            "introduced; import the file again to go on, nothing is introduced twice"
        )
        raise
    return report


def said(report: ImportReport, path: Path) -> str:
    """Return what became of the lines, for a person."""
    if not report.lines:
        return f"{path} holds no motions: it is empty"
    parts = [f"introduced {motions(report.introduced)}"]
    if report.known:
        parts.append(f"{report.known:,} were there already")
    if report.rejected:
        lines = "line was" if report.rejected == 1 else "lines were"
        kept = f" (kept in {report.rejected_path})" if report.rejected_path else ""
        parts.append(f"{report.rejected:,} bad {lines} left out{kept}")
    return f"{path}: {', '.join(parts)}"
