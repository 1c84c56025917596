"""The leaves of the audit log: what is hashed for each event, in the same words by everybody.

The leaf at index 0 is the same in every log, so that an event's index is its position. A leaf is a
line naming the format and a line of canonical JSON (RFC 8785): where the event stands, when it was
committed, and the SHA-256 of its stored bytes. The leaf of a witnessed transition has the Knight's
statement below that, in full.
"""

from __future__ import annotations

import json
from hashlib import sha256
from json.encoder import encode_basestring as _quoted
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from governance_flow.application.ports.audit import StoredRow
from governance_flow.domain.events import TransitionWitnessed
from governance_flow.transparency.merkle import leaf_hash

if TYPE_CHECKING:
    from governance_flow.application.ports.event_store import CommittedEvent

LEAF_HEADER: Final = "governance-flow/leaf/v1"
LEAF_BYTES_MAX: Final = 65_535
"""Other logs and mirrors take no larger entry (C2SP tlog-tiles, "Log Entries")."""

GENESIS: Final = f'{LEAF_HEADER}\n{{"position":0}}\n'.encode()
"""The leaf at index 0."""


def leaf_data(row: StoredRow, statement: str | None) -> bytes:
    """Return the leaf of an event; ``statement`` is the one that a transition carries.

    A statement that would make the leaf too long is left out, and its SHA-256 stands in the record.
    """
    record = _record(row, "")
    if statement is None:
        return record
    signed = statement.encode(errors="surrogatepass")
    if len(record) + len(signed) <= LEAF_BYTES_MAX:
        return record + signed
    return _record(row, f'"statement_sha256":"{sha256(signed).hexdigest()}",')


def leaf_hash_of(row: StoredRow) -> bytes:
    """Return the hash of the leaf of a row as it is stored (RFC 6962, section 2.1)."""
    statement = statement_in(row.state) if row.topic == TransitionWitnessed.topic else None
    return leaf_hash(leaf_data(row, statement))


def statement_in(state: bytes) -> str | None:
    """Return the statement in the stored bytes of a transition; None if there is none."""
    try:
        statement = _decoded(state)["statement"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return statement if isinstance(statement, str) else None


def _decoded(state: bytes) -> Any:
    try:
        # For every transition there is: four times as fast as json, which reads all it takes alike.
        return from_json(state)
    except ValueError:
        # It takes less: half characters, for instance, it does not.
        return json.loads(state)


def row_of(stored: CommittedEvent) -> StoredRow:
    """Return an event as an auditor sees it."""
    return StoredRow(
        stored.id,
        str(stored.originator_id),
        stored.originator_version,
        stored.topic,
        stored.state,
        stored.committed_at_us,
    )


def _record(row: StoredRow, more: str) -> bytes:
    # By hand, because it is made for every event there is; the keys are in order.
    record = (
        f'{LEAF_HEADER}\n{{"committed_at_us":{row.committed_at_us},"position":{row.position},'
        f'"sha256":"{sha256(row.state).hexdigest()}",{more}"stream_id":{_quoted(row.stream_id)},'
        f'"topic":{_quoted(row.topic)},"version":{row.version}}}\n'
    )
    # A row that was tampered with may hold text that is no text.
    return record.encode(errors="surrogateescape")
