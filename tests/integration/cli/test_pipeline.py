"""The pipeline is driven, watched, halted and mended from the command line."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.cli import Cli, finished, motion, write_motions


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_motions(tmp_path / "motions.jsonl", map(motion, ("A", "B", "C")))


def test_a_worker_drives_motions_until_nothing_can_be_done(cli: Cli, path: Path) -> None:
    cli("import", path)
    assert "idle: nothing can be done now" in cli("worker", "--until-idle").stderr
    assert set(cli.states().values()) == {"ACKNOWLEDGED"}


def test_status_counts_every_motion(cli: Cli, path: Path) -> None:
    cli("import", path)
    status = cli.json("status")
    assert status["active_motions"] == status["motions_by_state"]["INTRODUCED"] == 3
    assert status["free_places"] == 100
    assert status["lag"]["events"] == 0
    assert [item["title"] for item in status["active"]] == ["A", "B", "C"]
    shown = cli("status").stdout
    assert "3 motions: 3 active, 0 finished, 3 waiting for a place" in shown


def test_nothing_moves_while_the_pipeline_is_halted(cli: Cli, path: Path) -> None:
    cli("import", path)
    halted = cli("halt", "--by", "Ada", "--reason", "the vote is contested")
    assert "governance-flow resume --by Ada" in halted.stdout
    status = cli.json("status")
    assert (status["halted"], status["halt_reason"]) == (True, "the vote is contested")
    assert "HALTED since" in cli("status").stdout
    assert "halted already" in cli("halt", "--by", "Bo", "--reason", "x", code=1).stderr
    cli("worker", "--until-idle")
    assert set(cli.states().values()) == {"INTRODUCED"}
    cli("resume", "--by", "Bo", "--reason", "recounted")
    assert "not halted" in cli("resume", "--by", "Bo", "--reason", "x", code=1).stderr
    cli("worker", "--until-idle")
    assert set(cli.states().values()) == {"ACKNOWLEDGED"}


def test_a_reason_is_asked_for(cli: Cli, path: Path) -> None:
    cli("import", path)
    cli("halt", "--by", "Ada", code=2)
    assert "reason is empty" in cli("halt", "--by", "Ada", "--reason", "", code=2).stderr
    assert "by is empty" in cli("halt", "--by", " ", "--reason", "x", code=2).stderr


@pytest.mark.parametrize("projection", ["motions", "activity"])
def test_a_projection_is_rebuilt(cli: Cli, path: Path, projection: str) -> None:
    cli("import", path)
    before = cli.json("status")
    assert "is live" in cli("rebuild", projection).stdout
    assert "is live" in cli("rebuild", projection, "--restart").stdout
    assert cli.json("status")["motions_by_state"] == before["motions_by_state"]


def test_a_projection_that_is_not_there_is_a_mistake_of_the_caller(cli: Cli, path: Path) -> None:
    cli("import", path)
    assert "there are: activity, log, motions, search" in cli("rebuild", "minutes", code=2).stderr


def test_a_bad_configuration_is_named_by_path(cli: Cli, path: Path, tmp_path: Path) -> None:
    config = tmp_path / "flow.yaml"
    config.write_text("flow_orchestrator: {retry: {max_attempts: many}}")
    said = Cli(cli.store, config)("import", path, code=2).stderr
    assert "retry.max_attempts" in said
    assert "does not exist" in cli("status", "--config", "missing.yaml", code=2).stderr
    assert not (tmp_path / "flow.db").exists()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_stop_drains_and_ends_well(
    cli: Cli, path: Path, stop: signal.Signals
) -> None:
    cli("import", path)
    process = cli.program("worker", "--name", "east-1")
    assert process.stderr is not None
    assert "working on" in process.stderr.readline()
    process.send_signal(stop)
    _, err = finished(process)
    assert "stopping" in err
    assert err.endswith("stopped\n")


def test_a_worker_goes_on_until_it_is_told_to_stop(cli: Cli, path: Path) -> None:
    cli("import", path)
    process = cli.program("worker")
    try:
        while set(cli.states().values()) != {"ACKNOWLEDGED"}:
            assert process.poll() is None
        assert process.poll() is None
    finally:
        process.terminate()
    finished(process)


def test_a_second_signal_ends_a_worker_at_once(cli: Cli, path: Path, tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(
        "import asyncio\n"
        "class Stubborn:\n"
        "    async def perform(self, assignment):\n"
        "        print('at work', flush=True)\n"
        "        await asyncio.Event().wait()\n"
    )
    config = tmp_path / "flow.yaml"
    config.write_text(
        "flow_orchestrator: {branches: {conclave_service: "
        "{kind: python, target: 'stubborn:Stubborn'}}}"
    )
    cli("import", path)
    process = Cli(cli.store, config).program("worker", env={"PYTHONPATH": str(tmp_path)})
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "at work\n"
    process.terminate()
    while "stopping" not in process.stderr.readline():
        assert process.poll() is None
    process.terminate()
    finished(process, code=-signal.SIGTERM)
