"""Writing what was decided about a group of appends: events, head and operational rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from governance_flow.application.ports.assignments import WorkChange
from governance_flow.application.ports.database import Dialect
from governance_flow.application.queries import load_queries
from governance_flow.infrastructure.append_rules import Decision, Granted
from governance_flow.infrastructure.database.base import StoreTransaction
from governance_flow.infrastructure.database.hints import Channel
from governance_flow.infrastructure.event_table import (
    EventTable,
    HeadRow,
    Locked,
    event_arrays,
    head_params,
)
from governance_flow.infrastructure.work_changes import Move, WorkChanges, moves_of

if TYPE_CHECKING:
    from governance_flow.infrastructure.database.postgres import PostgresTransaction

_NOTHING_GRANTED = Granted({}, {})


class Appending:
    """Writes groups, in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._sql = load_queries("governance_flow.infrastructure", "sql/work_changes.sql", dialect)
        self._table = EventTable(dialect)
        self._work = WorkChanges(dialect)

    def at_commit(
        self,
        tx: StoreTransaction,
        locked: Locked,
        decision: Decision,
        changes: Sequence[WorkChange],
    ) -> None:
        """Write a group that was decided on under the lock, no later than at the commit."""
        moves = moves_of(tx, changes)
        if decision.events:
            tx.announce(Channel.EVENTS, decision.head.position)
        if tx.dialect == "postgres":
            if decision.events or moves:
                params = _params(locked.row, decision, moves, _NOTHING_GRANTED)
                # What is announced goes with the commit.
                tx.at_commit(self._sql.append_group, params | {"hints": []})
        else:
            if decision.events:
                self._table.insert(tx, decision.events, decision.head)
            if moves:
                self._work.move(tx, moves)
        self._work.apply_rest(tx, changes)

    def at_once(
        self,
        tx: StoreTransaction,
        row: HeadRow,
        decision: Decision,
        changes: Sequence[WorkChange],
        granted: Granted,
    ) -> HeadRow | None:
        """Commit a group in one round trip, if the head is still that row and the rest is granted.

        Returns the row that the head is now; None if nothing was done. Only for PostgreSQL.
        """
        moves = moves_of(tx, changes)
        tx.announce(Channel.EVENTS, decision.head.position)
        rows = cast("PostgresTransaction", tx).commit_at_once(
            self._sql.append_group, _params(row, decision, moves, granted)
        )
        return HeadRow(decision.head, rows[0][0]) if rows else None

    def rows_only(self, tx: StoreTransaction, changes: Sequence[WorkChange]) -> None:
        """Change operational rows with no event, under the lock.

        In PostgreSQL the head is written anew with that: whoever relied on it has not seen this.
        """
        locked = self._table.lock(tx)
        self.at_commit(tx, locked, Decision((), locked.head), changes)


def _params(
    row: HeadRow, decision: Decision, moves: Sequence[Move], granted: Granted
) -> dict[str, object]:
    return {
        "head_position": row.head.position,
        "head_row": row.writer,
        "granted_stream_ids": [str(stream_id) for stream_id in granted.versions],
        "granted_versions": list(granted.versions.values()),
        "granted_routing_ids": [str(routing_id) for routing_id in granted.tokens],
        "granted_tokens": list(granted.tokens.values()),
        "granted_docket_empty": granted.docket_empty,
        "changes": json.dumps(moves),
        **head_params(decision.head),
        **event_arrays(decision.events),
    }
