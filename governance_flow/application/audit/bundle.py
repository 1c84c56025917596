"""Bundles: one motion's record with all that proves it, for somebody who trusts nobody here.

A bundle is one JSON object, in the format ``governance-flow/bundle/v1``: the motion's events byte
for byte as they are stored, the events that adopted keys, a proof for each that it stands in the
log, and the checkpoint and the keys to verify all of it with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from governance_flow.application.audit.key_history import KeyHistory
from governance_flow.application.audit.leaves import leaf_hash_of
from governance_flow.application.audit.pages import rows_of_stream
from governance_flow.domain.errors import CorruptStream, LogInconsistent, NotInLog, UnknownMotion
from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.keys import KeyRole
from governance_flow.transparency.errors import TransparencyError
from governance_flow.transparency.merkle import verify_inclusion
from governance_flow.transparency.notes import Note
from governance_flow.transparency.proofs import LogProof

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from governance_flow.application.ports.audit import AuditLog, StoredRow
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.application.ports.transparency_log import (
        LogCheckpoints,
        SignedCheckpoint,
    )
    from governance_flow.application.services.transparency import TreeReader

FORMAT = "governance-flow/bundle/v1"


class Bundler:
    """Makes bundles under the latest checkpoint."""

    def __init__(
        self, log: AuditLog, mapper: EventMapper, tree: TreeReader, checkpoints: LogCheckpoints
    ) -> None:
        self._log = log
        self._mapper = mapper
        self._tree = tree
        self._checkpoints = checkpoints

    async def bundle(self, motion_id: UUID) -> dict[str, Any]:
        """Return the bundle of a motion.

        Raises UnknownMotion; NotInLog if the latest checkpoint does not cover all of the motion's
        events; CorruptStream for what no bundle can say; LogInconsistent for a damaged log.
        """
        checkpoint = await self._latest()
        rows = await self._rows(motion_id, checkpoint)
        keys = await KeyHistory.read(self._log, self._mapper, up_to_position=checkpoint.size - 1)
        log_key = keys.log_key
        if log_key is None:
            raise NotInLog("the key that signs the log's checkpoints is not on record yet")
        adoptions = [adoption.row for adoption in keys.adoptions]
        proofs = await self._proofs([*rows, *adoptions], checkpoint)
        knight = [a.key.vkey for a in keys.adoptions if a.role is KeyRole.KNIGHT]
        return {
            "format": FORMAT,
            "motion_id": str(motion_id),
            "origin": log_key.name,
            "keys": {"log": log_key.vkey, "knight": knight},
            "checkpoint": checkpoint.note,
            "events": [_event(row, proofs[row.position]) for row in rows],
            "key_events": [_event(row, proofs[row.position]) for row in adoptions],
        }

    async def _latest(self) -> SignedCheckpoint:
        checkpoint = await self._checkpoints.latest()
        if checkpoint is None:
            raise NotInLog(
                "no checkpoint of the audit log was signed yet; a worker signs them, and so does "
                "governance-flow audit checkpoint"
            )
        return checkpoint

    async def _rows(self, motion_id: UUID, checkpoint: SignedCheckpoint) -> list[StoredRow]:
        last = (await self._log.ends()).last_position
        rows = [row async for row in rows_of_stream(self._log, motion_id, up_to_position=last)]
        if not rows or motion_id == PIPELINE_ID:
            raise UnknownMotion(
                f"there is no motion {motion_id} in this store", motion_id=motion_id
            )
        if rows[-1].position >= checkpoint.size:
            raise NotInLog(
                f"motion {motion_id} was last written at position {rows[-1].position}, the latest "
                f"checkpoint covers {checkpoint.size - 1}; governance-flow audit checkpoint signs "
                "a new one where the log's key is",
                motion_id=motion_id,
            )
        return rows

    async def _proofs(
        self, rows: Sequence[StoredRow], checkpoint: SignedCheckpoint
    ) -> dict[int, str]:
        indexes = [row.position for row in rows]
        try:
            note = Note.parse(checkpoint.note)
            proofs = await self._tree.inclusion(indexes, checkpoint.size)
        except TransparencyError as error:
            raise LogInconsistent(
                f"the audit log is damaged, and proves nothing: {error}; governance-flow audit "
                "verify says more"
            ) from error
        for row, proof in zip(rows, proofs, strict=True):
            _require_proved(row, proof, checkpoint)
        return {
            index: str(LogProof(index, tuple(proof), note))
            for index, proof in zip(indexes, proofs, strict=True)
        }


def _require_proved(row: StoredRow, proof: Sequence[bytes], checkpoint: SignedCheckpoint) -> None:
    """Refuse to hand out what nobody could verify."""
    try:
        verify_inclusion(leaf_hash_of(row), row.position, checkpoint.size, proof, checkpoint.root)
    except TransparencyError as error:
        raise LogInconsistent(
            f"the event at position {row.position} is not the one that was promised, or its entry "
            "in the audit log was changed; governance-flow audit verify says more",
            position=row.position,
        ) from error


def _event(row: StoredRow, proof: str) -> dict[str, Any]:
    try:
        state = row.state.decode()
    except UnicodeDecodeError as error:
        raise CorruptStream(
            f"the event at position {row.position} is not UTF-8; audit verify says what is wrong",
            position=row.position,
        ) from error
    return {
        "position": row.position,
        "stream_id": row.stream_id,
        "version": row.version,
        "topic": row.topic,
        "committed_at_us": row.committed_at_us,
        "state": state,
        "proof": proof,
    }
