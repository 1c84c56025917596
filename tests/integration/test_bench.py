"""The benchmark goes through everything it measures, and what it measures on is sound."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from governance_flow.domain.states import GovernanceState
from scripts.bench import peers, replay
from scripts.bench.__main__ import main
from scripts.bench.child import PartFailed, run_part
from scripts.bench.copying import Block
from scripts.bench.filling import IN_FLIGHT, FilledStore, filled
from scripts.bench.goals import verdicts
from scripts.bench.noop import introduce, opened
from scripts.bench.raw_tables import raw_tables
from scripts.bench.results import Results
from scripts.bench.stores import POSTGRES, SQLITE, Stores

BLOCK = 5
COPIES = 3
MOTIONS = BLOCK * COPIES
EVENTS = 20 * MOTIONS + 1
"""Twenty for each motion, and the adoption of the configuration."""


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    with Stores(folder=tmp_path) as stores:
        yield stores


@pytest.fixture
def filled_store(stores: Stores) -> Iterator[FilledStore]:
    with filled(stores, SQLITE, BLOCK, [MOTIONS]) as made:
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
