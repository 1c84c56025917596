"""Motions in memory: many are read in one go, and none is taken for what it is not."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from governance_flow.application.ports.event_store import Append, StoredEvent
from governance_flow.application.services.motions import Motions
from governance_flow.domain.errors import CorruptStream, StoreUnavailable, UnknownMotion
from governance_flow.domain.states import GovernanceState
from tests.support.flows import PlayedFlow, opened
from tests.support.workers import Failing, replaced

S = GovernanceState


def motions_of(flow: PlayedFlow, *, keep: int = 2000) -> Motions:
    """Return the motions as a process sees them that has just begun."""
    known: Any = flow.flow.reconciler._motions
    return Motions(known._store, known._mapper, known._witnessing, known._snapshots, keep=keep)


class Counting:
    """Counts how often streams are read, one by one and together."""

    def __init__(self, flow: PlayedFlow) -> None:
        self.store = flow.flow.store
        self.single = Failing(self.store.read_stream)
        self.together = Failing(self.store.read_streams)

    async def reads(self, motions: Motions, *asked: Any) -> tuple[int, int]:
        """Prefetch and load; return how often a single stream was read, and several."""
        with (
            replaced(self.store, "read_stream", self.single),
            replaced(self.store, "read_streams", self.together),
        ):
            await motions.prefetch(asked)
            for motion_id in asked:
                await motions.load(motion_id)
        return self.single.calls, self.together.calls


async def test_many_motions_are_read_in_one_go_and_are_as_if_read_one_by_one() -> None:
    async with opened() as flow:
        ids = [await flow.reach(state) for state in (S.INTRODUCED, S.EXECUTING, S.TABLED)]
        motions, one_by_one = motions_of(flow), motions_of(flow)
        assert await Counting(flow).reads(motions, *ids) == (0, 1)
        for motion_id in ids:
            assert await motions.load(motion_id) == await one_by_one.load(motion_id)


async def test_what_is_kept_already_is_not_read_again() -> None:
    async with opened() as flow:
        ids = [await flow.introduce() for _ in range(3)]
        motions = motions_of(flow)
        await motions.prefetch(ids)
        assert await Counting(flow).reads(motions, *ids) == (0, 0)


async def test_one_alone_is_read_when_it_is_needed() -> None:
    async with opened() as flow:
        motion = await flow.introduce()
        assert await Counting(flow).reads(motions_of(flow), motion) == (1, 0)
        assert await Counting(flow).reads(motions_of(flow)) == (0, 0)


async def test_a_motion_that_cannot_be_read_says_so_when_it_is_loaded_and_spoils_no_other() -> None:
    async with opened() as flow:
        spoilt, healthy = await flow.introduce(), await flow.introduce()
        bad = StoredEvent(spoilt, 2, "MOTION_ROUTED", b"no event at all")
        await flow.flow.store.append(Append(spoilt, 1, (bad,)))
        unknown = uuid4()
        motions = motions_of(flow)
        await motions.prefetch([spoilt, unknown, healthy])
        assert (await motions.load(healthy)).motion.id == healthy
        with pytest.raises(CorruptStream):
            await motions.load(spoilt)
        with pytest.raises(UnknownMotion):
            await motions.load(unknown)


async def test_a_motion_that_has_ended_is_not_kept_in_memory() -> None:
    async with opened() as flow:
        ended, other = await flow.reach(S.ACKNOWLEDGED), await flow.introduce()
        motions = motions_of(flow)
        await motions.prefetch([ended, other])
        assert motions._kept.keys() == {other}
        assert (await motions.load(ended)).motion.terminal


async def test_no_more_motions_are_kept_than_allowed_the_latest_ones() -> None:
    async with opened() as flow:
        ids = [await flow.introduce() for _ in range(5)]
        motions = motions_of(flow, keep=2)
        await motions.prefetch(ids)
        assert len(motions._kept) == 2
        for motion_id in ids:
            assert (await motions.load(motion_id)).motion.id == motion_id
        assert list(motions._kept) == ids[-2:]


async def test_what_was_read_before_is_never_taken_for_what_is_known_better() -> None:
    """The streams were read, then the motion moved on here, then they were folded."""
    async with opened() as flow:
        motion, other = await flow.introduce(), await flow.introduce()
        motions: Motions = flow.flow.reconciler._motions
        for motion_id in (motion, other):
            motions.forget(motion_id)
        store = flow.flow.store
        read = store.read_streams

        async def and_then_it_moves(stream_ids: Any) -> Any:
            stored = await read(stream_ids)
            await flow.orchestrator.process_motion(motion)
            return stored

        with replaced(store, "read_streams", and_then_it_moves):
            await motions.prefetch([motion, other])
        assert (await motions.load(motion)).motion.state is S.DELIBERATING


async def test_a_store_that_is_away_is_an_error() -> None:
    async with opened() as flow:
        ids = [await flow.introduce() for _ in range(2)]
        store = flow.flow.store
        gone = Failing(store.read_streams, StoreUnavailable("gone"))
        with replaced(store, "read_streams", gone), pytest.raises(StoreUnavailable):
            await motions_of(flow).prefetch(ids)
