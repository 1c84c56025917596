"""The command: ``python -m scripts.bench``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scripts.bench import machine, table
from scripts.bench.goals import verdicts
from scripts.bench.peers import NoPeer, Peer
from scripts.bench.results import Results
from scripts.bench.run import Part, Run
from scripts.bench.scale import FULL, QUICK
from scripts.bench.stores import SERVER_VARIABLE, STORES, Stores

DEFAULT_JSON = Path("var/bench.json")


def main(arguments: list[str]) -> int:
    """Measure, print the tables, write the JSON; return the exit code."""
    asked = _parser().parse_args(arguments)
    scale = QUICK if asked.quick else FULL
    kinds = asked.store or STORES
    peer = Peer(scale) if asked.peers else None
    try:
        known = {} if peer is None else {"dbos": peer.version()}
    except NoPeer as error:
        print(error, file=sys.stderr)
        return 1
    with Stores(asked.postgres, asked.folder) as stores:
        results = Results({**machine.facts(stores, kinds), **known})
        results.facts["scale"] = "quick" if asked.quick else "full"
        run = Run(stores, scale, results, kinds=kinds, peer=peer)
        run.measure(asked.only or list(Part))
    results.write(asked.json)
    show(results)
    print(f"\nAll figures: {asked.json}")
    return _exit_code(results, enforce=asked.enforce)


def show(results: Results) -> None:
    """Print everything for a person."""
    print("\n".join(table.facts(results)))
    print()
    print(table.text(table.FIGURES, table.figures(results)))
    print()
    print(table.text(table.GOALS, table.goals(results)))
    for doubt in machine.doubts(results.facts):
        print(f"DOUBTFUL: {doubt}")
    if results.facts["scale"] == "quick":
        print("DOUBTFUL: a quick run only shows that everything works")


def _exit_code(results: Results, *, enforce: bool) -> int:
    """Return 1 if something could not be measured or, if that is asked for, a goal is not met."""
    missed = any(verdict.met is False for verdict in verdicts(results))
    return 1 if results.facts.get("failed") or (enforce and missed) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench", description="Measure how fast the pipeline is."
    )
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="where the figures go")
    parser.add_argument(
        "--only",
        action="append",
        type=Part,
        choices=list(Part),
        help="measure only this part; may be repeated",
    )
    parser.add_argument(
        "--store", action="append", choices=STORES, help="measure only on this; may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="as little as goes through everything")
    parser.add_argument("--peers", action="store_true", help="measure DBOS in the same run")
    parser.add_argument(
        "--enforce", action="store_true", help="exit with 1 if a goal that was measured is not met"
    )
    parser.add_argument(
        "--postgres",
        metavar="ADDRESS",
        help=f"a server to measure on (also {SERVER_VARIABLE}); else one is started",
    )
    parser.add_argument("--folder", type=Path, help="where stores are made; else where TMPDIR is")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
