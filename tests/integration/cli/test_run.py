"""The main job, as a program: from motions in a file to a verified record, even if stopped."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import Cli, finished, motion, start, wait_until, write_motions

STORY = {
    "carried": (motion("carried"), "ACKNOWLEDGED"),
    "rejected": (motion("rejected", ballots={"Ada": "no"}), "REJECTED"),
    "tabled": (motion("tabled", ballots=None), "TABLED"),
    "postponed": (
        motion("postponed", ballots=None, table_until="2061-07-28T18:00:00Z"),
        "TABLED",
    ),
    "halted": (motion("halted", rehearse={"plan": {"fail": "system_error"}}), "PLANNING"),
    "retried": (motion("retried", rehearse={"plan": {"fail": "timeout_error"}}), "PLANNING"),
    "returned": (
        motion("returned", rehearse={"judge": {"fail": "validation_error"}}),
        "ACKNOWLEDGED",
    ),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_motions(tmp_path / "motions.jsonl", [line for line, _ in STORY.values()])


def test_motions_are_driven_to_their_ends_and_the_record_is_verified(cli: Cli, path: Path) -> None:
    result = cli.json("run", path, "--wait", 0)
    assert cli.states() == {title: state for title, (_, state) in STORY.items()}
    assert result["import"]["introduced"] == len(STORY)
    assert result["verification"]["passed"]
    assert result["verification"]["motions"] == len(STORY)
    assert [item["title"] for item in result["blocked"]] == ["halted"]
    waiting = {item["title"]: item["next_action"]["kind"] for item in result["waiting"]}
    assert waiting == {"tabled": "taking_up", "postponed": "date", "retried": "branch"}
    assert result["status"]["active_motions"] == 4
    assert set(result["seconds"]) == {"import", "drive", "verify"}


def test_people_are_told_what_is_left_and_what_to_type(cli: Cli, path: Path) -> None:
    done = cli("run", path, "--wait", 0)
    halted = cli.id_of("halted")
    tabled = cli.id_of("tabled")
    for words in (
        f"introduced {len(STORY)} motions",
        "1 blocked",
        "system_error: rehearsed",
        f"governance-flow resolve {halted} --by YOUR-NAME --decision retry --store {cli.store}",
        f"governance-flow retry {tabled} --by YOUR-NAME --store {cli.store}",
        "take it up on its date, by 2061-07-28 18:00 UTC",
        "not before",
        "Verified: ",
        "What to type next",
        f"governance-flow motion {halted}",
    ):
        assert words in done.stdout
    # What is typed as it stands works.
    cli("resolve", halted, "--by", "YOUR-NAME", "--decision", "retry")


def test_running_again_goes_on_and_introduces_nothing_twice(cli: Cli, path: Path) -> None:
    first = cli.json("run", path, "--wait", 0)
    again = cli.json("run", path, "--wait", 0)
    assert again["import"]["introduced"] == 0
    assert again["import"]["known"] == len(STORY)
    assert again["status"]["position"] == first["status"]["position"]


def test_a_retry_that_is_due_shortly_is_waited_for(cli: Cli, path: Path, tmp_path: Path) -> None:
    config = tmp_path / "impatient.yaml"
    config.write_text("flow_orchestrator: {retry: {backoff_seconds: [2]}}")
    impatient = Cli(cli.store, config)
    done = impatient("run", path, "--wait", 30)
    assert "then something is due again" in done.stderr
    assert cli.states()["retried"] == "ACKNOWLEDGED"
    assert "not before" not in done.stdout


def test_bad_lines_make_it_fail_after_everything_good_is_done(cli: Cli, tmp_path: Path) -> None:
    path = write_motions(tmp_path / "motions.jsonl", [motion("A"), b"bad", motion("B")])
    done = cli("run", path, code=1)
    assert cli.states() == {"A": "ACKNOWLEDGED", "B": "ACKNOWLEDGED"}
    assert "Verified" in done.stdout
    assert "error: 1 bad line was left out" in done.stderr


def test_a_pipeline_that_is_halted_is_a_failure(cli: Cli, path: Path) -> None:
    cli("import", path)
    cli("halt", "--by", "Ada", "--reason", "contested")
    done = cli("run", path, code=1)
    assert "HALTED" in done.stdout
    assert "governance-flow resume --by YOUR-NAME" in done.stdout
    assert "error: the pipeline is halted" in done.stderr


def test_a_store_in_memory_ends_with_the_program(path: Path) -> None:
    assert Cli("memory:").json("run", path, "--wait", 0)["verification"]["passed"]
    assert Cli("memory:").json("motions")["motions"] == []


@pytest.mark.postgres
def test_it_runs_on_postgresql(postgres_database: str, path: Path) -> None:
    cli = Cli(postgres_database)
    assert cli.json("run", path, "--wait", 0)["verification"]["passed"]
    assert cli.states() == {title: state for title, (_, state) in STORY.items()}
    assert cli.json("run", path, "--wait", 0)["import"]["introduced"] == 0


# -- Stopped in the middle -----------------------------------------------------------------------

TITLES = [f"Motion {number}" for number in range(20)]
STUBBORN = """
import asyncio

class Stubborn:
    async def perform(self, assignment):
        print("at work", flush=True)
        await asyncio.Event().wait()
