"""Events to stored bytes and back: a closed set of topics, old shapes brought up to date."""

from __future__ import annotations

from typing import Any, ClassVar, Literal
from uuid import uuid4

import pytest
from eventsourcing.persistence import StoredEvent

from governance_flow.domain.errors import CorruptStream, InvalidInput
from governance_flow.domain.events import EVENT_TYPES, SYSTEM, Event, PipelineHalted
from governance_flow.infrastructure.mapper import JsonEventMapper
from tests.support.clock import ManualClock

STREAM = uuid4()


def halted(**changes: Any) -> PipelineHalted:
    fields = {"event_id": uuid4(), "correlation_id": uuid4(), "actor": SYSTEM}
    return PipelineHalted(**{**fields, "timestamp": ManualClock().now(), "reason": "r", **changes})


def stored(state: bytes, topic: str = "PIPELINE_HALTED") -> StoredEvent:
    return StoredEvent(STREAM, 7, topic, state)


def test_what_is_stored_is_read_back() -> None:
    event = halted()
    there = JsonEventMapper().to_stored(STREAM, 7, event)
    assert (there.originator_id, there.originator_version) == (STREAM, 7)
    assert there.topic == "PIPELINE_HALTED"
    assert JsonEventMapper().to_event(there) == event


def test_text_that_is_no_unicode_is_refused_when_it_is_stored() -> None:
    with pytest.raises(InvalidInput, match=f"stream {STREAM}: PIPELINE_HALTED holds a value"):
        JsonEventMapper().to_stored(STREAM, 1, halted(reason="\ud800"))


@pytest.mark.parametrize("topic", ["os:system", "governance_flow.domain.events:PipelineHalted", ""])
def test_a_topic_that_is_not_ours_is_never_imported(topic: str) -> None:
    with pytest.raises(CorruptStream, match=r"version 7: .*unknown topic"):
        JsonEventMapper().to_event(stored(b"{}", topic))


@pytest.mark.parametrize(
    ("state", "reason"),
    [(b"{}", "Field required"), (b"[]", "object"), (b"{", "Invalid JSON"), (b"\xff", "")],
)
def test_a_state_that_is_no_such_event_names_its_place(state: bytes, reason: str) -> None:
    with pytest.raises(CorruptStream, match=f"stream {STREAM}, version 7: .*{reason}"):
        JsonEventMapper().to_event(stored(state))


class HaltedV3(Event):
    """What PIPELINE_HALTED might look like two versions on."""

    topic: ClassVar[str] = "PIPELINE_HALTED"

    schema_version: Literal[3] = 3  # type: ignore[assignment]
    reasons: tuple[str, ...]
    grave: bool


def in_a_list(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "schema_version": 2, "reasons": [state["reason"]]}


def with_gravity(state: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in state.items() if key != "reason"}
    return {**rest, "schema_version": 3, "grave": True}


@pytest.fixture
def later() -> JsonEventMapper:
    return JsonEventMapper(
        {("PIPELINE_HALTED", 1): in_a_list, ("PIPELINE_HALTED", 2): with_gravity},
        {**EVENT_TYPES, "PIPELINE_HALTED": HaltedV3},
    )


def test_an_old_shape_is_upcast_step_by_step(later: JsonEventMapper) -> None:
    old = halted(reason="the flood")
    read = later.to_event(JsonEventMapper().to_stored(STREAM, 7, old))
    assert isinstance(read, HaltedV3)
    assert (read.reasons, read.grave, read.event_id) == (("the flood",), True, old.event_id)
    # What is of the newest shape already is read as it is.
    assert later.to_event(later.to_stored(STREAM, 7, read)) == read


def test_what_is_wrong_even_after_upcasting_is_said(later: JsonEventMapper) -> None:
    old = JsonEventMapper().to_stored(STREAM, 7, halted())
    spoilt = old.state.replace(b'"actor"', b'"actress"')
    with pytest.raises(CorruptStream, match=r"after upcasting: .*Field required"):
        later.to_event(stored(spoilt))
