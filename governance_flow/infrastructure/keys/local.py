"""Private keys in memory: how they sign, how they are read from text, how new ones are named."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from governance_flow.domain.errors import KeyUnavailable
from governance_flow.domain.keys import KeyRole
from governance_flow.infrastructure.keys.refusals import unavailable
from governance_flow.transparency.errors import MalformedKey
from governance_flow.transparency.keys import KEY_BYTES, Ed25519Signer, Ed25519Verifier

RandomBytes = Callable[[int], bytes]
"""Returns that many bytes nobody can guess, as ``os.urandom`` does."""

TEXT_CHARACTERS_MAX: Final = 1000
"""A longer text is no private key: all but its name take less than a hundred characters."""

_NAME_BYTES: Final = 4


class LocalKey:
    """Signs in this process, without ever handing control to the event loop."""

    __slots__ = ("_signer", "verifier")

    def __init__(self, signer: Ed25519Signer) -> None:
        self._signer = signer
        self.verifier: Ed25519Verifier = signer.verifier

    async def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of ``message``."""
        return self._signer.sign(message)

    def __repr__(self) -> str:
        return f"LocalKey({self.verifier.vkey})"


def parsed(text: str) -> Ed25519Signer | str:
    """Return the private key, or what is wrong with its text, without quoting it.

    It returns rather than raises, so that no traceback leads to the text.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        return f"is longer than {TEXT_CHARACTERS_MAX} characters, so it is no private key"
    if not text.strip():
        return "is empty"
    try:
        return Ed25519Signer.parse(text.strip())
    except MalformedKey as error:
        return f"is no private key that can be used: {error.problem}"


def new_signer(
    role: KeyRole, random: RandomBytes, after: Ed25519Signer | None = None
) -> Ed25519Signer:
    """Make a key; ``after`` is the one it is to follow.

    A log's key is named as the log is, which stays the same log: only the first gets a new name.
    """
    if role is KeyRole.LOG and after is not None:
        name = after.name
    else:
        name = f"governance-flow.local/{role}/{random(_NAME_BYTES).hex()}"
    return Ed25519Signer(name, random(KEY_BYTES))


def refusal_to_follow(
    role: KeyRole, present: Ed25519Signer, given: Ed25519Signer, taken: Collection[str]
) -> KeyUnavailable | None:
    """Return the error if ``given`` cannot take over from the present key.

    ``taken`` are the verifier keys of other roles: whoever has one could forge what both say.
    """
    if any(Ed25519Verifier.parse(vkey).public_key == given.verifier.public_key for vkey in taken):
        return unavailable(role, f"{given.vkey} is the key of another role", "give one of its own")
    if given.verifier.public_key == present.verifier.public_key:
        return unavailable(role, f"{given.vkey} is the present key", "give another one")
    if role is KeyRole.LOG and given.name != present.name:
        return unavailable(
            role,
            f"{given.vkey} bears another name than the log, which is {present.name}",
            f"give a key of the name {present.name}: checkpoints under another are of another log",
        )
    return None
