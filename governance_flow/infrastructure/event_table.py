"""The event log as rows: what the recorder reads and writes inside a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from governance_flow.application.ports.database import Dialect, Row, Transaction
from governance_flow.application.ports.event_store import CommittedEvent, Head
from governance_flow.application.queries import load_queries
from governance_flow.infrastructure.append_rules import LeaseState
from governance_flow.infrastructure.database.base import Statement, StoreTransaction

END = 2**63 - 1
"""A position or version that none reaches: the largest both databases can hold."""

_HEAD_COLUMNS = 5
"""How many columns the head has; behind them PostgreSQL says which transactions are concerned."""

_ERRORS_ONLY = ("ORCHESTRATOR_ERROR",)


@dataclass(frozen=True, slots=True)
class HeadRow:
    """The head as one transaction left it; ``writer`` names that one (only PostgreSQL tells).

    Two rows of the same writer are the same row. A head with the same values may be another one.
    """

    head: Head
    writer: str = ""


@dataclass(frozen=True, slots=True)
class Locked:
    """What appends are decided on, true until the transaction ends.

    ``versions`` has the streams that are not empty, ``leases`` the routings that are assigned,
    ``docket_empty`` is told if it was asked for.
    ``writer`` names this transaction, should it write the head.
    """

    row: HeadRow
    writer: str
    versions: dict[UUID, int]
    leases: dict[UUID, LeaseState]
    now_us: int
    docket_empty: bool = True

    @property
    def head(self) -> Head:
        """Return the head, which nobody else can move."""
        return self.row.head


class EventTable:
    """The statements of the event log, in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._sql = load_queries("governance_flow.infrastructure", "sql/events.sql", dialect)

    def head(self, tx: Transaction) -> Head:
        """Return the head row as last committed."""
        [row] = tx.execute(self._sql.read_head)
        return head_of(row)

    def lock(
        self,
        tx: StoreTransaction,
        streams: Iterable[UUID] = (),
        routings: Iterable[UUID] = (),
        *,
        docket: bool = False,
    ) -> Locked:
        """Lock the head row until the transaction ends, and read what the appends depend on.

        Several statements in one round trip: those after the first see all that was committed
        before it got its lock.
        """
        by_text = {str(stream_id): stream_id for stream_id in streams}
        stream_ids = list(by_text)
        routing_ids = [str(routing_id) for routing_id in routings]
        statements: list[Statement] = [
            (self._sql.lock_head, {}),
            (self._sql.stream_versions, {"stream_ids": stream_ids}),
        ]
        if routing_ids:
            statements.append((self._sql.fenced_leases, {"routing_ids": routing_ids}))
        [head], versions, *leases = tx.execute_batch(statements)
        now_us = tx.now_us()
        waiting = tx.execute(self._sql.first_in_docket, {"now_us": now_us}) if docket else []
        values, (written_by, writer) = head[:_HEAD_COLUMNS], head[_HEAD_COLUMNS:] or ("", "")
        return Locked(
            row=HeadRow(head_of(values), written_by),
            writer=writer,
            versions={by_text[text]: version for text, version in versions if version is not None},
            leases={UUID(row[0]): _lease(row, now_us) for rows in leases for row in rows},
            now_us=now_us,
            docket_empty=not waiting,
        )

    def insert(self, tx: StoreTransaction, events: Sequence[CommittedEvent], head: Head) -> None:
        """Insert the events, which end at ``head``, and make that the head, in SQLite."""
        tx.execute_many(self._sql.insert_event, _params(events))
        tx.at_commit(self._sql.update_head, head_params(head))

    def renew(self, tx: StoreTransaction) -> None:
        """Make the head another row with the same values: what still relies on the old one fails.

        In SQLite nothing does: there, whoever appends holds the only lock there is.
        """
        if tx.dialect == "postgres":
            tx.at_commit(self._sql.renew_head, {})

    def stream(
        self,
        tx: Transaction,
        stream_id: UUID,
        *,
        after_version: int = -1,
        up_to_version: int = END,
        backwards: bool = False,
        limit: int = END,
    ) -> list[CommittedEvent]:
        """Return the events of a stream in order of version."""
        rows = tx.execute(
            self._sql.read_stream_backwards if backwards else self._sql.read_stream,
            {
                "stream_id": str(stream_id),
                "after_version": after_version,
                "up_to_version": up_to_version,
                "limit": limit,
            },
        )
        return [_event(row) for row in rows]

    def streams(self, tx: Transaction, stream_ids: Iterable[UUID]) -> list[CommittedEvent]:
        """Return the events of several streams, of each in order of version."""
        params = {"stream_ids": [str(stream_id) for stream_id in stream_ids]}
        return [_event(row) for row in tx.execute(self._sql.read_streams, params)]

    def page(
        self,
        tx: Transaction,
        *,
        after_position: int,
        limit: int,
        up_to_position: int = END,
        topics: Sequence[str] = (),
    ) -> list[CommittedEvent]:
        """Return at most ``limit`` events (of some topics, or of all) in order of position."""
        params: dict[str, object] = {
            "after_position": after_position,
            "up_to_position": up_to_position,
            "limit": limit,
        }
        if not topics:
            query = self._sql.read_all
        elif tuple(topics) == _ERRORS_ONLY:
            query = self._sql.read_errors
        else:
            query = self._sql.read_topics
            params["topics"] = list(topics)
        return [_event(row) for row in tx.execute(query, params)]

    def latest(
        self, tx: Transaction, topic: str, *, before_position: int, limit: int
    ) -> list[CommittedEvent]:
        """Return the newest events of a topic, newest first."""
        params: dict[str, object] = {"before_position": before_position, "limit": limit}
        if (topic,) == _ERRORS_ONLY:
            query = self._sql.read_latest_errors
        else:
            query = self._sql.read_latest
            params["topic"] = topic
        return [_event(row) for row in tx.execute(query, params)]


