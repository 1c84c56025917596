"""Folding batches: what is remembered saves reading, and is never trusted out of place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from governance_flow.application.ports.event_store import CommittedEvent, EventStore, Made
from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.frozen import changed
from governance_flow.domain.motion import Motion
from governance_flow.domain.states import GovernanceState
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from projections.folding import Folder, Poison
from tests.support.assembly import MAPPER, Assembly, whole_log
from tests.support.clock import ManualClock

S = GovernanceState


class CountedStore:
    """A store that remembers which motions were read, and from which version on."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.reads: list[tuple[UUID, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read_stream(
        self, stream_id: UUID, *, after_version: int = 0, up_to_version: int | None = None
    ) -> list[CommittedEvent]:
        if stream_id != PIPELINE_ID:
            self.reads.append((stream_id, after_version))
        return await self._store.read_stream(
            stream_id, after_version=after_version, up_to_version=up_to_version
        )


@pytest.fixture
async def assembly(clock: ManualClock) -> AsyncIterator[Assembly]:
    database = open_database("memory:", clock=clock)
    store = GroupCommitEventStore(database)
    yield Assembly(store, clock)
    await store.close()
    await database.close()


@pytest.fixture
def store(assembly: Assembly) -> Any:
    return CountedStore(assembly.store)


async def test_a_motion_is_folded_on_from_batch_to_batch_without_reading_it_again(
    assembly: Assembly, store: Any
) -> None:
    motion_id = await assembly.introduce(S.JUDGING)
    log = await whole_log(assembly.store)
    folder = Folder(store, MAPPER)
    before = None
    for event in log:
        folded = await folder.fold(event.id - 1, [event])
        [change] = folded.batch.motions
        assert change.before == before
        assert [item.stored for item in change.events] == [event]
        before = change.after
    assert before is not None
    assert (before.state, before.id) == (S.JUDGING, motion_id)
    assert store.reads == []


async def test_several_motions_that_are_not_remembered_are_read_in_one_go(
    assembly: Assembly, store: Any
) -> None:
    ids = [await assembly.introduce() for _ in range(4)]
    start = (await assembly.store.head()).position
    for motion_id in ids:
        await assembly.act(motion_id, lambda motion: motion.reaching(S.PLANNING))
    events = (await whole_log(assembly.store))[start:]

    folded = await Folder(store, MAPPER).fold(start, events)

    assert store.reads == []
    for change in folded.batch.motions:
        assert isinstance(change.before, Motion)
        assert (change.before.version, change.before.state) == (1, S.INTRODUCED)
        assert change.after is not None
        assert change.after.state is S.PLANNING


async def test_what_was_appended_here_is_folded_only_where_a_batch_parts_an_append(
    assembly: Assembly, store: Any
) -> None:
    await assembly.introduce(S.JUDGING)
    log = await whole_log(assembly.store)
    whole = await Folder(store, MAPPER).fold(0, log)
    [change] = whole.batch.motions
    last = len(log) - 1
    made = [
        changed(
            stored,
            state=b"decoded by nobody",
            made=Made(item.event, "", change.after if number == last else None),
        )
        for number, (stored, item) in enumerate(zip(log, change.events, strict=True))
    ]
    for cut in range(1, len(log)):
        folder = Folder(store, MAPPER)
        first = await folder.fold(0, made[:cut])
        second = await folder.fold(cut, made[cut:])
        [begun], [gone_on] = first.batch.motions, second.batch.motions
        assert begun.after == gone_on.before
        assert gone_on.after == change.after
        events = [item.event for item in (*begun.events, *gone_on.events)]
        assert events == [item.event for item in change.events]
    assert store.reads == []


async def test_a_motion_that_was_forgotten_is_read_as_it_was_before_the_batch(
    assembly: Assembly, store: Any
) -> None:
    ids = [await assembly.introduce() for _ in range(4)]
    for motion_id in ids:
        await assembly.act(motion_id, lambda motion: motion.proceed())
    log = await whole_log(assembly.store)
    folder = Folder(store, MAPPER, keep=2)
    await folder.fold(0, log[:4])
    folded = await folder.fold(4, log[4:])
    # The first two are read in one go; to remember them, the other two are forgotten.
    assert store.reads == [(motion_id, 0) for motion_id in ids[2:]]
    assert all(change.before is not None for change in folded.batch.motions)


