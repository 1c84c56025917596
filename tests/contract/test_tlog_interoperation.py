"""Both ways with somebody else's transparency log, tlog-scales: theirs opens here, ours there.

What tlog-scales 0.0.3 covers: signed notes as checkpoints only (its reader expects exactly three
lines of text, so neither other notes nor extension lines), verifier keys but no private keys,
tiles written and read, inclusion and consistency proofs made and verified, and proof files
written by its command line but not read.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from tlog_scales import cli as their_cli
from tlog_scales import tiles as their_tiles
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import MLDSA44CosignatureSigner, PlainEd25519Signer, Vkey, VkeySet
from tlog_scales.tlog import Checkpoint as TheirCheckpoint
from tlog_scales.tlog import (
    ConsistencyProof,
    ConsistencyProofInvalid,
    InclusionProof,
    InclusionProofInvalid,
)
from tlog_scales.writer import TilesWriter

from governance_flow.transparency.checkpoints import (
    Checkpoint,
    open_checkpoint,
    sign_checkpoint,
)
from governance_flow.transparency.errors import BadSignature, InvalidProof
from governance_flow.transparency.keys import Ed25519Signer, Ed25519Verifier
from governance_flow.transparency.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from governance_flow.transparency.notes import Note
from governance_flow.transparency.proofs import LogProof
from governance_flow.transparency.tiles import TileEdge, TileId, TileNodes, partial_tiles

ORIGIN = "log.example/2026"
SEED = sha256(b"a key for tests").digest()
LEAVES = [f"leaf {n}".encode() for n in range(600)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]
EDGE, CHANGED = TileEdge().extended(HASHES)
TILES = {TileId(level, nth): data for level, nth, data in CHANGED}
NODES = TileNodes(TILES.__getitem__)
ROOTS = {size: TileEdge().extended(HASHES[:size])[0].root for size in range(601)}
INDEXES = [0, 1, 254, 255, 256, 257, 511, 512, 513, 598, 599]
SIZES = [1, 2, 3, 255, 256, 257, 511, 512, 513, 599, 600]


@pytest.fixture(scope="module")
def their_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a log that tlog-scales wrote, in batches of its own."""
    root = tmp_path_factory.mktemp("theirs") / "log"
    writer = TilesWriter.create(root, ORIGIN)
    for start, end in ((0, 3), (3, 256), (256, 257), (257, 600)):
        for leaf in LEAVES[start:end]:
            writer.add_leaf(leaf)
        writer.commit([PlainEd25519Signer(ORIGIN, SEED)])
    return root


