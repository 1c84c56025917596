"""Auditors ask whether a history is lawful: of a store, or of a file that anybody handed them."""

from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from governance_flow.conformance.rules import Rule
from tests.support.cli import Cli, motion, write_motions
from tests.support.flows import opened
from tests.support.histories import eventful
from tests.unit.conformance.exported import exported, offences

NOWHERE = "sqlite:///there/is/no/such/store.db"


@pytest.fixture
def cli(sqlite_address: str, tmp_path: Path) -> Cli:
    """Return a command line on a pipeline in which every kind of thing has happened."""
    line = Cli(sqlite_address)
    motions = [
        motion("A"),
        motion("B", ballots={"Ada": "no"}),
        motion("C", rehearse={"plan": {"fail": "system_error"}}),
        motion("D", rehearse={"execute": {"fail": "validation_error"}}),
        motion("T", ballots=None),
    ]
    line("import", write_motions(tmp_path / "motions.jsonl", motions))
    line("worker", "--until-idle")
    line("halt", "--by", "the chair", "--reason", "a storm")
    line("resume", "--by", "the chair", "--reason", "it is over")
    return line


@pytest.fixture
def export(cli: Cli, tmp_path: Path) -> Path:
    """Return the file that the log was exported to."""
    path = tmp_path / "log.jsonl"
    cli("audit", "export", "--output", path)
    return path


def forged(export: Path) -> Path:
    """Let a motion skip two steps, in the exported file."""
    lines = [json.loads(line) for line in export.read_text().splitlines()]
    index = next(
        index
        for index, line in enumerate(lines)
        if line["type"].endswith("TRANSITION_WITNESSED") and line["data"]["to_state"] == "EXECUTING"
    )
    lines[index]["data"]["to_state"] = "WITNESSING"
    export.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return export


def test_a_store_is_found_lawful_and_what_was_checked_is_shown(cli: Cli) -> None:
    said = cli("audit", "conformance")
    assert "Lawful: " in said.stdout
    assert "5 motions, no offence" in said.stdout
    for rule in Rule:
        assert rule.value in said.stdout
        assert rule.meaning in said.stdout
    assert said.stderr == ""


def test_programs_are_told_how_often_each_rule_was_checked(cli: Cli) -> None:
    report = cli.json("audit", "conformance")
    assert report["passed"]
    assert report["events"] == cli.json("status")["position"]
    assert (report["motions"], report["offence_count"], report["offences"]) == (5, 0, [])
    checked = {item["rule"]: item["checked"] for item in report["rules"]}
    assert set(checked) == {rule.value for rule in Rule}
    assert checked["positions_dense"] == report["events"]
    assert checked["halts_paired"] == 2


def test_a_file_is_checked_without_any_store(cli: Cli, export: Path) -> None:
    ours = cli.json("audit", "conformance")
    cli.store = NOWHERE
    assert cli.json("audit", "conformance", "--file", export) == ours
    packed = export.with_suffix(".jsonl.gz")
    packed.write_bytes(gzip.compress(export.read_bytes()))
    assert cli.json("audit", "conformance", "--file", packed) == ours
    assert not Path("there").exists()


def test_a_pipe_is_checked_as_it_comes(cli: Cli, export: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(export.read_bytes()))
    writer.start()
    report = cli.json("audit", "conformance", "--file", pipe)
    writer.join()
    assert report["passed"]
    assert report["events"] == len(export.read_text().splitlines())


def test_the_first_offence_is_named_and_the_command_fails(cli: Cli, export: Path) -> None:
    said = cli("audit", "conformance", "--file", forged(export), code=1)
    assert "Not lawful: " in said.stdout
    assert "error: the history is not lawful; first offence: position " in said.stderr
    assert "the flow has no such step [transition_in_table]" in said.stderr
    report = cli.json("audit", "conformance", "--file", export, code=1)
    first = report["offences"][0]
    assert (report["passed"], first["rule"]) == (False, "transition_in_table")
    assert first["motion_id"] in {cli.id_of(title) for title in "ABCDT"}
    assert 0 < first["position"] <= report["events"]


def test_so_many_offences_are_listed_and_all_are_counted(cli: Cli, export: Path) -> None:
    lines = export.read_bytes().splitlines(keepends=True)
    export.write_bytes(b"".join(lines[30:]))
    report = cli.json("audit", "conformance", "--file", export, code=1)
    assert report["offences"][0]["rule"] == "positions_dense"
    assert len(report["offences"]) == 20 < report["offence_count"]
    assert "more" in cli("audit", "conformance", "--file", export, code=1).stdout


def test_what_stands_in_a_file_cannot_colour_the_terminal(cli: Cli, export: Path) -> None:
    text = export.read_text().replace('"Ada"', '"A\\u001b[31mda"', 1)
    export.write_text(text.replace('"subject":"', '"subject":"\\u001b[31m'))
    said = cli("audit", "conformance", "--file", export, code=1)
    assert "\x1b" not in said.stdout + said.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no event"),
        (b"\n\n", "holds no event"),
        (b"not json\n", "this line cannot be read"),
        (b'"' + b"x" * 1000, "this line cannot be read"),
        (gzip.compress(b"not json\n", mtime=0)[:-6], "is damaged"),
        (b"\x1f\x8b rubbish", "is damaged"),
    ],
)
def test_a_file_that_is_no_log(cli: Cli, tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "no.log"
    path.write_bytes(content)
    assert reason in cli("audit", "conformance", "--file", path, code=1).stderr


def test_a_file_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    cli("audit", "conformance", "--file", tmp_path / "nowhere", code=2)
    cli.store = NOWHERE
    assert "there is no store" in cli("audit", "conformance", code=2).stderr


async def test_a_history_is_lawful_on_every_kind_of_store(store_address: str) -> None:
    settings: dict[str, Any] = {"max_concurrent_motions": 6}
    async with opened(store_address, settings=settings) as played:
        await eventful(played)
        for number in range(8):
            await played.introduce(f"motion {number}")
        await played.idle()
        log = await exported(played.flow)
    assert len(log) > 100
    assert offences(log) == []
