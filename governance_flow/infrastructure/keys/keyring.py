"""The private keys of one store, from wherever each of them comes, loaded once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from governance_flow.application.ports.keys import Keyring, SigningKey
from governance_flow.domain.keys import KeyRole
from governance_flow.infrastructure.keys.directory import KeyDirectory
from governance_flow.infrastructure.keys.given import given_source
from governance_flow.infrastructure.keys.local import RandomBytes
from governance_flow.infrastructure.keys.memory import MemoryKeys
from governance_flow.infrastructure.keys.places import key_directory
from governance_flow.infrastructure.keys.sources import KeySource


def build_keyring(
    address: str, environ: Mapping[str, str], *, random: RandomBytes = os.urandom
) -> Keyring:
    """Return the keys of the store at ``address``, as the environment says. Touches no file yet.

    ``random`` is what new keys are made of.

    Raises InvalidInput for an address that is none.
    """
    directory = key_directory(address, environ)

    def kept(role: KeyRole) -> KeySource:
        if directory is None:
            return MemoryKeys(role, random)
        return KeyDirectory(role, directory, random)

    return CachingKeyring({role: given_source(role, environ) or kept(role) for role in KeyRole})


class CachingKeyring:
    """Keeps each role's key once it was loaded, for as long as the store goes by it."""

    def __init__(self, sources: Mapping[KeyRole, KeySource]) -> None:
        self._sources = sources
        self._loaded: dict[KeyRole, tuple[str, SigningKey]] = {}
        self._loading = {role: asyncio.Lock() for role in sources}

    async def key(self, role: KeyRole, adopted: str | None) -> SigningKey:
        """Return the key to sign with in a role. Raises KeyUnavailable."""
        if key := self._cached(role, adopted):
            return key
        async with self._loading[role]:
            if key := self._cached(role, adopted):
                return key
            key = await self._sources[role].key(adopted)
            self._loaded[role] = (key.verifier.vkey, key)
            return key

    async def successor(
        self, role: KeyRole, given: str | None = None, taken: Collection[str] = ()
    ) -> SigningKey:
        """Return the key that is to follow the present one. Raises KeyUnavailable."""
        return await self._sources[role].successor(None if given is None else Path(given), taken)

    def _cached(self, role: KeyRole, adopted: str | None) -> SigningKey | None:
        vkey, key = self._loaded.get(role, (None, None))
        return key if adopted in (None, vkey) else None
