"""Motions are listed, shown, amended and withdrawn from the command line."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.cli import Cli, motion, write_motions

NOBODY = "00000000-0000-4000-8000-000000000000"


def introduced(cli: Cli, tmp_path: Path, *titles: str) -> Cli:
    cli("import", write_motions(tmp_path / "motions.jsonl", map(motion, titles)))
    return cli


def test_a_list_is_read_page_by_page(cli: Cli, tmp_path: Path) -> None:
    titles = [f"Motion {number}" for number in range(7)]
    introduced(cli, tmp_path, *titles)
    seen: list[str] = []
    after: tuple[str, ...] = ()
    while True:
        page = cli.json("motions", "--limit", 3, *after)
        seen += [item["title"] for item in page["motions"]]
        if page["next_after"] is None:
            break
        after = ("--after", page["next_after"])
    assert seen == titles


def test_people_are_told_how_to_go_on_behind_a_page(cli: Cli, tmp_path: Path) -> None:
    introduced(cli, tmp_path, "A", "B")
    shown = cli("motions", "--limit", 1)
    assert "A" in shown.stdout
    assert "there are more: governance-flow motions --limit 1 --after" in shown.stderr
    assert cli.store in shown.stderr


def test_lists_are_narrowed_by_state_and_by_being_blocked(cli: Cli, tmp_path: Path) -> None:
    introduced(cli, tmp_path, "A")
    assert len(cli.json("motions", "--state", "introduced")["motions"]) == 1
    assert cli.json("motions", "--state", "PLANNING") == {"motions": [], "next_after": None}
    assert cli.json("motions", "--blocked")["motions"] == []
    assert len(cli.json("motions", "--not-blocked")["motions"]) == 1
    assert "there are no such motions" in cli("motions", "--blocked").stderr


@pytest.mark.parametrize(
    "words", [("--limit", 0), ("--limit", 1001), ("--state", "LIMBO"), ("--after", "rubbish")]
)
def test_a_list_that_cannot_be_made(cli: Cli, tmp_path: Path, words: tuple[object, ...]) -> None:
    introduced(cli, tmp_path, "A")
    cli("motions", *words, code=2)


def test_a_motion_is_shown_with_its_story(cli: Cli, tmp_path: Path) -> None:
    introduced(cli, tmp_path, "A jetty")
    cli("worker", "--until-idle")
    motion_id = cli.id_of("A jetty")
    story = cli.json("motion", motion_id)
    assert story["current_state"] == "ACKNOWLEDGED"
    assert [entry["version"] for entry in story["timeline"]] == list(range(1, story["version"] + 1))
    shown = cli("motion", motion_id).stdout
    for words in ("A jetty", motion_id, "Ada (asserted)", "PLANNING → EXECUTING", "prince_service"):
        assert words in shown


def test_titles_cannot_command_the_terminal(cli: Cli, tmp_path: Path) -> None:
    introduced(cli, tmp_path, "\x1b[2J[bold]boo[/bold]")
    for words in (("motions",), ("motion", cli.id_of("\x1b[2J[bold]boo[/bold]"))):
        shown = cli(*words).stdout
        assert "\x1b" not in shown
        assert "\\u001b[2J[bold]boo[/bold]" in shown


@pytest.mark.parametrize(
    "words",
    [
        ("motion", NOBODY),
        ("amend", NOBODY, "--by", "Ada", "--title", "B"),
        ("withdraw", NOBODY, "--by", "Ada"),
        ("retry", NOBODY, "--by", "Ada"),
        ("resolve", NOBODY, "--by", "Ada", "--decision", "retry"),
        ("complete", NOBODY, "--by", "Bo", "--branch", "duke", "--routing", NOBODY),
        ("fail", NOBODY, "--by", "Bo", "--branch", "duke", "--routing", NOBODY, "--error", "x"),
    ],
)
def test_an_unknown_motion_is_named(cli: Cli, tmp_path: Path, words: tuple[str, ...]) -> None:
    introduced(cli, tmp_path, "A")
    assert f"error: there is no motion {NOBODY} in this store" in cli(*words, code=1).stderr


def test_what_is_no_id_is_a_mistake_of_the_caller(cli: Cli) -> None:
    cli("motion", "seven", code=2)


def test_a_motion_is_amended_by_its_introducer_only(cli: Cli, tmp_path: Path) -> None:
    introduced(cli, tmp_path, "A")
    motion_id = cli.id_of("A")
    assert "only Ada" in cli("amend", motion_id, "--by", "Bo", "--title", "B", code=1).stderr
    assert cli.json("amend", motion_id, "--by", "Ada", "--title", "B")["title"] == "B"
    assert "neither was given" in cli("amend", motion_id, "--by", "Ada", code=2).stderr


def test_a_motion_is_withdrawn_once(cli: Cli, tmp_path: Path) -> None:
    introduced(cli, tmp_path, "A")
    motion_id = cli.id_of("A")
    words = ("withdraw", motion_id, "--by", "Ada", "--reason", "it was built")
    assert "WITHDRAWN" in cli(*words).stdout
    assert "it can be withdrawn only in" in cli(*words, code=1).stderr
    assert "it was built" in cli("motion", motion_id).stdout


def test_a_store_is_not_made_by_asking_about_it(tmp_path: Path) -> None:
    cli = Cli(f"sqlite:///{tmp_path / 'typo.db'}")
    motion_id = str(uuid4())
    for words in (
        ("status",),
        ("motions",),
        ("motion", motion_id),
        ("assignments",),
        ("halt", "--by", "Ada", "--reason", "x"),
        ("metrics",),
        ("rebuild", "motions"),
        ("audit", "verify"),
        ("audit", "replay"),
        ("audit", "export"),
    ):
        assert "error: there is no store at" in cli(*words, code=2).stderr
    assert list(tmp_path.iterdir()) == []
