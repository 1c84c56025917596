"""Keyrings that do as a test tells them, in front of real ones."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from governance_flow.application.ports.keys import Keyring, SigningKey
from governance_flow.domain.errors import KeyUnavailable
from governance_flow.domain.keys import KeyRole
from governance_flow.infrastructure.keys.keyring import build_keyring
from governance_flow.transparency.keys import Ed25519Verifier

KNIGHT, LOG = KeyRole.KNIGHT, KeyRole.LOG

Hook = Callable[[], Awaitable[None]]


def memory_keyring(name: str = "keys") -> Keyring:
    """Return keys in memory, the same for the same name."""
    drawn = 0

    def random(count: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return sha256(f"{name} {drawn}".encode()).digest()[:count]

    return build_keyring("memory:", {}, random=random)


def folder_keyring(folder: Path, **environ: str) -> Keyring:
    """Return the keys in a folder, as a process of its own would have them."""
    return build_keyring("sqlite:///flow.db", {"GOVERNANCE_FLOW_KEYS": str(folder), **environ})


@dataclass
class ToldKeyring:
    """Finds no key of the roles in ``lost``; does what it is told before, and after, it signs."""

    inner: Keyring = field(default_factory=memory_keyring)
    lost: set[KeyRole] = field(default_factory=set)
    asked: list[KeyRole] = field(default_factory=list)
    before_key: deque[Hook] = field(default_factory=deque)
    after_signing: deque[Hook] = field(default_factory=deque)

    async def key(self, role: KeyRole, adopted: str | None) -> SigningKey:
        """Return the key, unless it is lost."""
        self.asked.append(role)
        if self.before_key:
            await self.before_key.popleft()()
        if role in self.lost:
            raise KeyUnavailable(f"the {role}'s key is at the bottom of the sea; dive for it")
        return _ToldKey(self, await self.inner.key(role, adopted))

    async def successor(
        self, role: KeyRole, given: str | None = None, taken: Collection[str] = ()
    ) -> SigningKey:
        """Return the key that is to follow."""
        return await self.inner.successor(role, given, taken)


@dataclass
class _ToldKey:
    keyring: ToldKeyring
    inner: SigningKey

    @property
    def verifier(self) -> Ed25519Verifier:
        return self.inner.verifier

    async def sign(self, message: bytes) -> bytes:
        signature = await self.inner.sign(message)
        if self.keyring.after_signing:
            await self.keyring.after_signing.popleft()()
        return signature


def meeting(count: int) -> Hook:
    """Return a place where so many wait for each other, and then all go on."""
    barrier = asyncio.Barrier(count)

    async def wait() -> None:
        await barrier.wait()

    return wait
