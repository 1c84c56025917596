"""Verification as a person and a program see it: progress, and what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from governance_flow.application.audit.expected import NOTHING, Expected
from governance_flow.application.audit.reporting import verified
from governance_flow.application.audit.words import counted
from governance_flow.cli.progress import progress
from governance_flow.cli.rendering import indented, motions
from governance_flow.cli.terminal import plain, say

if TYPE_CHECKING:
    from governance_flow.application.audit.faults import AuditReport
    from governance_flow.bootstrap import Flow


async def verify(flow: Flow, *, quiet: bool = False, expected: Expected = NOTHING) -> AuditReport:
    """Check the whole record, showing how far that has come."""
    with progress("verifying", "rows", quiet=quiet) as show:
        report, not_compared = await verified(flow.audit, show, expected=expected)
    if not_compared is not None:
        say(f"not compared with what was signed here last: {plain(not_compared)}")
    return report


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
