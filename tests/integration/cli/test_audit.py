"""Auditors verify the record, replay the past and take the log with them."""

from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cloudevents.v1.http import from_json

from tests.support.cli import Cli, motion, write_motions

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def driven(cli: Cli, tmp_path: Path) -> Cli:
    """Return a pipeline in which every kind of thing has happened."""
    motions = [
        motion("A"),
        motion("B", ballots={"Ada": "no"}),
        motion("C", rehearse={"plan": {"fail": "system_error"}}),
        motion("T", ballots=None),
    ]
    cli("import", write_motions(tmp_path / "motions.jsonl", motions))
    cli("worker", "--until-idle")
    return cli


def tamper(cli: Cli, statement: str) -> None:
    """Do what the store itself does not allow, as somebody with the file in hand can."""
    with sqlite3.connect(cli.store.removeprefix("sqlite:///")) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute(statement)
    connection.close()


def test_a_sound_record_passes(driven: Cli) -> None:
    report = driven.json("audit", "verify")
    assert report["passed"]
    assert report["motions"] == 4
    assert report["faults"] == []
    assert "Verified" in driven("audit", "verify").stdout


def test_a_changed_event_is_found_and_named(driven: Cli) -> None:
    tamper(
        driven,
        "UPDATE events SET state = CAST(replace(CAST(state AS TEXT), 'of oak', 'of tin') AS BLOB) "
        "WHERE topic = 'MOTION_INTRODUCED' AND position = 1",
    )
    report = driven.json("audit", "verify", code=1)
    assert not report["passed"]
    assert report["fault_count"] >= 1
    assert report["faults"][0]["stream_id"] == driven.id_of("A")
    said = driven("audit", "verify", code=1)
    assert "Faulty" in said.stdout
    assert "error: the record is faulty; first fault: " in said.stderr
    assert driven.id_of("A") in said.stderr


def test_a_run_over_a_faulty_record_fails(driven: Cli, tmp_path: Path) -> None:
    tamper(driven, "DELETE FROM events WHERE position = 3")
    done = driven("run", write_motions(tmp_path / "none.jsonl", []), code=1)
    assert "the record of" in done.stderr


def test_the_past_is_replayed_at_any_position(driven: Cli) -> None:
    end = driven.json("status")
    now = driven.json("audit", "replay")
    assert now["position"] == end["position"]
    for key in ("motions_by_state", "blocked_motions", "recent_failures", "active_motions"):
        assert now["status"][key] == end[key]
    assert driven.json("audit", "replay", "--position", 0)["status"]["active_motions"] == 0
    first = driven.json("audit", "replay", "--position", 1)["status"]["motions_by_state"]
    assert first["INTRODUCED"] == sum(first.values()) == 1


def test_the_past_is_replayed_at_any_time(driven: Cli) -> None:
    motion_id = driven.id_of("A")
    # The last transition of those that were committed together is the one that shows.
    state_at = {
        entry["committed_at"]: entry["event"]["to_state"]
        for entry in driven.json("motion", motion_id)["timeline"]
        if entry["topic"] == "TRANSITION_WITNESSED"
    }
    assert len(state_at) > 3
    for moment, state in state_at.items():
        replayed = driven.json("audit", "replay", "--at", moment, "--motion", motion_id)
        assert replayed["motion"]["current_state"] == state
    assert driven.json("audit", "replay", "--at", "2020-01-01")["position"] == 0


def test_every_motion_is_replayed_a_line_each(driven: Cli) -> None:
    lines = driven("audit", "replay", "--motions", "--json").stdout.splitlines()
    states = {row["title"]: row["current_state"] for row in map(json.loads, lines)}
    assert states == driven.states()
    shown = driven("audit", "replay", "--motions").stdout
    assert len(shown.splitlines()) == 4
    assert "TABLED        T" in shown
    assert "position" in driven("audit", "replay").stdout


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("--at", "noon"), 2, "is not a time"),
        (("--at", "2999-01-01"), 2, "is still to come"),
        (("--position", "1000000"), 2, "there is no position 1000000"),
        (("--position", "-1"), 2, "--position"),
        (("--position", "1", "--at", "2020-01-01"), 2, "not both"),
        (("--motion", NOBODY, "--motions"), 2, "not both"),
        (("--motion", NOBODY), 1, f"there was no motion {NOBODY}"),
    ],
)
def test_a_past_that_never_was(driven: Cli, words: tuple[str, ...], code: int, reason: str) -> None:
    assert reason in driven("audit", "replay", *words, code=code).stderr


def exported(lines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


def test_the_log_is_exported_as_cloud_events(driven: Cli) -> None:
    printed = driven("audit", "export").stdout
    envelopes = exported(printed)
    assert [int(envelope["position"]) for envelope in envelopes] == list(
        range(1, driven.json("status")["position"] + 1)
    )
    for line in printed.splitlines():
        event = from_json(line)
        assert event["specversion"] == "1.0"
        assert str(UUID(event["id"])) == event["id"]


def test_the_log_is_exported_to_a_file_that_appears_whole(driven: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    target = folder / "log.jsonl"
    target.write_text("older")
    said = driven("audit", "export", "--output", target)
    assert f"events to {target}" in said.stderr
    assert said.stdout == ""
    assert target.read_text() == driven("audit", "export").stdout
    assert list(folder.iterdir()) == [target]
    later = driven("audit", "export", "--after-position", 5).stdout
    assert exported(later)[0]["position"] == "6"


def test_an_export_that_fails_leaves_what_was_there(driven: Cli, tmp_path: Path) -> None:
    tamper(driven, "UPDATE events SET state = X'00' WHERE position = 10")
    folder = tmp_path / "export"
    folder.mkdir()
    target = folder / "log.jsonl"
    target.write_text("older")
    assert "cannot be read" in driven("audit", "export", "--output", target, code=1).stderr
    assert target.read_text() == "older"
    assert list(folder.iterdir()) == [target]


def test_a_place_that_cannot_be_written_is_named(driven: Cli, tmp_path: Path) -> None:
    said = driven("audit", "export", "--output", tmp_path / "nowhere" / "log.jsonl", code=1)
    assert "No such file or directory" in said.stderr
    assert str(tmp_path / "nowhere") in said.stderr


def test_a_device_is_written_to_and_not_replaced(driven: Cli) -> None:
    driven("audit", "export", "--output", "/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
