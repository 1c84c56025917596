"""Whether this process is the only one that appends, as far as its own commits can tell."""

from __future__ import annotations

from governance_flow.infrastructure.event_table import HeadRow

QUIET_COMMITS = 2
"""After how many commits running that nobody came in between of a process counts as alone."""


class Alone:
    """Remembers the head as the last commit left it, and how often nobody has moved it since.

    Whoever is alone may rely on that head, and is told by the database if it should not have. It
    holds no lock: threads that get in each other's way here only take the longer way.
    """

    def __init__(self) -> None:
        self._last: HeadRow | None = None
        self._quiet = 0

    @property
    def row(self) -> HeadRow | None:
        """Return the row that the head probably still is; None if others are at work too."""
        return self._last if self._quiet >= QUIET_COMMITS else None

    def committed(self, before: HeadRow, after: HeadRow) -> None:
        """Note a commit: the head it was decided on, and the head it left."""
        self._quiet = self._quiet + 1 if before == self._last else 0
        self._last = after

    def disturbed(self) -> None:
        """Note that the head is not what it was taken for, or that nobody knows what it is."""
        self._quiet = 0
