"""What people are shown: counts, times and stories, in few words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console, RenderableType

from governance_flow.application.ports.flow_orchestrator import (
    ActionKind,
    ActionNeeded,
    Lag,
    MotionPipelineState,
    PipelineStatus,
)
from governance_flow.cli.command import Place
from governance_flow.cli.rendering import (
    ISSUE_CHARACTERS_MAX,
    action_text,
    begins,
    clock_time,
    length_of_time,
    motions,
    motions_table,
    states_table,
    status_view,
)
from governance_flow.cli.waiting import Waiting, hints_view, waiting_view
from governance_flow.domain.states import GovernanceState as S

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ID = UUID("0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b")
PERSON = ActionNeeded(ActionKind.PERSON, "a named person", "resolve it")


def shown(renderable: RenderableType, width: int = 100) -> str:
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(renderable, crop=False)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def a_motion(**changes: Any) -> MotionPipelineState:
    fields: dict[str, Any] = {
        "motion_id": ID,
        "title": "A jetty",
        "current_state": S.PLANNING,
        "entered_state_at": NOON,
        "expected_completion": None,
        "blocking_issues": (),
        "next_action": ActionNeeded(ActionKind.BRANCH, "president_service", "plan", NOON),
        "time_in_state": timedelta(minutes=5),
        "owner": "president_service",
        "attempt": 1,
        "last_error": None,
        "introduced_at": NOON,
        "introduced_by": "Ada",
        "reference": None,
        "version": 3,
    }
    return MotionPipelineState(**{**fields, **changes})


def a_status(by_state: Mapping[S, int] | None = None, **changes: Any) -> PipelineStatus:
    fields: dict[str, Any] = {
        "active_motions": 3,
        "motions_by_state": by_state or {S.PLANNING: 3, S.ACKNOWLEDGED: 1000},
        "blocked_motions": 0,
        "oldest_motion_age": timedelta(days=2),
        "recent_completions": 5,
        "recent_failures": 1,
        "active": (),
        "waiting_motions": 0,
        "admitted": 3,
        "free_places": 97,
        "finished_recently": 2,
        "halted": False,
        "halt_reason": None,
        "halted_since": None,
        "position": 9,
        "lag": Lag(0, 0.0),
        "as_of": NOON,
    }
    return PipelineStatus(**{**fields, **changes})


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(), "0 s"),
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59.9), "59 s"),
        (timedelta(seconds=61), "1 min 1 s"),
        (timedelta(minutes=60), "1 h"),
        (timedelta(hours=25, minutes=3), "1 d 1 h"),
        (timedelta(days=400, seconds=7), "400 d"),
    ],
)
def test_a_length_of_time_in_its_two_largest_units(span: timedelta, said: str) -> None:
    assert length_of_time(span) == said


def test_small_words() -> None:
    assert motions(1) == "1 motion"
    assert motions(3097) == "3,097 motions"
    assert clock_time(None) == "-"
    assert clock_time(NOON) == "2026-01-01 12:00:00"
    assert begins("RuntimeError: odd\n\nTraceback …") == "RuntimeError: odd"
    assert len(begins("x" * 5000)) == ISSUE_CHARACTERS_MAX + 1


def test_every_state_has_its_row_and_every_motion_a_bar() -> None:
    rows = shown(states_table(a_status())).splitlines()
    assert [row.split()[0] for row in rows] == [state.value for state in S]
    bars = {row.split()[0]: row.count("━") for row in rows}
    assert bars["ACKNOWLEDGED"] == 32
    assert bars["PLANNING"] == 1  # three of a thousand are still to be seen
    assert bars["DELIBERATING"] == 0


def test_what_is_wrong_stands_in_the_status() -> None:
    calm = shown(status_view(a_status()))
    assert "blocked" not in calm
    assert "HALTED" not in calm
    assert "behind" not in calm
    wrong = shown(
        status_view(
            a_status(
                blocked_motions=2,
                waiting_motions=7,
                lag=Lag(1200, 3.0),
                halted=True,
                halt_reason="the breaker\n tripped",
                halted_since=NOON,
            )
        )
    )
    assert "2 blocked, 7 waiting for a place" in wrong
    assert "1,200 events (3.0 s) behind the store" in wrong
    assert "HALTED since 2026-01-01 12:00:00 UTC: the breaker tripped" in wrong


def test_a_motion_is_listed_with_what_it_waits_for() -> None:
    row = shown(motions_table([a_motion(reference="R/1")]))
    for words in ("A jetty  R/1", str(ID), "PLANNING", "5 min", "president_service: plan"):
        assert words in row
    assert "by 2026-01-01 12:00 UTC" in row
    ended = shown(motions_table([a_motion(current_state=S.REJECTED, next_action=None)]))
    assert "2026-01-01" in ended
    assert "5 min" not in ended
    parked = shown(motions_table([a_motion(parked="event 7 cannot be read")]))
    assert "parked: event 7 cannot be read" in parked
    assert shown(action_text(None)).strip() == "-"


def test_a_command_is_never_torn_apart() -> None:
    place = Place("sqlite:///a/very/long/way/to/the/store/that/holds/the/motions.db")
    blocked = a_motion(next_action=PERSON, blocking_issues=("system_error: it broke",))
    view = shown(waiting_view(place, Waiting(blocked=(blocked,))), width=60)
    resolve = place.command("resolve", str(ID), "--by", "YOUR-NAME", "--decision", "retry")
    assert resolve in view
    assert "system_error: it broke" in view


def test_what_is_under_review_is_nothing_to_type_about() -> None:
    reviewed = a_motion(
        next_action=ActionNeeded(ActionKind.BRANCH, "conclave_service", "review"),
        blocking_issues=("compliance_error: odd",),
    )
    view = shown(waiting_view(Place(), Waiting(blocked=(reviewed,))))
    assert "conclave_service: review" in view
    assert "governance-flow resolve" not in view


@pytest.mark.parametrize("kind", [ActionKind.TAKING_UP, ActionKind.DATE])
def test_what_is_tabled_can_be_taken_up(kind: ActionKind) -> None:
    tabled = a_motion(next_action=ActionNeeded(kind, "the docket", "take it up"))
    view = shown(waiting_view(Place(), Waiting(others=(tabled,))))
    assert f"retry {ID} --by YOUR-NAME" in view


def test_hints_fit_what_is_left_to_do() -> None:
    nothing_left = shown(hints_view(Place(), a_status(active_motions=0), Waiting()))
    assert "worker" not in nothing_left
    assert "audit replay" in nothing_left
    blocked = a_motion(next_action=PERSON)
    much_left = shown(
        hints_view(Place(), a_status(blocked_motions=30, halted=True), Waiting((blocked,)))
    )
    for words in ("resume --by YOUR-NAME", f"motion {ID}", "motions --blocked", "worker"):
        assert words in much_left
    waiting = shown(hints_view(Place(), a_status(), Waiting(others=(a_motion(),))))
    assert f"motion {ID}" in waiting
