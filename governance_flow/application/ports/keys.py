"""The port to the private keys: the Knight's, for statements, and the log's, for checkpoints."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from governance_flow.domain.keys import KeyRole
from governance_flow.transparency.keys import Ed25519Verifier


class SigningKey(Protocol):
    """A private key, wherever it is: in memory, or behind a command that only signs."""

    @property
    def verifier(self) -> Ed25519Verifier:
        """The public half."""
        ...

    async def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of ``message``; raises KeyUnavailable if it cannot."""
        ...


class Keyring(Protocol):
    """The private keys of one store. Nothing it raises or logs quotes a private key."""

    async def key(self, role: KeyRole, adopted: str | None) -> SigningKey:
        """Return the key to sign with in a role.

        ``adopted`` is the verifier key that the store has on record for the role; then no other
        will do. If there is None yet, a key that was not given is created and kept.

        Raises KeyUnavailable, with what to do, if the key is not here, is another one, cannot be
        read, or is open to others.
        """
        ...

    async def successor(
        self, role: KeyRole, given: str | None = None, taken: Collection[str] = ()
    ) -> SigningKey:
        """Return the key that is to follow the present one, kept beside it until it is adopted.

        ``given`` is a file with a private key, not one of ``taken``, the verifier keys of other
        roles; without it one is created. Called again before it was adopted, it returns the same.
        Raises KeyUnavailable as ``key``, and for a role whose present key comes from the
        environment or a command: it is replaced where it comes from.
        """
        ...


class LastSigned(Protocol):
    """Remembers the last checkpoint that was signed, where the store's rows cannot be reached."""

    @property
    def where(self) -> str:
        """Where it is kept, for a person."""
        ...

    async def read(self) -> str | None:
        """Return the last note, None if none was signed; raises KeyUnavailable."""
        ...

    async def write(self, note: str) -> None:
        """Keep a note, unless that of a larger tree is kept; raises KeyUnavailable if it cannot."""
        ...


__all__ = ["KeyRole", "Keyring", "LastSigned", "SigningKey"]
