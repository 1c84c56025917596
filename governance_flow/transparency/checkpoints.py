"""Checkpoints: a log's promise of its size and root at one moment (C2SP tlog-checkpoint)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from governance_flow.transparency.encoding import (
    UINT64_MAX,
    control_character,
    from_base64,
    from_decimal,
    to_base64,
)
from governance_flow.transparency.errors import (
    MalformedCheckpoint,
    NoTrustedSignature,
    WrongOrigin,
    shown,
)
from governance_flow.transparency.keys import Signer, Verifier
from governance_flow.transparency.merkle import HASH_BYTES
from governance_flow.transparency.notes import (
    Note,
    NoteSignature,
    OpenedNote,
    by_key,
    open_note,
    sign_note,
)

_FIXED_LINES: Final = 3
_FORM = "a checkpoint is: origin, size, root hash, each on a line of its own"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: the log's origin, the number of leaves, and the root hash at that size.

    ``extensions`` are further lines without meaning to us; the specification advises against
    them.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could not be written, or would be read as something else."""
        lines = (self.origin, *self.extensions)
        if not all(lines):
            raise MalformedCheckpoint("an empty origin or extension line", "fill it or drop it")
        if any("\n" in line or control_character(line) is not None for line in lines):
            raise MalformedCheckpoint("a control character or newline in a line", "leave it out")
        if not 0 <= self.size <= UINT64_MAX:
            raise MalformedCheckpoint(f"the size {self.size}", "give one from 0 to 2^64 - 1")
        if len(self.root) != HASH_BYTES:
            raise MalformedCheckpoint(
                f"a root hash of {len(self.root)} bytes", f"SHA-256 has {HASH_BYTES}"
            )

    @property
    def text(self) -> str:
        """The note text that is signed."""
        fixed = (self.origin, str(self.size), to_base64(self.root))
        return "".join(f"{line}\n" for line in (*fixed, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Return what the text of a note says; it is to be believed only if the note verifies.

        Raises MalformedCheckpoint for anything that the specification's "Note text" forbids.
        """
        if not text.endswith("\n"):
            raise MalformedCheckpoint("the last line does not end", "end it with a newline")
        lines = text[:-1].split("\n")
        if "" in lines:
            raise MalformedCheckpoint("an empty line", "leave it out", lines.index("") + 1)
        if len(lines) < _FIXED_LINES:
            raise MalformedCheckpoint("it ends too soon", _FORM, len(lines) + 1)
        origin, size_text, root_text, *extensions = lines
        size = from_decimal(size_text)
        if size is None:
            raise MalformedCheckpoint(
                f"{shown(size_text)} is no size",
                "write it in decimal digits, without a leading zero, below 2^64",
                2,
            )
        root = from_base64(root_text)
        if root is None or len(root) != HASH_BYTES:
            raise MalformedCheckpoint(
                f"{shown(root_text)} is no root hash", f"write {HASH_BYTES} bytes in base64", 3
            )
        return cls(origin, size, root, tuple(extensions))


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint:
    """A checkpoint that the log signed, and the verified and unknown signatures of its note."""

    checkpoint: Checkpoint
    note: OpenedNote

    def signatures_of(self, verifiers: Iterable[Verifier]) -> tuple[NoteSignature, ...]:
        """Return the verified signatures of these keys: of witnesses, for instance."""
        return _of_keys(self.note, verifiers)


def sign_checkpoint(checkpoint: Checkpoint, signers: Iterable[Signer]) -> str:
    """Return the signed note; the log's key name should be the origin ("Signatures").

    Never sign one that is inconsistent with an earlier one: that is for the caller to check.
    """
    return sign_note(checkpoint.text, signers)


def open_checkpoint(
    note: Note | bytes | str,
    *,
    origin: str,
    log_keys: Collection[Verifier],
    witnesses: Collection[Verifier] = (),
) -> OpenedCheckpoint:
    """Verify a checkpoint of the log with this origin (C2SP tlog-proof, "Verifying", step 2).

    One of ``log_keys`` must have signed it, witnesses alone do not suffice; every signature of a
    known key must verify. How many witnesses are enough is for the caller to say.

    Raises what ``open_note`` raises, MalformedCheckpoint, and WrongOrigin.
    """
    opened = open_note(note, [*log_keys, *witnesses])
    if not _of_keys(opened, log_keys):
        raise NoTrustedSignature(
            "witnesses signed it, the log itself did not",
            "get the checkpoint with the log's signature, or give the log's key",
        )
    checkpoint = Checkpoint.parse(opened.text)
    if checkpoint.origin != origin:
        raise WrongOrigin(
            f"it is of the log {shown(checkpoint.origin)}, not of {shown(origin)}",
            "get the checkpoint of the log you ask about",
            1,
        )
    return OpenedCheckpoint(checkpoint, opened)


def _of_keys(note: OpenedNote, verifiers: Iterable[Verifier]) -> tuple[NoteSignature, ...]:
    keys = by_key(verifiers)
    return tuple(s for s in note.signatures if (s.name, s.key_id) in keys)
