"""What cannot be read, or not be applied, stops its own motion, visibly, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from governance_flow.application.ports.database import Transaction
from governance_flow.application.ports.flow_orchestrator import Lag
from governance_flow.application.ports.projection import Batch
from governance_flow.domain.errors import CorruptStream, StoreFull
from governance_flow.domain.states import GovernanceState
from governance_flow.infrastructure.database.base import AnyDatabase
from projections.activity import ActivityProjection
from projections.isolation import ProjectionFailed
from projections.motions import MotionsProjection
from tests.support.assembly import Assembly
from tests.support.followers import Follow, Follower, Recorder, contents, faults_of

S = GovernanceState


class Stumbling(MotionsProjection):
    """The projection "motions" with a mistake in it."""

    def __init__(self, raises: Callable[[Batch], None]) -> None:
        self.raises = raises

    def apply(self, tx: Transaction, batch: Batch, generation: int) -> None:
        super().apply(tx, batch, generation)
        self.raises(batch)


def stumble_over(*motions: UUID) -> Callable[[Batch], None]:
    def raises(batch: Batch) -> None:
        if any(change.motion_id in motions for change in batch.motions):
            raise ZeroDivisionError("somebody divided by zero")

    return raises


async def drain(follower: Follower, limit: int = 500) -> None:
    while await follower.runner.run_once(limit):
        pass


@pytest.mark.parametrize("limit", [1, 4, 500])
async def test_an_unreadable_event_parks_its_motion_and_no_other(
    assembly: Assembly, follower: Follower, limit: int
) -> None:
    spoiled = await assembly.introduce(S.PLANNING)
    healthy = await assembly.introduce(S.PLANNING)
    await assembly.spoil(spoiled)
    position = (await assembly.store.head()).position
    await assembly.act(healthy, lambda motion: motion.succeeds())
    # What follows the poison is not applied either, in this batch or a later one.
    await assembly.spoil(spoiled, topic="BRANCH_COMPLETED")
    await assembly.act(healthy, lambda motion: motion.succeeds())
    with capture_logs() as logs:
        await drain(follower, limit)
    rows = {row.motion_id: row for row in await follower.everything()}
    assert rows[healthy].state is S.JUDGING
    assert rows[healthy].parked is None
    assert rows[spoiled].state is S.PLANNING
    note = rows[spoiled].parked
    assert note is not None
    assert f"MOTION_ROUTED, position {position}" in note
    assert "cannot be read" in note
    parked = await follower.read_model.parked(limit=10)
    assert [(item.projection, item.motion_id, item.position) for item in parked] == [
        (name, spoiled, position) for name in ("activity", "motions", "search")
    ]
    said = [entry for entry in logs if entry["log_level"] == "error"]
    assert [(entry["motion_id"], entry["position"]) for entry in said] == [
        (str(spoiled), position)
    ] * 3
    assert set((await follower.runner.lag()).values()) == {Lag(0, 0.0)}


async def test_a_parked_motion_stays_parked_after_a_restart(
    assembly: Assembly, follower: Follower, elsewhere: Follower, database: AnyDatabase
) -> None:
    spoiled = await assembly.introduce()
    await assembly.spoil(spoiled)
    await drain(follower)
    before = await follower.everything()
    await assembly.spoil(spoiled)
    await assembly.introduce()
    await drain(elsewhere)
    after = await elsewhere.everything()
    assert after[:1] == before
    assert len(after) == 2
    faults = await faults_of(database, assembly.store)
    assert {fault.motion_id for fault in faults} == {spoiled}
    assert {fault.expected for fault in faults} == {"followed to the end"}


async def test_a_motion_whose_first_event_is_unreadable_is_parked_without_a_row(
    assembly: Assembly, follower: Follower
) -> None:
    stranger = uuid4()
    await assembly.spoil(stranger, topic="MOTION_INTRODUCED")
    await assembly.spoil(stranger)
    healthy = await assembly.introduce(S.REJECTED)
    await drain(follower)
    assert [row.motion_id for row in await follower.everything()] == [healthy]
    parked = await follower.read_model.parked(limit=10)
    assert {(item.motion_id, item.position) for item in parked} == {(stranger, 1)}
    assert await follower.read_model.parked(limit=1) == parked[:1]


async def test_events_that_no_rule_of_ours_can_have_written_park_their_motion(
    assembly: Assembly, follower: Follower
) -> None:
    twice = await assembly.introduce(S.PLANNING)
    scenario = assembly.motions[twice]
    await assembly.append(twice, len(scenario.events), [scenario.events[0]])
    foreign = uuid4()
    await assembly.append(foreign, 0, [scenario.events[1]])
    await drain(follower)
    [row] = await follower.everything()
    assert row.parked is not None
    assert "introduced a second time" in row.parked
    reasons = {item.motion_id: item.reason for item in await follower.read_model.parked(limit=9)}
    assert "begins with TRANSITION_WITNESSED" in reasons[foreign]


async def test_an_event_of_the_pipeline_in_a_motions_stream_parks_the_motion(
    assembly: Assembly, follower: Follower
) -> None:
    motion_id = await assembly.introduce()
    await assembly.halt()
    [halted] = (await assembly.store.read_all(after_position=1, limit=1))[:1]
    await assembly.append_raw(
        motion_id,
        1,
        type(halted)(**{**vars(halted), "originator_id": motion_id, "originator_version": 2}),
    )
    await drain(follower)
    [row] = await follower.everything()
    assert row.parked is not None
    assert "does not belong in this stream" in row.parked


async def test_a_projection_that_raises_parks_the_offender_for_itself_alone(
    assembly: Assembly, follower: Follower, follow: Follow, database: AnyDatabase
) -> None:
    first = await assembly.introduce(S.PLANNING)
    offender = await assembly.introduce(S.PLANNING)
    last = await assembly.introduce(S.PLANNING)
    stumbling = follow(Stumbling(stumble_over(offender)))
    await drain(stumbling)
    for motion_id in (first, offender, last):
        await assembly.act(motion_id, lambda motion: motion.succeeds())
    await drain(stumbling)
    rows = await follower.everything()
    assert [(row.motion_id, row.state) for row in rows] == [
        (first, S.EXECUTING),
        (last, S.EXECUTING),
    ]
    [parked] = await follower.read_model.parked(limit=10)
    introduced = (await assembly.store.read_stream(offender))[0]
    assert (parked.projection, parked.motion_id) == ("motions", offender)
    assert (parked.position, parked.topic) == (introduced.id, "MOTION_INTRODUCED")
    assert "ZeroDivisionError: somebody divided by zero" in parked.reason
    # The other projection has seen all three, and what it left out of the rows is counted nowhere.
    assert (await follower.read_model.totals()).time_in_state[S.PLANNING].left == 3
    assert [fault.motion_id for fault in await faults_of(database, assembly.store)] == [offender]


async def test_a_row_whose_projection_stumbled_later_stays_as_it_was_and_says_so(
    assembly: Assembly, follower: Follower, follow: Follow, database: AnyDatabase
) -> None:
    offender = await assembly.introduce(S.PLANNING)
    await drain(follower)
    await assembly.act(offender, lambda motion: motion.succeeds())
    await assembly.act(offender, lambda motion: motion.succeeds())
    await drain(follow(Stumbling(stumble_over(offender))), limit=2)
    [row] = await follower.everything()
    assert row.state is S.PLANNING
    assert row.parked is not None
    assert row.parked.startswith("motions stopped at BRANCH_COMPLETED")
    assert (await follower.read_model.counts(since=assembly.clock.now())).by_state[S.PLANNING] == 1
    [fault] = await faults_of(database, assembly.store)
    assert (fault.motion_id, fault.field) == (offender, "motions")


async def test_what_is_wrong_with_the_store_is_no_fault_of_a_motion(
    assembly: Assembly, follower: Follower, follow: Follow, database: AnyDatabase
) -> None:
    await assembly.introduce()
    before = await contents(database)

    def no_space(batch: Batch) -> None:
        raise StoreFull("no space is left")

    def no_space_while_undoing(batch: Batch) -> None:
        try:
            no_space(batch)
        except StoreFull:
            raise ValueError("there is nothing to roll back to")  # noqa: B904 - as drivers do

    for raises in (no_space, no_space_while_undoing):
        with pytest.raises((StoreFull, ValueError)):
            await follow(Stumbling(raises)).runner.run_once()
        assert await contents(database) == before
    await drain(follower)
    assert [row.parked for row in await follower.everything()] == [None]


async def test_an_unreadable_event_of_the_pipeline_stops_everything_and_says_which(
    assembly: Assembly, follower: Follower
) -> None:
    await assembly.introduce()
    await drain(follower)
    await assembly.halt()
    await assembly.introduce()
    await assembly.spoil_pipeline()
    for _ in range(2):
        with pytest.raises(CorruptStream, match=r"position 4 \(PIPELINE_HALTED, version 2\)"):
            await follower.runner.run_once()
    with pytest.raises(CorruptStream):
        await follower.read_model.catch_up(3)
    assert (await follower.runner.lag())["motions"].events == 3


async def test_a_projection_that_raises_at_the_pipelines_events_stops_and_says_which(
    assembly: Assembly, follow: Follow, follower: Follower
) -> None:
    await assembly.introduce()
    await assembly.halt()

    def raises(batch: Batch) -> None:
        if batch.pipeline_events:
            raise KeyError("halted")

    stumbling = follow(Stumbling(raises))
    with pytest.raises(ProjectionFailed, match="'motions' cannot apply PIPELINE_HALTED") as caught:
        await stumbling.runner.run_once()
    assert (caught.value.projection, caught.value.position) == ("motions", 2)
    assert (await follower.runner.lag())["motions"].events == 2
    await drain(follower)
    assert len(await follower.everything()) == 1


async def test_a_statement_the_database_refuses_parks_the_motion_and_the_batch_goes_on(
    assembly: Assembly, follow: Follow
) -> None:
    offender = await assembly.introduce()
    healthy = await assembly.introduce()

    class Refused(MotionsProjection):
        def apply(self, tx: Transaction, batch: Batch, generation: int) -> None:
            super().apply(tx, batch, generation)
            if any(change.motion_id == offender for change in batch.motions):
                tx.execute("INSERT INTO motions_1 (motion_id) VALUES (NULL)")

    broken = follow(Refused())
    await broken.runner.prepare()
    await drain(broken)
    assert [row.motion_id for row in await broken.everything()] == [healthy]
    [parked] = await broken.read_model.parked(limit=10)
    assert parked.motion_id == offender


async def test_a_reason_of_any_length_and_with_any_characters_can_be_kept(
    assembly: Assembly, follow: Follow
) -> None:
    offender = await assembly.introduce()

    def raises(batch: Batch) -> None:
        raise ValueError("\x00\ud800" + "x" * 100_000)

    broken = follow(Stumbling(raises))
    await broken.runner.prepare()
    await drain(broken)
    [parked] = await broken.read_model.parked(limit=10)
    assert parked.motion_id == offender
    assert r"\x00\ud800" in parked.reason
    assert len(parked.reason) < 3000


async def test_projections_that_only_watch_are_told_of_poison_once(
    assembly: Assembly, follow: Follow
) -> None:
    watcher = Recorder()
    follower = follow(watcher, ActivityProjection())
    await follower.runner.prepare()
    motion_id = await assembly.introduce()
    await assembly.spoil(motion_id)
    await assembly.spoil(motion_id)
    await drain(follower, limit=1)
    poisoned = [
        change.poison for batch in watcher.batches for change in batch.motions if change.poison
    ]
    assert len(poisoned) == 1
    assert "position 2" in poisoned[0]
