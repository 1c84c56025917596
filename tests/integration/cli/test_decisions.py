"""People decide about what waits for them: one motion, or all that are selected."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli, motion, write_motions


def failing(
    title: str, error_type: str = "system_error", purpose: str = "execute"
) -> dict[str, Any]:
    """Return a motion whose branch fails once."""
    return motion(title, rehearse={purpose: {"fail": error_type}})


@pytest.fixture
def blocked(cli: Cli, tmp_path: Path) -> Cli:
    """Return a pipeline with three blocked motions and one tabled one."""
    motions = [
        failing("A"),
        failing("B", "disk_on_fire", "plan"),
        failing("C", purpose="plan"),
        motion("T", ballots=None),
    ]
    cli("import", write_motions(tmp_path / "motions.jsonl", motions))
    cli("worker", "--until-idle")
    assert cli.states() == {"A": "EXECUTING", "B": "PLANNING", "C": "PLANNING", "T": "TABLED"}
    return cli


def ends(cli: Cli) -> dict[str, str]:
    cli("worker", "--until-idle")
    return cli.states()


def results(stdout: str) -> dict[str, bool]:
    return {row["motion_id"]: row["done"] for row in map(json.loads, stdout.splitlines())}


def test_one_motion_is_resolved(blocked: Cli) -> None:
    motion_id = blocked.id_of("A")
    words = ("resolve", motion_id, "--by", "Zoe", "--decision", "retry", "--notes", "mended")
    assert blocked.json(*words)["blocking_issues"] == []
    assert ends(blocked)["A"] == "ACKNOWLEDGED"
    assert "mended" in blocked("motion", motion_id).stdout
    assert "not blocked" in blocked(*words, code=1).stderr


def test_a_motion_is_returned_and_another_reviewed(blocked: Cli) -> None:
    blocked("resolve", blocked.id_of("A"), "--by", "Zoe", "--decision", "return")
    blocked("resolve", blocked.id_of("C"), "--by", "Zoe", "--decision", "review")
    states = ends(blocked)
    assert states["A"] == "ACKNOWLEDGED"
    assert states["C"] == "TABLED"


def test_who_has_acted_on_a_motion_may_not_resolve_it(blocked: Cli) -> None:
    words = ("resolve", blocked.id_of("A"), "--by", "Ada", "--decision", "retry")
    assert "somebody else must" in blocked(*words, code=1).stderr


def test_retry_tries_again_and_takes_up(blocked: Cli) -> None:
    blocked("retry", blocked.id_of("A"), "--by", "Zoe")
    blocked("retry", blocked.id_of("T"), "--by", "Zoe")
    assert ends(blocked)["A"] == "ACKNOWLEDGED"
    assert "taken up" in blocked("motion", blocked.id_of("T")).stdout.replace("take_up", "taken up")


def test_all_that_are_blocked_are_decided_about(blocked: Cli) -> None:
    done = blocked("resolve", "--all", "--by", "Zoe", "--decision", "retry", "--json")
    assert results(done.stdout) == {blocked.id_of(title): True for title in "ABC"}
    assert "decided about 3 motions, 0 refused" in done.stderr
    states = ends(blocked)
    assert states == {"A": "ACKNOWLEDGED", "B": "ACKNOWLEDGED", "C": "ACKNOWLEDGED", "T": "TABLED"}
    again = blocked("resolve", "--all", "--by", "Zoe", "--decision", "retry")
    assert "nothing was done" in again.stderr


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (("--state", "PLANNING"), "BC"),
        (("--error-type", "disk_on_fire"), "B"),
        (("--error-type", "system_error"), "AC"),
        (("--error-type", "system_error", "--state", "EXECUTING"), "A"),
        (("--blocked-since", "2020-01-01"), "ABC"),
        (("--blocked-since", (datetime.now(UTC) + timedelta(hours=9)).isoformat()), ""),
    ],
)
def test_a_selection_is_decided_about(blocked: Cli, words: tuple[str, ...], chosen: str) -> None:
    done = blocked("retry", "--all", "--by", "Zoe", "--json", *words)
    assert results(done.stdout) == {blocked.id_of(title): True for title in chosen}


def test_all_that_are_tabled_are_taken_up(blocked: Cli) -> None:
    done = blocked("retry", "--all", "--state", "TABLED", "--by", "Zoe", "--json")
    assert results(done.stdout) == {blocked.id_of("T"): True}
    resting = blocked("resolve", "--all", "--state", "TABLED", "--by", "Zoe", "--decision", "retry")
    assert "nothing was done" in resting.stderr


def test_each_refusal_is_reported_and_stops_no_other(blocked: Cli, tmp_path: Path) -> None:
    other = motion("D", introduced_by="Zoe", rehearse={"plan": {"fail": "system_error"}})
    blocked("import", write_motions(tmp_path / "more.jsonl", [other]))
    blocked("worker", "--until-idle")
    done = blocked("resolve", "--all", "--by", "Zoe", "--decision", "retry", code=1)
    assert "refused: Zoe has acted on motion" in done.stdout
    assert "decided about 3 motions, 1 refused" in done.stderr
    assert ends(blocked)["A"] == "ACKNOWLEDGED"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b", "--all"),
        ("0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b", "--state", "PLANNING"),
        ("--all", "--blocked-since", "yesterday"),
        ("--all", "--state", "LIMBO"),
    ],
)
def test_a_decision_that_makes_no_sense(blocked: Cli, words: tuple[str, ...]) -> None:
    blocked("retry", *words, "--by", "Zoe", code=2)
    blocked("resolve", *words, "--by", "Zoe", "--decision", "retry", code=2)
    blocked("resolve", "--all", "--by", "Zoe", "--decision", "take_up", code=2)
