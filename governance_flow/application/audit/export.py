"""The log for other people's programs: JSON Lines, one CloudEvents 1.0 envelope an event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from governance_flow.application.audit.pages import pages_by_position
from governance_flow.application.audit.reading import corrupt, event_of
from governance_flow.application.times import from_us
from governance_flow.domain.events import PIPELINE_ID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from governance_flow.application.ports.audit import AuditLog, Progress, StoredRow
    from governance_flow.application.ports.mapper import EventMapper

MOTIONS_SOURCE = "/governance-flow/motions"
PIPELINE_SOURCE = "/governance-flow/pipeline"
TYPE_PREFIX = "governance-flow."

_PIPELINE = str(PIPELINE_ID)


class Exporter:
    """Writes the log out, each event's data byte for byte as it is stored.

    A line is an envelope in CloudEvents' JSON format: ``id`` is the event's id, ``type`` the
    topic behind ``governance-flow.``, ``subject`` the motion, ``time`` the event's own
    timestamp. Extensions: ``position`` (as a string, because CloudEvents' integers end at
    2147483647), ``streamversion``, ``committedat``, ``correlationid`` and ``causationid``.
    """

    def __init__(self, log: AuditLog, mapper: EventMapper) -> None:
        self._log = log
        self._mapper = mapper

    async def lines(
        self, *, after_position: int = 0, progress: Progress | None = None
    ) -> AsyncIterator[bytes]:
        """Yield a line for each event behind a position, up to the head as it is now.

        Raises CorruptStream at an event that cannot be read: nobody gets an incomplete log
        without being told.
        """
        last = (await self._log.ends()).last_position
        done, total = 0, max(0, last - after_position)
        async for page in pages_by_position(self._log, after=after_position, up_to_position=last):
            for row in page:
                yield self._line(row)
            done += len(page)
            if progress is not None:
                progress(done, total)

    def _line(self, row: StoredRow) -> bytes:
        event = event_of(self._mapper, row)
        if b"\n" in row.state or b"\r" in row.state:
            # Only somebody else writes such JSON, and it would end the line.
            raise corrupt(row, "it holds a line break, which no event of ours does")
        envelope = {
            "specversion": "1.0",
            "id": str(event.event_id),
            "source": MOTIONS_SOURCE,
            "type": TYPE_PREFIX + row.topic,
            "subject": row.stream_id,
            "time": _time(event.timestamp),
            "datacontenttype": "application/json",
            "position": str(row.position),
            "streamversion": row.version,
            "committedat": _time(from_us(row.committed_at_us)),
            "correlationid": str(event.correlation_id),
        }
        if row.stream_id == _PIPELINE:
            envelope["source"] = PIPELINE_SOURCE
            del envelope["subject"]
        if event.causation_id is not None:
            envelope["causationid"] = str(event.causation_id)
        head = json.dumps(envelope, separators=(",", ":")).encode()
        return head.removesuffix(b"}") + b',"data":' + row.state + b"}\n"


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
