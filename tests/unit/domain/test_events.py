"""Events are facts: a closed set, frozen, in an order that our rules can have written."""

from __future__ import annotations

import pickle
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from governance_flow.domain.branches import PURPOSE_SERVICE, GovernanceBranch, Purpose
from governance_flow.domain.errors import CorruptStream, GovernanceFlowError
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import EVENT_TYPES, MotionIntroduced, MotionRouted
from governance_flow.domain.evolve import evolve
from governance_flow.domain.states import OWNER_PURPOSE, STATE_SERVICE_MAP, GovernanceState
from tests.support.motions import MOTION_ID, NOON, Scenario, person

S = GovernanceState


def test_the_set_of_topics_is_closed() -> None:
    assert sorted(EVENT_TYPES) == [
        "ALERT_DELIVERED",
        "BRANCH_COMPLETED",
        "CONFIGURATION_ADOPTED",
        "ESCALATION_RESOLVED",
        "KEY_ADOPTED",
        "MOTION_AMENDED",
        "MOTION_INTRODUCED",
        "MOTION_ROUTED",
        "ORCHESTRATOR_ERROR",
        "PIPELINE_HALTED",
        "PIPELINE_RESUMED",
        "TRANSITION_WITNESSED",
        "VIOLATION_WITNESSED",
    ]
    assert all(kind.topic == topic for topic, kind in EVENT_TYPES.items())


def introduced(**fields: Any) -> MotionIntroduced:
    given = {
        "event_id": UUID(int=1),
        "correlation_id": UUID(int=1),
        "actor": person("ada"),
        "timestamp": NOON,
        "title": "Build a bridge",
        "text": "",
        "introduced_by": "ada",
    }
    return MotionIntroduced.model_validate({**given, **fields})


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        introduced().title = "Build a ferry"  # type: ignore[misc]


def test_what_is_made_unchecked_is_what_checking_would_have_made() -> None:
    for event in Scenario().reaching(S.WITNESSING).events:
        checked = type(event).model_validate(event.model_dump())
        assert event == checked
        assert repr(event) == repr(checked)
        # The order of the fields is that of the stored bytes.
        assert event.model_dump_json() == checked.model_dump_json()
        assert list(event.__dict__) == list(type(event).model_fields)
        assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 - our own


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp": datetime(2026, 3, 1)},  # noqa: DTZ001 - naive on purpose
        {"surprise": 1},
        {"schema_version": 2},
        {"actor": {"id": "", "authenticated_by": "asserted"}},
        {"actor": {"id": "ada", "authenticated_by": "hearsay"}},
        {"ballots": {"bo": "maybe"}},
    ],
)
def test_an_event_of_another_shape_is_none(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        introduced(**fields)


def test_every_event_survives_its_json() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.fails("validation_error")
    flow.report(GovernanceBranch.PRESIDENT, next_state=S.ACKNOWLEDGED)
    flow.fails("system_error")
    flow.wait(days=1).resolve(Resolution.RETURN)
    flow.fails("validation_error")
    flow.succeeds({"title": "Build a ferry"})
    flow.succeeds({"until": "2026-05-01T00:00:00Z"}, next_state=S.TABLED)
    assert len({event.topic for event in flow.events}) == 8
    for event in flow.events:
        assert type(event).model_validate_json(event.model_dump_json()) == event


# -- Order -------------------------------------------------------------------------------------


def test_a_stream_begins_with_the_introduction() -> None:
    flow = Scenario().reaching(S.PLANNING)
    for event in flow.events[1:]:
        with pytest.raises(CorruptStream, match=f"begins with {event.topic}") as corrupt:
            evolve(None, event, MOTION_ID)
        assert (corrupt.value.motion_id, corrupt.value.version) == (MOTION_ID, 1)


def test_a_motion_is_introduced_once() -> None:
    flow = Scenario().reaching(S.PLANNING)
    with pytest.raises(CorruptStream, match="introduced a second time") as corrupt:
        evolve(flow.motion, flow.events[0], MOTION_ID)
    assert (corrupt.value.motion_id, corrupt.value.version) == (MOTION_ID, len(flow.events) + 1)


def test_nothing_follows_the_end_not_even_a_violation() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.report(GovernanceBranch.PRESIDENT, next_state=S.ACKNOWLEDGED)
    events = list(flow.events[1:])
    flow.review("reject")
    for event in events:
        with pytest.raises(
            CorruptStream, match=f"{event.topic} after it ended in REJECTED"
        ) as corrupt:
            evolve(flow.motion, event, MOTION_ID)
        assert corrupt.value.version == len(flow.events) + 1


def test_a_routing_is_of_the_state_the_motion_is_in() -> None:
    flow = Scenario().reaching(S.PLANNING)
    routed = flow.routing.model_copy(update={"state": S.JUDGING})
    with pytest.raises(CorruptStream, match="routed in JUDGING while it is in PLANNING"):
        evolve(flow.motion, routed, MOTION_ID)


@pytest.mark.parametrize("topic", ["BRANCH_COMPLETED", "VIOLATION_WITNESSED"])
def test_only_the_open_routing_is_completed(topic: str) -> None:
    flow = Scenario().reaching(S.PLANNING)
    before = flow.motion
    flow.succeeds(next_state=S.EXECUTING if topic == "BRANCH_COMPLETED" else S.JUDGING)
    completed = flow.news[0]
    assert completed.topic == topic
    evolve(before, completed, MOTION_ID)
    with pytest.raises(CorruptStream, match="which is not open"):
        evolve(flow.motion, completed, MOTION_ID)
    with pytest.raises(CorruptStream, match="which is not open"):
        evolve(Scenario().motion, completed, MOTION_ID)


def test_a_violation_without_a_routing_is_a_strangers() -> None:
    flow = Scenario().reaching(S.PLANNING)
    before = flow.motion
    flow.report(GovernanceBranch.PRESIDENT, next_state=S.JUDGING)
    stray = flow.news[0].model_copy(update={"routing_id": None})
    assert evolve(before, stray, MOTION_ID).routing == before.routing


def test_every_routing_goes_to_the_service_that_does_its_purpose() -> None:
    flow = Scenario().returned()
    routed = [event for event in flow.events if isinstance(event, MotionRouted)]
    assert all(event.service == PURPOSE_SERVICE[event.purpose] for event in routed)
    for state, purpose in OWNER_PURPOSE.items():
        assert PURPOSE_SERVICE[purpose] == STATE_SERVICE_MAP[state]
    assert PURPOSE_SERVICE[Purpose.REVISE] == "king_service"


# -- Errors ------------------------------------------------------------------------------------


def test_an_error_carries_the_ids_a_person_needs() -> None:
    error = GovernanceFlowError("it broke", motion_id=MOTION_ID)
    assert (str(error), error.message, error.motion_id) == ("it broke", "it broke", MOTION_ID)
    with pytest.raises(AttributeError, match="routing_id"):
        _ = error.routing_id
