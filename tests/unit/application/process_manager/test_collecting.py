"""The cycle collector is slowed down while it would only be in the way, and never for longer."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from governance_flow.application.audit.verify import Auditor
from governance_flow.application.process_manager.collecting import ALLOCATIONS, collecting_rarely
from tests.support.audit import MAPPER, log_of
from tests.support.motions import Scenario


@pytest.fixture(autouse=True)
def usual() -> Iterator[int]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield 700
    gc.set_threshold(*before)


def pace() -> int:
    return gc.get_threshold()[0]


def test_it_runs_rarely_inside_the_block_and_as_before_behind_it(usual: int) -> None:
    with collecting_rarely():
        assert pace() == ALLOCATIONS
    assert pace() == usual


@pytest.mark.parametrize("chosen", [0, ALLOCATIONS, 10 * ALLOCATIONS])
def test_whoever_chose_less_of_it_is_left_alone(chosen: int) -> None:
    gc.set_threshold(chosen)
    with collecting_rarely():
        assert pace() == chosen
    assert pace() == chosen


def test_blocks_that_overlap_leave_it_as_it_was(usual: int) -> None:
    first, second = collecting_rarely(), collecting_rarely()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert pace() == usual


async def test_a_verification_runs_with_little_of_it(usual: int) -> None:
    seen: set[int] = set()
    log = log_of(Scenario())
    await Auditor(log, MAPPER).verify(lambda _done, _total: seen.add(pace()))
    assert seen == {ALLOCATIONS}
    assert pace() == usual
