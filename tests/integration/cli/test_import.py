"""Files of motions: every good line is introduced, once; every bad one is named and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from governance_flow.cli.importing import BATCH_LINES
from governance_flow.domain.events import PIPELINE_ID
from tests.support.cli import Cli, motion, write_motions

TAKEN = "0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "motions.jsonl"


def rejected(path: Path) -> list[dict[str, Any]]:
    beside = path.with_name(path.name + ".rejected.jsonl")
    return [json.loads(line) for line in beside.read_text(encoding="utf-8").splitlines()]


def test_every_motion_of_a_file_is_introduced_in_order(cli: Cli, path: Path) -> None:
    titles = [f"Motion {number}" for number in range(BATCH_LINES + 10)]
    write_motions(path, map(motion, titles))
    report = cli.json("import", path)
    assert report["introduced"] == report["lines"] == len(titles)
    assert list(cli.states()) == titles
    assert set(cli.states().values()) == {"INTRODUCED"}


def test_importing_again_introduces_nothing_twice(cli: Cli, path: Path) -> None:
    write_motions(path, [motion("A"), motion("B"), motion("A", motion_id=TAKEN)])
    assert cli.json("import", path)["introduced"] == 3
    again = cli.json("import", path)
    assert (again["introduced"], again["known"], again["rejected"]) == (0, 3, 0)
    assert len(cli.json("motions")["motions"]) == 3
    done = cli("import", path)
    assert "introduced 0 motions, 3 were there already" in done.stdout
    assert "to drive them" not in done.stderr


def test_the_same_line_twice_is_two_motions_and_stays_two(cli: Cli, path: Path) -> None:
    write_motions(path, [motion("A"), motion("B"), motion("A")])
    assert cli.json("import", path)["introduced"] == 3
    # The lines changed places, and one was added: only that one is new.
    write_motions(path, [motion("A"), motion("A"), motion("B"), motion("A")])
    again = cli.json("import", path)
    assert (again["introduced"], again["known"]) == (1, 3)


def test_people_are_told_how_to_drive_what_they_imported(cli: Cli, path: Path) -> None:
    write_motions(path, [motion("A")])
    said = cli("import", path).stderr
    assert f"governance-flow worker --until-idle --store {cli.store}" in said


def test_what_the_lines_say_is_kept(cli: Cli, path: Path) -> None:
    line = motion("A", motion_id=TAKEN, reference="R/1", topics=["sea"], self="odd", limit=3)
    write_motions(path, [line])
    cli("import", path)
    introduced = cli.json("motion", TAKEN)["timeline"][0]["event"]
    assert introduced["reference"] == "R/1"
    assert introduced["ballots"] == line["ballots"]
    assert introduced["metadata"] == {"topics": ["sea"], "self": "odd", "limit": 3}
    assert introduced["actor"] == {"id": "Ada", "authenticated_by": "asserted"}


BAD_LINES: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "no JSON": (b"not json", "not JSON"),
    "cut short": (b'{"title": "cu', "not JSON"),
    "no object": (b"[1]", "must be an object"),
    "missing key": ({"title": "a", "text": "b"}, "missing key: introduced_by"),
    "wrong type": (motion(text=5), "text must be a text, not a number"),
    "wrong vote": (motion(ballots={"Ada": "perhaps"}), "must be one of yes, no, abstain"),
    "5 MB of text": (motion(text="x" * 5_000_000), "at most 1000000 are allowed"),
    "longer than any motion": (motion(text="x" * 7_000_000), "bytes; at most"),
    "raw NUL": (b'{"title": "a\x00"}', "NUL byte"),
    "escaped NUL": (motion(title="a\x00b"), '"title" contains a NUL'),
    "lone surrogate": (motion(text="a\ud800"), "lone surrogate"),
    "not UTF-8": (b'{"title": "caf\xe9"}', "not UTF-8"),
    "NaN": (b'{"title": NaN}', "NaN is no number"),
    "the same key twice": (b'{"title": "a", "title": "b"}', "stands there twice"),
    "not an id": (motion(motion_id="7"), "motion_id must be a UUID"),
    "empty title": (motion(title=""), "title is empty"),
    "nested too deeply": (
        b'{"title":"a","text":"b","introduced_by":"c","x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        "nested",
    ),
}


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_bad_line_is_named_and_kept_and_stops_nothing_else(
    cli: Cli, path: Path, bad: str
) -> None:
    line, reason = BAD_LINES[bad]
    write_motions(path, [motion("before"), b"", line, motion("after")])
    done = cli("import", path, code=1)
    assert "line 3: " in done.stderr
    assert reason in done.stderr
    assert "1 bad line was left out" in done.stdout
    assert sorted(cli.states()) == ["after", "before"]
    (kept,) = rejected(path)
    assert kept["line"] == 3
    assert reason in kept["reason"]


def test_the_original_line_is_kept_so_that_it_can_be_mended(cli: Cli, path: Path) -> None:
    line = json.dumps(motion("ünï ☃", text=None), ensure_ascii=False).encode()
    write_motions(path, [line])
    cli("import", path, code=1)
    assert rejected(path)[0]["content"].encode() == line


def test_a_taken_id_is_refused_wherever_the_other_motion_came_from(cli: Cli, path: Path) -> None:
    first = motion("First", motion_id=TAKEN)
    write_motions(path, [first, motion("Second", motion_id=TAKEN), first])
    report = cli.json("import", path, code=1)
    assert (report["introduced"], report["known"], report["rejected"]) == (1, 1, 1)
    assert rejected(path)[0]["line"] == 2
    assert "there is another motion with the id" in rejected(path)[0]["reason"]
    write_motions(path, [motion("Third", motion_id=TAKEN)])
    cli("import", path, code=1)
    assert cli.states() == {"First": "INTRODUCED"}


def test_the_id_of_the_pipeline_itself_is_refused(cli: Cli, path: Path) -> None:
    write_motions(path, [motion(motion_id=str(PIPELINE_ID))])
    assert "the pipeline's own" in cli("import", path, code=1).stderr


def test_a_file_without_bad_lines_leaves_no_file_of_an_earlier_import(cli: Cli, path: Path) -> None:
    write_motions(path, [b"bad"])
    cli("import", path, code=1)
    write_motions(path, [motion("A")])
    cli("import", path)
    assert list(path.parent.glob("*.rejected.jsonl")) == []
    assert list(path.parent.glob(".*")) == []


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(cli: Cli, path: Path) -> None:
    lines = [json.dumps(motion(title)).encode() for title in ("A", "B")]
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    assert cli.json("import", path)["introduced"] == 2


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_said_to_be_empty(cli: Cli, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert f"{path} holds no motions: it is empty" in cli("import", path).stdout


def test_a_file_that_is_not_there_is_a_mistake_of_the_caller(cli: Cli, tmp_path: Path) -> None:
    for command in ("import", "run"):
        assert "does not exist" in cli(command, tmp_path / "missing.jsonl", code=2).stderr
        assert "is a directory" in cli(command, tmp_path, code=2).stderr
    assert not (tmp_path / "flow.db").exists()


def test_limits_come_from_the_configuration(cli: Cli, path: Path, tmp_path: Path) -> None:
    config = tmp_path / "flow.yaml"
    config.write_text("flow_orchestrator: {limits: {max_motion_bytes: 20000000}}")
    write_motions(path, [motion("large", text="x" * 7_000_000)])
    assert Cli(cli.store, config).json("import", path)["introduced"] == 1


def test_a_single_motion_is_introduced_and_its_id_printed(cli: Cli, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Of oak, and ☃.", encoding="utf-8")
    words = ("introduce", "--title", "A jetty", "--text", f"@{text}", "--by", "Ada")
    motion_id = cli(*words, "--ballots", '{"Ada": "yes"}').stdout.strip()
    introduced = cli.json("motion", motion_id)["timeline"][0]["event"]
    assert introduced["text"] == "Of oak, and ☃."
    assert introduced["ballots"] == {"Ada": "yes"}


def test_introducing_under_an_id_twice_changes_nothing(cli: Cli) -> None:
    words = ("introduce", "--title", "A", "--text", "B", "--by", "Ada", "--motion-id", uuid4())
    assert cli.json(*words)["new"] is True
    assert cli.json(*words)["new"] is False
    assert "there already" in cli(*words).stderr


def test_text_can_come_from_stdin(cli: Cli) -> None:
    words = ("introduce", "--title", "A", "--text", "@-", "--by", "Ada")
    motion_id = cli(*words, stdin="from elsewhere").stdout.strip()
    assert cli.json("motion", motion_id)["timeline"][0]["event"]["text"] == "from elsewhere"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--title", "", "--text", "b"), "title is empty"),
        (("--title", "a", "--text", "@missing.txt"), "--text: missing.txt cannot be read"),
        (("--title", "a", "--text", "b", "--ballots", "{"), "--ballots: not JSON"),
        (("--title", "a", "--text", "b", "--ballots", "[]"), "--ballots: must be an object"),
        (("--title", "a", "--text", "b", "--metadata", '{"a":1,"a":2}'), "stands there twice"),
        (("--title", "a", "--text", "b", "--ballots", '{"A": "x"}'), "must be one of yes"),
        (("--title", "a", "--text", "b", "--motion-id", "7"), "--motion-id"),
        (("--title", "a"), "--text"),
    ],
)
def test_a_motion_that_cannot_be_introduced(cli: Cli, words: tuple[str, ...], reason: str) -> None:
    assert reason in cli("introduce", "--by", "Ada", *words, code=2).stderr
