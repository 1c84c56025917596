"""Runs many seeds, or one again::

python -m tests.simulation --seeds 20000 --jobs 2
python -m tests.simulation --seed 123
python -m tests.simulation --planted
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.simulation.planted import NAMES, seeds_to_find
from tests.simulation.running import Outcome, run_seed

FAILURES_MAX = 10
"""After so many failures, more of them tell nothing new."""

CHUNK = 10
PROGRESS_SECONDS = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; returns 1 if any seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this seed alone, and tell what it did")
    parser.add_argument("--seeds", type=int, default=500, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes share the work")
    parser.add_argument(
        "--planted", action="store_true", help="plant bugs, and say how many seeds find each"
    )
    asked = parser.parse_args(arguments)
    if asked.seed is not None:
        return _one(asked.seed)
    if asked.planted:
        return _planted(asked.seeds)
    return _many(range(asked.first, asked.first + asked.seeds), asked.jobs)


def _one(seed: int) -> int:
    outcome = run_seed(seed)
    _say(str(outcome))
    _say(f"trace {outcome.trace}, {outcome.virtual_seconds:.0f} s of virtual time")
    return 1 if outcome.failure else 0


def _planted(seeds_max: int) -> int:
    missed = 0
    for name in NAMES:
        needed = seeds_to_find(name, seeds_max)
        missed += needed is None
        found = f"found in {needed} seeds" if needed else f"NOT found in {seeds_max} seeds"
        _say(f"{name}: {found}")
    return 1 if missed else 0


def _many(seeds: range, jobs: int) -> int:
    started, said = time.monotonic(), 0.0
    done = events = 0
    happened: Counter[str] = Counter()
    failed: list[int] = []
    with _outcomes(seeds, jobs) as outcomes:
        for outcome in outcomes:
            done += 1
            events += outcome.events
            happened += outcome.happened
            if outcome.failure:
                failed.append(outcome.seed)
                _say(f"\n{outcome}\n")
                if len(failed) == FAILURES_MAX:
                    break
            elapsed = time.monotonic() - started
            if elapsed - said >= PROGRESS_SECONDS or done == len(seeds):
                said = elapsed
                _progress(f"{done}/{len(seeds)} seeds, {len(failed)} failed, {elapsed:.0f} s")
    _say("")
    _say(f"{events} events; " + ", ".join(f"{name}: {n}" for name, n in happened.most_common(12)))
    if failed:
        _say(f"failed: {', '.join(map(str, sorted(failed)))}")
        return 1
    _say(f"{done} seeds, all sound")
    return 0


@contextmanager
def _outcomes(seeds: range, jobs: int) -> Iterator[Iterator[Outcome]]:
    if jobs == 1:
        yield map(run_seed, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield pool.imap_unordered(run_seed, seeds, chunksize=CHUNK)


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line}")
    else:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
