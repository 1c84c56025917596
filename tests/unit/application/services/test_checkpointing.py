"""Checkpoints: often enough, on demand, and never one that contradicts what was promised."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from governance_flow.application.ports.database import Transaction
from governance_flow.application.ports.transparency_log import SignedCheckpoint
from governance_flow.domain.errors import (
    KeyUnavailable,
    LogInconsistent,
    NotInLog,
    StoreUnavailable,
)
from governance_flow.domain.events import SYSTEM, PipelineHalted
from governance_flow.domain.keys import KeyRole
from governance_flow.domain.states import GovernanceState
from governance_flow.infrastructure.keys.last_signed import FileLastSigned
from governance_flow.transparency.checkpoints import Checkpoint, sign_checkpoint
from projections.isolation import ProjectionFailed
from tests.support.flows import CHAIR, PlayedFlow, Postbox, cast, opened
from tests.support.keyrings import ToldKeyring
from tests.support.keys import LOG
from tests.support.naive_log import leaves_of, require_kept
from tests.support.workers import Failing, replaced, until

S = GovernanceState


def checkpointing(flow: PlayedFlow) -> Any:
    return flow.flow.audit.proofs._checkpointing


def last_signed(flow: PlayedFlow) -> Any:
    return checkpointing(flow)._last_signed


async def signed(flow: PlayedFlow) -> list[SignedCheckpoint]:
    kept = flow.flow.audit.proofs._checkpoints
    return await kept.page(after_size=0, limit=1000)


async def sizes(flow: PlayedFlow) -> list[int]:
    return [checkpoint.size for checkpoint in await signed(flow)]


async def size_now(flow: PlayedFlow) -> int:
    return (await flow.flow.store.head()).position + 1


async def sql(flow: PlayedFlow, statement: str) -> None:
    await flow.flow.database.write(lambda tx: tx.execute(statement))


# -- When ------------------------------------------------------------------------------------------


async def test_one_is_signed_on_demand_over_everything_and_only_once() -> None:
    async with opened() as flow:
        await flow.introduce()
        first = await flow.flow.audit.proofs.latest()
        assert first.unsigned is None
        # The event that adopts the log's key is under it already.
        assert first.checkpoint.size == await size_now(flow) == 3
        again = await flow.flow.audit.proofs.latest()
        assert again == first
        before = await sizes(flow)
        await flow.introduce()
        assert (await flow.flow.audit.proofs.latest()).checkpoint.size == 4
        assert await sizes(flow) == [*before, 4]


async def test_while_events_arrive_they_are_at_most_a_second_apart() -> None:
    async with opened(branches=cast(), settings={"max_concurrent_motions": 1000}) as flow:
        worker = flow.flow.worker
        await flow.idle()
        for _ in range(100):
            await flow.introduce()
            await worker.step()
            flow.clock.advance(0.1)
        times = [checkpoint.signed_at_us for checkpoint in await signed(flow)]
        assert all(later - earlier <= 1_000_000 for earlier, later in pairwise(times))
        assert flow.clock.now().timestamp() * 1_000_000 - times[-1] <= 1_000_000
        leaves = await leaves_of(flow.flow.store)
        require_kept(leaves, [c.note for c in await signed(flow)], LOG.vkey)


async def test_questions_that_follow_the_events_first_do_not_keep_them_from_being_signed() -> None:
    """Whoever asks the read model in the worker's own process follows the events for it."""
    async with opened() as flow:
        worker = flow.flow.worker
        await flow.idle()
        for _ in range(20):
            await flow.introduce()
            await flow.orchestrator.get_pipeline_status()
            await worker.step()
            flow.clock.advance(0.5)
        times = [checkpoint.signed_at_us for checkpoint in await signed(flow)]
        assert all(later - earlier <= 1_000_000 for earlier, later in pairwise(times))
        assert flow.clock.now().timestamp() * 1_000_000 - times[-1] <= 1_000_000


async def test_an_idle_worker_leaves_nothing_unsigned() -> None:
    async with opened() as flow:
        await flow.introduce()
        await flow.idle()
        assert (await sizes(flow))[-1] == await size_now(flow)


