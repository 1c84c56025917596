"""The log as an auditor reads it, on an SQL database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from governance_flow.application.ports.audit import LogEnds, StoredRow, StreamCursor
from governance_flow.application.ports.database import Database, Row, Transaction
from governance_flow.application.ports.event_store import Head
from governance_flow.application.queries import load_queries

_LEAST = -(2**63)
"""No position or version is less: both databases keep them in 64 bits."""

_FIRST_STREAM = StreamCursor("00000000-0000-0000-0000-000000000000", _LEAST)


class SqlAuditLog:
    """The port AuditLog. It only ever reads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries(
            "governance_flow.infrastructure", "sql/audit.sql", database.dialect
        )

    async def ends(self) -> LogEnds:
        """Return both ends of the log as of one moment."""
        [row] = await self._database.read(lambda tx: tx.execute(self._sql.read_ends))
        position, committed_at_us, halt_epoch, halted, admitted, last_position = row
        if position is None:
            return LogEnds(None, last_position)
        head = Head(position, committed_at_us, halt_epoch, bool(halted), admitted)
        return LogEnds(head, last_position)

    async def by_position(
        self, *, after: int | None, up_to_position: int, limit: int
    ) -> list[StoredRow]:
        """Return a page in order of position; from the very first row if ``after`` is None."""
        params = {
            "from_position": _LEAST if after is None else after + 1,
            "up_to_position": up_to_position,
            "limit": limit,
        }
        return await self._rows(self._sql.by_position, params)

    async def by_stream(
        self, *, after: StreamCursor | None, up_to_position: int, limit: int
    ) -> list[StoredRow]:
        """Return a page in order of stream and version, of the rows up to a position."""
        stream_id: str | bytes
        if self._database.dialect == "postgres":
            stream_id, version = after or _FIRST_STREAM
        else:
            # Bytes, because a cursor may hold what is no text.
            stream_id, version = after or StreamCursor("", _LEAST)
            stream_id = stream_id.encode(errors="surrogateescape")
        params = {
            "after_stream": stream_id,
            "after_version": version,
            "up_to_position": up_to_position,
            "limit": limit,
        }
        return await self._rows(self._sql.by_stream, params)

    async def position_at(self, committed_at_us: int) -> int:
        """Return the last position committed no later than that; 0 if none was.

        Commit times never decrease with position, so halving finds it without an index.
        """

        def work(tx: Transaction) -> int:
            low, high = 0, tx.execute(self._sql.read_ends)[0][-1]
            while low < high:
                middle = (low + high + 1) // 2
                [(position, then_us)] = tx.execute(self._sql.committed_from, {"position": middle})
                if then_us <= committed_at_us:
                    low = position
                else:
                    high = middle - 1
            return low

        return await self._database.read(work)

    async def committed_at_us(self, position: int) -> int | None:
        """Return when an event was committed; None if there is none at the position."""
        rows = await self._database.read(
            lambda tx: tx.execute(self._sql.committed_from, {"position": position})
        )
        return int(rows[0][1]) if rows and rows[0][0] == position else None

    async def _rows(self, query: str, params: Mapping[str, object]) -> list[StoredRow]:
        return await self._database.read(lambda tx: _stored(tx.execute(query, params)))


def _stored(rows: Sequence[Row]) -> list[StoredRow]:
    # All in one place, because it is done for every event there is.
    return [
        StoredRow(
            position,
            _decoded(stream_id) if type(stream_id) is bytes else _text(stream_id),
            version if type(version) is int else _LEAST,
            _decoded(topic) if type(topic) is bytes else _text(topic),
            state if type(state) is bytes else _bytes(state),
            committed_at_us if type(committed_at_us) is int else _LEAST,
        )
        for position, stream_id, version, topic, state, committed_at_us in rows
    ]


# Whoever may change the tables may also let their columns hold anything. What is of a wrong kind
# becomes a value that no event of ours has, so that it is found and named like any other fault.


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


@lru_cache(maxsize=4096)
def _decoded(value: bytes) -> str:
    # The same few come again and again: the topics, and the motions that were at work together.
    return value.decode(errors="surrogateescape")


def _bytes(value: object) -> bytes:
    return str(value).encode(errors="surrogateescape")
