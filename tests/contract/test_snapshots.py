"""Snapshots: long streams load from the latest one, and never depend on it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from structlog.testing import capture_logs

from governance_flow.application.ports.event_store import CommittedEvent
from governance_flow.application.ports.snapshots import SNAPSHOT_EVERY
from governance_flow.infrastructure.snapshots import SqlSnapshots
from tests.support.flows import PlayedFlow, opened
from tests.support.workers import change_table


async def long_motion(flow: PlayedFlow) -> UUID:
    """Return a motion whose introducer cannot let it be, while the pipeline is halted."""
    motion = await flow.introduce()
    by = (await flow.orchestrator.get_motion_status(motion)).introduced_by
    for number in range(SNAPSHOT_EVERY + 20):
        await flow.orchestrator.amend_motion(motion, by, text=f"version {number}")
    return motion


async def test_a_long_stream_is_read_from_its_snapshot_on(store_address: str) -> None:
    async with opened(store_address) as flow:
        motion = await long_motion(flow)
        kept = await SqlSnapshots(flow.flow.database).latest(motion)  # type: ignore[arg-type]
        assert kept is not None
        assert kept.version == SNAPSHOT_EVERY
        motions = flow.flow.external._motions
        whole = motions.fold(None, await flow.flow.store.read_stream(motion))
        motions.forget(motion)
        assert await motions.load(motion) == whole
        rest = motions.fold(kept, await later_events(flow, motion, kept.version))
        assert rest == whole


async def test_a_snapshot_that_cannot_be_read_costs_nothing_but_time(store_address: str) -> None:
    async with opened(store_address) as flow:
        motion = await long_motion(flow)
        blob = "'\\x7b'::bytea" if store_address.startswith("postgres") else "x'7b'"
        await change_table(flow, f"UPDATE snapshots SET state = {blob}")
        motions = flow.flow.external._motions
        motions.forget(motion)
        with capture_logs() as logs:
            loaded = await motions.load(motion)
        assert loaded.version == SNAPSHOT_EVERY + 21
        assert [line["event"] for line in logs] == ["unreadable snapshot passed over"]


async def later_events(flow: PlayedFlow, motion: UUID, version: int) -> Sequence[CommittedEvent]:
    return await flow.flow.store.read_stream(motion, after_version=version)
