"""Proof files: each rule of C2SP tlog-proof kept or broken, and each step of verifying."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance_flow.transparency.checkpoints import Checkpoint, sign_checkpoint
from governance_flow.transparency.errors import (
    BadSignature,
    MalformedNote,
    MalformedProof,
    NoTrustedSignature,
    OutsideTree,
    RootMismatch,
    TransparencyError,
    WrongOrigin,
    WrongProofLength,
)
from governance_flow.transparency.keys import Ed25519Signer
from governance_flow.transparency.merkle import inclusion_proof, leaf_hash, node_hash
from governance_flow.transparency.notes import Note
from governance_flow.transparency.proofs import LogProof

ORIGIN = "example.com/fancylog"
LOG = Ed25519Signer(ORIGIN, sha256(b"log").digest())
WITNESS = Ed25519Signer("witness.example", sha256(b"witness").digest())
LEAVES = [leaf_hash(bytes([n])) for n in range(8)]


def hash_at(level: int, nth: int) -> bytes:
    if level == 0:
        return LEAVES[nth]
    return node_hash(hash_at(level - 1, 2 * nth), hash_at(level - 1, 2 * nth + 1))


CHECKPOINT = sign_checkpoint(Checkpoint(ORIGIN, 8, hash_at(3, 0)), [LOG, WITNESS])
PROOF = LogProof(5, tuple(inclusion_proof(5, 8, hash_at)), Note.parse(CHECKPOINT))
TEXT = str(PROOF)


def verify(proof: LogProof, leaf: bytes = LEAVES[5], origin: str = ORIGIN) -> Checkpoint:
    return proof.verify(leaf, origin=origin, log_keys=[LOG.verifier]).checkpoint


def test_the_text_is_as_the_specification_lays_it_out() -> None:
    head, _, checkpoint = TEXT.partition("\n\n")
    lines = head.split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 5"]
    assert [len(line) for line in lines[2:]] == [44, 44, 44]
    assert checkpoint == CHECKPOINT
    assert LogProof.parse(TEXT) == LogProof.parse(TEXT.encode()) == PROOF


def test_extra_data_goes_between_header_and_index() -> None:
    proof = LogProof(5, PROOF.hashes, PROOF.checkpoint, b"age-v1.2.1")
    head = "c2sp.org/tlog-proof@v1\nextra YWdlLXYxLjIuMQ==\nindex 5\n"
    assert str(proof) == TEXT.replace("c2sp.org/tlog-proof@v1\nindex 5\n", head)
    assert LogProof.parse(str(proof)) == proof
    assert verify(proof).size == 8


def test_a_tree_of_one_leaf_needs_no_hash() -> None:
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, LEAVES[0]), [LOG])
    text = f"c2sp.org/tlog-proof@v1\nindex 0\n\n{note}"
    assert verify(LogProof.parse(text), LEAVES[0]).size == 1


def test_the_checkpoint_is_kept_verbatim_extension_lines_and_all() -> None:
    checkpoint = Checkpoint(ORIGIN, 8, hash_at(3, 0), ("extension",))
    note = sign_checkpoint(checkpoint, [WITNESS, LOG])
    proof = LogProof.parse(TEXT.replace(CHECKPOINT, note))
    assert str(proof).endswith(f"\n\n{note}")
    assert verify(proof) == checkpoint


HASH = TEXT.split("\n")[2]


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        # "The first line MUST be the string `c2sp.org/tlog-proof@v1`."
        pytest.param("", "no empty line", 1, id="nothing"),
        pytest.param(TEXT.replace("@v1", "@v2"), "is not c2sp.org", 1, id="version 2"),
        pytest.param(f" {TEXT}", "is not c2sp.org", 1, id="space in front"),
        pytest.param(f"\n{TEXT}", "is not c2sp.org", 1, id="blank line in front"),
        # Base64 "extra", once, second, and left out if empty
        pytest.param(TEXT.replace("index", "extra \nindex"), "no base64", 2, id="empty extra"),
        pytest.param(TEXT.replace("index", "extra !\nindex"), "no base64", 2, id="mangled extra"),
        pytest.param(TEXT.replace("index", "extra\nindex"), "no index", 2, id="extra alone"),
        pytest.param(
            TEXT.replace("index", "extra eA==\nextra eA==\nindex"), "no index", 3, id="extra twice"
        ),
        pytest.param(
            TEXT.replace("index 5", "index 5\nextra eA=="), "no hash", 3, id="extra too late"
        ),
        # "The next line MUST start with the string `index` followed by a space [...] ASCII decimal
        # with no leading zeroes (unless the index is `0`)"
        *(
            pytest.param(TEXT.replace("index 5", index), "is no index", 2, id=repr(index))
            for index in (
                *("index", "index ", "index 05", "index 00", "index -5", "index +5", "index  5"),
                *("index 5 ", "Index 5", "index: 5", "index 0x5", "index \u0665", f"index {2**64}"),
            )
        ),
        pytest.param(TEXT.replace("index 5\n", ""), "is no index", 2, id="no index"),
        pytest.param(
            TEXT.replace("c2sp.org/tlog-proof@v1\nindex 5", "c2sp.org/tlog-proof@v1\n"),
            "is no index",
            2,
            id="no index, blank line",
        ),
        # "one SHA-256 hash per line", base64
        pytest.param(TEXT.replace(HASH, HASH[:-1]), "is no hash", 3, id="no padding"),
        pytest.param(TEXT.replace(HASH, "AAAA"), "is no hash", 3, id="hash of 3 bytes"),
        pytest.param(TEXT.replace(HASH, HASH + HASH), "is no hash", 3, id="two in a line"),
        pytest.param(TEXT.replace(HASH, HASH + " "), "is no hash", 3, id="space behind"),
        pytest.param(
            TEXT.replace(HASH, "\n".join([HASH] * 70)), "72 hashes", 3, id="more than any tree has"
        ),
        # "After the inclusion proof lines and an empty line, the checkpoint"
        pytest.param(TEXT.partition("\n\n")[0], "no empty line", 5, id="no checkpoint"),
        # the checkpoint's rules hold in the whole file
        pytest.param(TEXT.replace("\n", "\r\n"), "U+000D", 1, id="CR LF"),
        pytest.param(TEXT.encode() + b"\xff", "0xff is not UTF-8", 13, id="not UTF-8"),
    ],
)
def test_a_malformed_proof_is_refused_with_its_line(
    text: str | bytes, says: str, line: int
) -> None:
    with pytest.raises(MalformedProof) as caught:
        LogProof.parse(text)
    assert says in str(caught.value)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(TEXT.replace("\n\n", "\n\n\n", 1), id="two empty lines"),
        pytest.param(TEXT.replace("\n\n", "\n").replace("index 5", "index 5\n"), id="no signature"),
        pytest.param(f"{TEXT}\n", id="blank line behind"),
        pytest.param(TEXT[:-1], id="cut"),
    ],
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(TransparencyError):
        verify(LogProof.parse(text))


def changed(*, index: int = 5, hashes: tuple[bytes, ...] = PROOF.hashes) -> LogProof:
    return LogProof(index, hashes, PROOF.checkpoint)


def test_every_wrong_index_is_refused() -> None:
    for index in {*range(8)} - {5}:
        with pytest.raises(RootMismatch):
            verify(changed(index=index))
    with pytest.raises(OutsideTree):
        verify(changed(index=8))


def test_proofs_too_short_or_too_long_are_refused() -> None:
    for hashes in ((), PROOF.hashes[1:], PROOF.hashes[:-1], (*PROOF.hashes, bytes(32))):
        with pytest.raises(WrongProofLength):
            verify(changed(hashes=hashes))


def test_a_flipped_bit_is_refused_wherever_it_is() -> None:
    for place, value in enumerate(PROOF.hashes):
        for at in range(0, 256, 37):
            flipped = (int.from_bytes(value, "big") ^ 1 << at).to_bytes(32, "big")
            hashes = (*PROOF.hashes[:place], flipped, *PROOF.hashes[place + 1 :])
            with pytest.raises(RootMismatch):
                verify(changed(hashes=hashes))


def test_another_leaf_is_refused() -> None:
    with pytest.raises(RootMismatch):
        verify(PROOF, LEAVES[4])


def test_the_checkpoint_is_verified_before_the_path() -> None:
    text = TEXT.replace(f"{ORIGIN}\n8\n", f"{ORIGIN}\n9\n")
    with pytest.raises(BadSignature):
        verify(LogProof.parse(text))
    with pytest.raises(WrongOrigin):
        verify(PROOF, origin="example.com/other")
    with pytest.raises(NoTrustedSignature):
        PROOF.verify(LEAVES[5], origin=ORIGIN, log_keys=[])
    with pytest.raises(NoTrustedSignature):
        PROOF.verify(LEAVES[5], origin=ORIGIN, log_keys=[], witnesses=[WITNESS.verifier])


def test_witnesses_are_verified_with_the_log() -> None:
    opened = PROOF.verify(
        LEAVES[5], origin=ORIGIN, log_keys=[LOG.verifier], witnesses=[WITNESS.verifier]
    )
    assert len(opened.signatures_of([WITNESS.verifier])) == 1


@pytest.mark.parametrize(
    ("index", "hashes"), [(-1, ()), (2**64, ()), (0, (b"short",)), (0, (bytes(32),) * 65)]
)
def test_what_could_not_be_read_back_is_not_made(index: int, hashes: tuple[bytes, ...]) -> None:
    with pytest.raises(MalformedProof):
        LogProof(index, hashes, PROOF.checkpoint)


@given(
    st.integers(0, 2**64 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=64),
    st.binary(),
)
def test_every_proof_comes_back_whole(index: int, hashes: list[bytes], extra: bytes) -> None:
    proof = LogProof(index, tuple(hashes), PROOF.checkpoint, extra)
    assert LogProof.parse(str(proof)) == proof


@given(st.integers(0, len(TEXT.encode()) - 1), st.binary(min_size=1, max_size=4))
def test_a_damaged_file_proves_nothing_else(at: int, junk: bytes) -> None:
    data = TEXT.encode()
    damaged = data[:at] + junk + data[at + len(junk) :]
    try:
        proof = LogProof.parse(damaged)
        checkpoint = verify(proof)
    except (MalformedProof, MalformedNote, TransparencyError):
        return
    # Only the signature line of the witness, who is unknown here, may have been hit.
    assert (proof.index, proof.hashes, checkpoint) == (5, PROOF.hashes, verify(PROOF))
