"""The peer in the same run: DBOS with a workflow of seven no-op steps, on the same stores.

DBOS is started the same way, with as many workflows in flight, in the set-up in which it is then
quickest: some are tried first, each briefly. Fewer at a time can make it quicker (on SQLite one is
best), so such set-ups are tried as well, and the quickest of all is shown beside.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from scripts.bench.child import PartFailed, children, run_part
from scripts.bench.results import Results
from scripts.bench.scale import Scale
from scripts.bench.stores import NAMES, Stores

PYTHON_VARIABLE = "GOVERNANCE_FLOW_PEER_PYTHON"
"""Holds the Python that has the peer installed, if it is another than the one that measures."""

_MODULE = "scripts.bench.dbos_peer"
_POOL = 20
"""Connections that DBOS holds by default; with as many threads none waits for one."""


class NoPeer(Exception):
    """The peer is not installed."""


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to let DBOS run many workflows."""

    name: str
    concurrency: int

    def __str__(self) -> str:
        """Say it in a word or two."""
        return f"{self.name} {self.concurrency}"


class Peer:
    """DBOS, as it is measured beside us."""

    def __init__(self, scale: Scale) -> None:
        self._scale = scale
        self._python = os.environ.get(PYTHON_VARIABLE, sys.executable)
        self._chosen: dict[str, Setup] = {}

    def version(self) -> str:
        """Return its version; raises NoPeer, which says how to install it."""
        try:
            said = run_part(f"{_MODULE}:version", self._python)
        except PartFailed as error:
            raise NoPeer(
                "DBOS is not installed: `make bench-peers` installs it, or "
                f"pip install 'governance-flow[bench-peers]'; {PYTHON_VARIABLE} may name a Python "
                "of its own that has it"
            ) from error
        return str(said["version"])

    def choose(self, results: Results, stores: Stores, kind: str) -> None:
        """Try the set-ups briefly; keep the quickest with as many in flight as we have."""
        most = self._scale.in_flight
        setups = [Setup("threads", 1), Setup("threads", _POOL), Setup("executor", most)]
        setups += [Setup("queue", most), Setup("tasks", most)]
        rates = {}
        for setup in setups:
            rates[setup] = self._run(stores, kind, setup, self._scale.peer_trial_workflows)
        alike = [setup for setup in setups if setup.concurrency == most]
        self._chosen[kind] = max(alike, key=lambda setup: rates[setup])
        quickest = max(rates, key=lambda setup: rates[setup])
        title = f"  in a brief trial, in any set-up, {NAMES[kind]} (quickest: {quickest})"
        results.add(f"dbos.{kind}.quickest", title, "workflows/s", rates[quickest])
        results.facts.setdefault("dbos_setups", {})[kind] = {
            "chosen": str(self._chosen[kind]),
            "workflows_per_second": {str(setup): round(rates[setup], 1) for setup in setups},
        }

    def throughput(self, results: Results, stores: Stores, kind: str) -> None:
        """Take workflows to the end in the chosen set-up."""
        rate = self._run(stores, kind, self._chosen[kind], self._scale.peer_workflows)
        title = f"DBOS workflows of 7 steps, {NAMES[kind]} ({self._chosen[kind]})"
        results.add(f"dbos.{kind}", title, "workflows/s", rate)

    def alone(self, results: Results, stores: Stores, kind: str) -> None:
        """Take workflows to the end one after the other."""
        with stores.fresh(kind) as address:
            workflows = self._scale.lone_motions
            said = run_part(f"{_MODULE}:alone", self._python, address=address, workflows=workflows)
        title = f"DBOS, one workflow alone, {NAMES[kind]}"
        results.samples(f"dbos.{kind}.alone", title, "ms", said["milliseconds"])

    def _run(self, stores: Stores, kind: str, setup: Setup, workflows: int) -> float:
        with stores.fresh(kind) as address:
            orders = {
                "address": address,
                "workflows": workflows,
                "setup": setup.name,
                "concurrency": setup.concurrency,
            }
            with children(f"{_MODULE}:throughput", [orders], self._python) as [child]:
                child.is_ready()
                child.go()
                return float(workflows / child.answer()["seconds"])
