"""Checkpoints on every store: signed once for each size, and kept for ever."""

from __future__ import annotations

import asyncio

import pytest

from governance_flow.application.ports.transparency_log import SignedCheckpoint
from governance_flow.domain.errors import StoreError
from governance_flow.domain.keys import KeyRole
from governance_flow.domain.states import GovernanceState
from governance_flow.infrastructure.database.base import AnyDatabase
from governance_flow.infrastructure.log_checkpoints import SqlLogCheckpoints
from tests.support.clock import ManualClock
from tests.support.flows import PlayedFlow, opened
from tests.support.naive_log import leaves_of, require_kept

S = GovernanceState

UINT53 = 2**53


def a_checkpoint(size: int, mark: int = 0) -> SignedCheckpoint:
    """Return a checkpoint whose note is only a text: the table takes it as it is."""
    root = size.to_bytes(8, "big") + bytes([mark] * 24)
    return SignedCheckpoint(size, root, f"note {mark} of {size}\n\n\N{EM DASH} x y\n", size * 1000)


@pytest.fixture
def kept(database: AnyDatabase) -> SqlLogCheckpoints:
    return SqlLogCheckpoints(database)


async def all_of(kept: SqlLogCheckpoints) -> list[SignedCheckpoint]:
    return await kept.page(after_size=0, limit=1000)


async def test_without_any_there_is_none(kept: SqlLogCheckpoints) -> None:
    assert await kept.latest() is None
    assert await kept.reaching(1) is None
    assert await all_of(kept) == []


async def test_what_is_kept_is_read_back_as_it_was(kept: SqlLogCheckpoints) -> None:
    sizes = [7, 1, 300, 2, UINT53]
    for size in sizes:
        await kept.keep(a_checkpoint(size))
    assert await all_of(kept) == [a_checkpoint(size) for size in sorted(sizes)]
    # The largest tree, not whatever was kept last.
    assert await kept.latest() == a_checkpoint(UINT53)
    assert await kept.page(after_size=2, limit=2) == [a_checkpoint(7), a_checkpoint(300)]
    assert await kept.reaching(7) == a_checkpoint(7)
    assert await kept.reaching(8) == a_checkpoint(300)
    assert await kept.reaching(UINT53 + 1) is None


async def test_the_first_one_of_a_size_stays(kept: SqlLogCheckpoints) -> None:
    await kept.keep(a_checkpoint(7))
    await kept.keep(a_checkpoint(7, mark=1))
    assert await all_of(kept) == [a_checkpoint(7)]


async def test_many_that_are_kept_at_once_are_all_kept(kept: SqlLogCheckpoints) -> None:
    wanted = [a_checkpoint(size) for size in range(1, 21)]
    await asyncio.gather(*(kept.keep(checkpoint) for checkpoint in wanted * 2))
    assert await all_of(kept) == wanted