async def test_what_is_remembered_of_another_time_is_not_believed(
    assembly: Assembly, store: Any
) -> None:
    motion_id = await assembly.introduce()
    await assembly.act(motion_id, lambda motion: motion.proceed())
    await assembly.act(motion_id, lambda motion: motion.succeeds())
    log = await whole_log(assembly.store)
    folder = Folder(store, MAPPER)
    whole = (await folder.fold(0, log)).batch
    # Back in time, as after a race that was lost to somebody who restored a backup.
    again = (await folder.fold(0, log)).batch
    assert again == whole
    late = (await folder.fold(3, log[3:])).batch
    assert store.reads == [(motion_id, 0)]
    assert late.motions[0].before is not None
    assert late.motions[0].before.version == 3
    assert late.motions[0].after == whole.motions[0].after
    # Ahead of what is remembered: only what is missing is read.
    store.reads.clear()
    fresh = Folder(store, MAPPER)
    await fresh.fold(0, log[:2])
    ahead = (await fresh.fold(4, log[4:])).batch
    assert store.reads == [(motion_id, 2)]
    assert ahead.motions[0].after == whole.motions[0].after


async def test_finished_motions_take_no_room(assembly: Assembly, store: Any) -> None:
    finished = await assembly.introduce(S.REJECTED)
    folder = Folder(store, MAPPER)
    await folder.fold(0, await whole_log(assembly.store))
    assert finished not in folder._kept


async def test_a_poisoned_motion_is_not_read_again_for_every_event_behind_the_poison(
    assembly: Assembly, store: Any
) -> None:
    motion_id = await assembly.introduce()
    for _ in range(4):
        await assembly.spoil(motion_id)
    log = await whole_log(assembly.store)
    folder = Folder(store, MAPPER)
    first = await folder.fold(0, log[:2])
    assert first.poisons[motion_id].position == 2
    assert first.batch.motions[0].after is not None
    assert first.batch.motions[0].after.version == 1
    for event in log[2:]:
        folded = await folder.fold(event.id - 1, [event])
        assert folded.poisons == first.poisons
        [change] = folded.batch.motions
        assert (change.before, change.after, change.events) == (None, None, ())
        assert change.poison == str(first.poisons[motion_id])
    assert store.reads == []
    # One that starts in the middle finds the same poison in the stream.
    other = await Folder(store, MAPPER).fold(3, log[3:])
    assert other.poisons == first.poisons


async def test_the_pipeline_is_as_it_stood_at_the_end_of_the_batch(
    assembly: Assembly, store: Any
) -> None:
    for _ in range(3):
        await assembly.introduce()
        await assembly.halt()
        await assembly.resume()
    log = await whole_log(assembly.store)
    folder = Folder(store, MAPPER)
    for start in (0, 3, 2, 7, 4, 1, 8):
        batch = (await folder.fold(start, log[start : start + 1])).batch
        expected = sum(event.originator_id == PIPELINE_ID for event in log[: start + 1])
        assert batch.pipeline.version == expected
        assert batch.pipeline.halted == (expected % 2 == 1)
        assert len(batch.pipeline_events) == (log[start].originator_id == PIPELINE_ID)


async def test_a_position_that_is_missing_is_never_passed_over(
    assembly: Assembly, store: Any
) -> None:
    for _ in range(3):
        await assembly.introduce()
    log = await whole_log(assembly.store)
    folder = Folder(store, MAPPER)
    with pytest.raises(CorruptStream, match="no event at position 1, but one at 2"):
        await folder.fold(0, log[1:])
    with pytest.raises(CorruptStream, match="no event at position 2, but one at 3"):
        await folder.fold(0, [log[0], log[2]])


async def test_a_version_that_is_missing_poisons_the_motion(assembly: Assembly, store: Any) -> None:
    motion_id = await assembly.introduce()
    await assembly.act(motion_id, lambda motion: motion.proceed())
    log = await whole_log(assembly.store)
    skipped = CommittedEvent(**{**vars(log[2]), "id": 2})
    folded = await Folder(store, MAPPER).fold(0, [log[0], skipped])
    assert "version 3 follows 1" in folded.poisons[motion_id].reason


async def test_running_out_of_memory_is_nobodys_poison(
    assembly: Assembly, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await assembly.introduce()
    await assembly.halt()
    log = await whole_log(assembly.store)

    def exhausted(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(MAPPER, "to_event", exhausted)
    for run in (log[:1], log):
        with pytest.raises(MemoryError):
            await Folder(store, MAPPER).fold(0, run)


async def test_a_motion_at_a_position_is_what_had_happened_by_then(
    assembly: Assembly, store: Any
) -> None:
    motion_id = await assembly.introduce(S.PLANNING)
    await assembly.spoil(motion_id)
    last = (await assembly.store.head()).position
    folder = Folder(store, MAPPER)
    assert await folder.motion_at(motion_id, 0) is None
    one = await folder.motion_at(motion_id, 1)
    assert isinstance(one, Motion)
    assert one.version == 1
    assert isinstance(await folder.motion_at(motion_id, last - 1), Motion)
    poison = await folder.motion_at(motion_id, last)
    assert isinstance(poison, Poison)
    assert str(poison).startswith(f"MOTION_ROUTED at position {last}: ")
