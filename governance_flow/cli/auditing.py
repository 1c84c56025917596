"""Verification as a person and a program see it: progress, and what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from governance_flow.cli.progress import progress
from governance_flow.cli.rendering import indented, motions
from governance_flow.cli.terminal import plain

if TYPE_CHECKING:
    from governance_flow.application.audit.faults import AuditReport
    from governance_flow.bootstrap import Flow


async def verify(flow: Flow, *, quiet: bool = False) -> AuditReport:
    """Check the whole record, showing how far that has come."""
    with progress("verifying", "rows", quiet=quiet) as show:
        return await flow.auditor.verify(show)


def report_json(report: AuditReport) -> dict[str, Any]:
    """Return what was verified and found."""
    return {
        "passed": report.passed,
        "position": report.position,
        "events": report.events,
        "motions": report.motions,
        "statements": report.statements,
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
        f"{report.statements:,} witness statements"
    )
    lines: list[RenderableType] = []
    if report.passed:
        lines.append(Text.assemble(("Verified", "bold green"), f": {walked}, no fault"))
    else:
        found = "1 fault" if report.fault_count == 1 else f"{report.fault_count:,} faults"
        lines.append(Text.assemble((f"Faulty: {found}", "bold red"), f" in {walked}"))
        lines += [indented(Text(plain(str(fault)), style="red")) for fault in report.faults]
        if report.fault_count > len(report.faults):
            lines.append(Text(f"  … and {report.fault_count - len(report.faults):,} more"))
    lines += [indented(Text(f"note: {plain(note)}", style="yellow")) for note in report.notes]
    return Group(*lines, Text())
