"""How pages say times and lengths of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from governance_flow.dashboard.words import SHOWN_CHARACTERS_MAX, as_json, relative, span

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (90_000, "1 d 1 h"),
        (400 * 86_400, "1 y 35 d"),
    ],
)
def test_a_length_of_time_is_said_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert span(seconds) == said
    assert span(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "now"), (-0.5, "now"), (-300, "5 min ago"), (7800, "in 2 h 10 min")],
)
def test_a_time_is_said_as_seen_from_now(seconds: float, said: str) -> None:
    assert relative(NOW + seconds * SECOND, NOW) == said


def test_what_is_long_is_shortened_and_says_by_how_much() -> None:
    shown = as_json({"said": "x" * (SHOWN_CHARACTERS_MAX + 1000)})

    assert len(shown) < SHOWN_CHARACTERS_MAX + 100
    assert shown.endswith("more characters)")