def _lease(row: Row, now_us: int) -> LeaseState:
    _, token, expires_at_us, delegated_until_us = row
    held = expires_at_us is not None and expires_at_us > now_us
    return LeaseState(token, held or delegated_until_us is not None)


def head_of(row: Row) -> Head:
    """Return the head in a row as the queries select it."""
    position, committed_at_us, halt_epoch, halted, admitted = row
    return Head(position, committed_at_us, halt_epoch, bool(halted), admitted)


def _event(row: Row) -> CommittedEvent:
    stream_id, version, topic, state, position, committed_at_us = row
    return CommittedEvent(
        originator_id=UUID(stream_id),
        originator_version=version,
        topic=topic,
        state=state,
        id=position,
        committed_at_us=committed_at_us,
    )


def head_params(head: Head) -> dict[str, object]:
    """Return the values of the head as parameters."""
    return {
        "position": head.position,
        "committed_at_us": head.committed_at_us,
        "halt_epoch": head.halt_epoch,
        "halted": head.halted,
        "admitted": head.admitted,
    }


def event_arrays(events: Sequence[CommittedEvent]) -> dict[str, object]:
    """Return the events as parameters, one array for each column."""
    return {
        "stream_ids": _texts(events),
        "stream_versions": [event.originator_version for event in events],
        "topics": [event.topic for event in events],
        "states": [event.state for event in events],
    }


def _texts(events: Sequence[CommittedEvent]) -> list[str]:
    """Return the stream of each event, as text; an append's events share theirs."""
    texts: dict[UUID | str, str] = {}
    for event in events:
        if event.originator_id not in texts:
            texts[event.originator_id] = str(event.originator_id)
    return [texts[event.originator_id] for event in events]


def _params(events: Sequence[CommittedEvent]) -> list[dict[str, Any]]:
    return [
        {
            "position": event.id,
            "stream_id": stream_id,
            "stream_version": event.originator_version,
            "topic": event.topic,
            "state": event.state,
            "committed_at_us": event.committed_at_us,
        }
        for event, stream_id in zip(events, _texts(events), strict=True)
    ]
