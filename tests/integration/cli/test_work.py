"""People and programs do a branch's work through the command line, under the same rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli, motion, write_motions

DONE = '{"results": {"task-1": {"done": true, "evidence": {"it stands": "a photo"}}}}'
TASKS = [{"name": "build it", "criteria": "it stands"}]


@pytest.fixture
def cli(sqlite_address: str, tmp_path: Path) -> Cli:
    """Return a pipeline whose Duke works outside, and one motion that waits for him."""
    config = tmp_path / "flow.yaml"
    config.write_text("flow_orchestrator: {branches: {duke_service: {kind: external}}}")
    cli = Cli(sqlite_address, config)
    cli("import", write_motions(tmp_path / "motions.jsonl", [motion("A", tasks=TASKS)]))
    cli("worker", "--until-idle")
    assert cli.states() == {"A": "EXECUTING"}
    return cli


def claim(cli: Cli, *words: object, by: str = "Bo") -> dict[str, Any]:
    claimed = cli.json("assignments", "--claim", 5, "--by", by, *words)["assignments"]
    assert len(claimed) == 1
    return dict(claimed[0])


def report(assignment: dict[str, Any], by: str = "Bo", branch: str = "duke") -> list[object]:
    return [
        assignment["motion_id"],
        *("--routing", assignment["routing_id"], "--lease-token", assignment["lease_token"]),
        *("--branch", branch, "--by", by),
    ]


def test_a_claimed_assignment_is_completed_and_the_motion_goes_on(cli: Cli) -> None:
    (row,) = cli.json("assignments")["assignments"]
    assert (row["service"], row["purpose"], row["lease"]) == ("duke_service", "execute", None)
    assignment = claim(cli)
    assert assignment["routing_id"] == row["routing_id"]
    assert assignment["outputs"]["plan"]["tasks"][0]["description"] == "build it"
    (held,) = cli.json("assignments", "--service", "duke_service")["assignments"]
    assert held["lease"]["owner"] == "Bo"
    outcome = cli.json("complete", *report(assignment), "--output", DONE)
    assert (outcome["status"], outcome["state"]) == ("applied", "JUDGING")
    assert outcome["next_service"] == "prince_service"
    cli("worker", "--until-idle")
    assert cli.states() == {"A": "ACKNOWLEDGED"}


def test_a_repeated_report_gets_the_same_answer_and_changes_nothing(cli: Cli) -> None:
    words = ("complete", *report(claim(cli)), "--output", DONE)
    first = cli.json(*words)
    version = cli.json("motion", first["motion_id"])["version"]
    assert cli.json(*words) == first
    assert cli.json("motion", first["motion_id"])["version"] == version


def test_what_somebody_holds_nobody_else_gets(cli: Cli) -> None:
    assignment = claim(cli)
    assert cli.json("assignments", "--claim", 1, "--by", "Cy")["assignments"] == []
    assert "nothing to claim" in cli("assignments", "--claim", 1, "--by", "Cy").stderr
    token = assignment["lease_token"]
    wrong = ("assignments", "--release", assignment["routing_id"], "--lease-token", token + 1)
    assert "is not held under lease token" in cli(*wrong, code=1).stderr
    cli("assignments", "--extend", assignment["routing_id"], "--lease-token", token)
    cli("assignments", "--release", assignment["routing_id"], "--lease-token", token)
    assert claim(cli, by="Cy")["lease_token"] > token
    assert "completion refused" in cli("complete", *report(assignment), code=1).stderr


def test_claimed_work_is_shown_to_people_with_all_they_need(cli: Cli) -> None:
    shown = cli("assignments", "--claim", 1, "--by", "Bo", "--service", "duke_service").stdout
    for words in ("A, of oak.", "execute (duke_service, attempt 1)", "lease token"):
        assert words in shown
    assert "Bo, until" in cli("assignments").stdout


def test_a_failure_takes_its_course(cli: Cli) -> None:
    words = ("fail", *report(claim(cli)), "--error-type", "validation_error", "--error", "no oak")
    outcome = cli.json(*words)
    assert (outcome["strategy"], outcome["state"]) == ("return_to_previous", "PLANNING")
    assert "no oak" in cli("motion", outcome["motion_id"]).stdout


def test_a_failure_that_names_no_type_waits_for_a_person(cli: Cli) -> None:
    cli("fail", *report(claim(cli)), "--error", "the ferry sank")
    (blocked,) = cli.json("motions", "--blocked")["motions"]
    assert blocked["next_action"]["kind"] == "person"


def test_who_acted_for_another_branch_is_refused_and_it_is_witnessed(cli: Cli) -> None:
    assignment = claim(cli, by="Ada")  # who introduced it
    said = cli("complete", *report(assignment, by="Ada"), "--output", DONE, code=1)
    assert "Ada has acted for the king on this motion" in said.stderr
    story = cli("motion", assignment["motion_id"]).stdout
    assert "violation refused: collapsed_role" in story


def test_a_step_cannot_be_skipped(cli: Cli) -> None:
    assignment = claim(cli)
    said = cli("complete", *report(assignment), "--next-state", "WITNESSING", code=1)
    assert "would skip a step" in said.stderr


def test_the_wrong_branch_is_refused(cli: Cli) -> None:
    said = cli("complete", *report(claim(cli), branch="prince"), code=1)
    assert "not one of the prince" in said.stderr


def test_a_motion_that_has_ended_takes_no_completion(cli: Cli) -> None:
    assignment = claim(cli)
    cli("complete", *report(assignment), "--output", DONE)
    cli("worker", "--until-idle")
    assignment["routing_id"] = "00000000-0000-4000-8000-000000000000"
    said = cli("complete", *report(assignment, by="Dee"), code=1)
    assert "it has ended in ACKNOWLEDGED" in said.stderr


def test_output_can_come_from_a_file(cli: Cli, tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    output.write_bytes(b"\xef\xbb\xbf" + DONE.encode())
    outcome = cli.json("complete", *report(claim(cli)), "--output", f"@{output}")
    assert outcome["state"] == "JUDGING"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--claim", 1), "--claim needs --by"),
        (("--claim", 1, "--by", "Bo", "--service", "earl_service"), "there is no service"),
        (("--claim", 101, "--by", "Bo"), "between 1 and 100"),
        (("--claim", 0, "--by", "Bo"), "--claim"),
        (("--claim", 1, "--by", "Bo", "--lease-seconds", -1), "a lease lasts more than 0"),
        (("--extend", "7"), "--extend"),
        (("--extend", "00000000-0000-4000-8000-000000000000"), "need --lease-token"),
        (("--claim", 1, "--release", "00000000-0000-4000-8000-000000000000"), "say one of"),
        (("--after", "rubbish"), "is not the next_after of a page"),
    ],
)
def test_a_request_that_makes_no_sense(cli: Cli, words: tuple[object, ...], reason: str) -> None:
    assert reason in cli("assignments", *words, code=2).stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--branch", "duke", "--by", "Bo", "--output", "{"), "--output: not JSON"),
        (("--branch", "duke", "--by", "x" * 201), "actor: "),
        (("--branch", "duke", "--by", "Bo", "--output", '{"a": "\\u0000"}'), "NUL"),
        (("--branch", "baron", "--by", "Bo"), "--branch"),
        (("--branch", "duke", "--by", "Bo", "--next-state", "LIMBO"), "--next-state"),
    ],
)
def test_a_report_that_makes_no_sense(cli: Cli, words: tuple[str, ...], reason: str) -> None:
    assignment = claim(cli)
    named = (assignment["motion_id"], "--routing", assignment["routing_id"])
    assert reason in cli("complete", *named, *words, code=2).stderr


def test_without_a_service_only_external_work_is_claimed(cli: Cli) -> None:
    everything_inside = Cli(cli.store)
    said = everything_inside("assignments", "--claim", 1, "--by", "Bo", code=2).stderr
    assert "no branch is configured as external" in said


def test_open_assignments_are_listed_page_by_page(cli: Cli, tmp_path: Path) -> None:
    more = [motion(f"Motion {number}", tasks=TASKS) for number in range(4)]
    cli("import", write_motions(tmp_path / "more.jsonl", more))
    cli("worker", "--until-idle")
    seen: list[str] = []
    after: tuple[str, ...] = ()
    while True:
        page = cli.json("assignments", "--limit", 2, *after)
        seen += [row["motion_id"] for row in page["assignments"]]
        if page["next_after"] is None:
            break
        after = ("--after", page["next_after"])
    assert len(seen) == len(set(seen)) == 5
    assert "there are more: governance-flow assignments" in cli("assignments", "--limit", 1).stderr
