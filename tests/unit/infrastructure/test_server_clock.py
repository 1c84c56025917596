"""The database server's time, told between two answers by a clock that nobody can turn."""

from __future__ import annotations

import pytest

from governance_flow.infrastructure.database import server_clock
from governance_flow.infrastructure.database.server_clock import FRESH_US, TOLERANCE_US, ServerClock

NOON_US = 1_800_000_000_000_000


class Monotonic:
    """A clock that nobody can turn, moved by hand."""

    us = 5_000_000

    def __call__(self) -> int:
        return self.us * 1000


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    local = Monotonic()
    monkeypatch.setattr(server_clock, "monotonic_ns", local)
    return local


def test_before_the_server_was_asked_there_is_no_time_to_go_by(local: Monotonic) -> None:
    assert ServerClock().fresh_us() is None


def test_an_answer_is_good_for_a_second_and_time_goes_on_meanwhile(local: Monotonic) -> None:
    clock = ServerClock()
    clock.observe(NOON_US)
    local.us += FRESH_US - 1
    assert clock.fresh_us() == NOON_US + FRESH_US - 1
    local.us += 1
    assert clock.fresh_us() is None


def test_an_answer_that_was_on_its_way_for_long_does_not_turn_the_clock(local: Monotonic) -> None:
    clock = ServerClock()
    clock.observe(NOON_US)
    clock.observe(NOON_US - TOLERANCE_US)
    assert clock.fresh_us() == NOON_US


def test_a_server_s_clock_that_was_turned_is_followed(local: Monotonic) -> None:
    clock = ServerClock()
    clock.observe(NOON_US)
    clock.observe(NOON_US - TOLERANCE_US - 1)
    assert clock.fresh_us() == NOON_US - TOLERANCE_US - 1