async def test_nothing_is_signed_anew_while_nothing_happens() -> None:
    async with opened() as flow:
        await flow.introduce()
        await flow.idle()
        before = await sizes(flow)
        for _ in range(10):
            flow.clock.advance(60)
            await flow.flow.worker.step()
        assert await sizes(flow) == before


# -- Never a contradiction -------------------------------------------------------------------------

Damage = Callable[[PlayedFlow], Awaitable[None]]


async def events_gone(flow: PlayedFlow) -> None:
    """As when an older backup is put back, tiles and all, and the checkpoints are kept."""
    tree = checkpointing(flow)._tree
    tree.size = returning(5)


async def a_partial_tile_altered(flow: PlayedFlow) -> None:
    await first_bit_turned(flow, level=0, nth=1)


async def an_upper_tile_altered(flow: PlayedFlow) -> None:
    await first_bit_turned(flow, level=1, nth=0)


async def first_bit_turned(flow: PlayedFlow, level: int, nth: int) -> None:
    where = {"level": level, "nth": nth}

    def work(tx: Transaction) -> None:
        read = "SELECT hashes FROM log_tiles_1 WHERE level = :level AND nth = :nth"
        [(hashes,)] = tx.execute(read, where)
        turned = bytes([hashes[0] ^ 1]) + hashes[1:]
        write = "UPDATE log_tiles_1 SET hashes = :hashes WHERE level = :level AND nth = :nth"
        tx.execute(write, {**where, "hashes": turned})

    await flow.flow.database.write(work)


async def a_tile_missing(flow: PlayedFlow) -> None:
    await sql(flow, "DELETE FROM log_tiles_1 WHERE level = 1")


async def a_partial_tile_missing(flow: PlayedFlow) -> None:
    await sql(flow, "DELETE FROM log_tiles_1 WHERE level = 0 AND nth = 1")


async def a_tile_of_no_length(flow: PlayedFlow) -> None:
    await sql(flow, "UPDATE log_tiles_1 SET hashes = substr(hashes, 1, 31) WHERE level = 1")


async def another_promise_beside_the_key(flow: PlayedFlow) -> None:
    """What was signed here is not in the store, and contradicts it."""
    promised = Checkpoint(LOG.name, 3, bytes(32))
    await last_signed(flow).write(sign_checkpoint(promised, [LOG]))


async def a_larger_promise_beside_the_key(flow: PlayedFlow) -> None:
    promised = Checkpoint(LOG.name, 100_000, bytes(32))
    await last_signed(flow).write(sign_checkpoint(promised, [LOG]))


async def a_promise_in_the_store_altered(flow: PlayedFlow) -> None:
    for trigger in ("update", "delete"):
        await sql(flow, f"DROP TRIGGER log_checkpoints_kept_{trigger}")
    await sql(flow, "UPDATE log_checkpoints SET root = zeroblob(32)")


def returning(value: object) -> Callable[[], Awaitable[object]]:
    async def answer() -> object:
        return value

    return answer


DAMAGES: dict[str, tuple[Damage, str]] = {
    "events gone": (events_gone, "the log has 5 leaves, but a checkpoint of"),
    "partial tile altered": (a_partial_tile_altered, "leaves are not those that its checkpoint"),
    "upper tile altered": (an_upper_tile_altered, "leaves are not those that its checkpoint"),
    "tile missing": (a_tile_missing, "tile 0 of level 1 is missing"),
    "partial tile missing": (a_partial_tile_missing, "tile 1 of level 0 is missing"),
    "tile of no length": (a_tile_of_no_length, "has 31 bytes"),
    "beside the key": (another_promise_beside_the_key, "first 3 leaves are not those"),
    "larger beside the key": (a_larger_promise_beside_the_key, "a checkpoint of 100000 was signed"),
    "in the store": (a_promise_in_the_store_altered, "leaves are not those that its checkpoint"),
}


