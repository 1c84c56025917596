"""The keys in force: found when something is to be signed, adopted by an event, replaced by one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from governance_flow.application.ports.event_store import HaltSwitch
from governance_flow.domain.errors import ConcurrencyConflict, KeyUnavailable, Refused
from governance_flow.domain.events import SYSTEM, KeyAdopted
from governance_flow.domain.keys import KeyRole, adoption_text
from governance_flow.transparency.keys import Ed25519Verifier
from governance_flow.transparency.notes import Note, NoteSignature

if TYPE_CHECKING:
    from collections.abc import Iterable

    from governance_flow.application.ports.keys import Keyring, SigningKey
    from governance_flow.application.services.pipelines import Pipelines
    from governance_flow.domain.events import Actor
    from governance_flow.domain.pipeline import Pipeline

TRIAL = b"governance-flow/trial/v1\n"
"""What is signed to find out whether a key can sign. It is the beginning of nothing that counts."""

ADOPTIONS_MAX = 5
"""How often another process may come first with a key of its own."""


class _Held(NamedTuple):
    vkey: str
    key: SigningKey


class Keys:
    """The private keys of this process, always those that the store has adopted.

    A store adopts the first key of each role when something is first signed. From then on only an
    event can replace it; that event makes every decision under way void, so that nothing signed
    by the old key can follow it.
    """

    def __init__(self, keyring: Keyring, pipelines: Pipelines) -> None:
        self._keyring = keyring
        self._pipelines = pipelines
        self._held: dict[KeyRole, _Held] = {}
        self._finding = {role: asyncio.Lock() for role in KeyRole}

    async def signing(self, role: KeyRole) -> SigningKey:
        """Return the key in force; raises KeyUnavailable if it is not here."""
        if key := self._in_force(role):
            return key
        # When a worker begins, hundreds of motions ask at once: one finds out for all of them.
        async with self._finding[role]:
            return self._in_force(role) or await self._find(role)

    def _in_force(self, role: KeyRole) -> SigningKey | None:
        held = self._held.get(role)
        adopted = self._pipelines.known.keys.get(role)
        return held.key if held is not None and held.vkey == adopted else None

    async def _find(self, role: KeyRole) -> SigningKey:
        for _ in range(ADOPTIONS_MAX):
            adopted = (await self._pipelines.refresh()).keys.get(role)
            key = await self._keyring.key(role, adopted)
            if adopted is not None or await self._adopt(role, key, None, SYSTEM):
                self._held[role] = _Held(key.verifier.vkey, key)
                return key
        raise ConcurrencyConflict(f"other processes keep adopting keys as {role}; try again")

    async def rotate(self, role: KeyRole, by: Actor, given: str | None = None) -> str:
        """Let another key sign from now on; return its verifier key.

        ``given`` is a file with the new private key; without it one is created. Raises Refused
        for the log's key, which is the log's identity, and KeyUnavailable.
        """
        if role is KeyRole.LOG:
            raise Refused(
                "the log's key is never replaced: auditors know the log by it; "
                "begin a new store if it was stolen"
            )
        present = await self.signing(role)
        others = [vkey for other, vkey in self._pipelines.known.keys.items() if other is not role]
        key = await self._keyring.successor(role, given, others)
        if not await self._adopt(role, key, present, by):
            raise ConcurrencyConflict(f"another process replaced the key of the {role}; look again")
        vkey = key.verifier.vkey
        # Takes its place beside the store, too.
        self._held[role] = _Held(vkey, await self._keyring.key(role, vkey))
        return vkey

    async def _adopt(
        self, role: KeyRole, key: SigningKey, present: SigningKey | None, by: Actor
    ) -> bool:
        """Record that ``key`` takes the place of ``present``; False if that has been replaced."""
        vkey = key.verifier.vkey
        self._require_own(role, key)
        previous = present.verifier.vkey if present else None
        envelope = self._pipelines.envelope(by)
        text = adoption_text(role, vkey, previous, envelope["timestamp"])
        note = await signed(text, key)
        if present is not None:
            note = await cosigned(note, present)
        event = KeyAdopted(**envelope, role=role, key=vkey, statement=note)

        def decide(pipeline: Pipeline) -> KeyAdopted | None:
            return event if pipeline.keys.get(role) == previous else None

        return await self._pipelines.record(decide, HaltSwitch.RENEW if present else None)

    def _require_own(self, role: KeyRole, key: SigningKey) -> None:
        """Refuse the key of another role: whoever has it could forge what both say."""
        for other, vkey in self._pipelines.known.keys.items():
            held = Ed25519Verifier.parse(vkey)
            if other is not role and held.public_key == key.verifier.public_key:
                raise KeyUnavailable(f"this is the key of the {other}; the {role} needs its own")

    async def check(self, roles: Iterable[KeyRole] = tuple(KeyRole)) -> None:
        """Make sure that what these roles say can be signed, before there is anything to sign.

        Raises KeyUnavailable. Adopts nothing.
        """
        pipeline = await self._pipelines.refresh()
        for role in roles:
            key = await self._keyring.key(role, pipeline.keys.get(role))
            self._require_own(role, key)
            await key.sign(TRIAL)


async def signed(text: str, key: SigningKey) -> str:
    """Return the note over ``text``, which ends its last line, signed by ``key``."""
    return f"{text}\n{await _line(text, key)}"


async def cosigned(note: str, key: SigningKey) -> str:
    """Return the note with one more signature; raises MalformedNote if it is none."""
    return note + await _line(Note.parse(note).text, key)


async def _line(text: str, key: SigningKey) -> str:
    signature = await key.sign(text.encode())
    return NoteSignature(key.verifier.name, key.verifier.key_id, signature).line


__all__ = ["KeyRole", "KeyUnavailable", "Keys", "cosigned", "signed"]
