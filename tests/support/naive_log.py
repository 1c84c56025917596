"""The audit log as its format says it is, computed a second time: slow, plain, and independent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256

import rfc8785

from governance_flow.application.ports.database import Database
from governance_flow.application.ports.event_store import CommittedEvent, EventStore
from governance_flow.transparency.checkpoints import Checkpoint, open_checkpoint
from governance_flow.transparency.keys import Ed25519Verifier
from projections.registry import Registry
from tests.properties.naive_merkle import NaiveTree
from tests.support.assembly import whole_log

Tiles = dict[tuple[int, int], bytes]

GENESIS = b'governance-flow/leaf/v1\n{"position":0}\n'
TILE = 256


def naive_leaf(stored: CommittedEvent) -> bytes:
    """Return the leaf of an event, put together by other people's canonical JSON."""
    record = {
        "committed_at_us": stored.committed_at_us,
        "position": stored.id,
        "sha256": sha256(stored.state).hexdigest(),
        "stream_id": str(stored.originator_id),
        "topic": stored.topic,
        "version": stored.originator_version,
    }
    statement = _statement(stored)
    plain = _with_header(record)
    if len(plain + statement) > 65_535:
        return _with_header({**record, "statement_sha256": sha256(statement).hexdigest()})
    return plain + statement


def _with_header(record: dict[str, object]) -> bytes:
    return b"governance-flow/leaf/v1\n" + rfc8785.dumps(record) + b"\n"  # type: ignore[arg-type]


def _statement(stored: CommittedEvent) -> bytes:
    if stored.topic != "TRANSITION_WITNESSED":
        return b""
    try:
        return str(json.loads(stored.state)["statement"]).encode()
    except ValueError:
        return b""


def naive_tiles(leaves: Sequence[bytes]) -> Tiles:
    """Return every tile of the tree over these leaves."""
    row = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
    tiles: Tiles = {}
    level = 0
    while row:
        cut = [row[at : at + TILE] for at in range(0, len(row), TILE)]
        tiles |= {(level, nth): b"".join(hashes) for nth, hashes in enumerate(cut)}
        row = [_root(hashes) for hashes in cut if len(hashes) == TILE]
        level += 1
    return tiles


def _root(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=True)
        hashes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return hashes[0]


async def leaves_of(store: EventStore) -> list[bytes]:
    """Return every leaf of a store's log, computed from its events."""
    return [GENESIS, *(naive_leaf(stored) for stored in await whole_log(store))]


async def tiles_in(database: Database) -> Tiles:
    """Return every tile that the live generation of the log has."""
    generations = await database.read(Registry(database.dialect, ["log"]).all)
    [live] = [generation.number for generation in generations if generation.live]
    asked = f"SELECT level, nth, hashes FROM log_tiles_{live}"
    rows = await database.read(lambda tx: tx.execute(asked))
    return {(level, nth): bytes(hashes) for level, nth, hashes in rows}


def require_kept(leaves: Sequence[bytes], notes: Iterable[str], key: str) -> list[int]:
    """Require every checkpoint to be signed, and to fit the leaves; return their sizes."""
    tree = NaiveTree(list(leaves))
    verifier = Ed25519Verifier.parse(key)
    sizes = []
    for note in notes:
        opened = open_checkpoint(note, origin=verifier.name, log_keys=[verifier])
        size = opened.checkpoint.size
        assert opened.checkpoint == Checkpoint(verifier.name, size, tree.root(size))
        sizes.append(size)
    return sizes
