"""What is written for whoever is on duty: every metric there is, and rules that fire on them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.flows import opened

DOCS = Path(__file__).parents[3] / "docs"
RULES = DOCS / "alert-rules.yaml"
NAME = re.compile(r"\bgovernance_flow_[a-z0-9_]+")

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed"
)


def rules() -> list[dict[str, Any]]:
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


async def exported() -> dict[str, str]:
    """Return the type of every metric, by name."""
    async with opened("memory:") as played:
        text = await played.flow.metrics.render(played.flow.health.snapshot)
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


async def test_every_metric_that_a_rule_names_is_exported() -> None:
    there_are = await exported()
    for rule in rules():
        named = NAME.findall(str(rule))
        assert NAME.search(rule["expr"]), rule["alert"]
        assert set(named) <= set(there_are), rule["alert"]


async def test_what_a_rule_takes_the_rate_of_is_a_counter() -> None:
    there_are = await exported()
    for rule in rules():
        for name in re.findall(r"(?:rate|increase)\(\s*(\w+)", rule["expr"]):
            assert there_are[name] == "counter", rule["alert"]


def test_every_rule_says_what_happened_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) == 12
    for rule in rules():
        summary, description = rule["annotations"]["summary"], rule["annotations"]["description"]
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert len(summary) < 100 < len(description), rule["alert"]
        assert description.endswith(".")


async def test_the_table_has_every_metric_and_no_other() -> None:
    page = (DOCS / "operations.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert len(set(listed)) == len(listed)
    assert {f"governance_flow_{name}" for name in listed} == set(await exported())


@needs_promtool
def test_promtool_takes_the_rules() -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", RULES], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


FIRES: dict[str, dict[str, str]] = {
    # Rule: what makes it fire (series, and their values minute by minute).
    "GovernanceFlowMetricsAbsent": {},
    "GovernanceFlowHalted": {"halted": "1x60"},
    "GovernanceFlowMotionsBlocked": {"motions_blocked": "2x60"},
    "GovernanceFlowDocketOverdue": {
        "docket_wait_seconds": "4000+60x60",
        "places": "5x60",
        "places_taken": "5x60",
    },
    "GovernanceFlowWorkersSilent": {"work_overdue_seconds": "0+60x60", "halted": "0x60"},
    "GovernanceFlowProjectionLags": {"projection_lag_seconds": "0+60x60"},
    "GovernanceFlowMotionsParked": {"projection_parked_motions": "1x60"},
    "GovernanceFlowCheckpointTooOld": {
        "checkpoint_age_seconds": "0+60x60",
        "checkpoint_unsigned_events": "3x60",
    },
    "GovernanceFlowAlertsUndelivered": {"alerts_undelivered": "1x60"},
    "GovernanceFlowViolations": {'violations_total{kind="skipped_step"': "0x50 1x10"},
    "GovernanceFlowAccessDenied": {'access_denied_total{reason="unknown"': "0+60x60"},
    "GovernanceFlowRequestsFail": {
        'http_requests_total{route="/x",method="GET",status_class="5xx"': "0+60x60"
    },
}

QUIET: list[dict[str, str]] = [
    # A pipeline that rests: old checkpoints cover everything.
    {"checkpoint_age_seconds": "90000+60x60", "checkpoint_unsigned_events": "0x60"},
    # One that is busy: there is always something that is not signed yet.
    {"checkpoint_age_seconds": "1x60", "checkpoint_unsigned_events": "50x60"},
    # All places are taken, by motions at work.
    {"docket_wait_seconds": "600x60", "places": "5x60", "places_taken": "5x60"},
    {"motions_blocked": "0x20 1x5 0x35"},
    {"projection_lag_seconds": "0.5x60"},
    {'http_requests_total{route="/x",method="GET",status_class="4xx"': "0+600x60"},
    {'access_denied_total{reason="expired"': "0+3x60"},
]


def series(values: dict[str, str]) -> list[dict[str, str]]:
    made = []
    for name, over_time in {"log_position": "1x60", **values}.items():
        for instance in ("a", "b"):
            head = name if "{" in name else name + "{"
            comma = "" if head.endswith("{") else ","
            made.append(
                {
                    "series": f'governance_flow_{head}{comma}instance="{instance}"}}',
                    "values": over_time,
                }
            )
    return made


def alerts(values: dict[str, str], at: str, folder: Path, *, log_position: bool = True) -> str:
    """Return what promtool says when no alert is expected: it lists those that there are."""
    names = [rule["alert"] for rule in rules()]
    made = series(values) if log_position else []
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": made,
                "alert_rule_test": [
                    {"eval_time": at, "alertname": name, "exp_alerts": []} for name in names
                ],
            }
        ],
    }
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump(test))
    done = subprocess.run(
        ["promtool", "test", "rules", path], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def fired(said: str) -> dict[str, int]:
    """Return how often each rule fired, as promtool tells it."""
    return {
        block[1]: len(re.findall(r"Labels:\{alertname=", block[0]))
        for block in re.finditer(
            r"alertname: (\w+), time.*?(?=alertname: \w+, time|\Z)", said, re.DOTALL
        )
    }


@needs_promtool
@pytest.mark.parametrize("name", FIRES)
def test_each_rule_fires_once_for_all_processes_and_no_other_does(
    name: str, tmp_path: Path
) -> None:
    said = alerts(FIRES[name], "55m", tmp_path, log_position=bool(FIRES[name]))
    assert fired(said) == {name: 1}, said


@needs_promtool
@pytest.mark.parametrize("values", QUIET, ids=lambda values: next(iter(values)).split("{")[0])
def test_nothing_fires_while_all_is_well(values: dict[str, str], tmp_path: Path) -> None:
    for at in ("10m", "24m", "55m"):
        said = alerts(values, at, tmp_path)
        assert "SUCCESS" in said, said


@needs_promtool
def test_workers_need_do_nothing_while_the_pipeline_is_halted(tmp_path: Path) -> None:
    values = {"work_overdue_seconds": "0+60x60", "halted": "1x60"}
    assert fired(alerts(values, "55m", tmp_path)) == {"GovernanceFlowHalted": 1}


@needs_promtool
def test_a_docket_that_stands_still_beside_free_places_means_no_worker(tmp_path: Path) -> None:
    values = {"docket_wait_seconds": "200x60", "places": "5x60", "places_taken": "4x60"}
    assert fired(alerts(values, "55m", tmp_path)) == {"GovernanceFlowWorkersSilent": 1}
