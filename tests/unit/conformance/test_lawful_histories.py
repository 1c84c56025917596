"""What the product does is lawful, in whatever way it is used and configured."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

import pytest

from governance_flow.conformance.checker import Conformance
from governance_flow.conformance.rules import Rule
from tests.unit.conformance.doctoring import numbered, saying
from tests.unit.conformance.exported import Event, offences, topic
from tests.unit.conformance.histories import STORIES, history, reconfigured
from tests.unit.conformance.seeds import simulated


@pytest.mark.parametrize("story", STORIES)
def test_a_story_is_lawful(story: str) -> None:
    assert offences(history(story)) == []


@pytest.mark.parametrize("story", STORIES)
def test_every_beginning_of_a_story_is_lawful(story: str) -> None:
    """Whoever exports a log while the pipeline works gets the log up to some commit."""
    log, conformance = history(story), Conformance()
    for index, event in enumerate(log):
        assert conformance.take(event) == []
        after = log[index + 1] if index + 1 < len(log) else None
        if after is None or after["committedat"] != event["committedat"]:
            beginning = Conformance()
            assert [o for e in log[: index + 1] for o in beginning.take(e)] == []


def test_every_rule_is_checked_somewhere() -> None:
    checked = dict.fromkeys(Rule, 0)
    for story in STORIES:
        conformance = Conformance()
        for event in history(story):
            conformance.take(event)
        conformance.finish()
        for rule, count in conformance.checked.items():
            checked[rule] += count
    # These two are only looked at once somebody is late, or so many errors have come.
    late = {Rule.DEADLINE_ACTED_UPON, Rule.BREAKER_HALTS}
    assert {rule for rule, count in checked.items() if not count} <= late


async def test_each_routing_is_held_to_the_configuration_it_was_made_under(
    sqlite_address: str,
) -> None:
    strict = {"retry": {"max_attempts": 1, "backoff_seconds": [1.0]}}
    lenient = {"retry": {"max_attempts": 5, "backoff_seconds": [60.0]}}
    few = {"max_concurrent_motions": 3, "state_timeout_hours": {"EXECUTING": None}}
    log = await reconfigured(sqlite_address, [strict, lenient, few, strict])
    assert sum(topic(event) == "CONFIGURATION_ADOPTED" for event in log) == 4
    assert offences(log) == []


@pytest.mark.parametrize("first", [0, 10])
def test_the_simulator_is_lawful(first: int) -> None:
    for seed in range(first, first + 10):
        assert offences(simulated(seed)) == [], f"seed {seed}"


# -- Memory ----------------------------------------------------------------------------------------


def generations(count: int) -> Iterator[Event]:
    """Yield the whole way of so many motions, one after the other, as one long log."""
    whole = history("the whole way")
    [adopted] = [event for event in whole if topic(event) == "CONFIGURATION_ADOPTED"]
    first = whole[0]["subject"]
    one = [event for event in whole if event.get("subject") == first]
    yield from numbered([one[0], one[1] if one[1] is adopted else adopted])
    position = 2
    for number in range(count):
        subject = f"00000000-0000-4000-8000-{number:012d}"
        for event in one if number else one[1:]:
            position += 1
            moved = {**event, "subject": subject if number else first, "position": str(position)}
            yield saying(moved)


def test_memory_does_not_grow_with_what_is_finished() -> None:
    conformance = Conformance()
    events = generations(2_000)
    held: list[int] = []
    tracemalloc.start()
    try:
        for taken, event in enumerate(events, 1):
            assert conformance.take(event) == []
            if taken in (4_000, 40_000):
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert conformance.finish() == []
    per_motion_bytes = (held[1] - held[0]) / 1_800
    assert per_motion_bytes < 300, held
