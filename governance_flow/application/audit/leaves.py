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

from pydantic_core import SchemaValidator, from_json
from pydantic_core.core_schema import bytes_schema, typed_dict_field, typed_dict_schema

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

_ONLY_STATEMENT: Final = SchemaValidator(
    typed_dict_schema({"statement": typed_dict_field(bytes_schema())}, extra_behavior="ignore")
)


def leaf_data(row: StoredRow, statement: str | None, state_sha256: str | None = None) -> bytes:
    """Return the leaf of an event; ``statement`` is the one that a transition carries.

    A statement that would make the leaf too long is left out, and its SHA-256 stands in the record.
    ``state_sha256`` is that of the row's state, for who knows it already.
    """
    digest = state_sha256 or _sha256(row.state)
    return _leaf(
        row, digest, None if statement is None else statement.encode(errors="surrogatepass")
    )


def leaf_hash_of(row: StoredRow) -> bytes:
    """Return the hash of the leaf of a row as it is stored (RFC 6962, section 2.1)."""
    signed = statement_in(row.state) if row.topic == TransitionWitnessed.topic else None
    return leaf_hash(_leaf(row, _sha256(row.state), signed))


def statement_in(state: bytes) -> bytes | None:
    """Return the statement in the stored bytes of a transition, encoded; None if there is none."""
    try:
        # For every transition there is: this parses all of the JSON as from_json does, but makes
        # nothing of it that is not asked for, and is twice as fast.
        found: bytes = _ONLY_STATEMENT.validate_json(state)["statement"]
    except ValueError:
        return _oddly_stated(state)
    return found


def _oddly_stated(state: bytes) -> bytes | None:
    """Do as ``statement_in`` does, for stored bytes that are out of the ordinary."""
    try:
        statement = _decoded(state)["statement"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return statement.encode(errors="surrogatepass") if isinstance(statement, str) else None


def _decoded(state: bytes) -> Any:
    try:
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


def _leaf(row: StoredRow, digest: str, signed: bytes | None) -> bytes:
    record = _record(row, digest, "")
    if signed is None:
        return record
    if len(record) + len(signed) <= LEAF_BYTES_MAX:
        return record + signed
    return _record(row, digest, f'"statement_sha256":"{_sha256(signed)}",')


def _record(row: StoredRow, digest: str, more: str) -> bytes:
    # By hand, because it is made for every event there is; the keys are in order.
    position, stream_id, version, topic, _, committed_at_us = row
    record = (
        f'{LEAF_HEADER}\n{{"committed_at_us":{committed_at_us},"position":{position},'
        f'"sha256":"{digest}",{more}"stream_id":{_quoted(stream_id)},'
        f'"topic":{_quoted(topic)},"version":{version}}}\n'
    )
    # A row that was tampered with may hold text that is no text.
    return record.encode(errors="surrogateescape")


def _sha256(data: bytes) -> str:
    return sha256(data).hexdigest()
