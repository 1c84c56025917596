"""The order in which everything is measured, in turns wherever things are compared."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import StrEnum

from scripts.bench import growth, hashing, latency, motions, replay, storage_limit
from scripts.bench.child import PartFailed
from scripts.bench.filling import filled
from scripts.bench.peers import Peer
from scripts.bench.results import Results
from scripts.bench.scale import Scale
from scripts.bench.stores import NAMES, POSTGRES, STORES, Stores

_RATE_MOTIONS = 300
"""Motions driven to learn the rate of one worker, if throughput is not measured."""


class Part(StrEnum):
    """What can be measured by itself."""

    MOTIONS = "motions"
    LOG = "log"
    """What the audit log and the signatures cost."""
    LIMIT = "limit"
    LATENCY = "latency"
    GROWTH = "growth"
    REPLAY = "replay"


Step = tuple[str, Callable[[], None]]
"""Something to measure once, and what it is called."""


class Run:
    """One run of the benchmark."""

    def __init__(
        self,
        stores: Stores,
        scale: Scale,
        results: Results,
        *,
        kinds: Sequence[str] = STORES,
        peer: Peer | None = None,
    ) -> None:
        self._stores = stores
        self._kinds = kinds
        self._scale = scale
        self._results = results
        self._peer = peer
        self._started = time.monotonic()

    def measure(self, parts: Sequence[Part]) -> None:
        """Measure the parts; what fails is noted among the facts, and the rest goes on."""
        self._results.facts["growth_motions"] = list(self._scale.growth_motions)
        if self._peer is not None:
            for kind in self._kinds:
                self._do([(f"DBOS: which set-up is quickest, {kind}", self._choose(kind))])
        steps = self._throughput(parts)
        steps += self._limit() if Part.LIMIT in parts and POSTGRES in self._kinds else []
        self._in_turns(steps, self._scale.rounds)
        if Part.MOTIONS in parts:
            self._in_turns(self._fleets(), self._scale.fleet_rounds)
        if Part.LATENCY in parts:
            self._in_turns(self._latency(), self._scale.rounds)
        if Part.GROWTH in parts or Part.REPLAY in parts:
            for kind in self._kinds:
                self._do([(f"growth and replay, {kind}", self._grown(kind, parts))])
        self._results.facts["took_seconds"] = round(time.monotonic() - self._started)

    # -- What belongs together ------------------------------------------------------------------

    def _throughput(self, parts: Sequence[Part]) -> list[Step]:
        steps: list[Step] = []
        if Part.MOTIONS not in parts and Part.LOG not in parts:
            return steps
        for kind in self._kinds:
            steps.append((f"motions, {kind}, 1 worker", self._motions(kind, 1)))
            if Part.LOG in parts:
                steps.append((f"motions without log, {kind}", self._without_log(kind)))
            if self._peer is not None and Part.MOTIONS in parts:
                steps.append((f"DBOS, {kind}", self._with_peer(Peer.throughput, kind)))
        return steps

    def _fleets(self) -> list[Step]:
        return [
            (f"motions, {kind}, {processes} workers", self._motions(kind, processes))
            for processes in self._scale.fleets
            for kind in self._kinds
        ]

    def _limit(self) -> list[Step]:
        def limit() -> None:
            storage_limit.measure(self._results, self._stores, self._scale)

        return [("the limit", limit)]

    def _latency(self) -> list[Step]:
        steps: list[Step] = []
        for kind in self._kinds:
            steps.append((f"latency, {kind}", self._alone(kind)))
            if self._peer is not None:
                steps.append((f"DBOS alone, {kind}", self._with_peer(Peer.alone, kind)))
        return steps

    # -- One thing ------------------------------------------------------------------------------

    def _motions(self, kind: str, processes: int) -> Callable[[], None]:
        return lambda: motions.measure(self._results, self._stores, self._scale, kind, processes)

    def _without_log(self, kind: str) -> Callable[[], None]:
        return lambda: motions.measure(self._results, self._stores, self._scale, kind, 1, log=False)

    def _choose(self, kind: str) -> Callable[[], None]:
        return self._with_peer(Peer.choose, kind)

    def _with_peer(
        self, what: Callable[[Peer, Results, Stores, str], None], kind: str
    ) -> Callable[[], None]:
        def act() -> None:
            if self._peer is not None:
                what(self._peer, self._results, self._stores, kind)

        return act

    def _alone(self, kind: str) -> Callable[[], None]:
        def act() -> None:
            rate = self._results.median(f"motions.{kind}.1") or self._rate(kind)
            latency.measure(self._results, self._stores, self._scale, kind, rate)

        return act

    def _rate(self, kind: str) -> float:
        """Return what one worker can take, measured briefly and kept nowhere."""
        few = replace(self._scale, motions=min(self._scale.motions, _RATE_MOTIONS))
        passing = Results()
        motions.measure(passing, self._stores, few, kind, 1)
        return passing.median(f"motions.{kind}.1") or 1.0

    def _grown(self, kind: str, parts: Sequence[Part]) -> Callable[[], None]:
        def act() -> None:
            sizes, block = self._scale.growth_motions, self._scale.growth_block
            started = time.monotonic()
            verified = replay.verified_sizes(self._scale) if Part.REPLAY in parts else ()
            never = set(sizes).difference(verified)
            with filled(self._stores, kind, block, sizes, never_verified=never) as made:
                took, rows = time.monotonic() - started, f"{sizes[-1]:,} motions"
                self._say(f"filled up to {rows} in {took:.0f} s, {NAMES[kind]}")
                results, scale = self._results, self._scale
                steps: list[Step] = []
                if Part.GROWTH in parts:
                    steps += [
                        (f"questions, {kind}", lambda: growth.ask(results, scale, kind, made)),
                        (f"memory, {kind}", lambda: growth.weigh(results, scale, kind, made)),
                    ]
                if Part.REPLAY in parts:
                    steps += [
                        (f"verify, {kind}", lambda: replay.verify(results, scale, kind, made)),
                        (f"hashing, {kind}", lambda: hashing.measure(results, scale, kind, made)),
                        (f"rebuild, {kind}", lambda: replay.rebuild(results, scale, kind, made)),
                        (f"load, {kind}", lambda: replay.load(results, self._stores, scale, kind)),
                    ]
                self._do(steps)

        return act

    # -- Doing it -------------------------------------------------------------------------------

    def _in_turns(self, steps: Sequence[Step], rounds: int) -> None:
        for number in range(1, rounds + 1):
            self._do((f"{name} ({number} of {rounds})", act) for name, act in steps)

    def _do(self, steps: Iterable[Step]) -> None:
        for name, act in steps:
            self._say(name)
            try:
                act()
            except PartFailed as error:
                self._say(f"FAILED: {name}: {error}")
                self._results.facts.setdefault("failed", []).append(f"{name}: {error}")

    def _say(self, what: str) -> None:
        elapsed = time.monotonic() - self._started
        print(f"[{elapsed:5.0f} s] {what}", file=sys.stderr, flush=True)
