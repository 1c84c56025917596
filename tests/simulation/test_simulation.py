"""Seeds of the simulator, run as tests; and that each of them can be run again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.__main__ import main
from tests.simulation.planted import planted
from tests.simulation.running import run_seed

SEEDS = 500
CHUNK = 10

TRACES = """
import sys
from tests.simulation.running import run_seed
print(*(run_seed(int(seed)).trace for seed in sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(first, marks=[pytest.mark.slow] if first >= CHUNK else [])
        for first in range(0, SEEDS, CHUNK)
    ],
)
def test_every_promise_is_kept_in_seeds_from(first: int) -> None:
    for seed in range(first, first + CHUNK):
        outcome = run_seed(seed)
        assert outcome.failure is None, str(outcome)


def test_a_seed_leads_to_the_same_log_byte_for_byte_in_any_process() -> None:
    seeds = ["3", "4", "5", "6"]
    here = [run_seed(int(seed)).trace for seed in seeds]
    # Another process hashes text otherwise, and starts at another time.
    there = subprocess.run(
        [sys.executable, "-c", TRACES, *reversed(seeds)],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.split() == here[::-1]
    assert len(set(here)) == len(seeds)


def test_a_seed_that_fails_says_where_and_how_it_is_run_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with planted("the chain forks after a return"):
        assert main(["--seeds", "40"]) == 1
    said = capsys.readouterr().out
    seed = int(said.split("python -m tests.simulation --seed ")[1].split()[0])
    assert f"seed {seed} failed at step" in said
    assert "last actions:" in said
    with planted("the chain forks after a return"):
        assert run_seed(seed).failure == run_seed(seed).failure is not None
    assert main(["--seed", str(seed)]) == 0
