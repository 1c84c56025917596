"""Every error of this package, under one root.

    TransparencyError
    ├── MalformedKey          a verifier key or private key is not written as the format says
    ├── ConflictingKeys       two different keys under one name and key id
    ├── MalformedNote         C2SP signed-note
    ├── BadSignature          a signature of a key that is known does not verify
    ├── NoTrustedSignature    nobody whose key is known signed the note
    ├── MalformedCheckpoint   C2SP tlog-checkpoint
    ├── WrongOrigin           a valid checkpoint, but of another log
    ├── MalformedProof        C2SP tlog-proof
    ├── InvalidProof          a Merkle proof that proves nothing
    │   ├── OutsideTree       what is to be proven lies beyond the tree
    │   ├── WrongProofLength  too short or too long for the index and sizes
    │   └── RootMismatch      the right shape, but it leads to another root
    └── CorruptTree           tiles, edges or hashes that no tree has

No error ever quotes a private key.
"""

from __future__ import annotations

from typing import ClassVar

_SHOWN_CHARACTERS_MAX = 60


class TransparencyError(Exception):
    """Names what is wrong and what to do: ``problem``, ``remedy`` and, in a text, the ``line``.

    Lines count from 1 in the text that was given; ``line`` is None where there is no text.
    """

    thing: ClassVar[str] = "transparency log"

    def __init__(self, problem: str, remedy: str, line: int | None = None) -> None:
        super().__init__(problem, remedy, line)
        self.problem = problem
        self.remedy = remedy
        self.line = line

    def __str__(self) -> str:
        place = self.thing if self.line is None else f"{self.thing}, line {self.line}"
        return f"{place}: {self.problem}; {self.remedy}"


class MalformedKey(TransparencyError):
    """The key is not written as the format says, or is of a kind that is not supported."""

    thing = "key"


class ConflictingKeys(TransparencyError):
    """Two keys share name and key id, so a signature cannot be told to be of the one or the other.

    Chance does not do this: whoever configured the keys made a mistake or was deceived.
    """

    thing = "keys"


class MalformedNote(TransparencyError):
    """The text is no signed note (C2SP signed-note, "Format")."""

    thing = "signed note"


class BadSignature(TransparencyError):
    """A known key's signature does not verify: the text was changed, or the signature was."""

    thing = "signed note"


class NoTrustedSignature(TransparencyError):
    """A well-formed note without a signature of a key that counts; its text must be ignored."""

    thing = "signed note"


class MalformedCheckpoint(TransparencyError):
    """The text is no checkpoint (C2SP tlog-checkpoint, "Note text")."""

    thing = "checkpoint"


class WrongOrigin(TransparencyError):
    """The checkpoint is of another log than the one that was asked about."""

    thing = "checkpoint"


class MalformedProof(TransparencyError):
    """The text is no proof (C2SP tlog-proof, "Format")."""

    thing = "tlog-proof"


class InvalidProof(TransparencyError):
    """The proof does not prove what it should."""

    thing = "Merkle proof"


class OutsideTree(InvalidProof):
    """The index is not in the tree, or the older tree is larger than the newer one."""


class WrongProofLength(InvalidProof):
    """The proof has another number of hashes than the index and sizes ask for."""


class RootMismatch(InvalidProof):
    """The hashes lead to another root: something was changed, dropped, added or reordered."""


class CorruptTree(TransparencyError):
    """Tiles, an edge or hashes that no tree has: of a wrong size, or too few."""

    thing = "stored tree"


def shown(text: str) -> str:
    """Return text that nobody vouches for as a message may show it: escaped, and cut short."""
    if len(text) > _SHOWN_CHARACTERS_MAX:
        return f"{text[:_SHOWN_CHARACTERS_MAX]!a}..."
    return ascii(text)
