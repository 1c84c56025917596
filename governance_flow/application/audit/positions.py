"""The log in its own order: dense positions, times that never go back, and an end that fits."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.application.audit.words import missing, time_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from governance_flow.application.ports.audit import StoredRow

_MODULUS = 2**256


class RowSum:
    """A sum over rows that does not depend on their order: equal sums mean the same rows.

    The log is read twice, by position and by stream, and an index that was damaged (or doctored)
    may serve the two differently.
    """

    def __init__(self) -> None:
        self.value = 0

    def add(self, row: StoredRow) -> None:
        """Add a row, all its columns."""
        place = f"{row.position} {row.stream_id} {row.version} {row.topic} {row.committed_at_us}\n"
        digest = sha256(place.encode(errors="surrogateescape") + row.state).digest()
        self.value = (self.value + int.from_bytes(digest, "big")) % _MODULUS


class PositionCheck:
    """Takes the rows in order of position. ``events`` counts them."""

    def __init__(self) -> None:
        self.events = 0
        self.last_position = 0
        self.last_committed_at_us = 0
        self.sum = RowSum()

    def add(self, row: StoredRow) -> Iterator[Fault]:
        """Check one row against the one before it."""
        self.events += 1
        self.sum.add(row)
        if row.position < 1:
            yield self._fault(row.position, "no event of ours has such a position", row)
            return
        if row.position != self.last_position + 1:
            first = self.last_position + 1
            message = missing("position", first, row.position - 1)
            yield self._fault(first, f"{message} from the log")
        if row.committed_at_us < self.last_committed_at_us:
            message = (
                f"committed at {time_of(row.committed_at_us)}, before the event in front of it "
                f"({time_of(self.last_committed_at_us)})"
            )
            yield self._fault(row.position, message, row)
        self.last_position = row.position
        self.last_committed_at_us = row.committed_at_us

    @staticmethod
    def _fault(position: int, message: str, row: StoredRow | None = None) -> Fault:
        return Fault(
            Check.POSITIONS,
            message,
            position=position,
            stream_id=row.stream_id if row else None,
            version=row.version if row else None,
        )
