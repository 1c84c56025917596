"""Whatever the pipeline goes through is lawful; and corrupted anywhere, it is not."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.unit.conformance.doctoring import configured
from tests.unit.conformance.exported import Event, offences
from tests.unit.conformance.mutators import Mutator
from tests.unit.conformance.seeds import kept, simulated
from tests.unit.conformance.test_corruption import MUTATORS

SEEDS = 320
CHUNK = 20
CORRUPTED_SEEDS = 25

ROOM = 1_000


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_what_workers_do_is_lawful_in_seeds_from(first: int) -> None:
    """Real workers that die, Knights that fail, halts, few places, several configurations."""
    for seed in range(first, first + CHUNK):
        found = offences(simulated(seed))
        assert not found, f"seed {seed}: {found[0]}"


def roomy(log: tuple[Event, ...]) -> list[Event]:
    """Return a log with more places, so that what is cut off takes none from anybody else."""
    return configured(log, max_concurrent_motions=ROOM)


@settings(max_examples=150)
@given(
    seed=st.integers(0, CORRUPTED_SEEDS - 1),
    mutator=st.sampled_from(MUTATORS),
    place=st.integers(0, 40),
)
def test_a_corrupted_seed_is_not(seed: int, mutator: Mutator, place: int) -> None:
    mutants = list(mutator.mutants(roomy(kept(seed))))
    assume(mutants)
    found = offences(mutants[place % len(mutants)])
    assert mutator.rule in {offence.rule for offence in found}, [str(item) for item in found]
