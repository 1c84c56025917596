"""A verification with everything that this machine can compare the record with, and its report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from governance_flow.application.audit.expected import NOTHING, Expected
from governance_flow.domain.errors import KeyUnavailable

if TYPE_CHECKING:
    from governance_flow.application.audit.faults import AuditReport
    from governance_flow.application.audit.tools import AuditTools
    from governance_flow.application.ports.audit import Progress


async def verified(
    audit: AuditTools, progress: Progress | None = None, *, expected: Expected = NOTHING
) -> tuple[AuditReport, str | None]:
    """Check the whole record; say besides why it was not compared with what was signed here last.

    If this machine remembers that, it is one more checkpoint kept elsewhere.
    """
    not_compared = None
    try:
        # Before the log is looked at: what is signed meanwhile may be about later events.
        remembered = await audit.last_signed.read()
    except KeyUnavailable as error:
        not_compared = error.message
    else:
        # One of another log's key than the auditor expects is no checkpoint to him.
        if remembered is not None and expected.takes(remembered):
            kept = (audit.last_signed.where, remembered)
            expected = replace(expected, checkpoints=(*expected.checkpoints, kept))
    return await audit.auditor.verify(progress, expected=expected), not_compared


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
