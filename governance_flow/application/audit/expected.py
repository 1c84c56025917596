"""What an auditor holds that nobody with access to the store can have changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.domain.errors import InvalidInput
from governance_flow.domain.keys import KeyRole
from governance_flow.transparency.checkpoints import Checkpoint, open_checkpoint
from governance_flow.transparency.errors import NoTrustedSignature, TransparencyError
from governance_flow.transparency.keys import Ed25519Verifier
from governance_flow.transparency.notes import Note

if TYPE_CHECKING:
    from governance_flow.application.audit.key_history import KeyHistory


@dataclass(frozen=True, slots=True)
class Expected:
    """Public keys, and checkpoints (what to call each, and the note) that were kept elsewhere.

    ``knight_key`` is any key the Knight has had; ``log_key`` is the log's only one.
    """

    log_key: Ed25519Verifier | None = None
    knight_key: Ed25519Verifier | None = None
    checkpoints: Sequence[tuple[str, str]] = ()

    def differing(self, keys: KeyHistory) -> Iterator[Fault]:
        """Yield a fault for each thing expected that the keys of the store contradict.

        That is another key, or a checkpoint that the store's key for the log has not signed.
        Raises InvalidInput for a checkpoint that is none.
        """
        if self.log_key is not None and keys.log_key != self.log_key:
            yield _other("log", self.log_key, [keys.log_key] if keys.log_key else [])
        knights = [a.key for a in keys.adoptions if a.role is KeyRole.KNIGHT]
        if self.knight_key is not None and self.knight_key not in knights:
            yield _other("Knight", self.knight_key, knights)
        if self.log_key is None:
            for name, note in self.checkpoints:
                if _opened(name, note, keys.log_key) is None:
                    yield _by_another(name, keys.log_key)

    def takes(self, note: str) -> bool:
        """Return whether a note can be a checkpoint of the log, as far as its key is expected."""
        if self.log_key is None:
            return True
        try:
            open_checkpoint(note, origin=self.log_key.name, log_keys=[self.log_key])
        except TransparencyError:
            return False
        return True

    def opened(self, log_key: Ed25519Verifier | None) -> list[tuple[str, Checkpoint]]:
        """Return the checkpoints that the log's key has signed.

        Raises InvalidInput for one that is none, or that an expected key has not signed.
        """
        found = [(name, _opened(name, note, log_key)) for name, note in self.checkpoints]
        for name, checkpoint in found:
            if checkpoint is None and self.log_key is not None:
                raise InvalidInput(f"{name}: not signed by the log's key that was given with it")
        return [(name, checkpoint) for name, checkpoint in found if checkpoint is not None]


NOTHING = Expected()
"""An auditor who holds nothing must trust whoever runs the store not to have rewritten it all."""


def _opened(name: str, note: str, log_key: Ed25519Verifier | None) -> Checkpoint | None:
    """Return what a checkpoint says; None if this key has not signed it."""
    try:
        Checkpoint.parse(Note.parse(note).text)
        if log_key is None:
            return None
        return open_checkpoint(note, origin=log_key.name, log_keys=[log_key]).checkpoint
    except NoTrustedSignature:
        return None
    except TransparencyError as error:
        raise InvalidInput(f"{name}: not a checkpoint of this log: {error}") from error


def _by_another(name: str, log_key: Ed25519Verifier | None) -> Fault:
    adopted = f"the log's key in the store, {log_key.vkey}," if log_key else "no log's key"
    has = "has not signed it" if log_key else "stands in the store"
    return Fault(
        Check.KEYS,
        f"{name}: {adopted} {has}: it is a checkpoint of another log, or the store's key was "
        "replaced; --log-key says which key to believe",
    )


def _other(whose: str, expected: Ed25519Verifier, found: Sequence[Ed25519Verifier]) -> Fault:
    stands = ", ".join(key.vkey for key in found) or "none"
    message = f"the {whose}'s key should be {expected.vkey}; the store has adopted: {stands}"
    return Fault(Check.KEYS, message)
