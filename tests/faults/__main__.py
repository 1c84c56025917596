"""The fault suite: everything that goes wrong, on real stores with real worker processes.

    python -m tests.faults [--seed N] [--only NAME] [--kills 200] [--restarts 20] [--few]

Prints a line for each fault, and exits with 1 if anything was lost, repeated or unexplained. With
the same seed the same motions come in, have the same fates, and the same things go wrong after as
many things said or recorded; how the processes take turns meanwhile is the machine's affair.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

import structlog

from tests.faults.suite import FaultCase, Outcome, cases, perform_anywhere
from tests.support.private_postgres import private_postgres

WIDTHS = (18, 23, 6, 8, 5, 9, 12, 8)
HEADINGS = ("fault", "store", "times", "motions", "lost", "repeated", "unexplained", "seconds")
SHOWN_MAX = 10


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides everything random")
    parser.add_argument("--only", metavar="NAME", help="only faults whose name holds this")
    parser.add_argument("--kills", type=int, default=200, help="workers killed, in all")
    parser.add_argument("--restarts", type=int, default=20, help="crashes of PostgreSQL")
    parser.add_argument(
        "--few", action="store_true", help="each fault a few times, as the tests do"
    )
    return parser.parse_args(given)


def _say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _row(cells: Sequence[object]) -> str:
    first, second, *numbers = (str(cell) for cell in cells)
    line = [first.ljust(WIDTHS[0]), second.ljust(WIDTHS[1])]
    line += [cell.rjust(width) for cell, width in zip(numbers, WIDTHS[2:], strict=True)]
    return " ".join(line).rstrip()


def _cells(outcome: Outcome) -> tuple[object, ...]:
    found = outcome.findings
    counts = (len(found.lost), len(found.repeated), len(found.unexplained))
    named = (outcome.case.name, outcome.case.store)
    return (*named, outcome.times, outcome.motions, *counts, f"{outcome.seconds:.1f}")


def _report(outcome: Outcome, seed: int) -> None:
    if outcome.skipped is not None:
        _say(f"{outcome.case}: SKIPPED, IT WAS NOT TESTED: {outcome.skipped}")
        return
    _say(_row(_cells(outcome)))
    found = outcome.findings.lines()
    for line in found[:SHOWN_MAX]:
        _say(f"    {line}")
    if len(found) > SHOWN_MAX:
        _say(f"    and {len(found) - SHOWN_MAX} more")
    if found:
        _say(f"    again: python -m tests.faults --seed {seed} --only {outcome.case.name}")


async def _perform_all(chosen: Sequence[FaultCase], seed: int, *, few: bool) -> list[Outcome]:
    outcomes = []
    with private_postgres() as server:
        for case in chosen:
            outcome = await perform_anywhere(case, server.address, seed=seed, few=few)
            _report(outcome, seed)
            outcomes.append(outcome)
    return outcomes


def _total(outcomes: Sequence[Outcome]) -> tuple[object, ...]:
    found = [outcome.findings for outcome in outcomes]
    return (
        "all",
        "",
        sum(outcome.times for outcome in outcomes),
        sum(outcome.motions for outcome in outcomes),
        sum(len(one.lost) for one in found),
        sum(len(one.repeated) for one in found),
        sum(len(one.unexplained) for one in found),
        f"{sum(outcome.seconds for outcome in outcomes):.1f}",
    )


def main(given: Sequence[str] | None = None) -> int:
    """Run the suite, or the part of it that was asked for; returns the exit code."""
    asked = _arguments(given)
    every = cases(asked.kills, asked.restarts)
    chosen = [case for case in every if asked.only is None or asked.only in case.name]
    if not chosen:
        names = ", ".join(sorted({case.name for case in every}))
        _say(f"no fault is called {asked.only}; there are {names}")
        return 2
    # That the store was away is no news here; what it led to is in the table.
    logging.disable(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    _say(f"seed {asked.seed}")
    _say(_row(HEADINGS))
    outcomes = asyncio.run(_perform_all(chosen, asked.seed, few=asked.few))
    _say(_row(_total(outcomes)))
    return int(any(outcome.findings for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