"""


@pytest.fixture
def many(tmp_path: Path) -> Path:
    return write_motions(tmp_path / "many.jsonl", map(motion, TITLES))


@pytest.fixture
def in_the_middle(cli: Cli, many: Path, tmp_path: Path) -> subprocess.Popen[str]:
    """Return a run in which every motion is being carried out, by a Duke who never ends."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    config = tmp_path / "stubborn.yaml"
    worker = "worker: {lease_seconds: 1, heartbeat_seconds: 0.3, drain_seconds: 0.1}"
    duke = "branches: {duke_service: {kind: python, target: 'stubborn:Stubborn'}}"
    config.write_text(f"flow_orchestrator: {{{worker}, {duke}}}")
    stubborn = Cli(cli.store, config)
    process = stubborn.program("run", many, env={"PYTHONPATH": str(tmp_path)})
    assert process.stdout is not None
    for _ in TITLES:
        assert process.stdout.readline() == "at work\n"
    return process


def the_record_is_whole(cli: Cli, path: Path) -> None:
    result = cli.json("run", path)
    assert result["import"]["introduced"] == 0
    assert result["verification"]["passed"]
    assert cli.states() == dict.fromkeys(TITLES, "ACKNOWLEDGED")


@pytest.mark.slow
def test_after_a_kill_the_same_command_goes_on(
    cli: Cli, many: Path, in_the_middle: subprocess.Popen[str]
) -> None:
    in_the_middle.kill()
    in_the_middle.communicate()
    the_record_is_whole(cli, many)


@pytest.mark.slow
def test_it_waits_for_leases_of_others_and_says_so(cli: Cli, tmp_path: Path) -> None:
    path = write_motions(tmp_path / "motions.jsonl", [motion("A")])
    config = tmp_path / "flow.yaml"
    config.write_text("flow_orchestrator: {branches: {duke_service: {kind: external}}}")
    outside = Cli(cli.store, config)
    outside("run", path)
    outside("assignments", "--claim", 1, "--by", "Bo", "--lease-seconds", 4)
    said = cli("run", path).stderr
    assert "1 assignment is leased to another worker; if it has died" in said
    assert cli.states() == {"A": "ACKNOWLEDGED"}


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_and_it_can_go_on(
    cli: Cli, many: Path, in_the_middle: subprocess.Popen[str], stop: signal.Signals
) -> None:
    in_the_middle.send_signal(stop)
    out, err = finished(in_the_middle, code=128 + stop)
    assert "stopping once what is in hand is done" in err
    assert "the same command goes on where this one was" in err
    assert "20 motions: 20 active" in out
    assert "Verified" not in out
    # Nothing was left under a lease: there is no wait for it to run out.
    rows = cli.json("assignments", "--limit", 1000)["assignments"]
    assert [row["lease"] for row in rows] == [None] * 20
    the_record_is_whole(cli, many)


@pytest.mark.slow
def test_an_import_that_is_stopped_says_so(cli: Cli, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = cli.program("import", pipe)
    with pipe.open("w") as lines:
        for number in range(300):
            lines.write(json.dumps(motion(f"Motion {number}")) + "\n")
        lines.flush()
        wait_until(process, lambda: position(cli) >= 256, "the first batch")
        process.terminate()
        assert process.stderr is not None
        assert process.stderr.readline() == "stopping\n"
    _, err = finished(process, code=143)
    assert "import the file again to go on: nothing is introduced twice" in err
    assert len(cli.json("motions", "--limit", 1000)["motions"]) >= 256


def position(cli: Cli) -> int:
    """Return how far the log has come, as seen from outside."""
    path = Path(cli.store.removeprefix("sqlite:///"))
    if not path.exists():
        return 0
    connection = sqlite3.connect(path, timeout=30)
    try:
        return int(connection.execute("SELECT max(position) FROM events").fetchone()[0] or 0)
    except sqlite3.OperationalError:  # the tables are not there yet
        return 0
    finally:
        connection.close()


# -- On a terminal --------------------------------------------------------------------------------


def on_a_terminal(cli: Cli, *words: object) -> str:
    """Run a command with a terminal for output and return all that was drawn on it."""
    ours, theirs = pty.openpty()
    environment = {"TERM": "xterm-256color", "NO_COLOR": "", "COLUMNS": "100", "LINES": "40"}
    process = start(
        *map(str, words),
        "--store",
        cli.store,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            drawn += os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
    os.close(ours)
    assert process.wait() == 0, drawn.decode()
    return drawn.decode()


@pytest.mark.slow
def test_motions_are_seen_moving_on_a_terminal(cli: Cli, tmp_path: Path) -> None:
    path = write_motions(tmp_path / "long.jsonl", [motion(f"Motion {n}") for n in range(150)])
    drawn = on_a_terminal(cli, "run", path)
    assert "importing" in drawn
    assert "driving motions" in drawn
    assert "Verified" in drawn
    assert drawn.count("DELIBERATING") > 2  # drawn again and again
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l")  # the cursor is back


def test_quiet_shows_no_progress(cli: Cli, path: Path) -> None:
    drawn = on_a_terminal(cli, "run", path, "--quiet")
    assert "importing" not in drawn
    assert "driving motions" not in drawn
    assert "\x1b[?25l" not in drawn
