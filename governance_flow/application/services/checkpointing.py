"""Signing checkpoints of the audit log, and never one that contradicts an earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from governance_flow.application.ports.transparency_log import SignedCheckpoint
from governance_flow.application.services.keys import signed
from governance_flow.application.times import to_us
from governance_flow.domain.errors import KeyUnavailable, LogInconsistent
from governance_flow.domain.events import SYSTEM
from governance_flow.domain.keys import KeyRole
from governance_flow.transparency.checkpoints import Checkpoint, open_checkpoint
from governance_flow.transparency.errors import CorruptTree, TransparencyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from governance_flow.application.ports.clock import Clock
    from governance_flow.application.ports.keys import LastSigned, SigningKey
    from governance_flow.application.ports.transparency_log import LogCheckpoints
    from governance_flow.application.services.keys import Keys
    from governance_flow.application.services.pipelines import Pipelines
    from governance_flow.application.services.transparency import TreeReader

log = structlog.get_logger(__name__)


class Checkpointing:
    """Signs what the tree has come to.

    A checkpoint is a promise to everybody who keeps it, so each new one is held against the latest
    in the store and the last that was signed here: if the tree has lost or changed a leaf since,
    nothing is signed, and the pipeline is halted. Several processes may sign at once; what they
    promise is the same.
    """

    def __init__(
        self,
        tree: TreeReader,
        checkpoints: LogCheckpoints,
        keys: Keys,
        last_signed: LastSigned,
        *,
        pipelines: Pipelines,
        clock: Clock,
    ) -> None:
        self._tree = tree
        self._checkpoints = checkpoints
        self._keys = keys
        self._last_signed = last_signed
        self._pipelines = pipelines
        self._clock = clock

    async def sign(self) -> SignedCheckpoint:
        """Return a checkpoint of the tree as it is now, signed unless there is one already.

        Raises LogInconsistent, having halted the pipeline, if the tree contradicts an earlier
        checkpoint; KeyUnavailable if the log's key is not here.
        """
        key = await self._keys.signing(KeyRole.LOG)
        latest = await self._checkpoints.latest()
        promised = await self._promised(key, latest)
        size = await self._tree.size()
        root = await self._consistent_root(promised, size)
        if latest is not None and latest.size == size:
            return latest
        checkpoint = Checkpoint(key.verifier.name, size, root)
        note = await signed(checkpoint.text, key)
        kept = SignedCheckpoint(size, root, note, to_us(self._clock.now()))
        # Beside the key first: what nobody remembers was never promised to anybody.
        await self._last_signed.write(note)
        await self._checkpoints.keep(kept)
        return kept

    async def _promised(
        self, key: SigningKey, latest: SignedCheckpoint | None
    ) -> list[tuple[int, bytes]]:
        """Return size and root of what must still hold."""
        promised = [(latest.size, latest.root)] if latest else []
        note = await self._last_signed.read()
        if note is not None:
            origin = key.verifier.name
            try:
                opened = open_checkpoint(note, origin=origin, log_keys=[key.verifier])
            except TransparencyError as error:
                raise KeyUnavailable(
                    f"{self._last_signed.where} should hold the last checkpoint that was signed "
                    f"here, and holds none of this log: {error}"
                ) from error
            promised.append((opened.checkpoint.size, opened.checkpoint.root))
        return promised

    async def _consistent_root(self, promised: Sequence[tuple[int, bytes]], size: int) -> bytes:
        """Return the root at a size; refuse a tree that is not the promised ones, grown."""
        largest = max((promised_size for promised_size, _ in promised), default=0)
        if size < largest:
            raise await self._halted(
                f"the log has {size} leaves, but a checkpoint of {largest} was signed: "
                "events were deleted, or an older backup was restored"
            )
        try:
            root, *before = await self._tree.roots([size, *(s for s, _ in promised)])
        except CorruptTree as error:
            raise await self._halted(f"the log's tree is damaged: {error}") from error
        for (promised_size, promised_root), found in zip(promised, before, strict=True):
            if found != promised_root:
                raise await self._halted(
                    f"the log's first {promised_size} leaves are not those that its checkpoint "
                    "was signed for: events were changed, or the log's tiles were"
                )
        return root

    async def _halted(self, reason: str) -> LogInconsistent:
        """Halt the pipeline and return the error to raise."""
        if await self._pipelines.halt(SYSTEM, f"no checkpoint can be signed: {reason}"):
            log.critical("pipeline halted: the audit log contradicts what was signed", why=reason)
        return LogInconsistent(
            f"{reason}; governance-flow audit verify says where. Nothing was signed, and the "
            "pipeline is halted"
        )
