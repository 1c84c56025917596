"""The assignments as they stand after every commit: leases are neither stolen nor forged."""

from __future__ import annotations

from typing import NamedTuple

from governance_flow.application.ports.clock import Clock
from governance_flow.application.times import to_us
from tests.simulation.account import require
from tests.simulation.store import WatchedDatabase

ROWS = """SELECT routing_id, motion_id, lease_owner, lease_token, lease_expires_at_us,
                 delegated_until_us
            FROM assignments"""


class Row(NamedTuple):
    """An assignment."""

    routing_id: str
    motion_id: str
    owner: str | None
    token: int
    expires_at_us: int | None
    delegated_until_us: int | None

    def held(self, now_us: int) -> bool:
        """Return whether a lease of it runs."""
        return self.expires_at_us is not None and self.expires_at_us > now_us


class LeaseBook:
    """Remembers the assignments as they stood before the commit that is looked at."""

    def __init__(self, database: WatchedDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._rows: dict[str, Row] = {}
        self._last: dict[str, Row] = {}
        """Each routing that was ever leased, as it stood under its latest token."""
        self._not_before_us: dict[str, int] = {}
        self._now_us = 0

    @property
    def open(self) -> set[str]:
        """The routings that have an assignment now."""
        return set(self._rows)

    def plan(self, routing_id: str, not_before_us: int) -> None:
        """Note that a routing may not be worked on before a certain time."""
        self._not_before_us[routing_id] = not_before_us

    def look(self) -> None:
        """Check what has changed in the rows."""
        now_us = to_us(self._clock.now())
        rows = {row[0]: Row(*row) for row in self._database.look_at(ROWS)}
        motions = [row.motion_id for row in rows.values()]
        require(len(motions) == len(set(motions)), "two assignments of one motion:", motions)
        for row in rows.values():
            before = self._rows.get(row.routing_id)
            if row.token and (before is None or row.token != before.token):
                self._leased(row, before, now_us)
        self._rows, self._now_us = rows, now_us

    def _leased(self, row: Row, before: Row | None, now_us: int) -> None:
        last = self._last.get(row.routing_id)
        if last is not None:
            again = row.token == last.token and row.owner == last.owner and before is None
            require(again or row.token > last.token, "lease token", row.token, "after", last.token)
        not_before_us = self._not_before_us.get(row.routing_id, 0)
        require(not_before_us <= now_us, row.routing_id, "leased before it may be tried again")
        if before is not None:
            require(not before.held(now_us), "the lease of", before.owner, "was stolen")
            require(before.delegated_until_us is None, "leased while somebody completes it later")
        self._last[row.routing_id] = row

    def require_fenced(self, routing_id: str, token: int | None) -> None:
        """Make sure that whoever has just completed a routing was allowed to.

        Raises Broken if the assignment was leased under another token meanwhile, or is held by
        somebody while the completion names no token at all.
        """
        row = self._rows.get(routing_id)
        if row is None:
            return
        if token is None:
            free = not row.held(self._now_us) and row.delegated_until_us is None
            require(free, "completed without a token while", row.owner, "holds it")
        else:
            require(token == row.token, f"accepted under lease {token}, but {row.token} is newer")
