"""Everything that was promised about the log, by its checkpoints in the store and elsewhere."""

from __future__ import annotations

from heapq import merge
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.application.audit.words import time_of
from governance_flow.domain.errors import StoreBusy, StoreFull, StoreLocked, StoreUnavailable
from governance_flow.transparency.checkpoints import open_checkpoint
from governance_flow.transparency.errors import TransparencyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from governance_flow.application.ports.transparency_log import (
        LogCheckpoints,
        SignedCheckpoint,
    )
    from governance_flow.transparency.checkpoints import Checkpoint
    from governance_flow.transparency.keys import Ed25519Verifier

CHECKPOINTS_AT_ONCE = 500

ENVIRONMENT = (StoreBusy, StoreFull, StoreLocked, StoreUnavailable)
"""What is wrong with the store's surroundings, and no fault of what it holds."""

_SIZE_LEAST = -(2**63)
"""No row of a checkpoint has a smaller size, whoever wrote it."""


class Promise(NamedTuple):
    """What a checkpoint says of the log, and how to name the checkpoint to a person."""

    size: int
    root: bytes
    name: str
    kept_elsewhere: bool = False


class Promises:
    """Reads and verifies the store's checkpoints; ``count`` is how many there were.

    ``kept`` are checkpoints that were kept elsewhere, already verified, with what to call them.
    ``report`` is told what is wrong with those of the store.
    """

    def __init__(
        self,
        checkpoints: LogCheckpoints,
        log_key: Ed25519Verifier | None,
        kept: Sequence[tuple[str, Checkpoint]],
        *,
        report: Callable[[Fault], None],
    ) -> None:
        self._checkpoints = checkpoints
        self._log_key = log_key
        self._kept = sorted(
            (
                Promise(checkpoint.size, checkpoint.root, name, kept_elsewhere=True)
                for name, checkpoint in kept
            ),
            key=attrgetter("size"),
        )
        self._report = report
        self.count = 0

    async def in_order(self) -> AsyncIterator[Promise]:
        """Yield everything that was promised, in order of size."""
        after, kept = _SIZE_LEAST, self._kept
        while True:
            page = await self._page(after)
            last = page[-1].size if page else None
            own = []
            for checkpoint in page:
                name = (
                    f"the checkpoint of {checkpoint.size - 1} events, signed at "
                    f"{time_of(checkpoint.signed_at_us)},"
                )
                self.count += 1
                promise = self._verified(name, checkpoint.note)
                if promise is not None and promise.size == checkpoint.size:
                    own.append(promise)
                elif promise is not None:
                    self._refuse(name, "it is kept as one of another size")
                if promise is not None and promise.root != checkpoint.root:
                    self._refuse(name, "its root stands in the table otherwise than in its note")
            now = kept if last is None else [p for p in kept if p.size <= last]
            kept = kept[len(now) :]
            for promise in merge(own, now, key=attrgetter("size")):
                yield promise
            if last is None:
                return
            after = last

    async def _page(self, after_size: int) -> list[SignedCheckpoint]:
        try:
            return await self._checkpoints.page(after_size=after_size, limit=CHECKPOINTS_AT_ONCE)
        except ENVIRONMENT:
            raise
        except Exception as error:  # noqa: BLE001 - whatever was done to their table
            message = f"the checkpoints behind size {max(0, after_size)} cannot be read: {error}"
            self._report(Fault(Check.CHECKPOINT, message))
            return []

    def _verified(self, name: str, note: str) -> Promise | None:
        key = self._log_key
        if key is None:
            self._refuse(name, "no key of the log is known that could have signed it")
            return None
        try:
            opened = open_checkpoint(note, origin=key.name, log_keys=[key])
        except TransparencyError as error:
            self._refuse(name, str(error))
            return None
        return Promise(opened.checkpoint.size, opened.checkpoint.root, name)

    def _refuse(self, name: str, problem: str) -> None:
        self._report(Fault(Check.CHECKPOINT, f"{name} does not verify: {problem}"))
