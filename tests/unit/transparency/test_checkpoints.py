"""Checkpoints: each rule of C2SP tlog-checkpoint kept or broken, and whose signature counts."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance_flow.transparency.checkpoints import (
    Checkpoint,
    open_checkpoint,
    sign_checkpoint,
)
from governance_flow.transparency.errors import (
    BadSignature,
    MalformedCheckpoint,
    NoTrustedSignature,
    WrongOrigin,
)
from governance_flow.transparency.keys import Ed25519Signer
from governance_flow.transparency.notes import sign_note

ORIGIN = "example.com/behind-the-sofa"
# The text of the specification's example.
EXAMPLE = f"{ORIGIN}\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ROOT = base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
LOG = Ed25519Signer(ORIGIN, sha256(b"log").digest())
WITNESS = Ed25519Signer("witness.example", sha256(b"witness").digest())

lines = st.text(st.characters(codec="utf-8", min_codepoint=32), min_size=1)


def test_the_example_is_read_and_written_back() -> None:
    checkpoint = Checkpoint.parse(EXAMPLE)
    assert checkpoint == Checkpoint(ORIGIN, 20852163, ROOT)
    assert checkpoint.text == EXAMPLE


def test_a_signed_checkpoint_opens() -> None:
    note = sign_checkpoint(Checkpoint(ORIGIN, 20852163, ROOT), [LOG])
    assert note.startswith(f"{EXAMPLE}\n— {ORIGIN} ")
    opened = open_checkpoint(note, origin=ORIGIN, log_keys=[LOG.verifier])
    assert opened.checkpoint == Checkpoint(ORIGIN, 20852163, ROOT)


# Each is allowed; the comment names the rule of "Note text".
@pytest.mark.parametrize(
    ("text", "checkpoint"),
    [
        # 2: "no leading zeroes (unless the tree is empty, in which case the tree size is `0`)"
        (EXAMPLE.replace("20852163", "0"), Checkpoint(ORIGIN, 0, ROOT)),
        # 2: no limit is given; RFC 6962 counts with 64 bits
        (EXAMPLE.replace("20852163", str(2**64 - 1)), Checkpoint(ORIGIN, 2**64 - 1, ROOT)),
        # 4: "Any following lines are extension lines, opaque and OPTIONAL"
        (f"{EXAMPLE}one\n 2 \n", Checkpoint(ORIGIN, 20852163, ROOT, ("one", " 2 "))),
        # 1: that the origin has no spaces and plus signs "is only a recommendation"
        (EXAMPLE.replace(ORIGIN, "my log + yours"), Checkpoint("my log + yours", 20852163, ROOT)),
        # lines are separated by U+000A and by nothing else
        (EXAMPLE.replace(ORIGIN, "a\u2028b\x85c"), Checkpoint("a\u2028b\x85c", 20852163, ROOT)),
    ],
)
def test_what_the_specification_allows(text: str, checkpoint: Checkpoint) -> None:
    assert Checkpoint.parse(text) == checkpoint
    assert checkpoint.text == text


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        # "at least three non-empty lines, separated by newlines"
        pytest.param("", "does not end", None, id="nothing"),
        pytest.param("\n", "empty line", 1, id="a blank line"),
        pytest.param(f"{ORIGIN}\n", "ends too soon", 2, id="origin alone"),
        pytest.param(f"{ORIGIN}\n1\n", "ends too soon", 3, id="no root"),
        pytest.param(EXAMPLE[:-1], "does not end", None, id="no last newline"),
        pytest.param(EXAMPLE.replace("\n2", "\n\n2"), "empty line", 2, id="gap"),
        # 1: "The origin MUST be non-empty"
        pytest.param(EXAMPLE.removeprefix(ORIGIN), "empty line", 1, id="no origin"),
        # 2: "the ASCII decimal representation [...] with no leading zeroes"
        *(
            pytest.param(EXAMPLE.replace("20852163", size), "is no size", 2, id=f"size {size!r}")
            for size in (
                *("00", "007", "020852163", "-1", "+1", "1.0", "1e3", "0x10", "1_000", "1,000"),
                *(" 1", "1 ", "one", "²", "\u0661", "\uff11", str(2**64), "1" * 5000),
            )
        ),
        # 3: "the base64 encoding of the root"; SHA-256 has 32 bytes
        *(
            pytest.param(f"{ORIGIN}\n1\n{root}\n", "is no root hash", 3, id=f"root {root[-9:]!r}")
            for root in (
                *(ROOT.hex(), "AAAA", base64.b64encode(ROOT + b"x").decode()),
                *("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I", "*"),
                # unused bits that are set: RFC 4648, section 3.5
                "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=",
                "CsUYapGGPo4dkMgIAUqom_Xajj7h2fB2MPA3j2jxq2I=",
            )
        ),
        # 4: "Extension lines, if any, MUST be non-empty."
        pytest.param(f"{EXAMPLE}\n", "empty line", 4, id="empty extension"),
        pytest.param(f"{EXAMPLE}one\n\ntwo\n", "empty line", 5, id="empty extension between"),
    ],
)
def test_what_the_specification_forbids(text: str, says: str, line: int | None) -> None:
    with pytest.raises(MalformedCheckpoint) as caught:
        Checkpoint.parse(text)
    assert says in str(caught.value)
    assert caught.value.line == line


@pytest.mark.parametrize("text", ["hello\n", EXAMPLE.replace("\n2", "\n02")])
def test_a_signature_does_not_make_a_checkpoint_of_it(text: str) -> None:
    with pytest.raises(MalformedCheckpoint):
        open_checkpoint(sign_note(text, [LOG]), origin=ORIGIN, log_keys=[LOG.verifier])


@pytest.mark.parametrize(
    ("origin", "size", "root", "extensions"),
    [
        ("", 1, ROOT, ()),
        ("a\nb", 1, ROOT, ()),
        ("a\rb", 1, ROOT, ()),
        (ORIGIN, -1, ROOT, ()),
        (ORIGIN, 2**64, ROOT, ()),
        (ORIGIN, 1, ROOT[:-1], ()),
        (ORIGIN, 1, ROOT, ("",)),
        (ORIGIN, 1, ROOT, ("a\nb",)),
    ],
)
def test_what_could_not_be_read_back_is_not_made(
    origin: str, size: int, root: bytes, extensions: tuple[str, ...]
) -> None:
    with pytest.raises(MalformedCheckpoint):
        Checkpoint(origin, size, root, extensions)


def test_the_log_itself_must_have_signed() -> None:
    # tlog-proof, "Verifying", step 2: "signed by a log public key configured for that origin".
    checkpoint = Checkpoint(ORIGIN, 1, ROOT)
    known = {"log_keys": [LOG.verifier], "witnesses": [WITNESS.verifier]}
    with pytest.raises(NoTrustedSignature, match="the log itself did not"):
        open_checkpoint(sign_checkpoint(checkpoint, [WITNESS]), origin=ORIGIN, **known)
    opened = open_checkpoint(sign_checkpoint(checkpoint, [WITNESS, LOG]), origin=ORIGIN, **known)
    (witnessed,) = opened.signatures_of([WITNESS.verifier])
    assert witnessed.name == "witness.example"


def test_an_old_key_is_enough_while_keys_are_exchanged() -> None:
    # "clients MUST ignore unknown signatures. This enables, for example, log key rotation".
    new = Ed25519Signer(ORIGIN, sha256(b"new").digest())
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, ROOT), [new, LOG])
    for key in (LOG, new):
        opened = open_checkpoint(note, origin=ORIGIN, log_keys=[key.verifier])
        assert [s.key_id for s in opened.note.signatures] == [key.key_id]
        assert len(opened.note.unknown) == 1


def test_the_checkpoint_of_another_log_is_refused() -> None:
    note = sign_checkpoint(Checkpoint("example.com/other", 1, ROOT), [LOG])
    with pytest.raises(WrongOrigin, match=r"log 'example\.com/other', not of 'example\.com/be"):
        open_checkpoint(note, origin=ORIGIN, log_keys=[LOG.verifier])


def test_a_changed_checkpoint_is_refused() -> None:
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, ROOT), [LOG])
    with pytest.raises(BadSignature):
        open_checkpoint(note.replace("\n1\n", "\n2\n"), origin=ORIGIN, log_keys=[LOG.verifier])


@given(lines, st.integers(0, 2**64 - 1), st.binary(min_size=32, max_size=32), st.lists(lines))
def test_every_checkpoint_comes_back_whole(
    origin: str, size: int, root: bytes, extensions: list[str]
) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert Checkpoint.parse(checkpoint.text) == checkpoint
    note = sign_checkpoint(checkpoint, [LOG])
    assert open_checkpoint(note, origin=origin, log_keys=[LOG.verifier]).checkpoint == checkpoint
