"""The audit log's tiles and checkpoints against the rows: gaps, tiles that lag, promises kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.application.audit.leaves import GENESIS, leaf_hash_of
from governance_flow.application.audit.log_check import ALTERED_LISTED_MAX, LogCheck
from governance_flow.application.ports.audit import StoredRow
from governance_flow.application.ports.transparency_log import SignedCheckpoint
from governance_flow.domain.errors import StoreUnavailable
from governance_flow.transparency.checkpoints import Checkpoint, sign_checkpoint
from governance_flow.transparency.merkle import HASH_BYTES, leaf_hash
from governance_flow.transparency.tiles import TILE_HASHES, TileEdge, TileId
from tests.support.keys import LOG

STREAM = "6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b"
PAGE = 1024


@cache
def row(position: int) -> StoredRow:
    return StoredRow(position, STREAM, position, "MOTION_ROUTED", b"%d" % position, position)


def rows(last: int) -> list[StoredRow]:
    return [row(position) for position in range(1, last + 1)]


class Log:
    """A log in memory. ``size`` is how far it says that it has come."""

    def __init__(self, last: int) -> None:
        self.size_said = last + 1
        hashes = [leaf_hash(GENESIS), *map(leaf_hash_of, rows(last))]
        _, made = TileEdge().extended(hashes)
        self.kept = {TileId(tile.level, tile.nth): tile.data for tile in made}
        self.error: Exception | None = None

    async def size(self) -> int:
        if self.error is not None:
            raise self.error
        return self.size_said

    async def tiles(self, tiles: Sequence[TileId]) -> dict[TileId, bytes]:
        return {tile: self.kept[tile] for tile in tiles if tile in self.kept}


class Checkpoints:
    """Checkpoints of true logs of several sizes, in memory."""

    def __init__(self, *sizes: int) -> None:
        self.kept = [signed(size) for size in sizes]

    async def page(self, *, after_size: int, limit: int) -> list[SignedCheckpoint]:
        return [c for c in self.kept if c.size > after_size][:limit]

    async def latest(self) -> SignedCheckpoint | None:
        raise AssertionError

    async def reaching(self, size: int) -> SignedCheckpoint | None:
        raise AssertionError

    async def keep(self, checkpoint: SignedCheckpoint) -> None:
        raise AssertionError


def promised(size: int, changed: int | None = None) -> Checkpoint:
    """Return the checkpoint of so many leaves, one of them another one if so wished."""
    hashes = [leaf_hash(GENESIS), *map(leaf_hash_of, rows(size - 1))]
    if changed is not None:
        hashes[changed] = leaf_hash(b"another")
    edge, _ = TileEdge().extended(hashes)
    return Checkpoint(LOG.name, size, edge.root)


def signed(size: int, changed: int | None = None) -> SignedCheckpoint:
    checkpoint = promised(size, changed)
    return SignedCheckpoint(size, checkpoint.root, sign_checkpoint(checkpoint, [LOG]), 0)


class Found(NamedTuple):
    faults: list[Fault]
    check: LogCheck

    @property
    def words(self) -> list[str]:
        return [str(fault) for fault in self.faults]


async def checked(
    given_rows: Sequence[StoredRow],
    log: Log,
    checkpoints: Checkpoints | None = None,
    kept: Sequence[tuple[str, Checkpoint]] = (),
    page: int = PAGE,
) -> Found:
    check = LogCheck(log, checkpoints or Checkpoints(), LOG.verifier, kept)
    await check.start()
    faults: list[Fault] = []
    for at in range(0, len(given_rows), page):
        faults += await check.add(given_rows[at : at + page])
    last = max((r.position for r in given_rows), default=0)
    faults += await check.finish(last)
    return Found(faults, check)


@pytest.mark.parametrize("last", [0, 1, 255, 256, 257, 600])
@pytest.mark.parametrize("page", [1, 100, 1024])
async def test_a_log_that_fits_has_no_fault(last: int, page: int) -> None:
    sizes = [size for size in (1, 2, 200, 256, 257, 258, 601) if size <= last + 1]
    kept = [("kept", promised(size)) for size in sizes]
    found = await checked(rows(last), Log(last), Checkpoints(*sizes), kept, page)
    assert found.words == []
    assert found.check.checkpoints == len(sizes)
    assert found.check.signed_size == max(sizes, default=0)
    assert found.check.unlogged == 0


@given(
    position=st.integers(1, 300),
    field=st.sampled_from(["stream_id", "version", "topic", "state", "committed_at_us"]),
    signed_size=st.integers(2, 301),
    elsewhere=st.booleans(),
)
async def test_any_change_is_found_in_the_tiles_and_under_every_checkpoint_behind_it(
    position: int, field: str, signed_size: int, *, elsewhere: bool
) -> None:
    old = row(position)
    new: dict[str, object] = {
        "stream_id": STREAM[:-1] + "c",
        "version": old.version + 1,
        "topic": "MOTION_ROUTEE",
        "state": old.state + b" ",
        "committed_at_us": old.committed_at_us + 1,
    }
    altered = rows(300)
    altered[position - 1] = old._replace(**{field: new[field]})  # type: ignore[arg-type]
    own = Checkpoints() if elsewhere else Checkpoints(signed_size)
    kept = [("kept", promised(signed_size))] if elsewhere else []
    found = await checked(altered, Log(300), own, kept)
    expected = [(Check.LOG, position)]
    if position < signed_size:
        expected.append((Check.CHECKPOINT, signed_size - 1))
    assert sorted((f.check, f.position or 0) for f in found.faults) == sorted(expected)


async def test_one_missing_is_taken_as_it_was_logged_so_that_the_rest_is_compared() -> None:
    given_rows = [r for r in rows(600) if r.position not in (1, 300, 301)]
    given_rows[400] = given_rows[400]._replace(state=b"altered")
    found = await checked(given_rows, Log(600), Checkpoints(200, 601))
    assert [(f.check, f.position) for f in found.faults] == [
        (Check.LOG, 404),
        (Check.CHECKPOINT, 600),
    ]
    assert "at positions 200 to 600" in found.words[-1]


@pytest.mark.parametrize("page", [1, 7, 255, 256, 257, 600])
@pytest.mark.parametrize("positions", [(1, 255, 256, 257), (254, 255, 511, 512), (599, 600)])
async def test_each_altered_event_is_named_wherever_pages_and_tiles_end(
    positions: tuple[int, ...], page: int
) -> None:
    altered = [r._replace(state=b"!") if r.position in positions else r for r in rows(600)]
    found = await checked(altered, Log(600), page=page)
    assert [(f.check, f.position) for f in found.faults] == [(Check.LOG, p) for p in positions]


@pytest.mark.parametrize("hashes", [0, 1, 100, 257])
async def test_a_tile_of_a_wrong_length_is_one_fault_and_others_are_still_compared(
    hashes: int,
) -> None:
    log = Log(600)
    log.kept[TileId(0, 1)] = (log.kept[TileId(0, 1)] + bytes(HASH_BYTES))[: hashes * HASH_BYTES]
    altered = [r._replace(state=b"!") if r.position in (200, 555) else r for r in rows(600)]
    found = await checked(altered, log)
    assert [(f.check, f.position) for f in found.faults if f.position] == [
        (Check.LOG, 200),
        (Check.LOG, 555),
    ]
    assert sum("not as long as it must be" in words for words in found.words) == 1


async def test_events_that_neither_the_store_nor_the_tiles_have_are_not_made_up() -> None:
    log = Log(900)
    del log.kept[TileId(0, 1)]
    given_rows = [r for r in rows(900) if not 200 < r.position < 800]
    found = await checked(given_rows, log, Checkpoints(200, 300, 600))
    [words] = found.words
    assert "tile 1 of level 0 of the audit log is missing" in words


async def test_only_some_of_many_altered_ones_are_named_and_the_others_counted() -> None:
    shifted = [r._replace(position=r.position - 1) for r in rows(300) if r.position != 100]
    shifted = rows(99) + shifted[99:]
    found = await checked(shifted, Log(300))
    assert [f.position for f in found.faults[:ALTERED_LISTED_MAX]] == list(range(100, 110))
    assert len(found.faults) == ALTERED_LISTED_MAX + 2
    assert found.words[-2].startswith("position 299: 190 more events up to here")
    assert "the audit log has 1 more events than the store" in found.words[-1]


class TestWhatIsLogged:
    """The tiles may lag behind the events, and grow while they are read."""

    @pytest.mark.parametrize("logged", [0, 1, 255, 256, 300, 511, 512, 599])
    async def test_behind_the_end_of_the_tiles_nothing_is_compared(self, logged: int) -> None:
        found = await checked(rows(600), Log(logged))
        assert found.words == []
        assert found.check.unlogged == 600 - logged

    async def test_tiles_above_the_leaves_may_lag_too(self) -> None:
        """Of level 1 a full tile is made by the events, where the log has a part of it."""
        last = TILE_HASHES * TILE_HASHES + 10
        found = await checked(rows(last), Log(TILE_HASHES * 200))
        assert found.words == []

    async def test_they_may_grow_meanwhile(self) -> None:
        class Growing(Log):
            async def size(self) -> int:
                size = await super().size()
                self.size_said = 601
                return size

        log = Growing(600)
        log.size_said = 300
        assert (await checked(rows(299), log)).words == []

    @pytest.mark.parametrize("last", [600, TILE_HASHES * TILE_HASHES + 10])
    async def test_a_wrong_hash_above_the_leaves_is_found(self, last: int) -> None:
        log = Log(last)
        data = bytearray(log.kept[TileId(1, 0)])
        data[HASH_BYTES] ^= 1
        log.kept[TileId(1, 0)] = bytes(data)
        [said] = (await checked(rows(last), log, Checkpoints(last + 1))).words
        assert said.startswith("tile 0 of level 1 of the audit log is not what the events make it")

    @pytest.mark.parametrize("tile", [TileId(1, 0), TileId(0, 0), TileId(0, 1), TileId(0, 2)])
    async def test_a_missing_tile_is_found(self, tile: TileId) -> None:
        log = Log(600)
        del log.kept[tile]
        [said] = (await checked(rows(600), log)).words
        assert f"tile {tile.nth} of level {tile.level}" in said

    async def test_a_wrong_first_leaf_is_found(self) -> None:
        log = Log(600)
        log.kept[TileId(0, 0)] = bytes(HASH_BYTES) + log.kept[TileId(0, 0)][HASH_BYTES:]
        [said] = (await checked(rows(600), log, Checkpoints(601))).words
        assert said.startswith("the first leaf of the audit log is not the one")

    async def test_altered_tiles_do_not_hide_that_a_checkpoint_is_broken(self) -> None:
        log = Log(600)
        log.kept[TileId(1, 0)] = bytes(2 * HASH_BYTES)
        altered = rows(600)
        altered[550] = altered[550]._replace(state=b"altered")
        log.kept[TileId(0, 2)] = log.kept[TileId(0, 2)][:HASH_BYTES]
        found = await checked(altered, log, kept=[("kept", promised(601))])
        assert [f.check for f in found.faults] == [Check.LOG, Check.CHECKPOINT]

    async def test_a_log_without_end_is_not_counted_through(self) -> None:
        log = Log(300)
        log.size_said = 2**62
        found = await checked([*rows(300), row(300)._replace(position=2**61)], log)
        assert any("is missing, or not as long as it must be" in said for said in found.words)

    async def test_what_is_wrong_with_the_server_is_no_fault_of_the_log(self) -> None:
        log = Log(3)
        log.error = StoreUnavailable("gone")
        with pytest.raises(StoreUnavailable):
            await checked(rows(3), log)

    async def test_whatever_else_is_raised_is_a_fault(self) -> None:
        log = Log(3)
        log.error = ValueError("min() of nothing")
        [said] = (await checked(rows(3), log)).words
        assert "the audit log cannot be read: min() of nothing" in said


class TestPromises:
    async def test_one_of_more_events_than_there_are(self) -> None:
        found = await checked(rows(10), Log(10), Checkpoints(5, 21), [("kept", promised(31))])
        assert [(f.check, f.position) for f in found.faults] == [(Check.CHECKPOINT, 11)]
        assert "was signed for 20 events, the store has 10" in found.words[0]

    async def test_of_the_stores_own_only_the_first_that_breaks_is_named_of_others_each(
        self,
    ) -> None:
        own = Checkpoints(10, 30, 50)
        own.kept[1:] = [signed(30, changed=20), signed(50, changed=20)]
        kept = [("a", promised(12)), ("b", promised(40, changed=20)), ("c", promised(60, 20))]
        found = await checked(rows(100), Log(100), own, kept)
        assert [said.split(" does not")[0] for said in found.words] == [
            "position 29: the checkpoint of 29 events, signed at 1970-01-01 00:00:00.000000 UTC,",
            "position 39: b",
            "position 59: c",
        ]
        assert "at positions 12 to 29" in found.words[0]
        assert "at positions 12 to 39" in found.words[1]

    async def test_a_checkpoint_of_the_store_narrows_nothing_down_for_one_kept_elsewhere(
        self,
    ) -> None:
        """Who stole the log's key has the store's own fit whatever he made of the events."""
        found = await checked(
            rows(100), Log(100), Checkpoints(50), [("kept", promised(60, changed=20))]
        )
        assert "at positions 1 to 59" in found.words[0]

    async def test_two_of_one_size(self) -> None:
        found = await checked(
            rows(100), Log(100), kept=[("a", promised(60)), ("b", promised(60, changed=20))]
        )
        assert "b does not fit the store: another checkpoint of this size does" in found.words[0]

    async def test_more_than_fit_on_a_page(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("governance_flow.application.audit.promises.CHECKPOINTS_AT_ONCE", 2)
        found = await checked(rows(30), Log(30), Checkpoints(*range(1, 32)))
        assert found.words == []
        assert found.check.checkpoints == 31
