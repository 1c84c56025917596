"""Lost rows: found by comparing with the streams, and written again; nothing is stranded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from governance_flow.application.ports.event_store import Append, StoredEvent
from governance_flow.application.process_manager import reconciling
from governance_flow.domain.states import GovernanceState
from tests.support.flows import PlayedFlow, opened
from tests.support.workers import (
    Failing,
    agenda,
    assignment,
    assignments,
    change_table,
    follow,
    replaced,
)

S = GovernanceState


async def introduced(flow: PlayedFlow) -> UUID:
    return await flow.introduce()


async def executing(flow: PlayedFlow) -> UUID:
    return await flow.reach(S.EXECUTING)


async def recorded_while_halted(flow: PlayedFlow) -> UUID:
    motion = await flow.reach(S.PLANNING)
    await flow.halt()
    await flow.succeeds(motion)
    await flow.resume()
    return motion


async def lose_everything(flow: PlayedFlow) -> None:
    await follow(flow)
    for name in ("assignments", "agenda"):
        await change_table(flow, f"DELETE FROM {name}")


@pytest.mark.parametrize("setup", [introduced, executing, recorded_while_halted])
async def test_a_motion_that_lost_its_row_is_not_stranded(
    setup: Callable[[PlayedFlow], Awaitable[UUID]], store_address: str
) -> None:
    async with opened(store_address) as flow:
        motion = await setup(flow)
        await lose_everything(flow)
        with capture_logs() as logs:
            await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
        said = [line for line in logs if "restored" in line["event"]]
        assert [line["motion_id"] for line in said] == [str(motion)]


async def test_a_restored_row_is_as_it_was() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "timeout_error")
        before = await assignment(flow)
        await lose_everything(flow)
        assert await flow.flow.reconciler.reconcile() == 1
        assert await assignment(flow) == before


async def test_a_worker_that_runs_on_looks_again_every_minute() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "timeout_error")
        await flow.idle()
        await lose_everything(flow)
        flow.clock.advance(59)
        await flow.idle()
        assert await assignments(flow) == []
        flow.clock.advance(1)
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_what_waits_for_a_person_has_no_row_to_lose() -> None:
    async with opened() as flow:
        blocked = await flow.reach(S.EXECUTING)
        await flow.fails(blocked, "system_error")
        await flow.reach(S.TABLED)
        await flow.reach(S.ACKNOWLEDGED)
        await follow(flow)
        assert await flow.flow.reconciler.reconcile() == 0
        assert (await assignments(flow), await agenda(flow)) == ([], {})


async def test_every_page_is_looked_at_and_a_worker_is_not_idle_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconciling, "PAGE", 2)
    async with opened(settings={"max_concurrent_motions": 9}) as flow:
        motions = []
        for _ in range(5):
            motions.append(await flow.introduce())
            flow.clock.advance(1)
        await lose_everything(flow)
        assert await flow.flow.reconciler.reconcile() == 5
        await lose_everything(flow)
        await flow.idle()
        assert [await flow.state(motion) for motion in motions] == [S.ACKNOWLEDGED] * 5


async def test_a_motion_that_only_moved_on_meanwhile_has_lost_nothing() -> None:
    """The read model was asked, then the motion moved, then the rows were asked."""
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await follow(flow)
        store = flow.flow.assignments
        missing = store.missing

        async def blocked_meanwhile(motion_ids: Any) -> list[UUID]:
            if (await flow.motion(motion)).block is None:
                await flow.fails(motion, "system_error")
                await follow(flow)
            return await missing(motion_ids)

        with replaced(store, "missing", blocked_meanwhile), capture_logs() as logs:
            assert await flow.flow.reconciler.reconcile() == 0
        assert [line for line in logs if "restored" in line["event"]] == []
        assert await assignments(flow) == []


async def test_a_lease_is_not_lost_to_a_sweep_that_comes_between_two_events() -> None:
    """The motion was routed anew, and the sweep saw its old row gone before the new one was in."""
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await follow(flow)
        store = flow.flow.assignments
        missing = store.missing
        asked = []

        async def seen_too_early(motion_ids: Any) -> list[UUID]:
            asked.append(motion_ids)
            if len(asked) == 1:
                await flow.succeeds(motion)
                return [motion]
            return await missing(motion_ids)

        with replaced(store, "missing", seen_too_early):
            assert await flow.flow.reconciler.reconcile() == 0
        assert (await assignment(flow)).service == "prince_service"


async def test_a_motion_that_cannot_be_read_is_named_and_stops_nothing_else() -> None:
    async with opened() as flow:
        spoilt, healthy = await flow.reach(S.EXECUTING), await flow.reach(S.EXECUTING)
        await follow(flow)
        version = await flow.length(spoilt)
        bad = StoredEvent(spoilt, version + 1, "MOTION_ROUTED", b"no event at all")
        await flow.flow.store.append(Append(spoilt, version, (bad,)))
        assert {row.motion_id for row in await assignments(flow)} == {spoilt, healthy}
        await lose_everything(flow)
        with capture_logs() as logs:
            assert await flow.flow.reconciler.reconcile() == 1
        assert any(
            line["event"] == "motion not reconciled" and line["motion_id"] == str(spoilt)
            for line in logs
        )
        await flow.idle()
        assert await flow.state(healthy) is S.ACKNOWLEDGED


async def test_a_sweep_that_fails_is_begun_anew_a_minute_later_and_stops_nothing_else() -> None:
    async with opened() as flow:
        motion = await flow.introduce()
        reconciler = flow.flow.reconciler
        failing = Failing(reconciler.reconcile_page, RuntimeError("a mistake"))
        with replaced(reconciler, "reconcile_page", failing):
            with pytest.raises(RuntimeError):
                await flow.idle()
            await flow.idle()
            assert await flow.state(motion) is S.ACKNOWLEDGED
            assert failing.calls == 1
            flow.clock.advance(60)
            await flow.idle()
            assert failing.calls == 2


async def test_a_row_of_the_read_model_that_differs_from_its_stream_is_reported() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await follow(flow)
        await change_table(flow, "UPDATE motions_1 SET state = 'JUDGING'")
        with capture_logs() as logs:
            await flow.flow.reconciler.reconcile()
        [said] = [line for line in logs if "differs" in line["event"]]
        assert said["log_level"] == "error"
        assert str(motion) in said["fault"]
        assert "JUDGING" in said["fault"]
