"""Whatever stands in a file, reading it ends in an entry or says in words what is wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance_flow.conformance.checker import Conformance, check
from governance_flow.conformance.entries import Unreadable, decode, decoded, instant, read
from governance_flow.conformance.rules import Rule
from governance_flow.conformance.standstill import Span, Spans, stood_still
from tests.unit.conformance.exported import Event, offences, rules
from tests.unit.conformance.histories import history

LOG = history("the whole way")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (None, "holds no event at all"),
        ([], "holds no event at all"),
        ({}, "says no position"),
        ({**LOG[0], "position": "one"}, "says no position"),
        ({**LOG[0], "position": True}, "says no position"),
        ({**LOG[0], "type": "com.example.PAID"}, "says no kind of event"),
        ({**LOG[0], "type": "governance-flow.NO_SUCH"}, "there is no event NO_SUCH of a motion"),
        ({**LOG[0], "data": None}, "is empty"),
        ({**LOG[0], "subject": 7}, "neither which motion"),
        ({**LOG[0], "source": "elsewhere"}, "neither which motion"),
        ({**LOG[0], "streamversion": "1"}, "says no version"),
        ({**LOG[0], "committedat": "yesterday"}, "committedat is no time with an offset"),
        ({**LOG[0], "data": {**LOG[0]["data"], "actor": {}}}, "says no proper id"),
    ],
)
def test_what_is_no_event_is_named_as_such(line: object, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(line)
    assert rules(offences([line])) == [Rule.RECORD_READABLE]


def test_a_line_that_is_no_json_is_an_offence_at_its_place() -> None:
    lines = [json.dumps(event).encode() for event in LOG]
    found = list(check(decoded([*lines, b'{"half of'])))
    assert [(o.rule, o.position) for o in found] == [(Rule.RECORD_READABLE, len(LOG) + 1)]
    assert decode(b"[" * 100_000) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@given(st.data())
def test_nothing_in_a_file_stops_the_check(data: st.DataObject) -> None:
    """Put anything in the place of anything: there are offences at most, never an error."""
    log: list[Any] = list(LOG[:40])
    index = data.draw(st.integers(0, len(log) - 1))
    event: Event = json.loads(json.dumps(log[index]))
    target = data.draw(st.sampled_from([event, event["data"], event["data"]["actor"]]))
    if "cause" in event["data"]:
        target = data.draw(st.sampled_from([target, event["data"]["cause"]]))
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(JSON)
    log[index] = event
    for offence in offences(log):
        assert offence.message


@given(st.lists(JSON, max_size=3))
def test_a_file_of_anything_is_checked_to_its_end(lines: list[object]) -> None:
    conformance = Conformance()
    for line in lines:
        assert rules(conformance.take(line)) == [Rule.RECORD_READABLE]
    assert conformance.finish() == []
    assert conformance.events == len(lines)


def test_a_history_that_does_not_begin_at_its_beginning_is_told_so() -> None:
    [first, *_] = offences(LOG[5:])
    assert first.rule is Rule.POSITIONS_DENSE
    assert "it must be given from position 1 on" in first.message


@pytest.mark.parametrize("text", ["", "noon", "2026-01-01T12:00:00", 7, None])
def test_a_time_has_an_offset(text: object) -> None:
    with pytest.raises(Unreadable):
        instant(text)


# -- Time that does not count ----------------------------------------------------------------------


def test_time_stands_still_once_however_many_say_so() -> None:
    spans = [Span(at(0), at(10)), Span(at(5), at(15)), Span(at(14), None), Span(at(2), at(3))]
    assert stood_still(spans, at(1), at(20)) == timedelta(minutes=19)
    assert stood_still(spans[:2], at(1), at(20)) == timedelta(minutes=14)
    assert stood_still([], at(1), at(20)) == timedelta()
    assert stood_still([Span(at(30), at(40))], at(1), at(20)) == timedelta()


minutes = st.integers(0, 60).map(at)


@given(st.lists(st.tuples(minutes, minutes).map(sorted), max_size=8), minutes)
def test_stretches_that_had_ended_are_left_out_and_no_other(
    pairs: list[list[datetime]], moment: datetime
) -> None:
    spans = Spans()
    for start, end in pairs:
        spans.begin(start)
        assert spans.lasts
        spans.end(end)
    spans.end(at(99))
    every = [Span(start, end) for start, end in pairs]
    found = spans.since(moment)
    assert {span for span in every if span.end and span.end > moment} <= set(found)
    assert stood_still(found, moment, at(60)) == stood_still(every, moment, at(60))