async def full(flow: PlayedFlow) -> None:
    """Fill a tile and some of the next."""
    for number in range(14):
        await flow.introduce(f"motion {number}")
    await flow.idle()
    assert 256 < await size_now(flow) < 512


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES)
async def test_a_contradiction_is_never_signed_and_halts_the_pipeline(
    damage: Damage, said: str
) -> None:
    postbox = Postbox()
    async with opened(sinks=[postbox]) as flow:
        await full(flow)
        await damage(flow)
        before, note = await sizes(flow), await last_signed(flow).read()
        with pytest.raises(LogInconsistent) as caught:
            await checkpointing(flow).sign()
        assert said in str(caught.value)
        assert "audit verify says where" in str(caught.value)
        halted = (await flow.pipeline_events())[-1]
        assert isinstance(halted, PipelineHalted)
        assert halted.actor == SYSTEM
        assert halted.reason.startswith("no checkpoint can be signed: ")
        assert said in halted.reason
        assert (await flow.flow.store.head()).halted
        # An alert goes out, from whichever worker comes next; and nothing is ever signed.
        await flow.flow.worker.step()
        await until(lambda: bool(postbox.alerts))
        assert [alert.kind for alert in postbox.alerts] == ["pipeline_halted"]
        assert (await sizes(flow), await last_signed(flow).read()) == (before, note)


async def test_a_worker_that_finds_a_contradiction_says_so_goes_on_and_halts_again() -> None:
    postbox = Postbox()
    async with opened(sinks=[postbox]) as flow:
        await full(flow)
        await another_promise_beside_the_key(flow)
        before = await sizes(flow)
        await flow.introduce()
        flow.clock.advance(1)
        with capture_logs() as logs:
            await flow.flow.worker.step()
        assert {"no checkpoint signed"} <= {entry["event"] for entry in logs}
        assert (await flow.flow.store.head()).halted
        for _ in range(3):
            await flow.flow.worker.step()
        # A person who resumes without having looked is halted again, within a minute or so.
        await flow.orchestrator.resume_pipeline(CHAIR, "it will be nothing")
        flow.clock.advance(61)
        await flow.flow.worker.step()
        assert (await flow.flow.store.head()).halted
        assert await sizes(flow) == before


async def test_once_the_tiles_are_right_again_it_goes_on_after_a_resumption() -> None:
    async with opened() as flow:
        await full(flow)
        await an_upper_tile_altered(flow)
        with pytest.raises(LogInconsistent):
            await checkpointing(flow).sign()
        await flow.flow.rebuilder.rebuild("log")
        await flow.resume()
        latest = await flow.flow.audit.proofs.latest()
        assert latest.checkpoint.size == await size_now(flow)
        report = await flow.flow.audit.auditor.verify()
        assert [str(fault) for fault in report.faults] == []


async def test_while_tiles_cannot_be_built_upon_motions_move_and_nothing_is_signed() -> None:
    """The log stops, and says so in every round; it is not this that decides about motions."""
    async with opened() as flow:
        await full(flow)
        await a_partial_tile_missing(flow)
        before = await sizes(flow)
        motion = await flow.introduce()
        flow.clock.advance(1)
        with pytest.raises(ProjectionFailed, match="governance-flow rebuild log"):
            await flow.flow.worker.step()
        assert await flow.state(motion) is not S.INTRODUCED
        assert await sizes(flow) == before
        await flow.flow.rebuilder.rebuild("log")
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
        assert (await sizes(flow))[-1] == await size_now(flow)
        assert (await flow.flow.audit.auditor.verify()).passed


# -- What stands beside the key --------------------------------------------------------------------


async def test_what_is_not_remembered_beside_the_key_is_not_signed_away() -> None:
    async with opened() as flow:
        await flow.flow.audit.proofs.latest()
        before, note = await sizes(flow), await last_signed(flow).read()
        await flow.introduce()
        with replaced(
            last_signed(flow), "write", Failing(last_signed(flow).write, KeyUnavailable("full"))
        ):
            latest = await flow.flow.audit.proofs.latest()
        assert latest.unsigned is not None
        assert await sizes(flow) == before
        assert await last_signed(flow).read() == note


