"""What the keyring asks of a place that the key of one role comes from."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from governance_flow.application.ports.keys import SigningKey


class KeySource(Protocol):
    """One role's key, wherever it is kept. Both raise KeyUnavailable, as the Keyring does."""

    async def key(self, adopted: str | None, /) -> SigningKey:
        """Return the key: the ``adopted`` one, or without one what there is, or a new one."""
        ...

    async def successor(self, given: Path | None, taken: Collection[str], /) -> SigningKey:
        """Return the key that is to follow: the pending one, else a copy of ``given``, or new.

        One of ``taken``, the verifier keys of other roles, is refused before it is kept.
        """
        ...
