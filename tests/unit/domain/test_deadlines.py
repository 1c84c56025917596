"""Deadlines: counted for each entry into a state, standing still while nobody could act."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from governance_flow.domain.branches import Purpose
from governance_flow.domain.decisions.clock import expire
from governance_flow.domain.decisions.context import effective_deadline
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import OrchestratorError
from governance_flow.domain.pipeline import Interval, time_paused
from governance_flow.domain.states import GovernanceState
from tests.support.motions import NOON, Scenario, configured

S = GovernanceState
PLANNING_HOURS = 72


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def planning() -> Scenario:
    """Return a motion that has just entered PLANNING, at noon."""
    return Scenario().reaching(S.PLANNING)


def test_a_deadline_that_is_missed_is_a_timeout() -> None:
    flow = planning().wait(hours=PLANNING_HOURS)
    late = flow.routing
    flow.expire()
    assert flow.story == [
        "error: timeout_error, retry_with_backoff",
        "routed: plan to president_service, attempt 2",
    ]
    error = flow.last(OrchestratorError)
    assert error.message == "president_service did not plan by 2026-03-04T12:00:00+00:00"
    assert (error.routing_id, error.attempt) == (late.routing_id, 1)
    assert late.routing_id in flow.motion.superseded


def test_before_the_deadline_nothing_happens() -> None:
    flow = planning().wait(hours=PLANNING_HOURS, microseconds=-1)
    assert flow.expire() == []


def test_only_the_open_routing_expires() -> None:
    flow = planning().wait(hours=PLANNING_HOURS)
    assert flow.expire(UUID(int=4711)) == []
    late = flow.routing.routing_id
    flow.succeeds()
    assert flow.expire(late) == []
    flow.reaching(S.ACKNOWLEDGED)
    assert flow.expire(late) == []


@pytest.mark.parametrize("state", [S.INTRODUCED, S.EXECUTING])
def test_what_has_no_deadline_never_expires(state: S) -> None:
    flow = Scenario(configured(state_timeout_hours={"EXECUTING": None}))
    flow = flow.returned() if state is S.INTRODUCED else flow.reaching(state)
    assert flow.routing.deadline is None
    assert flow.wait(days=1000).expire() == []


def test_a_review_has_no_deadline() -> None:
    flow = planning()
    flow.fails("compliance_error")
    assert flow.routing.deadline is None
    assert flow.wait(days=1000).expire() == []


def test_every_entry_into_a_state_counts_anew() -> None:
    flow = planning().wait(hours=70)
    flow.succeeds()
    flow.fails("validation_error")
    assert flow.routing.deadline == flow.now + hours(PLANNING_HOURS)


def test_a_retry_has_the_time_that_is_left() -> None:
    flow = planning().wait(hours=10)
    flow.fails("timeout_error")
    assert flow.routing.deadline == NOON + hours(PLANNING_HOURS)


def test_after_a_missed_deadline_every_retry_has_a_time_of_grace() -> None:
    flow = planning().wait(hours=PLANNING_HOURS)
    for delay in (5, 30, 300):
        flow.expire()
        assert flow.routing.deadline == flow.now + timedelta(seconds=delay + 300)
        flow.wait(seconds=delay + 300)
    flow.expire()
    assert flow.story == ["error: timeout_error, halt_and_alert"]
    flow.resolve(Resolution.RETRY)
    assert flow.routing.deadline == flow.now + timedelta(seconds=300)


def test_a_deadline_that_passes_before_the_retry_has_grace_too() -> None:
    flow = planning().wait(hours=PLANNING_HOURS, seconds=-5)
    flow.fails("timeout_error")
    assert flow.routing.not_before == NOON + hours(PLANNING_HOURS)
    assert flow.routing.deadline == NOON + hours(PLANNING_HOURS) + timedelta(seconds=300)


# -- Standing still ----------------------------------------------------------------------------


def test_it_stands_still_while_the_motion_is_blocked() -> None:
    flow = planning().wait(hours=1)
    flow.fails("system_error")
    flow.wait(hours=100).resolve(Resolution.RETRY)
    assert flow.routing.deadline == NOON + hours(PLANNING_HOURS + 100)
    flow.wait(hours=1)
    flow.fails("system_error")
    flow.wait(hours=50).resolve(Resolution.RETRY)
    assert flow.routing.deadline == NOON + hours(PLANNING_HOURS + 150)


def test_it_stands_still_while_the_conclave_reviews() -> None:
    flow = planning()
    flow.fails("compliance_error")
    flow.wait(hours=20)
    flow.fails("system_error")
    flow.wait(hours=20).resolve(Resolution.REVIEW)
    flow.wait(hours=20).review("resume")
    assert flow.routing.deadline == NOON + hours(PLANNING_HOURS + 60)


def test_it_stands_still_while_the_pipeline_is_halted() -> None:
    flow = planning().wait(hours=1).halt().wait(hours=10).resume()
    assert flow.wait(hours=PLANNING_HOURS - 2).expire() == []
    assert flow.wait(hours=1, microseconds=-1).expire() == []
    assert flow.wait(microseconds=1).expire() != []


def test_nothing_expires_while_the_pipeline_is_halted_even_if_it_was_overdue() -> None:
    flow = planning().wait(hours=PLANNING_HOURS).halt()
    assert flow.expire() == []
    flow.resume()
    assert flow.expire() != []


def test_what_was_overdue_before_it_was_blocked_or_halted_is_not_missed_meanwhile() -> None:
    flow = Scenario().reaching(S.DELIBERATING).wait(hours=169)
    routing_id = flow.routing.routing_id
    assert expire(flow.motion, flow.context(), routing_id) != ()
    flow.halt()
    assert expire(flow.motion, flow.context(), routing_id) == ()
    flow.resume()
    flow.knight = Scenario.sleeping
    flow.withdraw()
    assert expire(flow.motion, flow.context(), routing_id) == ()


def test_halts_before_the_routing_and_before_the_entry_do_not_count() -> None:
    flow = Scenario().halt().wait(hours=9).resume().reaching(S.PLANNING)
    entered = flow.now
    flow.halt().wait(hours=3).resume()
    flow.fails("timeout_error")
    deadline = flow.routing.deadline
    assert deadline == entered + hours(PLANNING_HOURS + 3)
    assert effective_deadline(flow.routing, flow.motion, flow.pipeline, flow.now) == deadline
    flow.halt().wait(hours=2)
    moved = effective_deadline(flow.routing, flow.motion, flow.pipeline, flow.now)
    assert moved == deadline + hours(2)


def test_a_block_and_a_halt_at_the_same_time_count_once() -> None:
    flow = planning().wait(hours=1)
    flow.fails("system_error")
    flow.wait(hours=1).halt().wait(hours=1).resume().wait(hours=1).halt().wait(hours=1)
    flow.resolve(Resolution.RETRY)
    flow.wait(hours=1).resume().proceed()
    assert flow.routing.deadline == NOON + hours(PLANNING_HOURS + 5)


def test_a_block_ends_with_the_state() -> None:
    flow = planning()
    flow.fails("system_error")
    flow.wait(hours=5).resolve(Resolution.RETURN)
    assert flow.motion.pauses == ()
    assert flow.routing.deadline == flow.now + hours(168)


def test_a_block_while_the_branch_still_works_moves_its_deadline() -> None:
    flow = Scenario().reaching(S.DELIBERATING)
    flow.knight = Scenario.sleeping
    flow.withdraw()
    flow.knight = Scenario.honest
    assert flow.routing.purpose is Purpose.DELIBERATE
    assert flow.wait(hours=500).expire() == []
    flow.resolve(Resolution.RETRY)
    assert flow.wait(hours=168, microseconds=-1).expire() == []
    assert flow.wait(microseconds=1).expire() != []


# -- The arithmetic ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intervals", "paused"),
    [
        ([], 0),
        ([(1, 3)], 2),
        ([(1, 3), (5, 6)], 3),
        ([(5, 6), (1, 3)], 3),
        ([(1, 5), (2, 3)], 4),
        ([(1, 3), (2, 5)], 4),
        ([(1, 3), (3, 5)], 4),
        ([(-5, 2)], 2),
        ([(-5, -1)], 0),
        ([(8, None)], 2),
        ([(8, 20)], 2),
        ([(-5, None)], 10),
        ([(12, None)], 0),
        ([(12, 13), (1, 2)], 1),
        ([(2, 2)], 0),
    ],
)
def test_overlapping_pauses_are_counted_once_and_within_the_time_looked_at(
    intervals: list[tuple[int, int | None]], paused: int
) -> None:
    pauses = [
        Interval(NOON + hours(start), None if end is None else NOON + hours(end))
        for start, end in intervals
    ]
    assert time_paused(pauses, NOON, NOON + hours(10)) == hours(paused)


def test_no_time_is_paused_before_it_began() -> None:
    assert time_paused([Interval(NOON)], NOON + hours(2), NOON + hours(1)) == hours(0)
