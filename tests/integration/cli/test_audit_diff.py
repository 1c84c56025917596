"""Auditors ask what changed between two positions, or two times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli, motion, write_motions


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


def last(driven: Cli) -> int:
    return int(driven.json("status")["position"])


def test_what_was_and_what_changed_make_what_is(driven: Cli) -> None:
    end = last(driven)
    for first, second in ((0, end), (1, end), (4, end // 2), (end // 2, end)):
        before, after = [
            driven.json("audit", "replay", "--position", position)["status"]
            for position in (first, second)
        ]
        for totals in ("--totals", "--no-totals"):
            found = driven.json("audit", "diff", first, second, totals)
            assert found["events"] == second - first
            for name in ("active_motions", "blocked_motions", "waiting_motions", "admitted"):
                assert before[name] + found["counters"][name]["change"] == after[name]
            for state, count in before["motions_by_state"].items():
                change = found["motions_by_state"][state]["change"]
                assert count + change == after["motions_by_state"][state]
        found = driven.json("audit", "diff", first, second)
        assert found["complete"]
        assert found["counters"]["admitted"]["then"] == before["admitted"]
        assert found["counters"]["admitted"]["now"] == after["admitted"]


def test_without_the_second_moment_it_is_now(driven: Cli) -> None:
    found = driven.json("audit", "diff", 0)
    assert found["to"]["position"] == last(driven)
    assert found["motions_changed"] == found["motions_introduced"] == 4
    changes = {change["title"]: change for change in found["motions"]}
    assert changes["A"]["state"] == {"then": None, "now": "ACKNOWLEDGED"}
    assert changes["A"]["path"][:2] == ["INTRODUCED", "DELIBERATING"]
    assert changes["A"]["finished"]
    assert changes["C"]["blocked"] == {"then": False, "now": True}
    assert "system_error" in changes["C"]["blocking_issues"][0]
    assert {"id": "Ada", "authenticated_by": "asserted"} in changes["B"]["actors"]


def test_a_moment_may_be_a_time(driven: Cli) -> None:
    entries = driven.json("motion", driven.id_of("A"))["timeline"]
    first, final = entries[0], entries[-1]
    by_time = driven.json("audit", "diff", first["committed_at"], final["committed_at"])
    by_position = driven.json(
        "audit", "diff", by_time["from"]["position"], by_time["to"]["position"]
    )
    assert by_time["motions"] == by_position["motions"]
    assert by_time["from"]["position"] >= first["position"]
    assert by_time["to"]["position"] >= final["position"]
    whole = driven.json("audit", "diff", "2020-01-01", final["committed_at"])
    assert whole["from"]["position"] == 0
    mixed = driven.json("audit", "diff", 2, final["committed_at"])
    assert (mixed["from"]["position"], mixed["to"]) == (2, by_time["to"])


def test_a_moment_is_no_different_from_itself(driven: Cli) -> None:
    found = driven.json("audit", "diff", 7, 7)
    assert (found["events"], found["motions_changed"], found["motions"]) == (0, 0, [])
    assert found["topics"] == found["errors"] == {}
    assert {counter["change"] for counter in found["counters"].values()} == {0}
    assert "Nothing changed" in driven("audit", "diff", 7, 7).stdout


def test_every_motion_that_changed_is_listed_a_line_each(driven: Cli) -> None:
    lines = driven("audit", "diff", 1, "--motions", "--json").stdout.splitlines()
    changes: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert {change["title"] for change in changes} == set("ABCT")
    assert [change["motion_id"] for change in changes] == sorted(c["motion_id"] for c in changes)
    shown = driven("audit", "diff", 1, "--motions").stdout
    assert len(shown.splitlines()) == 4
    assert "TABLED  T" in shown


def test_people_are_shown_what_changed(driven: Cli) -> None:
    driven("halt", "--by", "Chair", "--reason", "a storm")
    shown = driven("audit", "diff", 1).stdout
    for words in (
        "running → halted",
        "Chair (by their own word) halted the whole pipeline: “a storm”",
        "4 motions changed",
        "new → REJECTED",
        "blocked: system_error",
        "Ada (asserted)",
        driven.id_of("A"),
    ):
        assert words in shown
    assert "--totals counts every motion" not in shown
    assert "--totals counts every motion" in driven("audit", "diff", 1, "--no-totals").stdout


def test_settings_that_changed_are_shown(driven: Cli, tmp_path: Path) -> None:
    before = last(driven)
    config = tmp_path / "other.yaml"
    config.write_text("flow_orchestrator:\n  max_concurrent_motions: 7\n")
    other = Cli(driven.store, config)
    other("introduce", "--title", "New", "--text", "x", "--by", "Ada")
    other("worker", "--until-idle")
    found = driven.json("audit", "diff", before)
    [setting] = found["pipeline"]["settings"]
    assert setting == {"path": "max_concurrent_motions", "then": 100, "now": 7}
    assert "max_concurrent_motions: 100 → 7" in driven("audit", "diff", before).stdout


def test_what_a_terminal_would_obey_is_not_printed(cli: Cli) -> None:
    cli("introduce", "--title", "red\x1b[31m\u202egreen", "--text", "x", "--by", "Ada\x07")
    for words in (("audit", "diff", 0), ("audit", "diff", 0, "--motions")):
        shown = cli(*words).stdout
        assert "\\u001b[31m\\u202egreen" in shown
        assert not {"\x1b", "\u202e", "\x07"} & set(shown)


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("5", "2"), 2, "name the earlier one first"),
        (("2026-01-02", "2026-01-01"), 2, "name the earlier one first"),
        (("5", "2020-01-01"), 2, "name the earlier one first"),
        (("noon",), 2, "A: 'noon' is not a time"),
        (("1", "tomorrow"), 2, "B: 'tomorrow' is not a time"),
        (("1", "2999-01-01"), 2, "is still to come"),
        (("1", "1000000"), 2, "there is no position 1000000"),
        (("1" * 5000,), 2, "A: there is no position 111111111111111111…"),
        (("1", "--motions", "--totals"), 2, "without --totals"),
        ((), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_compared(
    driven: Cli, words: tuple[str, ...], code: int, reason: str
) -> None:
    assert reason in driven("audit", "diff", *words, code=code).stderr
