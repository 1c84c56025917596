"""Keys of a store in memory: gone with it, and no file tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from governance_flow.domain.keys import KeyRole
from governance_flow.infrastructure.keys.files import read_given
from governance_flow.infrastructure.keys.local import (
    LocalKey,
    RandomBytes,
    new_signer,
    refusal_to_follow,
)
from governance_flow.infrastructure.keys.refusals import another_key, key_variable, unavailable
from governance_flow.transparency.keys import Ed25519Signer


@dataclass
class MemoryKeys:
    """The key of one role, and the one that is to follow it."""

    role: KeyRole
    random: RandomBytes
    _present: Ed25519Signer | None = field(default=None, init=False)
    _pending: Ed25519Signer | None = field(default=None, init=False)

    async def key(self, adopted: str | None) -> LocalKey:
        """Return the key; a new one only if the store has not adopted any."""
        if adopted is None:
            self._present = self._present or new_signer(self.role, self.random)
        elif self._pending is not None and self._pending.vkey == adopted:
            self._present, self._pending = self._pending, None
        if self._present is None or adopted not in (None, self._present.vkey):
            raise another_key(
                self.role,
                str(adopted),
                None if self._present is None else self._present.vkey,
                "in the memory of this process",
                f"set {key_variable(self.role)} to its private key",
            )
        return LocalKey(self._present)

    async def successor(self, given: Path | None, taken: Collection[str]) -> LocalKey:
        """Return the pending successor, else ``given`` or a new key as it."""
        present = self._present
        if present is None:
            raise unavailable(
                self.role, "there is none to be followed", "let the store adopt a key first"
            )
        if given is not None:
            wanted = await asyncio.to_thread(read_given, self.role, given)
            if self._pending is not None and self._pending.vkey != wanted.vkey:
                raise unavailable(
                    self.role,
                    f"{self._pending.vkey} is to follow already",
                    "finish that first",
                    found=self._pending.vkey,
                )
            if refusal := refusal_to_follow(self.role, present, wanted, taken):
                raise refusal
            self._pending = wanted
        self._pending = self._pending or new_signer(self.role, self.random, present)
        return LocalKey(self._pending)
