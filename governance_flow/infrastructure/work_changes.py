"""What appends change in the operational rows, written in the transaction that appends."""

from __future__ import annotations

import json
from collections.abc import Sequence

from governance_flow.application.ports.assignments import (
    AgendaItem,
    Keep,
    OpenAssignment,
    OutboxAlert,
    WorkChange,
)
from governance_flow.application.ports.database import Dialect
from governance_flow.application.queries import load_queries
from governance_flow.application.times import seconds_to_us
from governance_flow.infrastructure.database.base import StoreTransaction
from governance_flow.infrastructure.database.hints import Channel

Move = dict[str, object]
"""Where a motion shall stand: the columns of its row, as JSON knows them."""


class WorkChanges:
    """Writes the changes of a whole group with one statement for each kind of row."""

    def __init__(self, dialect: Dialect) -> None:
        self._sql = load_queries("governance_flow.infrastructure", "sql/work_changes.sql", dialect)

    def move(self, tx: StoreTransaction, moves: Sequence[Move]) -> None:
        """Let each motion stand where it belongs and nowhere else, in SQLite, at the commit."""
        params = {"changes": json.dumps(moves)}
        tx.at_commit(self._sql.close_replaced, params)
        if any("routing_id" in move for move in moves):
            tx.at_commit(self._sql.open_assignments, params)
        if not all("kind" in move for move in moves):
            tx.at_commit(self._sql.clear_agenda, params)
        if any("kind" in move for move in moves):
            tx.at_commit(self._sql.set_agenda, params)

    def apply_rest(self, tx: StoreTransaction, changes: Sequence[WorkChange]) -> None:
        """Do at the commit what the changes call for beside moving their motions."""
        later_us = sum(change.deadlines_later_us for change in changes)
        if later_us:
            # Last: what else is opened in this transaction was worked out while the pipeline was
            # halted, without the time that took.
            tx.at_commit(self._sql.shift_deadlines, {"by_us": later_us})
        alerts = [_alert(alert) for change in changes for alert in change.alerts]
        if alerts:
            tx.at_commit(self._sql.add_alerts, {"rows": json.dumps(alerts)})
            tx.announce(Channel.WORK)


def only_moves(changes: Sequence[WorkChange]) -> bool:
    """Return whether the changes move motions and do nothing else."""
    return not any(change.deadlines_later_us or change.alerts for change in changes)


def moves_of(tx: StoreTransaction, changes: Sequence[WorkChange]) -> list[Move]:
    """Return where each motion shall stand, and announce it if somebody may claim it there.

    Of several changes to one motion the last counts.
    """
    moves = []
    for change in {c.motion_id: c for c in changes if c.motion_id is not None}.values():
        move: Move = {"motion_id": str(change.motion_id)}
        if change.assignment is not None:
            move |= _assignment(change.assignment, change.keep, tx.now_us())
        if change.item is not None:
            move |= _item(change.item)
        if change.item is not None or (change.assignment is not None and change.keep is None):
            tx.announce(Channel.WORK)
        moves.append(move)
    return moves


def _assignment(row: OpenAssignment, keep: Keep | None, now_us: int) -> dict[str, object]:
    return {
        "routing_id": str(row.routing_id),
        "service": row.service,
        "state": row.state,
        "purpose": row.purpose,
        "attempt": row.attempt,
        "not_before_us": row.not_before_us,
        "deadline_us": row.deadline_us,
        "attempt_timeout_seconds": row.attempt_timeout_seconds,
        "opened_at_us": row.opened_at_us,
        "lease_owner": keep.owner if keep else None,
        "lease_token": keep.token if keep else 0,
        "lease_expires_at_us": now_us + seconds_to_us(keep.lease_seconds) if keep else None,
    }


def _item(item: AgendaItem) -> dict[str, object]:
    return {"kind": item.kind.value, "due_us": item.due_us, "order_us": item.order_us}


def _alert(alert: OutboxAlert) -> dict[str, object]:
    return {
        "alert_id": alert.alert_id,
        "sink": alert.sink,
        "body": alert.body,
        "created_us": alert.created_us,
        "due_us": alert.due_us,
        "attempts": alert.attempts,
    }