async def test_a_promise_that_did_not_reach_the_store_binds_all_the_same() -> None:
    """The process died between the two: what it had signed may be anywhere by now."""
    async with opened() as flow:
        await flow.flow.audit.proofs.latest()
        await flow.introduce()
        kept = flow.flow.audit.proofs._checkpoints
        before = await sizes(flow)
        with (
            replaced(kept, "keep", Failing(kept.keep, StoreUnavailable("gone"))),
            pytest.raises(StoreUnavailable),
        ):
            await flow.flow.audit.proofs.latest()
        assert await sizes(flow) == before
        assert f"\n{await size_now(flow)}\n" in await last_signed(flow).read()
        # With the same leaves, the same promise is made again; without them, none.
        tree = checkpointing(flow)._tree
        with (
            replaced(tree, "size", returning(before[-1])),
            pytest.raises(LogInconsistent, match="events were deleted"),
        ):
            await checkpointing(flow).sign()
        await flow.resume()
        assert (await flow.flow.audit.proofs.latest()).checkpoint.size == await size_now(flow)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"rubbish", "holds none of this log"),
        (b"", "holds none of this log"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
async def test_rubbish_beside_the_key_is_no_reason_to_forget_what_was_there(
    tmp_path: Path, content: bytes, said: str
) -> None:
    async with opened() as flow:
        path = tmp_path / "log.signed"
        checkpointing(flow)._last_signed = FileLastSigned(path)
        await flow.flow.audit.proofs.latest()
        assert path.read_text() == (await signed(flow))[-1].note
        path.write_bytes(content)
        await flow.introduce()
        before = await sizes(flow)
        latest = await flow.flow.audit.proofs.latest()
        assert latest.unsigned is not None
        assert said in latest.unsigned
        assert str(path) in latest.unsigned
        assert (await sizes(flow), path.read_bytes()) == (before, content)


# -- A key that is not here ------------------------------------------------------------------------


async def test_without_the_logs_key_a_worker_goes_on_and_tries_again_after_a_minute() -> None:
    keys = ToldKeyring(lost={KeyRole.LOG})
    async with opened(keyring=keys) as flow:
        worker = flow.flow.worker
        motion = await flow.introduce()

        def tries() -> int:
            return keys.asked.count(KeyRole.LOG)

        with capture_logs() as logs:
            for _ in range(119):
                await worker.step()
                await until(lambda: not worker._dispatcher.busy)
                flow.clock.advance(0.5)
                await flow.introduce()
        assert tries() == 1
        assert [e["why"] for e in logs if e["event"] == "no checkpoint signed"] == [
            "the log's key is at the bottom of the sea; dive for it"
        ]
        assert await flow.state(motion) is S.ACKNOWLEDGED
        assert not (await flow.flow.store.head()).halted
        assert await sizes(flow) == []
        flow.clock.advance(0.5)
        await worker.step()
        assert tries() == 2
        keys.lost.clear()
        flow.clock.advance(60)
        await flow.introduce()
        await worker.step()
        assert len(await sizes(flow)) == 1


async def test_it_is_tried_again_even_if_nothing_more_happens() -> None:
    keys = ToldKeyring(lost={KeyRole.LOG})
    async with opened(keyring=keys) as flow:
        await flow.introduce()
        await flow.flow.worker.step()
        assert await sizes(flow) == []
        for _ in range(3):
            flow.clock.advance(61)
            await flow.flow.worker.step()
        keys.lost.clear()
        flow.clock.advance(61)
        await flow.flow.worker.step()
        assert len(await sizes(flow)) == 1


async def test_without_the_logs_key_the_latest_is_given_and_it_is_said_why() -> None:
    keys = ToldKeyring()
    async with opened(keyring=keys) as flow:
        keys.lost.add(KeyRole.LOG)
        with pytest.raises(NotInLog, match=r"no checkpoint was signed yet.*dive for it"):
            await flow.flow.audit.proofs.latest()
        keys.lost.clear()
        first = await flow.flow.audit.proofs.latest()
        await flow.introduce()
        keys.lost.add(KeyRole.LOG)
        flow.flow.keys._held.clear()
        latest = await flow.flow.audit.proofs.latest()
        assert latest.checkpoint == first.checkpoint
        assert latest.unsigned == "the log's key is at the bottom of the sea; dive for it"
