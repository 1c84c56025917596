"""The example motions: each ends as it is meant to, by the built-in services alone."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from governance_flow.domain.escalation import Resolution
from governance_flow.domain.states import GovernanceState as S
from tests.support.rehearsals import BuiltInScenario

EXAMPLES = Path(__file__).parents[3] / "examples" / "motions.jsonl"

SEVEN_STEPS = [
    "moved: INTRODUCED > DELIBERATING (advance)",
    "moved: DELIBERATING > RATIFIED (advance)",
    "moved: RATIFIED > PLANNING (advance)",
    "moved: PLANNING > EXECUTING (advance)",
    "moved: EXECUTING > JUDGING (advance)",
    "moved: JUDGING > WITNESSING (advance)",
    "moved: WITNESSING > ACKNOWLEDGED (advance)",
]

ENDS_ELSEWHERE = {
    "HI/26/06": S.REJECTED,
    "HI/26/07": S.REJECTED,
    "HI/26/08": S.TABLED,
    "HI/26/09": S.TABLED,
    "HI/26/11": S.WITHDRAWN,
    "HI/26/13": S.REJECTED,
    "HI/26/15": S.EXECUTING,
    "HI/26/21": S.TABLED,
}
"""The motions that are not acknowledged."""

TROUBLE = {
    "HI/26/03": [
        "failed: execute by duke_service, timeout_error",
        "error: timeout_error, retry_with_backoff",
        "routed: execute to duke_service, attempt 2",
    ],
    "HI/26/07": ["moved: DELIBERATING > REJECTED (advance)"],
    "HI/26/10": [
        "moved: DELIBERATING > INTRODUCED (return)",
        "routed: revise to king_service",
        "completed: revise by king_service",
        "amended by king_service",
        "moved: INTRODUCED > DELIBERATING (advance)",
    ],
    "HI/26/11": ["routed: revise to king_service", "moved: INTRODUCED > WITHDRAWN (withdraw)"],
    "HI/26/12": [
        "error: permission_error, conclave_review",
        "routed: review to conclave_service",
        "completed: review by conclave_service",
        "routed: execute to duke_service",
        "completed: execute by duke_service",
    ],
    "HI/26/13": [
        "error: compliance_error, conclave_review",
        "moved: JUDGING > REJECTED (review)",
    ],
    "HI/26/14": [
        "error: timeout_error, retry_with_backoff",
        "routed: plan to president_service, attempt 2",
    ],
    "HI/26/15": ["error: system_error, halt_and_alert"],
    "HI/26/16": [
        "violation: collapsed_role by holder duke_service",
        "error: permission_error, conclave_review",
        "completed: judge by prince_service",
    ],
    "HI/26/17": [
        "violation: skipped_step by holder president_service",
        "error: compliance_error, conclave_review",
        "moved: PLANNING > DELIBERATING (return)",
        "completed: plan by president_service",
    ],
    "HI/26/18": [
        "error: validation_error, return_to_previous",
        "moved: JUDGING > EXECUTING (return)",
    ],
    "HI/26/19": ["moved: EXECUTING > PLANNING (return)"],
    "HI/26/20": [
        "moved: JUDGING > EXECUTING (return)",
        "moved: JUDGING > EXECUTING (return)",
        "error: validation_error, conclave_review",
        "routed: review to conclave_service",
        "completed: judge by prince_service",
    ],
    "HI/26/21": [
        "error: compliance_error, conclave_review",
        "moved: EXECUTING > TABLED (review)",
    ],
    "HI/26/23": ["moved: WITNESSING > JUDGING (return)"],
}
"""What must happen, in this order, to the motions that meet with any."""


def entries() -> list[dict[str, Any]]:
    return [json.loads(line) for line in EXAMPLES.read_text(encoding="utf-8").splitlines()]


def entry(reference: str) -> dict[str, Any]:
    return next(entry for entry in entries() if entry["reference"] == reference)


def is_in_order(wanted: list[str], story: list[str]) -> bool:
    rest = iter(story)
    return all(line in rest for line in wanted)


async def driven(entry: dict[str, Any]) -> BuiltInScenario:
    flow = BuiltInScenario(entry)
    await flow.run()
    return flow


@pytest.mark.parametrize("example", entries(), ids=lambda example: example["reference"])
async def test_an_example_ends_as_it_is_meant_to(example: dict[str, Any]) -> None:
    reference = example["reference"]
    flow = await driven(example)
    story = flow.whole_story
    assert flow.state is ENDS_ELSEWHERE.get(reference, S.ACKNOWLEDGED)
    if flow.state is S.ACKNOWLEDGED:
        assert is_in_order(SEVEN_STEPS, story)
    assert is_in_order(TROUBLE.get(reference, []), story), story
    if reference not in TROUBLE:
        assert not [line for line in story if line.startswith(("error", "violation", "failed"))]


@pytest.mark.parametrize("example", entries(), ids=lambda example: example["reference"])
async def test_every_statement_of_an_example_chains_to_the_one_before(
    example: dict[str, Any],
) -> None:
    flow = await driven(example)
    bodies = [
        json.loads(event.statement.splitlines()[1])
        for event in flow.events
        if event.topic == "TRANSITION_WITNESSED" and hasattr(event, "statement")
    ]
    assert bodies[0]["previous_statement"] is None
    for before, after in pairwise(bodies):
        assert after["from"] == before["to"]
        assert after["covers"][0]["version"] == before["version"]


async def test_what_waits_for_a_person_goes_on_when_one_decides() -> None:
    flow = await driven(entry("HI/26/15"))
    assert flow.motion.block is not None
    assert flow.motion.block.needs_person
    flow.resolve(Resolution.RETRY, by="Ruth Abara", notes="two of the orders were cancelled")
    await flow.run()
    assert flow.state is S.ACKNOWLEDGED


async def test_one_motion_waits_for_a_comet_and_one_for_somebody_to_take_it_up() -> None:
    comet = (await driven(entry("HI/26/09"))).motion
    assert comet.tabled_until is not None
    assert comet.tabled_until.isoformat() == "2061-07-28T18:00:00+00:00"
    goat = (await driven(entry("HI/26/08"))).motion
    assert goat.tabled_until is None
    assert goat.docketed_at is None


async def test_an_amendment_brings_its_own_ballots() -> None:
    flow = await driven(entry("HI/26/10"))
    assert flow.motion.text.startswith("The school and the harbour office")
    assert Counter(flow.motion.ballots.values()) == {"yes": 8, "no": 2, "abstain": 1}


def test_the_examples_are_varied_and_do_not_keep_anybody_waiting() -> None:
    examples = entries()
    assert len(examples) == len({example["reference"] for example in examples}) == 25
    assert all(example["title"] and example["text"] for example in examples)
    timeouts = [
        trouble
        for example in examples
        for trouble in example.get("rehearse", {}).values()
        if trouble.get("fail") == "timeout_error"
    ]
    assert len(timeouts) == 2
    assert all(trouble["times"] == 1 for trouble in timeouts)
