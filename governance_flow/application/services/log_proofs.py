"""What the log's checkpoints are asked for: the latest, and whether two of them agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from governance_flow.domain.errors import InvalidInput, KeyUnavailable, LogInconsistent, NotInLog
from governance_flow.transparency.checkpoints import Checkpoint, open_checkpoint
from governance_flow.transparency.errors import TransparencyError
from governance_flow.transparency.merkle import verify_consistency

if TYPE_CHECKING:
    from collections.abc import Iterable

    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.projection import Follower
    from governance_flow.application.ports.transparency_log import (
        LogCheckpoints,
        SignedCheckpoint,
    )
    from governance_flow.application.services.checkpointing import Checkpointing
    from governance_flow.application.services.transparency import TreeReader
    from governance_flow.transparency.keys import Ed25519Verifier


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest checkpoint; ``unsigned`` says why it is not of this moment, if it is not."""

    checkpoint: SignedCheckpoint
    unsigned: str | None = None


class LogProofs:
    """Checkpoints on demand, and proofs between them."""

    def __init__(
        self,
        store: EventStore,
        follower: Follower,
        tree: TreeReader,
        checkpoints: LogCheckpoints,
        checkpointing: Checkpointing,
    ) -> None:
        self._store = store
        self._follower = follower
        self._tree = tree
        self._checkpoints = checkpoints
        self._checkpointing = checkpointing

    async def latest(self) -> Latest:
        """Sign a checkpoint over everything there is, or return the latest if the key is not here.

        Raises LogInconsistent, and NotInLog if there is no checkpoint at all.
        """
        try:
            # The very first one is followed by the event that adopts the log's key.
            await self._signed_now()
            return Latest(await self._signed_now())
        except KeyUnavailable as error:
            kept = await self._checkpoints.latest()
            if kept is None:
                raise NotInLog(f"no checkpoint was signed yet, and none can be: {error}") from error
            return Latest(kept, str(error))

    async def kept(self) -> SignedCheckpoint | None:
        """Return the latest checkpoint there is, without signing another."""
        return await self._checkpoints.latest()

    async def covering(self, positions: Iterable[int]) -> dict[int, SignedCheckpoint]:
        """Return for each position of the log the first checkpoint that promises it.

        Those that no checkpoint covers yet are left out.
        """
        covered: dict[int, SignedCheckpoint] = {}
        found: SignedCheckpoint | None = None
        for position in sorted(positions):
            if found is None or found.size <= position:
                # The tree has a leaf more than the log has events.
                found = await self._checkpoints.reaching(position + 1)
            if found is None:
                break
            covered[position] = found
        return covered

    async def _signed_now(self) -> SignedCheckpoint:
        await self._follower.catch_up((await self._store.head()).position)
        return await self._checkpointing.sign()

    async def of_size(self, size: int) -> SignedCheckpoint:
        """Return the checkpoint that was signed for a tree of that size; raises InvalidInput."""
        found = await self._checkpoints.reaching(size)
        if found is None or found.size != size:
            nearest = f"; the next one is of size {found.size}" if found else ""
            raise InvalidInput(f"no checkpoint of size {size} was signed{nearest}", field="size")
        return found

    async def consistency(self, old: Checkpoint, new: Checkpoint) -> list[bytes]:
        """Return the proof that what ``old`` promised still holds in ``new``.

        Raises InvalidInput if ``old`` is the larger one; LogInconsistent if there is no such
        proof, or the store does not reach that far any more.
        """
        if old.size > new.size:
            raise InvalidInput(
                f"the first checkpoint is of size {old.size}, the second of {new.size}: "
                "name the smaller one first"
            )
        size = await self._tree.size()
        if new.size > size:
            raise LogInconsistent(
                f"a checkpoint of size {new.size} was signed, but the log has {size} leaves: "
                "events were deleted from its end, or an older backup was restored"
            )
        try:
            proof = await self._tree.consistency(old.size, new.size)
            verify_consistency(old.size, new.size, proof, old.root, new.root)
        except TransparencyError as error:
            raise LogInconsistent(
                f"the checkpoints of size {old.size} and {new.size} do not speak of one log that "
                f"only grew: {error}"
            ) from error
        return proof


def opened(name: str, note: str, log_key: Ed25519Verifier) -> Checkpoint:
    """Return what a checkpoint says; raises InvalidInput if the log has not signed it."""
    try:
        return open_checkpoint(note, origin=log_key.name, log_keys=[log_key]).checkpoint
    except TransparencyError as error:
        raise InvalidInput(f"{name}: not a checkpoint of this log: {error}") from error
