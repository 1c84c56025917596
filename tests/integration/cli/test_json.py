"""What programs read: the keys of every command's JSON, which are only ever added to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli, motion, write_motions

DOCUMENT = Path(__file__).parents[3] / "docs" / "command-line.md"

MOTION = {
    *("motion_id", "title", "reference", "introduced_by", "introduced_at", "current_state"),
    *("entered_state_at", "time_in_state_seconds", "expected_completion", "blocking_issues"),
    *("next_action", "owner", "attempt", "last_error", "version", "parked"),
}
STATUS = {
    *("as_of", "halted", "halt_reason", "halted_since", "active_motions", "motions_by_state"),
    *("blocked_motions", "waiting_motions", "admitted", "free_places"),
    *("oldest_motion_age_seconds", "recent_completions", "recent_failures", "finished_recently"),
    *("position", "lag", "active"),
}
IMPORT = {"lines", "introduced", "known", "rejected", "rejected_file", "stopped"}
REPORT = {
    *("passed", "position", "events", "motions", "statements", "checkpoints"),
    *("fault_count", "faults", "notes"),
}
ROW = {
    *("routing_id", "motion_id", "service", "state", "purpose", "attempt", "not_before"),
    *("deadline", "opened_at", "lease"),
}
OUTCOME = {
    *("motion_id", "routing_id", "accepted", "status", "state", "next_service"),
    *("next_routing_id", "strategy", "reason"),
}


def documented(keys: Iterable[str]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    missing = [key for key in keys if f"`{key}`" not in text]
    assert missing == []


@pytest.fixture
def cli(sqlite_address: str, tmp_path: Path) -> Cli:
    config = tmp_path / "flow.yaml"
    config.write_text("flow_orchestrator: {branches: {duke_service: {kind: external}}}")
    return Cli(sqlite_address, config)


def test_the_keys_are_those_that_are_documented(cli: Cli, tmp_path: Path) -> None:
    broken = motion("B", rehearse={"plan": {"fail": "system_error"}})
    path = write_motions(tmp_path / "motions.jsonl", [motion("A"), broken])
    run = cli.json("run", path)
    assert set(run) == {"import", "status", "blocked", "waiting", "verification", "seconds"}
    story = cli.json("motion", cli.id_of("A"))
    (row,) = cli.json("assignments")["assignments"]
    claimed = cli.json("assignments", "--claim", 1, "--by", "Bo")["assignments"][0]
    held = cli.json("assignments")["assignments"][0]["lease"]
    lease = ("--lease-token", claimed["lease_token"])
    hold = cli.json("assignments", "--extend", claimed["routing_id"], *lease)
    outcome = cli.json(
        *("complete", story["motion_id"], "--routing", claimed["routing_id"]),
        *("--branch", "duke", "--by", "Bo", *lease),
    )
    decided = cli("retry", "--all", "--by", "Zoe", "--json").stdout
    shapes: list[tuple[dict[str, Any], set[str]]] = [
        (run["import"], IMPORT),
        (cli.json("import", path), IMPORT),
        (run["status"], STATUS),
        (cli.json("status"), STATUS),
        (run["status"]["lag"], {"events", "seconds"}),
        (run["blocked"][0], MOTION),
        (run["blocked"][0]["next_action"], {"kind", "who", "what", "by"}),
        (run["verification"], REPORT),
        (cli.json("audit", "verify"), REPORT),
        (run["seconds"], {"import", "drive", "verify"}),
        (cli.json("motions"), {"motions", "next_after"}),
        (story, MOTION | {"timeline"}),
        (story["timeline"][0], {"position", "version", "committed_at", "topic", "event"}),
        (row, ROW),
        (held, {"owner", "expires_at", "losses"}),
        (hold, {"routing_id", "extended"}),
        (outcome, OUTCOME),
        (json.loads(decided), {"motion_id", "done", "current_state", "refusal"}),
        (cli.json("audit", "replay"), {"position", "as_of", "status"}),
    ]
    for value, keys in shapes:
        assert set(value) == keys
        documented(keys)


def test_an_assignment_says_all_that_a_branch_service_is_given(cli: Cli, tmp_path: Path) -> None:
    cli("run", write_motions(tmp_path / "motions.jsonl", [motion("A", topics=["sea"])]))
    claimed = cli.json("assignments", "--claim", 1, "--by", "Bo")["assignments"][0]
    assert claimed["title"] == "A"
    assert claimed["metadata"] == {"topics": ["sea"]}
    assert claimed["ballots"] == {"Ada": "yes", "Bo": "yes", "Cy": "no"}
    assert claimed["outputs"]["deliberate"]["outcome"] == "RATIFIED"
    assert claimed["branch"] == "duke"
    assert claimed["purpose"] == "execute"
