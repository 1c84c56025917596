"""The benchmark goes through everything it measures, and what it measures on is sound."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from governance_flow.domain.events import KeyAdopted, TransitionWitnessed
from governance_flow.domain.keys import KeyRole
from governance_flow.domain.states import GovernanceState
from governance_flow.transparency.notes import Note, open_note
from scripts.bench import hashing, peers, replay
from scripts.bench.__main__ import main
from scripts.bench.child import PartFailed, run_part
from scripts.bench.copied_log import CHECKPOINTS, TILES
from scripts.bench.copying import Block
from scripts.bench.filling import IN_FLIGHT, FilledStore, filled
from scripts.bench.goals import verdicts
from scripts.bench.keys import SIGNERS
from scripts.bench.noop import introduce, opened
from scripts.bench.raw_tables import raw_tables
from scripts.bench.results import Results
from scripts.bench.stores import POSTGRES, SQLITE, Stores

BLOCK = 5
COPIES = 3
MOTIONS = BLOCK * COPIES
EVENTS = 20 * MOTIONS + 3
"""Twenty for each motion, and the adoptions of the configuration and of two keys."""

STATEMENTS = 7 * MOTIONS


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    with Stores(folder=tmp_path) as stores:
        yield stores


@pytest.fixture
def filled_store(stores: Stores) -> Iterator[FilledStore]:
    with filled(stores, SQLITE, BLOCK, [MOTIONS]) as made:
        yield made[MOTIONS]


@pytest.fixture
def unverified_store(stores: Stores) -> Iterator[FilledStore]:
    with filled(stores, SQLITE, BLOCK, [MOTIONS], never_verified=[MOTIONS]) as made:
        yield made[MOTIONS]


def measured(path: Path) -> Results:
    return Results.from_json(path.read_text())


# -- All of it -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_quick_run_measures_everything_on_sqlite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.json"
    assert main(["--quick", "--store", "sqlite", "--json", str(path)]) == 0
    results = measured(path)
    unmeasured = {verdict.goal.name for verdict in verdicts(results) if verdict.met is None}
    assert not [name for name in unmeasured if "SQLite" in name and "DBOS" not in name]
    assert all(value > 0 for series in results for value in series.values if series.unit != "%")
    assert results.facts["sqlite"]["synchronous"] == "FULL"
    printed = capsys.readouterr().out
    assert all(series.title in printed for series in results)
    assert "a quick run only shows that everything works" in printed


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_a_quick_run_measures_on_postgres_and_doubts_a_server_that_forgets(
    tmp_path: Path, postgres_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.json"
    parts = ["--only", "motions", "--only", "limit", "--only", "growth"]
    given = ["--store", "postgres", "--postgres", postgres_server, "--json", str(path)]
    assert main(["--quick", *parts, *given]) == 0
    results = measured(path)
    for key in ("motions.postgres.1", "motions.postgres.2", "limit.plain", "limit.recorder"):
        assert results.median(key), key
    assert results.ratio("growth.postgres.status.15", "growth.postgres.status.5")
    assert "its commits are not durable" in capsys.readouterr().out


def test_a_missing_peer_is_said_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dbos.py").write_text("raise ImportError('made up')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv(peers.PYTHON_VARIABLE, raising=False)
    assert main(["--quick", "--store", "sqlite", "--peers", "--json", str(tmp_path / "j")]) == 1
    assert "make bench-peers" in capfd.readouterr().err
    assert not (tmp_path / "j").exists()


def test_a_part_that_fails_is_noticed(stores: Stores) -> None:
    with stores.fresh(SQLITE) as address, pytest.raises(PartFailed, match="verified"):
        run_part("scripts.bench.replay:verified", address=address, unknown="order")


# -- The stores it fills ---------------------------------------------------------------------------


async def test_a_filled_store_verifies_and_counts_what_it_holds(filled_store: FilledStore) -> None:
    said = await replay.verified(filled_store.address)
    assert said["events"] == filled_store.events == EVENTS
    async with opened(filled_store.address, IN_FLIGHT) as flow:
        status = await flow.orchestrator.get_pipeline_status()
        assert status.motions_by_state[GovernanceState.ACKNOWLEDGED] == MOTIONS
        assert status.finished_recently == BLOCK
        for motion_id in filled_store.some_ids:
            assert (await flow.orchestrator.get_motion_status(motion_id)).version == 20


@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_a_filled_postgres_verifies_too(postgres_server: str, tmp_path: Path) -> None:
    with (
        Stores(postgres_server, tmp_path) as stores,
        filled(stores, POSTGRES, BLOCK, [MOTIONS]) as made,
    ):
        said = asyncio.run(replay.verified(made[MOTIONS].address))
    assert said["events"] == EVENTS


async def test_a_filled_store_that_is_wrong_does_not_verify(filled_store: FilledStore) -> None:
    with raw_tables(filled_store.address) as raw:
        raw.stand_at(filled_store.events - 1, 0)
    with pytest.raises(replay.FaultsFound):
        await replay.verified(filled_store.address)


async def test_work_goes_on_in_a_filled_store(filled_store: FilledStore) -> None:
    async with opened(filled_store.address, IN_FLIGHT) as flow:
        await introduce(flow, 2)
        await flow.worker.run_until_idle()
    assert (await replay.verified(filled_store.address))["events"] == EVENTS + 2 * 20


async def test_work_goes_on_in_a_store_that_is_never_verified(
    unverified_store: FilledStore,
) -> None:
    async with opened(unverified_store.address, IN_FLIGHT) as flow:
        await introduce(flow, 2)
        await flow.worker.run_until_idle()
        status = await flow.orchestrator.get_pipeline_status()
        assert not status.halted
        assert status.motions_by_state[GovernanceState.ACKNOWLEDGED] == MOTIONS + 2
        # Signed, because the tree has grown out of the one before.
        latest = await flow.audit.proofs.latest()
        assert latest.checkpoint.size == EVENTS + 2 * 20 + 1
    with pytest.raises(replay.FaultsFound):
        await replay.verified(unverified_store.address)


async def test_a_store_that_is_never_verified_has_as_large_a_log(
    filled_store: FilledStore, unverified_store: FilledStore
) -> None:
    with raw_tables(filled_store.address) as one, raw_tables(unverified_store.address) as other:
        for table, columns in ((TILES, 2), (CHECKPOINTS, 1)):
            genuine, random = sorted(one.rows(table)), sorted(other.rows(table))
            assert [row[:columns] for row in genuine] == [row[:columns] for row in random]
            assert [len(row[columns]) for row in genuine] == [len(row[columns]) for row in random]
            assert genuine


async def test_copies_share_no_id_and_lie_as_many_days_apart(sqlite_address: str) -> None:
    async with opened(sqlite_address, BLOCK) as flow:
        await introduce(flow, BLOCK)
        await flow.worker.run_until_idle()
        log = await flow.store.read_all(after_position=0, limit=1000)
        block = Block(log)
        now, then = block.copy(0), block.copy(3)
        events = [
            (flow.mapper.to_event(stored), stored)
            for stored in log
            if stored.originator_id in block.motion_ids
        ]
        assert len(events) == len(now.events) == len(then.events) == 20 * BLOCK
        for (event, stored), new, old in zip(events, now.events, then.events, strict=True):
            assert len({new.stream_id, old.stream_id, stored.originator_id}) == 3
            assert (new.version, new.topic) == (stored.originator_version, stored.topic)
            assert new.committed_at_us - old.committed_at_us == 3 * 24 * 3600 * 1_000_000
            assert len(new.state) == len(old.state) == len(stored.state)
            assert str(event.event_id).encode() not in new.state + old.state


async def test_copies_are_signed_by_the_knight_unless_nobody_will_look(
    sqlite_address: str,
) -> None:
    async with opened(sqlite_address, 1) as flow:
        await introduce(flow, 1)
        await flow.worker.run_until_idle()
        block = Block(await flow.store.read_all(after_position=0, limit=1000))
    knight = SIGNERS[KeyRole.KNIGHT].verifier
    statements = [event.statement for event in block.copy(1).events if event.statement]
    assert len(statements) == 7
    for statement in statements:
        assert open_note(statement, [knight]).signatures
    for event in block.copy(1, sign=False).events:
        if event.statement:
            note = Note.parse(event.statement)
            [signature] = note.signatures
            assert not knight.verify(note.text.encode(), signature.signature)
            assert json.loads(event.state)["statement"] == event.statement


# -- Without the log -------------------------------------------------------------------------------


async def test_without_the_log_nothing_is_signed_and_no_tree_is_kept(sqlite_address: str) -> None:
    async with opened(sqlite_address, 2, log=False) as flow:
        await introduce(flow, 2)
        await flow.worker.run_until_idle()
        status = await flow.orchestrator.get_pipeline_status()
        assert status.motions_by_state[GovernanceState.ACKNOWLEDGED] == 2
        log = await flow.store.read_all(after_position=0, limit=1000)
    assert KeyAdopted.topic not in {stored.topic for stored in log}
    moved = [stored for stored in log if stored.topic == TransitionWitnessed.topic]
    assert len(moved) == 2 * 7
    assert all(json.loads(stored.state)["statement"].count("\n") == 2 for stored in moved)
    with raw_tables(sqlite_address) as raw:
        assert TILES not in raw.names()
        assert raw.rows(CHECKPOINTS) == []


async def test_the_log_is_back_when_the_next_pipeline_is_opened(
    sqlite_address: str, tmp_path: Path
) -> None:
    async with opened(sqlite_address, 1, log=False):
        pass
    address = f"sqlite:///{tmp_path / 'next.db'}"
    async with opened(address, 1) as flow:
        await introduce(flow, 1)
        await flow.worker.run_until_idle()
        report = await flow.audit.auditor.verify()
    assert report.faults == ()
    assert report.checkpoints


# -- Hashing and chain -----------------------------------------------------------------------------


async def test_hashing_goes_over_every_event_statement_and_checkpoint(
    filled_store: FilledStore,
) -> None:
    said = await hashing.hashed(filled_store.address)
    with raw_tables(filled_store.address) as raw:
        checkpoints = len(raw.rows(CHECKPOINTS))
    assert checkpoints > COPIES
    assert (said["events"], said["statements"], said["checkpoints"]) == (
        EVENTS,
        STATEMENTS,
        checkpoints,
    )


async def test_hashing_and_chain_both_notice_a_byte_that_was_changed(
    filled_store: FilledStore,
) -> None:
    path = filled_store.address.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("DROP TRIGGER events_append_only_update")
        changed = file.execute(
            "UPDATE events SET state = CAST(replace(state, '\"ada\"', '\"eve\"') AS BLOB)"
            " WHERE position = (SELECT min(position) FROM events WHERE topic = 'MOTION_INTRODUCED')"
        )
        assert changed.rowcount == 1
    async with opened(filled_store.address, IN_FLIGHT) as flow:
        with pytest.raises(hashing.NotInLog, match="not the one that was entered"):
            await hashing.hash_all(flow, EVENTS)
        with pytest.raises(hashing.BrokenChain):
            await hashing.follow_chains(flow.audit.events, EVENTS)