@pytest.fixture(scope="module")
def our_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a log of ours laid out as tlog-tiles serves it."""
    root = tmp_path_factory.mktemp("ours")
    widths = dict(partial_tiles(len(LEAVES)))
    for tile, data in TILES.items():
        path = root.joinpath(*their_tiles.tile_path(*tile, widths.get(tile, 0)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    checkpoint = Checkpoint(ORIGIN, EDGE.size, EDGE.root)
    (root / "checkpoint").write_text(sign_checkpoint(checkpoint, [Ed25519Signer(ORIGIN, SEED)]))
    return root


def their_reader(log: Path) -> TilesReader:
    reader = TilesReader(LocalBackend(log))
    reader.get_checkpoint()
    return reader


def test_verifier_keys_are_the_same_text() -> None:
    ours, theirs = Ed25519Signer(ORIGIN, SEED), PlainEd25519Signer(ORIGIN, SEED).vkey
    assert Ed25519Verifier.parse(serialized(theirs)) == ours.verifier
    assert serialized(Vkey.from_string(ours.vkey)) == serialized(theirs) == ours.vkey


def test_checkpoints_are_the_same_bytes() -> None:
    """Ed25519 is deterministic: the same key, text and format leave no room."""
    theirs = TheirCheckpoint.make_signed(ORIGIN, 600, EDGE.root, [PlainEd25519Signer(ORIGIN, SEED)])
    ours = sign_checkpoint(Checkpoint(ORIGIN, 600, EDGE.root), [Ed25519Signer(ORIGIN, SEED)])
    assert theirs.serialize() == ours


def test_our_checkpoint_verifies_there_and_a_changed_one_does_not() -> None:
    ours = Ed25519Signer(ORIGIN, SEED)
    witness = Ed25519Signer("witness.example", sha256(b"witness").digest())
    note = sign_checkpoint(Checkpoint(ORIGIN, 600, EDGE.root), [ours, witness])
    theirs = TheirCheckpoint.from_text(note)
    assert (theirs.origin, theirs.size, theirs.root_hash) == (ORIGIN, 600, EDGE.root)
    keys = VkeySet(*(Vkey.from_string(signer.vkey) for signer in (ours, witness)))
    assert len(keys.verify(theirs.signatures, theirs)) == 2
    changed = TheirCheckpoint.from_text(note.replace("\n600\n", "\n601\n"))
    assert not keys.verify(changed.signatures, changed)


def test_their_checkpoint_opens_here_and_a_changed_one_does_not(their_log: Path) -> None:
    note = (their_log / "checkpoint").read_bytes()
    keys = [Ed25519Verifier.parse(serialized(PlainEd25519Signer(ORIGIN, SEED).vkey))]
    opened = open_checkpoint(note, origin=ORIGIN, log_keys=keys)
    assert opened.checkpoint == Checkpoint(ORIGIN, 600, EDGE.root)
    with pytest.raises(BadSignature):
        open_checkpoint(note.replace(b"\n600\n", b"\n601\n"), origin=ORIGIN, log_keys=keys)


def test_their_cosignature_of_a_kind_unknown_here_does_no_harm() -> None:
    """An ML-DSA-44 cosignature has 2,424 bytes and a key that is none of ours."""
    theirs = MLDSA44CosignatureSigner("witness.example", MLDSA44PrivateKey.from_seed_bytes(SEED))
    log = Ed25519Signer(ORIGIN, SEED)
    signed = TheirCheckpoint.make_signed(
        ORIGIN, 600, EDGE.root, [theirs, PlainEd25519Signer(ORIGIN, SEED)]
    )
    note = signed.serialize()
    assert str(Note.parse(note)) == note
    opened = open_checkpoint(note, origin=ORIGIN, log_keys=[log.verifier])
    assert [signature.name for signature in opened.note.unknown] == ["witness.example"]


def test_tiles_are_the_same_bytes(their_log: Path) -> None:
    widths = dict(partial_tiles(len(LEAVES)))
    expected = {
        their_log.joinpath(*their_tiles.tile_path(*tile, widths.get(tile, 0))): data
        for tile, data in TILES.items()
    }
    assert {path: path.read_bytes() for path in expected} == expected


def test_they_read_our_tiles_and_prove_from_them(our_log: Path) -> None:
    reader = their_reader(our_log)
    assert reader.calculate_root_hash() == EDGE.root
    for size in SIZES:
        for index in (index for index in INDEXES if index < size):
            proof = reader.get_inclusion_proof(index, size).node_hashes
            assert proof == inclusion_proof(index, size, NODES.hash_at)
            verify_inclusion(HASHES[index], index, size, proof, ROOTS[size])
        for old in (old for old in SIZES if old <= size):
            proof = reader.get_consistency_proof(old, size).node_hashes
            assert proof == consistency_proof(old, size, NODES.hash_at)
            verify_consistency(old, size, proof, ROOTS[old], ROOTS[size])


def test_they_verify_our_inclusion_proofs_and_refuse_what_we_refuse() -> None:
    for size in range(1, 41):
        for index in range(size):
            proof = inclusion_proof(index, size, NODES.hash_at)
            InclusionProof(index, size, proof).check(HASHES[index], ROOTS[size])
            for tampered in (proof[1:], [*proof, bytes(32)], [bytes(32), *proof[1:]]):
                if tampered == proof:
                    continue
                with pytest.raises(InclusionProofInvalid):
                    InclusionProof(index, size, tampered).check(HASHES[index], ROOTS[size])
                with pytest.raises(InvalidProof):
                    verify_inclusion(HASHES[index], index, size, tampered, ROOTS[size])


def test_they_verify_our_consistency_proofs_and_refuse_what_we_refuse() -> None:
    for new in range(41):
        for old in range(new + 1):
            proof = consistency_proof(old, new, NODES.hash_at)
            ConsistencyProof(old, new, proof).check(ROOTS[old], ROOTS[new])
            for tampered in (proof[1:], [*proof, bytes(32)], [bytes(32), *proof[1:]]):
                if tampered == proof:
                    continue
                with pytest.raises(ConsistencyProofInvalid):
                    ConsistencyProof(old, new, tampered).check(ROOTS[old], ROOTS[new])
                with pytest.raises(InvalidProof):
                    verify_consistency(old, new, tampered, ROOTS[old], ROOTS[new])


@pytest.mark.parametrize("index", INDEXES)
def test_the_proof_files_their_command_writes_are_ours_and_verify_here(
    their_log: Path,
    index: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["tlog-tiles", "gen-proof", str(their_log), str(index)]
    monkeypatch.setattr(sys, "argv", arguments)
    their_cli.main()
    text = capsys.readouterr().out
    log = Ed25519Signer(ORIGIN, SEED)
    proof = LogProof.parse(text)
    checkpoint = proof.verify(HASHES[index], origin=ORIGIN, log_keys=[log.verifier]).checkpoint
    assert (proof.index, checkpoint.size) == (index, 600)
    hashes = inclusion_proof(index, 600, NODES.hash_at)
    note = sign_checkpoint(Checkpoint(ORIGIN, 600, EDGE.root), [log])
    assert str(LogProof(index, tuple(hashes), Note.parse(note))) == text


def serialized(vkey: Vkey) -> str:
    """Return their text of a verifier key; the method has no types."""
    return str(vkey.serialize())  # type: ignore[no-untyped-call]
