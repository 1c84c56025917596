"""Signed notes: Go's published note, and each rule of C2SP signed-note kept or broken."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance_flow.transparency.errors import (
    BadSignature,
    ConflictingKeys,
    MalformedNote,
    NoTrustedSignature,
)
from governance_flow.transparency.keys import Ed25519Signer, Ed25519Verifier, Verifier
from governance_flow.transparency.notes import (
    NOTE_BYTES_MAX,
    SIGNATURES_MAX,
    Note,
    NoteSignature,
    open_note,
    sign_note,
)

# Published with Go's sumdb/note.
PETER = Ed25519Verifier.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
ENOCH = Ed25519Verifier.parse("EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop")
PETER_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6"
    "KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WW"
    "d1RvMc+QQ=\n"
)
HEAD = f"{TEXT}\n"
NOTE = HEAD + PETER_LINE + ENOCH_LINE


def named(*names: str) -> list[Ed25519Signer]:
    return [Ed25519Signer(name, sha256(name.encode()).digest()) for name in names]


def verifiers(signers: list[Ed25519Signer]) -> list[Verifier]:
    return [signer.verifier for signer in signers]


def opened_names(note: str, *known: Verifier) -> list[str]:
    return [signature.name for signature in open_note(note, known).signatures]


def test_the_example_of_the_specification_verifies() -> None:
    """C2SP signed-note, "Example"."""
    key = Ed25519Verifier.parse(
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    )
    note = (
        "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2"
        "ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    )
    assert open_note(note, [key]).text == "This is an example message.\n"


def test_go_note_is_signed_byte_for_byte() -> None:
    assert sign_note(TEXT, [Ed25519Signer.parse(PETER_PRIVATE)]) == HEAD + PETER_LINE


def test_go_note_opens_for_each_who_knows_a_signer() -> None:
    for known, signed, unknown in (
        ([PETER], ["PeterNeumann"], ["EnochRoot"]),
        ([ENOCH], ["EnochRoot"], ["PeterNeumann"]),
        ([ENOCH, PETER], ["PeterNeumann", "EnochRoot"], []),
    ):
        opened = open_note(NOTE.encode(), known)
        assert opened.text == TEXT
        assert [signature.name for signature in opened.signatures] == signed
        assert [signature.name for signature in opened.unknown] == unknown


def test_the_parts_are_the_whole() -> None:
    note = Note.parse(NOTE)
    assert str(note) == NOTE
    assert note.signatures[0].key_id == 0xC74F20A3
    assert len(note.signatures[0].signature) == 64


def test_a_note_of_strangers_is_refused_by_name() -> None:
    # "If no signature from a known key verifies successfully, clients MUST reject the note."
    with pytest.raises(NoTrustedSignature, match=r"PeterNeumann\+c74f20a3, EnochRoot\+af0cfe78"):
        open_note(NOTE, [])
    with pytest.raises(NoTrustedSignature):
        open_note(NOTE, verifiers(named("PeterNeumann")))


def test_a_key_is_known_by_name_and_id_not_by_one_of_them() -> None:
    # "Verifiers MUST ignore signatures from unknown keys, even if they share a name or ID (but
    # not both) with a known key."
    same_name = Ed25519Signer("PeterNeumann", bytes(32))
    (own, foreign) = (Note.parse(sign_note(TEXT, [same_name])).signatures[0], PETER_LINE)
    assert opened_names(HEAD + own.line + foreign, PETER) == ["PeterNeumann"]
    same_id = NoteSignature("SomebodyElse", PETER.key_id, bytes(64))
    opened = open_note(HEAD + same_id.line + PETER_LINE, [PETER])
    assert [signature.name for signature in opened.unknown] == ["SomebodyElse"]


def mangled(line: str) -> str:
    """Return a signature line with a bit of the signature the other way."""
    signature = Note.parse(HEAD + line).signatures[0]
    changed = bytes([signature.signature[0] ^ 1]) + signature.signature[1:]
    return NoteSignature(signature.name, signature.key_id, changed).line


def test_a_mangled_signature_of_a_known_key_refuses_the_note() -> None:
    # "If the key name and ID match a known key, verifiers MUST verify the signature. If a
    # signature from a known key fails to verify, clients SHOULD reject the whole note."
    for note in (HEAD + mangled(PETER_LINE), HEAD + ENOCH_LINE + mangled(PETER_LINE)):
        with pytest.raises(BadSignature, match=r"PeterNeumann\+c74f20a3 does not fit"):
            open_note(note, [PETER, ENOCH])


def test_a_mangled_signature_of_an_unknown_key_is_passed_over() -> None:
    assert opened_names(HEAD + PETER_LINE + mangled(ENOCH_LINE), PETER) == ["PeterNeumann"]


@pytest.mark.parametrize("new", ["riddle", "answer ", "answer\n", "answer\u200b", "Answer", ""])
def test_a_changed_text_refuses_the_note(new: str) -> None:
    changed = TEXT.replace("answer", new)
    with pytest.raises(BadSignature):
        open_note(f"{changed}\n{PETER_LINE}", [PETER])


def test_a_signature_that_is_too_short_for_its_key_refuses_the_note() -> None:
    with pytest.raises(BadSignature):
        open_note(HEAD + NoteSignature("PeterNeumann", PETER.key_id, b"x").line, [PETER])


def test_a_key_that_signed_twice_counts_once() -> None:
    # The specification says nothing of duplicates; whoever counts signatures must not be misled.
    opened = open_note(HEAD + PETER_LINE * 2 + ENOCH_LINE * 2 + mangled(ENOCH_LINE), [PETER])
    assert [signature.line for signature in opened.signatures] == [PETER_LINE]
    assert [signature.line for signature in opened.unknown] == [ENOCH_LINE, mangled(ENOCH_LINE)]


def test_the_second_signature_of_a_key_is_verified_too() -> None:
    # "If the key name and ID match a known key, verifiers MUST verify the signature": each.
    with pytest.raises(BadSignature):
        open_note(HEAD + PETER_LINE + mangled(PETER_LINE), [PETER])


def test_two_keys_under_one_name_and_id_are_refused() -> None:
    class Impostor:
        name = PETER.name
        key_id = PETER.key_id

        def verify(self, message: bytes, signature: bytes) -> bool:
            return True

    with pytest.raises(ConflictingKeys, match=r"PeterNeumann\+c74f20a3"):
        open_note(NOTE, [PETER, Impostor()])
    # The same key given twice is no conflict.
    assert opened_names(NOTE, PETER, Ed25519Verifier.parse(PETER.vkey)) == ["PeterNeumann"]


@pytest.mark.parametrize("count", [1, 2, 16, SIGNATURES_MAX])
def test_up_to_a_hundred_signatures_are_accepted(count: int) -> None:
    # "Verifiers SHOULD apply a maximum limit to the number of signatures in a note [...], but
    # MUST accept at least up to 16 signatures."
    signers = named(*(f"signer-{n}" for n in range(count)))
    note = sign_note("Many agree.\n", signers)
    assert len(open_note(note, verifiers(signers)).signatures) == count


def test_more_signatures_are_refused() -> None:
    with pytest.raises(MalformedNote, match="101 signatures; leave out some: 100 are the limit"):
        Note.parse(HEAD + PETER_LINE * (SIGNATURES_MAX + 1))
    with pytest.raises(MalformedNote, match="101 signatures"):
        sign_note(TEXT, named(*(f"signer-{n}" for n in range(SIGNATURES_MAX + 1))))


def test_a_note_beyond_the_limit_is_refused() -> None:
    with pytest.raises(MalformedNote, match="16777216 are the limit"):
        Note.parse("ö" * (NOTE_BYTES_MAX // 2) + NOTE)


# Each is a note but for the one thing its id names; the comment is the rule of "Format".
MALFORMED = [
    # "text ending in newline (U+000A), followed by a blank line [...], followed by one or more
    # signature lines"
    pytest.param("", "no empty line", None, id="nothing"),
    pytest.param(TEXT, "no empty line", None, id="text alone"),
    pytest.param(HEAD, "no signature below", 4, id="no signature"),
    pytest.param(TEXT + PETER_LINE, "no empty line", None, id="no blank line"),
    pytest.param("\n" + PETER_LINE, "no empty line", None, id="no text"),
    pytest.param(HEAD + PETER_LINE[:-1], "does not end", 4, id="no last newline"),
    pytest.param(NOTE + "\n", "no signature below", 7, id="blank line at the end"),
    pytest.param(NOTE + "Goodbye.\n", "no signature line", 6, id="line below"),
    pytest.param(HEAD + "Hello.\n" + PETER_LINE, "no signature line", 4, id="line above"),
    pytest.param(f"{TEXT}\n{PETER_LINE}\n", "no signature below", 6, id="two blank lines"),
    # Notes "MUST NOT contain any ASCII control characters [...] other than newline".
    pytest.param(NOTE.replace("\n", "\r\n"), "U+000D", 1, id="CR LF everywhere"),
    pytest.param(NOTE[:-1] + "\r\n", "U+000D", 5, id="CR LF at the end"),
    pytest.param("\t" + NOTE, "U+0009", 1, id="tab"),
    pytest.param(NOTE.replace("then", "then\x00"), "U+0000", 2, id="null"),
    pytest.param(NOTE.replace("then", "then\x1b[2J"), "U+001B", 2, id="escape"),
    pytest.param(NOTE.replace("then", "then\x1f"), "U+001F", 2, id="unit separator"),
    # They "MUST be valid UTF-8".
    pytest.param(NOTE.encode().replace(b"then", b"\xff"), "0xff is not UTF-8", 2, id="0xff"),
    pytest.param(b"\xed\xa0\x80" + NOTE.encode(), "0xed is not", 1, id="surrogate in UTF-8"),
    pytest.param(b"\xc0\x80" + NOTE.encode(), "0xc0 is not", 1, id="overlong null"),
    pytest.param(NOTE.encode("utf-16"), "0xff is not", 1, id="UTF-16"),
    pytest.param(NOTE.encode("latin-1", "replace"), "no signature line", 4, id="Latin 1"),
    pytest.param("x\ud800\n" + NOTE, "surrogate", 1, id="half a surrogate pair"),
    # A signature line is an em dash, a space, the key name, a space, base64, a newline.
    pytest.param(HEAD + PETER_LINE.replace("—", "-"), "signature line", 4, id="hyphen"),
    pytest.param(HEAD + PETER_LINE.replace("—", "\u2013"), "signature line", 4, id="en dash"),
    pytest.param(HEAD + PETER_LINE.replace("— ", "—\u00a0"), "signature line", 4, id="nbsp"),
    pytest.param(HEAD + PETER_LINE.replace("— ", "—  "), "key's name", 4, id="two spaces"),
    pytest.param(HEAD + " " + PETER_LINE, "signature line", 4, id="space in front"),
    pytest.param(HEAD + PETER_LINE[:-1] + " \n", "not base64", 4, id="space behind"),
    pytest.param(HEAD + PETER_LINE.replace("n x", "n  x"), "base64", 4, id="space in between"),
    pytest.param(HEAD + "— PeterNeumann\n", "bytes", 4, id="no signature in the line"),
    # "Key names MUST be non-empty and MUST NOT contain any Unicode spaces or plus"
    pytest.param(HEAD + PETER_LINE.replace("rN", "r+N"), "key's name", 4, id="plus in name"),
    pytest.param(HEAD + PETER_LINE.replace("rN", "r\u2003N"), "key's name", 4, id="em space"),
    pytest.param(HEAD + PETER_LINE.replace("rN", "r\u2028N"), "key's name", 4, id="U+2028"),
    pytest.param(HEAD + PETER_LINE.replace("rN", "r\x85N"), "key's name", 4, id="U+0085"),
    # "the base64 encoding of 4+n bytes"; RFC 4648, section 4
    pytest.param(HEAD + PETER_LINE.replace("=", ""), "not base64", 4, id="no padding"),
    pytest.param(HEAD + PETER_LINE.replace("/", "_"), "not base64", 4, id="URL alphabet"),
    pytest.param(HEAD + PETER_LINE.replace("x08", "x!8"), "not base64", 4, id="no base64"),
    pytest.param(HEAD + PETER_LINE.replace("AM=", "AN="), "not base64", 4, id="unused bits set"),
    pytest.param(HEAD + PETER_LINE.replace("AM=", "AM=="), "not base64", 4, id="padding twice"),
    pytest.param(HEAD + "— PeterNeumann x08gow==\n", "of 4 bytes", 4, id="key id alone"),
    pytest.param(HEAD + "— PeterNeumann x08g\n", "of 3 bytes", 4, id="part of a key id"),
    # A line like that spoils the note even if somebody known signed it too.
    pytest.param(NOTE + "— x AAA=A\n", "not base64", 6, id="one line of many"),
]


@pytest.mark.parametrize(("note", "says", "line"), MALFORMED)
def test_a_malformed_note_is_refused_with_its_line(
    note: str | bytes, says: str, line: int | None
) -> None:
    with pytest.raises(MalformedNote) as caught:
        open_note(note, [PETER, ENOCH])
    assert says in str(caught.value)
    assert caught.value.line == line
    assert line is None or f"line {line}: " in str(caught.value)


# What looks wrong and is allowed: the text is separated by the *last* empty line, and only
# characters below U+0020 are control characters to the specification.
@pytest.mark.parametrize(
    "text",
    [
        "\n",
        "\n\n\n",
        "one\n\ntwo\n",
        "one\n\n— two AAAAAAAA\n",
        f"{NOTE}",
        "\ufeffa byte order mark\n",
        "\x7f \x80 \x85 \u2028 \u2029 \u00a0\n",
        "  spaces at both ends  \n",
        "größer ☃ 𝄞 \U0010ffff\n",
    ],
)
def test_any_text_comes_back_as_it_was_signed(text: str) -> None:
    signers = named("signer")
    note = sign_note(text, signers)
    assert open_note(note, verifiers(signers)).text == text
    assert open_note(note.encode(), verifiers(signers)).text == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "does not end"),
        ("no newline", "does not end"),
        ("a\rb\n", "U+000D"),
        ("a\ud800\n", "surrogate"),
    ],
)
def test_a_text_that_no_note_can_have_is_not_signed(text: str, says: str) -> None:
    with pytest.raises(MalformedNote) as caught:
        sign_note(text, named("signer"))
    assert says in str(caught.value)


class Careless:
    """A signer as somebody else may write one."""

    def __init__(self, name: str, signature: bytes = b"signature") -> None:
        self.name = name
        self.key_id = 1
        self._signature = signature

    def sign(self, message: bytes) -> bytes:
        return self._signature


@pytest.mark.parametrize(
    "signer",
    [
        Careless("a name"),
        Careless(""),
        Careless("line\nbreak"),
        Careless("null\x00"),
        Careless("victim AAAAAAAA\n— attacker"),
        Careless("empty", b""),
    ],
)
def test_what_a_careless_signer_makes_is_not_handed_out(signer: Careless) -> None:
    with pytest.raises(MalformedNote):
        sign_note(TEXT, [signer])


def test_a_note_needs_a_signer_and_each_once() -> None:
    with pytest.raises(MalformedNote, match="no signature"):
        sign_note(TEXT, [])
    with pytest.raises(ConflictingKeys, match="twice"):
        sign_note(TEXT, named("signer", "signer"))


@given(st.text(st.characters(codec="utf-8", min_codepoint=32) | st.just("\n")))
def test_signed_texts_open_and_any_other_text_does_not(text: str) -> None:
    signers = named("one", "two")
    note = sign_note(f"{text}\n", signers)
    assert str(Note.parse(note)) == note
    assert open_note(note, verifiers(signers)).text == f"{text}\n"
    with pytest.raises(BadSignature):
        open_note(f"x{note}", verifiers(signers))


@given(st.binary(max_size=200), st.integers(0, len(NOTE.encode()) - 1))
def test_garbage_is_refused_and_never_read_as_something_else(junk: bytes, at: int) -> None:
    note = NOTE.encode()
    changed = note[:at] + junk + note[at + len(junk) :]
    try:
        opened = open_note(changed, [PETER, ENOCH])
    except (MalformedNote, BadSignature, NoTrustedSignature):
        return
    # Only lines of unknown keys may differ: the text is the one that was signed.
    assert opened.text == TEXT


def test_a_signature_line_holds_the_key_id_highest_byte_first() -> None:
    encoded = base64.b64encode(b"\0\0\1\2xy").decode()
    assert NoteSignature("n", 258, b"xy").line == f"— n {encoded}\n"
