"""Verification as a person and a program see it: progress, and what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from governance_flow.application.audit.expected import NOTHING, Expected
from governance_flow.application.audit.words import counted
from governance_flow.cli.progress import progress
from governance_flow.cli.rendering import indented, motions
from governance_flow.cli.terminal import plain, say
from governance_flow.domain.errors import KeyUnavailable

if TYPE_CHECKING:
    from governance_flow.application.audit.faults import AuditReport
    from governance_flow.bootstrap import Flow


async def verify(flow: Flow, *, quiet: bool = False, expected: Expected = NOTHING) -> AuditReport:
    """Check the whole record, showing how far that has come.

    If this machine remembers what it signed last, that is one more checkpoint kept elsewhere.
    """
    try:
        # Before the log is looked at: what is signed meanwhile may be about later events.
        remembered = await flow.audit.last_signed.read()
    except KeyUnavailable as error:
        say(f"not compared with what was signed here last: {plain(error.message)}")
    else:
        # One of another log's key than the auditor expects is no checkpoint to him.
        if remembered is not None and expected.takes(remembered):
            kept = (flow.audit.last_signed.where, remembered)
            expected = replace(expected, checkpoints=(*expected.checkpoints, kept))
    with progress("verifying", "rows", quiet=quiet) as show:
        return await flow.audit.auditor.verify(show, expected=expected)


def report_json(report: AuditReport) -> dict[str, Any]:
    """Return what was verified and found."""
    return {
        "passed": report.passed,
        "position": report.position,
        "events": report.events,
        "motions": report.motions,
        "statements": report.statements,
        "checkpoints": report.checkpoints,
        "fault_count": report.fault_count,
        "faults": [
            {
                "check": fault.check.value,
                "message": fault.message,
                "position": fault.position,
                "stream_id": fault.stream_id,
                "version": fault.version,
            }
            for fault in report.faults
        ],
        "notes": list(report.notes),
    }


def verification_view(report: AuditReport) -> Group:
    """Return what was verified, and every fault that is listed."""
    walked = (
        f"{report.events:,} events, {motions(report.motions)}, "
        f"{report.statements:,} witness statements, {counted(report.checkpoints, 'checkpoint')}"
    )
    lines: list[RenderableType] = []
    if report.passed:
        lines.append(Text.assemble(("Verified", "bold green"), f": {walked}, no fault"))
    else:
        found = "1 fault" if report.fault_count == 1 else f"{report.fault_count:,} faults"
        lines.append(Text.assemble((f"Faulty: {found}", "bold red"), f" in {walked}"))
        lines += [
            indented(Text(plain(f"[{fault.check}] {fault}"), style="red"))
            for fault in report.faults
        ]
        if report.fault_count > len(report.faults):
            lines.append(Text(f"  … and {report.fault_count - len(report.faults):,} more"))
    lines += [indented(Text(f"note: {plain(note)}", style="yellow")) for note in report.notes]
    return Group(*lines, Text())
