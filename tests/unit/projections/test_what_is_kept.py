"""What the projections keep: which buckets a window adds up, and rows without loss."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from governance_flow.application.summaries import summarise
from governance_flow.application.times import to_us
from governance_flow.domain.pipeline import Halt, Interval, Pipeline
from governance_flow.domain.states import GovernanceState
from projections.activity import KEPT_SECONDS, WIDTHS_SECONDS, window
from projections.motion_rows import (
    COLUMNS,
    FOUND_BY,
    Halts,
    routed_at_us,
    row_of,
    running_time_us,
    summary_of,
)
from tests.support.motions import NOON, Scenario, person

SECONDS = st.integers(0, 400)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - the zone is given beside them
def test_a_window_begins_in_the_second_of_its_first_moment_and_has_no_hole(
    since: datetime,
) -> None:
    edges = window(since)
    start_s, minute_s, hour_s = edges["since_s"], edges["minute_s"], edges["hour_s"]
    assert 0 <= to_us(since) - start_s * 1_000_000 < 1_000_000
    assert start_s <= minute_s <= hour_s
    assert (minute_s % 60, hour_s % 3600) == (0, 0)
    assert minute_s - start_s < 60
    assert hour_s - minute_s < 3600


def test_buckets_are_kept_longer_than_anybody_asks_for() -> None:
    asked_for = timedelta(days=1).total_seconds() + max(WIDTHS_SECONDS)
    assert asked_for <= KEPT_SECONDS
    assert all(wide % narrow == 0 for narrow, wide in pairwise(WIDTHS_SECONDS))


def at(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


def spans(times: list[tuple[int, int]]) -> tuple[Interval, ...]:
    return tuple(Interval(at(start), at(end)) for start, end in times)


@given(
    halts=st.lists(st.tuples(SECONDS, SECONDS), max_size=4),
    halted_since=st.none() | SECONDS,
    own=st.lists(st.tuples(SECONDS, SECONDS), max_size=3),
    routed=SECONDS,
)
def test_a_row_and_the_halts_beside_it_say_what_the_motion_says(
    halts: list[tuple[int, int]],
    halted_since: int | None,
    own: list[tuple[int, int]],
    routed: int,
) -> None:
    # Halts may overlap, also with the motion's own, and end before they began: clocks differ.
    motion = Scenario().reaching(GovernanceState.PLANNING).motion
    assert motion.routing is not None
    routing = motion.routing.model_copy(update={"timestamp": at(routed)})
    motion = replace(motion, routing=routing, pauses=spans(own))
    under_way = () if halted_since is None else (Interval(at(halted_since)),)
    halt = None if halted_since is None else Halt("a storm", person("zoe"), at(halted_since))
    pipeline = Pipeline(halts=(*spans(halts), *under_way), halt=halt)
    expected = summarise(motion, pipeline)
    row = row_of(expected, motion)
    assert list(row) == list(COLUMNS)
    selected = tuple(row[name] for name in COLUMNS if name not in FOUND_BY)
    since_us = routed_at_us(selected)
    assert since_us == to_us(routing.timestamp)
    kept = [
        (to_us(h.start), to_us(h.end) if h.end else None)
        for h in pipeline.halts
        if h.end is None or to_us(h.end) > since_us
    ]
    assert summary_of(selected, Halts.of(kept)) == expected


@given(
    halts=st.lists(st.tuples(SECONDS, SECONDS), max_size=4),
    halted_since=st.none() | SECONDS,
    own=st.lists(st.tuples(SECONDS, SECONDS), max_size=3),
    routed=SECONDS,
    now=st.integers(400, 2_000),
)
def test_what_is_overdue_is_found_in_running_time(
    halts: list[tuple[int, int]],
    halted_since: int | None,
    own: list[tuple[int, int]],
    routed: int,
    now: int,
) -> None:
    motion = Scenario().reaching(GovernanceState.PLANNING).motion
    assert motion.routing is not None
    routing = motion.routing.model_copy(
        update={"timestamp": at(routed), "deadline": at(routed + 600)}
    )
    motion = replace(motion, routing=routing, pauses=spans(own))
    under_way = () if halted_since is None else (Interval(at(halted_since)),)
    halt = None if halted_since is None else Halt("a storm", person("zoe"), at(halted_since))
    pipeline = Pipeline(halts=(*spans(halts), *under_way), halt=halt)
    summary = summarise(motion, pipeline)
    deadline = summary.at(at(now), halt).expected_completion
    assert deadline is not None
    runs_out_us = row_of(summary, motion, pipeline.halts)["runs_out_us"]
    # It is as long until the deadline by either clock, but for the time that stands still now.
    missing_us = to_us(deadline) - to_us(at(now))
    assert runs_out_us - running_time_us(pipeline.halts, at(now)) == missing_us


def test_a_row_holds_whatever_a_branch_may_have_reported() -> None:
    flow = Scenario().reaching(GovernanceState.PLANNING)
    flow.fails("of our own", "a NUL \x00, a quote ' and a snowman \N{SNOWMAN}")
    expected = summarise(flow.motion, flow.pipeline)
    row = row_of(expected, flow.motion)
    assert all(value is None or isinstance(value, int) or value.isascii() for value in row.values())
    assert "\x00" not in row["shown"]
    selected = tuple(row[name] for name in COLUMNS if name not in FOUND_BY)
    assert summary_of(selected, Halts(), "somewhere") == replace(expected, parked="somewhere")
    assert routed_at_us(selected) is None
