"""The King's desk: a returned motion is revised, amended or withdrawn."""

from __future__ import annotations

from typing import Any

import pytest

from governance_flow.domain.answers import AnswerStatus
from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.events import Ballot, MotionAmended, TransitionWitnessed
from governance_flow.domain.states import GovernanceState
from tests.support.motions import Scenario, service

S = GovernanceState
B = GovernanceBranch


def test_a_returned_motion_waits_for_its_revision_and_not_for_a_place() -> None:
    flow = Scenario().returned()
    assert (flow.state, flow.motion.docketed_at) == (S.INTRODUCED, None)
    assert flow.routing.findings == ("too vague",)
    assert flow.proceed() == []


def test_a_revision_puts_it_at_the_end_of_the_docket() -> None:
    flow = Scenario().returned().wait(hours=3).halt()
    flow.succeeds({})
    assert flow.story == ["completed: revise by king_service"]
    assert (flow.motion.docketed_at, flow.motion.pending) == (flow.now, None)
    flow.resume().proceed()
    assert flow.story == [
        "moved: INTRODUCED > DELIBERATING (advance)",
        "routed: deliberate to conclave_service",
    ]


def test_a_revision_amends_the_motion_with_what_the_king_wrote() -> None:
    flow = Scenario().returned()
    routing_id = flow.routing.routing_id
    flow.halt().succeeds({"title": "Build a ferry", "ballots": {"cy": "no", "di": "abstain"}})
    assert flow.story == ["completed: revise by king_service", "amended by king_service"]
    motion = flow.motion
    assert (motion.title, motion.text) == ("Build a ferry", "Over the river.")
    assert motion.ballots == {"cy": Ballot.NO, "di": Ballot.ABSTAIN}
    assert motion.amended
    amended = flow.last(MotionAmended)
    assert (amended.actor, amended.causation_id) == (service("king_service"), routing_id)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"text": "At the ford."}, ("Build a bridge", "At the ford.", {})),
        ({"ballots": {"bo": "yes"}}, ("Build a bridge", "Over the river.", {"bo": Ballot.YES})),
        ({"ballots": {}}, ("Build a bridge", "Over the river.", {})),
        ({"note": "as it was"}, ("Build a bridge", "Over the river.", {"bo": Ballot.YES})),
    ],
)
def test_what_a_revision_leaves_out_stays_but_for_ballots_on_another_text(
    output: dict[str, Any], expected: tuple[str, str, dict[str, Ballot]]
) -> None:
    flow = Scenario().returned()
    flow.succeeds(output)
    motion = flow.motion
    assert (motion.title, motion.text, dict(motion.ballots)) == expected
    assert flow.state is S.DELIBERATING


INVALID: list[dict[str, Any]] = [
    {"title": ""},
    {"title": None},
    {"title": 7},
    {"text": " \n"},
    {"text": ["At the ford."]},
    {"ballots": ["bo"]},
    {"ballots": {"bo": "maybe"}},
    {"ballots": {"bo": ["yes"]}},
    {"ballots": {"bo": None}},
    {"title": "Build a ferry", "ballots": None},
]


@pytest.mark.parametrize("output", INVALID)
def test_an_invalid_amendment_is_recorded_as_a_failure_and_reviewed(
    output: dict[str, Any],
) -> None:
    flow = Scenario().returned()
    answer = flow.succeeds(output)
    assert flow.story == [
        "failed: revise by king_service, validation_error",
        "error: validation_error, conclave_review",
        "routed: review to conclave_service",
    ]
    assert flow.routing.findings[0].startswith('nothing to return to: output["')
    assert answer.status is AnswerStatus.ESCALATED
    assert (flow.motion.title, flow.motion.docketed_at) == ("Build a bridge", None)
    flow.review("resume")
    assert flow.routing.purpose is Purpose.REVISE


def test_the_king_withdraws_instead() -> None:
    flow = Scenario().returned()
    flow.succeeds({}, next_state=S.WITHDRAWN)
    assert flow.story == [
        "completed: revise by king_service",
        "moved: INTRODUCED > WITHDRAWN (withdraw)",
    ]
    cause = flow.last(TransitionWitnessed).cause
    assert (cause.reason, cause.event_id) == ("withdrawn by the King", flow.news[0].event_id)


def test_a_king_who_fails_has_withdrawn_nothing() -> None:
    flow = Scenario().returned()
    flow.report(B.KING, success=False, error_type="system_error", next_state=S.WITHDRAWN)
    assert flow.state is S.INTRODUCED
    assert flow.motion.block is not None


def test_amendments_are_the_kings_alone() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.succeeds({"title": "Build a palace"})
    assert flow.motion.title == "Build a bridge"


def test_the_introducer_may_amend_while_the_king_revises() -> None:
    flow = Scenario().returned()
    flow.amend(text="At the ford.")
    assert (flow.motion.amended, flow.routing.purpose) == (True, Purpose.REVISE)
    flow.succeeds({})
    assert flow.motion.text == "At the ford."
