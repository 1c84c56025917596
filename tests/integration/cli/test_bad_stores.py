"""Stores that cannot be used: a clear error, the right exit code, nothing lost or half done."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import Cli, finished, motion, write_motions

FILE_BYTES_MAX = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_motions(tmp_path / "motions.jsonl", [motion("A"), motion("B")])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "flow.db"


def error(result: str) -> str:
    """Return the error that stands in the last line, and in one line."""
    last = result.splitlines()[-1]
    assert last.startswith("error: ")
    return last


COMMANDS = ("import", "run", "status", "worker")


def words_for(command: str, path: Path) -> tuple[object, ...]:
    return {
        "import": ("import", path),
        "run": ("run", path),
        "status": ("status",),
        "worker": ("worker", "--until-idle"),
    }[command]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_no_database(cli: Cli, path: Path, store: Path, command: str) -> None:
    store.write_text("The minutes of the last meeting.\n")
    said = error(cli(*words_for(command, path), code=1).stderr)
    assert "not an SQLite database" in said
    assert str(store) in said
    assert store.read_text() == "The minutes of the last meeting.\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_that_is_not_ours(cli: Cli, path: Path, store: Path, command: str) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute("CREATE TABLE guests (name)")
    connection.close()
    before = store.read_bytes()
    said = error(cli(*words_for(command, path), code=1).stderr)
    assert "is not a store of Governance Flow" in said
    assert store.read_bytes() == before


def test_a_damaged_file(cli: Cli, path: Path, store: Path, tmp_path: Path) -> None:
    cli("import", write_motions(tmp_path / "many.jsonl", [motion(str(n)) for n in range(300)]))
    content = bytearray(store.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    content[10 * page :] = b"\xff" * (len(content) - 10 * page)
    store.write_bytes(content)
    assert "restore it from a backup" in error(cli("run", path, code=1).stderr)


def test_a_store_that_is_newer_than_the_program(cli: Cli, path: Path, store: Path) -> None:
    cli("import", path)
    with sqlite3.connect(store) as connection:
        connection.execute(
            "INSERT INTO governance_flow_schema SELECT 999, name, applied_at_us "
            "FROM governance_flow_schema LIMIT 1"
        )
    connection.close()
    assert "upgrade" in error(cli("status", code=1).stderr)


def test_a_store_that_may_only_be_read(cli: Cli, path: Path, tmp_path: Path) -> None:
    cli("import", path)
    cli("worker", "--until-idle")
    before = cli.states()
    reader = Cli(cli.store + "?mode=ro")
    more = write_motions(tmp_path / "more.jsonl", [motion("C")])
    for words in (
        ("import", more),
        ("halt", "--by", "Ada", "--reason", "x"),
        ("introduce", "--title", "D", "--text", "E", "--by", "Ada"),
    ):
        assert "may not be written" in error(reader(*words, code=1).stderr)
    assert reader.states() == before
    assert reader.json("status")["active_motions"] == 0
    assert reader.json("audit", "verify")["passed"]
    assert reader("audit", "export").stdout


def test_a_folder_that_is_not_there(path: Path, tmp_path: Path) -> None:
    said = error(Cli(f"sqlite:///{tmp_path}/nowhere/flow.db")("import", path, code=1).stderr)
    assert "nowhere does not exist; create it first" in said


def test_a_server_that_cannot_be_reached(path: Path) -> None:
    cli = Cli("postgresql://ada:s3cret@127.0.0.1:1/flow")
    for command in ("import", "status"):
        said = cli(*words_for(command, path), code=1).stderr
        assert "cannot connect" in error(said)
        assert "s3cret" not in said


@pytest.mark.slow
def test_a_store_that_somebody_else_keeps_locked(cli: Cli, path: Path, store: Path) -> None:
    cli("import", path)
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    words = ("introduce", "--title", "C", "--text", "D", "--by", "Ada")
    assert "another process" in error(cli(*words, code=1).stderr)
    other.execute("ROLLBACK")
    other.close()
    cli(*words)
    assert set(cli.states()) == {"A", "B", "C"}


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on file size")
def test_a_full_disk_loses_nothing_and_the_import_goes_on_with_room(
    cli: Cli, tmp_path: Path
) -> None:
    titles = [f"Motion {number}" for number in range(600)]
    path = write_motions(
        tmp_path / "many.jsonl", [motion(title, text="oak " * 2000) for title in titles]
    )

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))

    cli("introduce", "--title", "before", "--text", "there is room", "--by", "Ada")
    process = cli.program("import", path, preexec_fn=little_room, stdout=subprocess.DEVNULL)
    _, err = finished(process, code=1)
    assert "import the file again to go on, nothing is introduced twice" in err
    assert error(err)
    assert cli.json("audit", "verify")["passed"]
    there = len(cli.json("motions", "--limit", 1000)["motions"])
    assert 1 <= there < len(titles)
    again = cli.json("import", path)
    assert again["introduced"] + again["known"] == len(titles)
    assert set(cli.states()) == {"before", *titles}


def test_bad_lines_are_named_even_if_they_cannot_be_kept(cli: Cli, tmp_path: Path) -> None:
    cli("introduce", "--title", "before", "--text", "there is room", "--by", "Ada")
    path = write_motions(tmp_path / "bad.jsonl", [b"x" * 2000 for _ in range(1200)])

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))

    process = cli.program("import", path, preexec_fn=little_room, stdout=subprocess.DEVNULL)
    _, err = finished(process, code=1)
    assert "warning: bad lines cannot be kept" in err
    named = {line.partition(":")[0] for line in err.splitlines() if line.startswith("line ")}
    assert named == {f"line {number}" for number in range(1, 1201)}
    assert list(tmp_path.glob("*.rejected.jsonl")) == []
