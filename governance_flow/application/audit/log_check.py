"""The audit log against the events: every leaf, every tile, and every checkpoint ever signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.application.audit.leaves import GENESIS, leaf_hash_of
from governance_flow.application.audit.promises import ENVIRONMENT, Promise, Promises
from governance_flow.application.audit.words import counted
from governance_flow.transparency.merkle import HASH_BYTES, leaf_hash
from governance_flow.transparency.tiles import (
    TILE_BYTES,
    TILE_HASHES,
    TILE_HEIGHT,
    TileEdge,
    TileId,
    partial_tiles,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from governance_flow.application.ports.audit import StoredRow
    from governance_flow.application.ports.transparency_log import LogCheckpoints, LogTree
    from governance_flow.transparency.checkpoints import Checkpoint
    from governance_flow.transparency.keys import Ed25519Verifier

FILLED_AT_ONCE = 16 * TILE_HASHES

_FIRST = leaf_hash(GENESIS)

ALTERED_LISTED_MAX = 10
"""How many altered events are named: where one was dropped or added, all behind it have moved."""


class _Stretch(NamedTuple):
    """Leaf hashes one after the other, and the index of the first."""

    start: int
    hashes: bytes


class LogCheck:
    """Takes the rows in order of position and builds the tree anew.

    ``kept`` are checkpoints that were kept elsewhere, already verified, with what to call them.
    """

    def __init__(
        self,
        tree: LogTree,
        checkpoints: LogCheckpoints,
        log_key: Ed25519Verifier | None,
        kept: Sequence[tuple[str, Checkpoint]] = (),
    ) -> None:
        self._tree = tree
        self._promised = Promises(checkpoints, log_key, kept, report=self._report)
        self._edge, _ = TileEdge().extended([_FIRST])
        self._promises: AsyncIterator[Promise] | None = None
        self._next: Promise | None = None
        self._logged = 0
        self._tiles_spoilt = False
        """Whether the tiles are known to be wrong: whatever else they hold tells nothing new."""
        self._fitting_size = self._fitting_kept_size = 1
        """The largest size at which the events are what was promised; the first leaf always is.

        Whoever stole the log's key has its checkpoints fit whatever he made of the events, but not
        those that were kept elsewhere.
        """
        self._misfit = False
        """Whether a checkpoint did not fit: of the store's own ones no later one can."""
        self._altered_count = 0
        self._altered_last: StoredRow | None = None
        self._faults: list[Fault] = []
        self.signed_size = 0
        """How many leaves the largest checkpoint speaks of."""

    async def start(self) -> None:
        """Find out how far the log had come before any of it is compared."""
        try:
            self._logged = await self._tree.size()
        except ENVIRONMENT:
            raise
        except Exception as error:  # noqa: BLE001 - whatever was done to its tables
            self._spoil(f"the audit log cannot be read: {error}")
        if self._logged < 1:
            self._logged = 0
            self._spoil("the audit log says that it has come to a position before the first")
        if any(logged != _FIRST for _, logged in await self._logged_hashes(0, 1)):
            self._spoil("the first leaf of the audit log is not the one that every log begins with")
        self._promises = self._promised.in_order()
        await self._advance()

    async def add(self, page: Sequence[StoredRow]) -> Iterator[Fault]:
        """Compare the next rows with the log, and return what is wrong with them."""
        size = self._edge.size
        for run in _runs([row for row in page if row.position >= size]):
            await self._fill_up_to(run[0].position)
            if self._edge.size != run[0].position:
                # Behind a gap of which the log knows nothing, nothing can be compared.
                break
            logged = await self._logged_hashes(self._edge.size, run[-1].position + 1)
            hashes = list(map(leaf_hash_of, run))
            self._compare_leaves(run, hashes, logged)
            await self._extend(hashes)
        return self._taken()

    async def finish(self, last_position: int) -> Iterator[Fault]:
        """Return what could only be decided at the end of the log."""
        size = last_position + 1
        self._summarise_altered()
        await self._hold(
            {
                TileId(level, self._edge.size >> TILE_HEIGHT * (level + 1)): data
                for level, data in enumerate(self._edge.partials)
            }
        )
        await self._hold_the_end()
        if self._logged > size:
            self._faults.append(await self._longer_than(size))
        while self._next is not None:
            if self._next.size > size:
                self._faults.append(
                    Fault(
                        Check.CHECKPOINT,
                        f"{self._next.name} was signed for {self._next.size - 1} events, the store "
                        f"has {last_position}: events were deleted from its end, or an older "
                        "backup was restored",
                        position=size,
                    )
                )
                break
            await self._compare()
        return self._taken()

    @property
    def checkpoints(self) -> int:
        """How many checkpoints stand in the store."""
        return self._promised.count

    @property
    def unlogged(self) -> int:
        """How many events have no leaf in the log's tiles yet."""
        return max(0, self._edge.size - self._logged)

    def _compare_leaves(
        self, run: Sequence[StoredRow], hashes: Sequence[bytes], logged: Sequence[_Stretch]
    ) -> None:
        """Hold the leaves of rows, which follow each other, against those that were logged."""
        first = run[0].position
        for start, expected in logged:
            found = hashes[start - first : start - first + len(expected) // HASH_BYTES]
            # Nearly always they are the same, and not worth a look at each.
            if b"".join(found) == expected:
                continue
            for row, leaf, logged_leaf in zip(
                run[start - first :], found, _cut(expected), strict=False
            ):
                if leaf != logged_leaf:
                    self._alter(row)

    def _alter(self, row: StoredRow) -> None:
        self._altered_count += 1
        self._altered_last = row
        if self._altered_count <= ALTERED_LISTED_MAX:
            self._faults.append(_altered(row))

    def _summarise_altered(self) -> None:
        more, last = self._altered_count - ALTERED_LISTED_MAX, self._altered_last
        if more <= 0 or last is None:
            return
        message = (
            f"{counted(more, 'more event')} up to here are not those that were entered in the "
            "audit log: where one was dropped or added, all behind it have moved"
        )
        self._faults.append(Fault(Check.LOG, message, position=last.position))

    def _report(self, fault: Fault) -> None:
        self._faults.append(fault)

    def _taken(self) -> Iterator[Fault]:
        found, self._faults = self._faults, []
        return iter(found)

    async def _fill_up_to(self, position: int) -> None:
        """Take missing events as they were logged: others report them, and the rest is compared."""
        while self._edge.size < min(position, self._logged):
            size = self._edge.size
            logged = await self._logged_hashes(size, min(position, size + FILLED_AT_ONCE))
            for start, data in logged:
                if start == self._edge.size:
                    await self._extend(_cut(data))
            if self._edge.size == size:
                # It only says that it has come so far.
                return

    async def _logged_hashes(self, start: int, stop: int) -> list[_Stretch]:
        """Return the leaf hashes that stand in the tiles, from an index to before another.

        There are gaps where tiles are missing or too short.
        """
        stop = min(stop, self._logged)
        if stop <= start:
            return []
        tiles = [
            TileId(0, nth) for nth in range(start // TILE_HASHES, (stop - 1) // TILE_HASHES + 1)
        ]
        kept = await self._kept(tiles)
        found = []
        for tile in tiles:
            data = kept.get(tile, b"")
            if len(data) < _due_bytes(tile, self._logged) or len(data) > TILE_BYTES:
                self._spoil(f"{_named(tile)} is missing, or not as long as it must be")
            first = tile.nth * TILE_HASHES
            begin = max(start, first)
            end = min(stop, first + min(len(data) // HASH_BYTES, TILE_HASHES))
            if begin < end:
                cut = data[(begin - first) * HASH_BYTES : (end - first) * HASH_BYTES]
                found.append(_Stretch(begin, cut))
        return found

    async def _extend(self, hashes: Sequence[bytes]) -> None:
        """Add leaves, stopping at each size that something was promised about."""
        done = 0
        while done < len(hashes):
            stop = len(hashes)
            if self._next is not None:
                stop = max(done, min(stop, done + self._next.size - self._edge.size))
            if stop > done:
                self._edge, changed = self._edge.extended(hashes[done:stop])
                full = {
                    TileId(tile.level, tile.nth): tile.data
                    for tile in changed
                    if tile.level and len(tile.data) == TILE_BYTES
                }
                await self._hold(full)
            done = stop
            if self._next is not None and self._next.size <= self._edge.size:
                await self._compare()

    async def _hold(self, made: dict[TileId, bytes]) -> None:
        """Hold tiles that the events make against those that are kept, as far as those go."""
        if self._altered_count:
            # They differ because of the events, which are named already.
            return
        due = {tile: min(len(data), _due_bytes(tile, self._logged)) for tile, data in made.items()}
        wanted = [tile for tile in made if tile.level and due[tile]]
        kept = await self._kept(wanted)
        for tile in wanted:
            if kept.get(tile, b"")[: due[tile]] != made[tile][: due[tile]]:
                self._spoil(f"{_named(tile)} is not what the events make it")

    async def _hold_the_end(self) -> None:
        """Look for more than belongs into the tiles at the log's end, which would stop it."""
        tiles = [tile for tile, _ in partial_tiles(self._logged)]
        kept = await self._kept(tiles)
        if not kept or self._tiles_spoilt:
            return
        # They may have grown since the audit began, but by now the log must have come so far.
        size = await self._tree.size()
        for tile, data in kept.items():
            if len(data) > _due_bytes(tile, size):
                self._spoil(f"{_named(tile)} holds more than the log has come to")

    async def _longer_than(self, size: int) -> Fault:
        """Return the fault for a log that goes on behind the events of the store."""
        if await self._logged_hashes(size, size + 1):
            message = (
                f"the audit log has {self._logged - size} more events than the store: "
                "they were deleted from its end"
            )
        else:
            message = (
                f"the audit log says that it has come to position {self._logged - 1}, which "
                "neither its tiles nor the events do; governance-flow rebuild log makes it anew"
            )
        return Fault(Check.LOG, message, position=size)

    async def _kept(self, tiles: Sequence[TileId]) -> dict[TileId, bytes]:
        """Return the tiles that are kept; none if they cannot be read, which is a fault."""
        if not tiles:
            return {}
        try:
            return await self._tree.tiles(tiles)
        except ENVIRONMENT:
            raise
        except Exception as error:  # noqa: BLE001 - whatever was done to their table
            self._spoil(f"the tiles of the audit log cannot be read: {error}")
            return {}

    def _spoil(self, problem: str) -> None:
        if not self._tiles_spoilt:
            self._tiles_spoilt = True
            message = f"{problem}; governance-flow rebuild log makes it anew"
            self._faults.append(Fault(Check.LOG, message))

    async def _compare(self) -> None:
        """Hold the tree against the next promise, which is about this very size."""
        promise = self._next
        if promise is not None and promise.size == self._edge.size:
            self.signed_size = max(self.signed_size, promise.size)
            if promise.root == self._edge.root:
                self._fitting_size = promise.size
                if promise.kept_elsewhere:
                    self._fitting_kept_size = promise.size
            elif promise.kept_elsewhere or not self._misfit:
                self._misfit = True
                self._faults.append(self._contradiction(promise))
        await self._advance()

    def _contradiction(self, promise: Promise) -> Fault:
        """Return the fault for a promise that the events break, saying among which it must be."""
        first = self._fitting_kept_size if promise.kept_elsewhere else self._fitting_size
        last = promise.size - 1
        why = (
            f"of the events at positions {first} to {last} one was changed, added, dropped or "
            "moved since"
            if first <= last
            else "another checkpoint of this size does: the log's key has signed two histories"
        )
        message = f"{promise.name} does not fit the store: {why}"
        return Fault(Check.CHECKPOINT, message, position=last)

    async def _advance(self) -> None:
        if self._promises is not None:
            self._next = await anext(self._promises, None)


def _runs(rows: list[StoredRow]) -> Iterator[list[StoredRow]]:
    """Yield the rows in runs without a gap."""
    start = 0
    for at in range(1, len(rows) + 1):
        if at == len(rows) or rows[at].position != rows[at - 1].position + 1:
            yield rows[start:at]
            start = at


def _cut(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def _named(tile: TileId) -> str:
    return f"tile {tile.nth} of level {tile.level} of the audit log"


def _due_bytes(tile: TileId, size: int) -> int:
    """Return how long a tile is in a tree of a size."""
    nodes = (size >> TILE_HEIGHT * tile.level) - tile.nth * TILE_HASHES
    return max(0, min(nodes, TILE_HASHES)) * HASH_BYTES


def _altered(row: StoredRow) -> Fault:
    return Fault(
        Check.LOG,
        "this event is not the one that was entered in the audit log: its bytes, its place, its "
        "topic or its commit time were changed since",
        position=row.position,
        stream_id=row.stream_id,
        version=row.version,
    )
