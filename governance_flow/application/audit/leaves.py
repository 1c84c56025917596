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


def leaf_data(row: StoredRow, statement: str | None) -> bytes:
    """Return the leaf of an event; ``statement`` is the one that a transition carries.

    A statement that would make the leaf too long is left out, and its SHA-256 stands in the record.
    """
    return _leaf(row, None if statement is None else statement.encode(errors="surrogatepass"))


def leaf_hash_of(row: StoredRow) -> bytes:
    """Return the hash of the leaf of a row as it is stored (RFC 6962, section 2.1)."""
    if row.topic != TransitionWitnessed.topic:
        return leaf_hash(_record(row, ""))
    return leaf_hash(_leaf(row, statement_in(row.state)))


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


def _leaf(row: StoredRow, signed: bytes | None) -> bytes:
    record = _record(row, "")
    if signed is None:
        return record
    if len(record) + len(signed) <= LEAF_BYTES_MAX:
        return record + signed
    return _record(row, f'"statement_sha256":"{sha256(signed).hexdigest()}",')


def _record(row: StoredRow, more: str) -> bytes:
    # By hand, because it is made for every event there is; the keys are in order.
    position, stream_id, version, topic, state, committed_at_us = row
    record = (
        f'{LEAF_HEADER}\n{{"committed_at_us":{committed_at_us},"position":{position},'
        f'"sha256":"{sha256(state).hexdigest()}",{more}"stream_id":{_quoted(stream_id)},'
        f'"topic":{_quoted(topic)},"version":{version}}}\n'
    )
    # A row that was tampered with may hold text that is no text.
    return record.encode(errors="surrogateescape")
