"""Signed notes: a text and the signatures of those who vouch for it (C2SP signed-note)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from governance_flow.transparency.encoding import (
    control_character,
    from_base64,
    line_of,
    to_base64,
)
from governance_flow.transparency.errors import (
    BadSignature,
    ConflictingKeys,
    MalformedNote,
    NoTrustedSignature,
    shown,
)
from governance_flow.transparency.keys import KEY_ID_BYTES, Signer, Verifier, is_key_name

SIGNATURES_MAX: Final = 100
"""Verifiers should set a limit and must accept 16; Go's sumdb/note accepts a hundred."""

NOTE_BYTES_MAX: Final = 16 * 1024 * 1024

_DASH = "\N{EM DASH} "
_LINE_FORM = "write it as: em dash, space, key name, space, base64, newline"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """A signature line: whose it says it is, and the signature without the key id."""

    name: str
    key_id: int
    signature: bytes

    @property
    def line(self) -> str:
        """The line, newline included (C2SP signed-note, "Signatures")."""
        data = self.key_id.to_bytes(KEY_ID_BYTES, "big") + self.signature
        return f"{_DASH}{self.name} {to_base64(data)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A well-formed note, nothing of it verified: use ``open_note`` before you read the text."""

    text: str
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, data: bytes | str) -> Note:
        """Return the parts of a note; ``str`` of them is the same text again, byte for byte.

        Raises MalformedNote for anything the specification's "Format" section does not allow.
        """
        note = decoded(data)
        # The last empty line, because the text may contain empty lines itself.
        split = note.rfind("\n\n")
        if split < 0:
            raise MalformedNote("no empty line", "put one between the text and the signatures")
        text, block = note[: split + 1], note[split + 2 :]
        first = line_of(note, split) + 2
        if not block:
            raise MalformedNote("no signature below the empty line", "sign the text", first)
        if not block.endswith("\n"):
            raise MalformedNote(
                "the last line does not end", "end it with a newline", line_of(note, len(note))
            )
        lines = block[:-1].split("\n")
        if len(lines) > SIGNATURES_MAX:
            raise MalformedNote(
                f"{len(lines)} signatures", f"leave out some: {SIGNATURES_MAX} are the limit", first
            )
        return cls(text, tuple(_signature(line, at) for at, line in enumerate(lines, first)))

    def __str__(self) -> str:
        return "".join([self.text, "\n", *(signature.line for signature in self.signatures)])


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A note that at least one known key signed.

    ``signatures`` are verified, one for each key, in the note's order; ``unknown`` are of keys
    that were not given and say nothing.
    """

    text: str
    signatures: tuple[NoteSignature, ...]
    unknown: tuple[NoteSignature, ...]


def open_note(note: Note | bytes | str, verifiers: Iterable[Verifier]) -> OpenedNote:
    """Verify a note (C2SP signed-note, "Signatures").

    Every signature of a known key is verified, also a second one of the same key, and a single
    one that fails refuses the note. Signatures of other keys are passed over.

    Raises MalformedNote, BadSignature, NoTrustedSignature, and ConflictingKeys if two different
    verifiers have one name and key id.
    """
    known = _by_name_and_id(verifiers)
    if not isinstance(note, Note):
        note = Note.parse(note)
    message = note.text.encode()
    # A key counts once however often it signed; dictionaries keep the order.
    verified: dict[tuple[str, int], NoteSignature] = {}
    unknown: dict[NoteSignature, None] = {}
    for signature in note.signatures:
        key = (signature.name, signature.key_id)
        verifier = known.get(key)
        if verifier is None:
            unknown[signature] = None
        elif verifier.verify(message, signature.signature):
            verified.setdefault(key, signature)
        else:
            raise BadSignature(
                f"the signature of {_shown_key(*key)} does not fit the text",
                "the text or the signature was changed: get the note from its source again",
            )
    if not verified:
        signed_by = ", ".join(_shown_key(s.name, s.key_id) for s in unknown)
        raise NoTrustedSignature(
            f"signed by {signed_by}, of which no key is known here",
            "ignore the text, or give the key of a signer that you trust",
        )
    return OpenedNote(note.text, tuple(verified.values()), tuple(unknown))


def sign_note(text: str, signers: Iterable[Signer]) -> str:
    """Return the note over ``text``, signed by each signer in order.

    Raises MalformedNote if the text cannot be a note's, or if what a signer returns cannot be a
    signature line. Whatever a signer raises comes through.
    """
    decoded(text)
    if not text.endswith("\n"):
        raise MalformedNote(
            "the text does not end", "end it with a newline", line_of(text, len(text))
        )
    message = text.encode()
    signatures = tuple(
        NoteSignature(signer.name, signer.key_id, signer.sign(message)) for signer in signers
    )
    if len({(signature.name, signature.key_id) for signature in signatures}) < len(signatures):
        raise ConflictingKeys("one key is to sign twice", "name each signer once")
    note = str(Note(text, signatures))
    # A signer may be anybody's code: what it made must be a note that others can read.
    if Note.parse(note).signatures != signatures:
        raise MalformedNote("a signer's name looks like a signature line", "rename the key")
    return note


def decoded(data: bytes | str) -> str:
    """Return the text, refused unless it is UTF-8 without control characters but newlines."""
    try:
        text = data.decode() if isinstance(data, bytes) else data
        size_bytes = len(data if isinstance(data, bytes) else data.encode())
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise MalformedNote(
            f"the byte 0x{error.object[error.start]:02x} is not UTF-8", "encode it as UTF-8", line
        ) from None
    except UnicodeEncodeError as error:
        raise MalformedNote(
            "half a surrogate pair, which has no UTF-8",
            "leave it out",
            line_of(error.object, error.start),
        ) from None
    if size_bytes > NOTE_BYTES_MAX:
        raise MalformedNote(f"{size_bytes} bytes", f"shorten it: {NOTE_BYTES_MAX} are the limit")
    if (at := control_character(text)) is not None:
        raise MalformedNote(
            f"the control character U+{ord(text[at]):04X}",
            "leave it out: of the control characters only newlines are allowed",
            line_of(text, at),
        )
    return text


def by_key(verifiers: Iterable[Verifier]) -> set[tuple[str, int]]:
    """Return the name and key id of each verifier: what a signature says of its key."""
    return {(verifier.name, verifier.key_id) for verifier in verifiers}


def _signature(line: str, number: int) -> NoteSignature:
    if not line.startswith(_DASH):
        raise MalformedNote(f"{shown(line)} is no signature line", _LINE_FORM, number)
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not is_key_name(name):
        raise MalformedNote(
            f"{shown(name)} cannot be a key's name", "names have no spaces and plus signs", number
        )
    data = from_base64(encoded)
    if data is None:
        raise MalformedNote(f"{shown(encoded)} is not base64", _LINE_FORM, number)
    if len(data) <= KEY_ID_BYTES:
        raise MalformedNote(
            f"a signature of {len(data)} bytes",
            "it begins with the 4 bytes of the key id, and has more",
            number,
        )
    key_id = int.from_bytes(data[:KEY_ID_BYTES], "big")
    return NoteSignature(name, key_id, data[KEY_ID_BYTES:])


def _by_name_and_id(verifiers: Iterable[Verifier]) -> dict[tuple[str, int], Verifier]:
    known: dict[tuple[str, int], Verifier] = {}
    for verifier in verifiers:
        key = (verifier.name, verifier.key_id)
        if known.setdefault(key, verifier) != verifier:
            raise ConflictingKeys(
                f"two different keys are called {_shown_key(*key)}",
                "find out which is right, and leave the other out",
            )
    return known


def _shown_key(name: str, key_id: int) -> str:
    return f"{shown(name)[1:-1]}+{key_id:08x}"
