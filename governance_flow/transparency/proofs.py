"""A proof in one file that something is in a log (C2SP tlog-proof, version 1)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from governance_flow.transparency.checkpoints import OpenedCheckpoint, open_checkpoint
from governance_flow.transparency.encoding import (
    UINT64_MAX,
    from_base64,
    from_decimal,
    line_of,
    to_base64,
)
from governance_flow.transparency.errors import MalformedNote, MalformedProof, shown
from governance_flow.transparency.keys import Verifier
from governance_flow.transparency.merkle import HASH_BYTES, verify_inclusion
from governance_flow.transparency.notes import Note, decoded

HEADER: Final = "c2sp.org/tlog-proof@v1"
HASHES_MAX: Final = 64
"""A path in a tree of 2^64 leaves has no more steps."""

_EXTRA = "extra "
_INDEX = "index "


@dataclass(frozen=True, slots=True)
class LogProof:
    """An entry's index, its inclusion proof, and a checkpoint; nothing of it verified yet.

    ``extra`` is for the application, is never authenticated, and b"" if there is none.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: Note
    extra: bytes = b""

    def __post_init__(self) -> None:
        """Refuse what could not be written."""
        if not 0 <= self.index <= UINT64_MAX:
            raise MalformedProof(f"the index {self.index}", "give one from 0 to 2^64 - 1")
        if len(self.hashes) > HASHES_MAX or any(len(h) != HASH_BYTES for h in self.hashes):
            raise MalformedProof(
                "hashes that are too many or not of 32 bytes",
                f"a proof has up to {HASHES_MAX} SHA-256 hashes",
            )

    @classmethod
    def parse(cls, data: bytes | str) -> LogProof:
        """Return the parts of a proof; ``str`` of them is the same text again, byte for byte.

        Raises MalformedProof for anything the specification's "Format" section does not allow,
        and MalformedNote (its lines count from the checkpoint's first) if the checkpoint is none.
        """
        try:
            text = decoded(data)
        except MalformedNote as error:
            raise MalformedProof(error.problem, error.remedy, error.line) from None
        head, gap, checkpoint = text.partition("\n\n")
        if not gap:
            raise MalformedProof(
                "no empty line", "put one before the checkpoint", line_of(text, len(text))
            )
        first, *lines = head.split("\n")
        if first != HEADER:
            raise MalformedProof(f"{shown(first)} is not {HEADER}", "give a proof of version 1", 1)
        extra = b""
        if lines and lines[0].startswith(_EXTRA):
            extra = _extra(lines.pop(0))
        at = 2 + bool(extra)
        index = _index(lines[0] if lines else "", at)
        hashes = tuple(_hash(line, number) for number, line in enumerate(lines[1:], at + 1))
        if len(hashes) > HASHES_MAX:
            raise MalformedProof(
                f"{len(hashes)} hashes", f"no tree needs more than {HASHES_MAX}", at + 1
            )
        return cls(index, hashes, Note.parse(checkpoint), extra)

    def __str__(self) -> str:
        lines = [HEADER]
        if self.extra:
            lines.append(_EXTRA + to_base64(self.extra))
        lines.append(f"{_INDEX}{self.index}")
        lines += map(to_base64, self.hashes)
        return "\n".join([*lines, "", str(self.checkpoint)])

    def verify(
        self,
        leaf: bytes,
        *,
        origin: str,
        log_keys: Collection[Verifier],
        witnesses: Collection[Verifier] = (),
    ) -> OpenedCheckpoint:
        """Check that the leaf with hash ``leaf`` is in the log (C2SP tlog-proof, "Verifying").

        Steps 2 to 4: the checkpoint first, then the path from the leaf to its root. Which leaf it
        must be, and how many witnesses are enough, the caller says; ``index`` is then verified
        too. Raises what ``open_checkpoint`` raises, and InvalidProof.
        """
        opened = open_checkpoint(
            self.checkpoint, origin=origin, log_keys=log_keys, witnesses=witnesses
        )
        head = opened.checkpoint
        verify_inclusion(leaf, self.index, head.size, self.hashes, head.root)
        return opened


def _extra(line: str) -> bytes:
    extra = from_base64(line.removeprefix(_EXTRA))
    if not extra:
        raise MalformedProof(
            f"{shown(line)} holds no base64", "leave the line out if there is no extra data", 2
        )
    return extra


def _index(line: str, number: int) -> int:
    index = from_decimal(line.removeprefix(_INDEX)) if line.startswith(_INDEX) else None
    if index is None:
        raise MalformedProof(
            f"{shown(line)} is no index",
            "write index, a space, and decimal digits without a leading zero",
            number,
        )
    return index


def _hash(line: str, number: int) -> bytes:
    value = from_base64(line)
    if value is None or len(value) != HASH_BYTES:
        raise MalformedProof(
            f"{shown(line)} is no hash", f"write {HASH_BYTES} bytes in base64", number
        )
    return value