ATTEMPTS = [
    "UPDATE log_checkpoints SET note = 'another'",
    "UPDATE log_checkpoints SET size = 8 WHERE size = 7",
    "DELETE FROM log_checkpoints",
    "DELETE FROM log_checkpoints WHERE size = 7",
    """INSERT INTO log_checkpoints SELECT * FROM log_checkpoints WHERE size = 7
       ON CONFLICT (size) DO UPDATE SET note = 'another'""",
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_the_database_refuses_to_change_or_drop_one(
    kept: SqlLogCheckpoints, database: AnyDatabase, attempt: str
) -> None:
    await kept.keep(a_checkpoint(7))
    with pytest.raises(StoreError, match="checkpoints are kept for ever"):
        await database.write(lambda tx: tx.execute(attempt))
    assert await all_of(kept) == [a_checkpoint(7)]


@pytest.mark.postgres
@pytest.mark.parametrize("store_address", ["postgresql"], indirect=True)
async def test_the_database_refuses_to_empty_the_table(
    kept: SqlLogCheckpoints, database: AnyDatabase
) -> None:
    await kept.keep(a_checkpoint(7))
    with pytest.raises(StoreError, match="checkpoints are kept for ever"):
        await database.write(lambda tx: tx.execute("TRUNCATE log_checkpoints"))
    assert await all_of(kept) == [a_checkpoint(7)]


@pytest.mark.parametrize("store_address", ["memory", "sqlite"], indirect=True)
async def test_replacing_one_is_changing_it(kept: SqlLogCheckpoints, database: AnyDatabase) -> None:
    """SQLite's REPLACE deletes without asking the triggers, unless they are recursive."""
    await kept.keep(a_checkpoint(7))
    with pytest.raises(StoreError, match="checkpoints are kept for ever"):
        await database.write(
            lambda tx: tx.execute("REPLACE INTO log_checkpoints VALUES (7, X'00', 'another', 1)")
        )
    assert await all_of(kept) == [a_checkpoint(7)]


# -- Signed by a pipeline --------------------------------------------------------------------------


async def log_key(flow: PlayedFlow) -> str:
    return (await flow.flow.keys.signing(KeyRole.LOG)).verifier.vkey


async def signed(flow: PlayedFlow) -> list[SignedCheckpoint]:
    return await all_of(SqlLogCheckpoints(flow.flow.database))  # type: ignore[arg-type]


async def test_every_checkpoint_of_a_pipeline_fits_the_events_and_the_last_covers_all(
    store_address: str,
) -> None:
    async with opened(store_address) as flow:
        for _ in range(5):
            await flow.introduce()
            await flow.idle()
            flow.clock.advance(1)
        await flow.flow.audit.proofs.latest()
        found = await signed(flow)
        sizes = require_kept(
            await leaves_of(flow.flow.store), [c.note for c in found], await log_key(flow)
        )
        assert sizes == [checkpoint.size for checkpoint in found]
        assert len(sizes) >= 5
        assert sizes[-1] == (await flow.flow.store.head()).position + 1


async def test_it_says_when_it_was_signed_by_the_stores_clock(store_address: str) -> None:
    async with opened(store_address) as flow:
        await flow.introduce()
        flow.clock.advance(hours=1)
        latest = await flow.flow.audit.proofs.latest()
        assert latest.checkpoint.signed_at_us == int(flow.clock.now().timestamp() * 1_000_000)


@pytest.mark.parametrize(
    "store_address",
    ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
    indirect=True,
)
async def test_two_processes_that_sign_at_once_promise_the_same(
    store_address: str, clock: ManualClock
) -> None:
    async with opened(store_address, clock=clock) as one, opened(store_address, clock=clock) as two:
        await one.flow.audit.proofs.latest()
        for _ in range(5):
            await one.reach(S.PLANNING)
            found = await asyncio.gather(
                *(flow.flow.audit.proofs.latest() for flow in (one, two, one, two))
            )
            assert all(item.unsigned is None for item in found)
            size = (await one.flow.store.head()).position + 1
            assert {item.checkpoint.size for item in found} == {size}
            assert len({item.checkpoint.note for item in found}) == 1
        checkpoints = await signed(one)
        leaves = await leaves_of(one.flow.store)
        require_kept(leaves, [c.note for c in checkpoints], await log_key(one))
        assert not (await one.flow.store.head()).halted


async def test_signing_while_events_arrive_promises_nothing_that_is_not_so(
    store_address: str,
) -> None:
    async with opened(store_address) as flow:

        async def sign() -> None:
            for _ in range(8):
                await flow.flow.audit.proofs.latest()

        async def arrive() -> None:
            for _ in range(4):
                await flow.reach(S.EXECUTING)

        await asyncio.gather(sign(), arrive(), sign())
        await flow.flow.audit.proofs.latest()
        found = await signed(flow)
        leaves = await leaves_of(flow.flow.store)
        require_kept(leaves, [c.note for c in found], await log_key(flow))
        report = await flow.flow.audit.auditor.verify()
        assert [str(fault) for fault in report.faults] == []
        assert report.checkpoints == len(found)
