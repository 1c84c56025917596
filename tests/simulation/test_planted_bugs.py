"""The simulator finds bugs: each of these is planted, and must be found soon."""

from __future__ import annotations

import pytest

from tests.simulation.planted import NAMES, QUICK, seeds_to_find

SEEDS_MAX = 200


@pytest.mark.parametrize("name", QUICK)
def test_the_simulator_finds_that(name: str) -> None:
    assert seeds_to_find(name, SEEDS_MAX) is not None


def test_what_is_planted_for_every_build_is_some_of_what_can_be() -> None:
    assert set(QUICK) < set(NAMES)
