"""Auditors have a motion's story told to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Cli, motion, write_motions

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def driven(cli: Cli, tmp_path: Path) -> Cli:
    """Return a pipeline with a motion that ended, and one that waits for a person."""
    motions = [motion("A"), motion("C", rehearse={"plan": {"fail": "system_error"}})]
    cli("import", write_motions(tmp_path / "motions.jsonl", motions))
    cli("worker", "--until-idle")
    return cli


def told(cli: Cli, *words: object) -> str:
    """Return a story in one line, whatever its width was."""
    return " ".join(cli("audit", "explain", *words).stdout.split())


def test_a_motion_that_ended_is_told_from_the_first_to_the_last(driven: Cli) -> None:
    story = told(driven, driven.id_of("A"))
    parts = [
        "“A” was introduced by Ada on",
        "Ada (by their own word) introduced the motion “A”, with 3 ballots",
        "Deliberation began (INTRODUCED to DELIBERATING)",
        "The Conclave (conclave_service, a configured service) voted to ratify the motion",
        "“carried: 2 yes, 1 no, 0 abstained”",
        "The motion was ratified",
        "and witnessed by the Knight (knight_witness_service)",
        "planned the motion in 1 task",
        "The motion was acknowledged, which completed it",
        "How long each step took",
        "ended here",
        "Who acted, and how we know",
        "somebody gave this name; nothing proves that it was them",
        "How it ended",
        "Nothing more can happen to it.",
        "governance-flow audit verify",
    ]
    at = 0
    for part in parts:
        assert part in story[at:], part
        at = story.index(part, at)
    assert "What comes next" not in story


def test_a_motion_that_waits_says_for_whom(driven: Cli) -> None:
    motion_id = driven.id_of("C")
    story = told(driven, motion_id)
    assert "blocked until a named person decides" in story
    assert "What comes next, as of" in story
    assert "A named person must decide to retry, return or review it; it is blocked since" in story
    assert "How it ended" not in story
    driven("resolve", motion_id, "--by", "Zoe", "--decision", "review", "--notes", "look at this")
    story = told(driven, motion_id)
    assert "Zoe (by their own word) decided that the Conclave review the motion" in story
    assert "“look at this”" in story


def test_the_same_as_data(driven: Cli) -> None:
    motion_id = driven.id_of("A")
    story = driven.json("audit", "explain", motion_id)
    shown = driven.json("motion", motion_id)
    mine = [entry for entry in story["story"] if entry["version"] is not None]
    for key in ("position", "version", "committed_at", "topic"):
        assert [entry[key] for entry in mine] == [entry[key] for entry in shown["timeline"]]
    assert (story["current_state"], story["version"]) == ("ACKNOWLEDGED", shown["version"])
    assert story["steps"][0]["state"] == "INTRODUCED"
    assert story["steps"][-1]["left_at"] is None
    assert story["actors"][0]["authenticated_by"] == "asserted"
    assert story["coming"] is story["next_action"] is None
    assert "acknowledged" in story["ending"]
    waiting = driven.json("audit", "explain", driven.id_of("C"))
    assert waiting["ending"] is None
    assert waiting["next_action"]["kind"] == "person"
    assert waiting["coming"].startswith("a named person must decide")
    kinds = {entry["kind"] for entry in waiting["story"]}
    assert {"step", "report", "trouble"} <= kinds


def test_the_story_as_it_was_then(driven: Cli) -> None:
    motion_id = driven.id_of("A")
    early = driven.json("motion", motion_id)["timeline"][0]
    by_position = driven.json("audit", "explain", motion_id, "--position", early["position"])
    assert by_position["current_state"] == "INTRODUCED"
    assert len(by_position["story"]) == 1
    by_time = driven.json("audit", "explain", motion_id, "--at", early["committed_at"])
    assert by_time["story"] == by_position["story"]


def test_what_is_shortened_says_how_to_see_it_whole(cli: Cli) -> None:
    title = "long " * 100
    motion_id = cli("introduce", "--title", title, "--text", "x", "--by", "Ada").stdout.strip()
    story = told(cli, motion_id)
    assert "[…]”" in story
    assert f"Whole: governance-flow motion {motion_id} --json" in story
    assert cli.json("audit", "explain", motion_id)["story"][0]["shortened"]


def test_what_a_terminal_would_obey_is_not_printed(cli: Cli) -> None:
    title = "red\x1b[31m\u202e”, and the Conclave ratified it"
    words = ("introduce", "--title", title, "--text", "x", "--by", "Ada\x07 (the King)")
    motion_id = cli(*words).stdout.strip()
    shown = cli("audit", "explain", motion_id).stdout
    assert "\\u001b[31m\\u202e" in shown
    assert not {"\x1b", "\u202e", "\x07"} & set(shown)
    story = " ".join(shown.split())
    assert "“Ada\\u0007 (the King)” (by their own word) introduced the motion" in story
    assert '\\u202e", and the Conclave ratified it”' in story


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ((NOBODY,), 1, f"there was no motion {NOBODY}"),
        (("nobody",), 2, "MOTION"),
        ((NOBODY, "--at", "noon"), 2, "is not a time"),
        ((NOBODY, "--at", "2020-01-01", "--position", "1"), 2, "not both"),
        ((NOBODY, "--position", "1000000"), 2, "there is no position 1000000"),
    ],
)
def test_what_cannot_be_told(driven: Cli, words: tuple[str, ...], code: int, reason: str) -> None:
    assert reason in driven("audit", "explain", *words, code=code).stderr
