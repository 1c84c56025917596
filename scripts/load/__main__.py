"""Two hundred branch workers over HTTP for a minute, on a store of a hundred thousand motions.

    python -m scripts.load [--store postgres|sqlite] [--clients 200] [--seconds 60] ...

Every branch is external, so every step of every motion is fetched and completed over HTTP. Beside
that the pipeline's status and an endpoint that does nothing are asked for at even intervals. At the
end each acknowledged completion must be in the log exactly once, and nothing may have failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from governance_flow.application.access.permissions import Permission
from governance_flow.bootstrap import open_flow
from governance_flow.domain.branches import KING_SERVICE, SERVICE_BRANCH, GovernanceBranch
from governance_flow.domain.events import BranchCompleted
from governance_flow.infrastructure.keys.refusals import key_variable
from scripts.bench.child import children
from scripts.bench.filling import IN_FLIGHT, filled
from scripts.bench.keys import SIGNERS, bench_keyring
from scripts.bench.noop import introduce
from scripts.bench.stores import NAMES, SQLITE, STORES, Stores

BLOCK = 1000
PAGE = 5_000
PROBE_SECONDS = 0.05
STATUS = "/api/v1/pipeline"
NOTHING = "/livez"
_ADDRESS = re.compile(r"at http://([\d.]+):(\d+)")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A store with work in it, and who may do it; ``position`` is where the log ended then."""

    address: str
    tokens: list[str]
    viewer: str
    position: int


@dataclass(slots=True)
class Came:
    """What came of the load."""

    completions: list[float]
    status: list[float]
    nothing: list[float]
    acknowledged: list[str]
    errors: list[str]
    lost: int = 0
    doubled: int = 0


def main() -> int:
    """Run the load and say what came of it; return 1 if anything was lost, doubled or refused."""
    options = _options()
    with ExitStack() as stack:
        stores = stack.enter_context(Stores())
        address = _stored(stack, stores, options)
        os.sync()  # The disk shall be busy with the load, and not with what was stored for it.
        config = stores.folder / "load.json"
        config.write_text(json.dumps({"flow_orchestrator": _settings()}))
        prepared = asyncio.run(_prepared(address, config, options))
        with _serving(address, config) as (host, port):
            _say(f"serving {options.motions:,} motions on {NAMES[options.store]}")
            came = _loaded(host, port, prepared, options)
        recorded = asyncio.run(_recorded(prepared, config))
    came.lost = sum(recorded[routing] == 0 for routing in came.acknowledged)
    came.doubled = sum(count > 1 for count in recorded.values())
    _show(came, options)
    return 1 if came.errors or came.lost or came.doubled else 0


def _stored(stack: ExitStack, stores: Stores, options: argparse.Namespace) -> str:
    if not options.motions:
        return stack.enter_context(stores.fresh(options.store))
    sizes = [options.motions]
    full = filled(stores, options.store, BLOCK, sizes, never_verified=sizes)
    return stack.enter_context(full)[options.motions].address


def _show(came: Came, options: argparse.Namespace) -> None:
    rows = [
        ("completions a second", f"{len(came.completions) / options.seconds:,.0f}"),
        ("completion, p50 and p99", _two(came.completions)),
        ("status of the pipeline, p50 and p99", _two(came.status)),
        ("an endpoint that does nothing, p50 and p99", _two(came.nothing)),
        ("acknowledged", f"{len(came.acknowledged):,}"),
        ("errors, lost, doubled", f"{len(came.errors)}, {came.lost}, {came.doubled}"),
    ]
    for name, value in rows:
        sys.stdout.write(f"{name:<45} {value}\n")
    for error in came.errors[:5]:
        sys.stdout.write(f"  {error}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.load", description=__doc__)
    parser.add_argument("--store", choices=STORES, default=SQLITE)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument(
        "--warm-up", type=float, default=5.0, help="seconds that are not counted, before"
    )
    parser.add_argument("--motions", type=int, default=100_000, help="stored before it begins")
    parser.add_argument("--new", type=int, default=4_000, help="introduced before it begins")
    parser.add_argument(
        "--work-seconds",
        type=float,
        default=1.0,
        help="spent on an assignment, half as much again or half as little at most",
    )
    return parser.parse_args()


def _settings() -> dict[str, Any]:
    return {
        "max_concurrent_motions": IN_FLIGHT,
        "branches": {service: {"kind": "external"} for service in SERVICE_BRANCH},
    }


async def _prepared(address: str, config: Path, options: argparse.Namespace) -> Prepared:
    """Introduce what there is to do; make out tokens for the clients, and one that may look."""
    async with open_flow(address, config=config, keyring=bench_keyring()) as flow:
        branches = [branch for service, branch in SERVICE_BRANCH.items() if service != KING_SERVICE]
        # The Conclave has two of the six things that are done with a motion.
        branches.append(GovernanceBranch.CONCLAVE)
        texts = []
        for branch in branches:
            _, text = await flow.gatekeeper.make_out(
                f"{branch} office", {Permission.WORK}, {branch}
            )
            texts.append(text)
        _, viewer = await flow.gatekeeper.make_out("probe", {Permission.READ})
        position = (await flow.store.head()).position
        await introduce(flow, options.new)
    tokens = [texts[number % len(texts)] for number in range(options.clients)]
    return Prepared(address, tokens, viewer, position)


async def _recorded(prepared: Prepared, config: Path) -> Counter[str]:
    """Return how often each routing is recorded as completed since the load began."""
    found: Counter[str] = Counter()
    async with open_flow(prepared.address, config=config, keyring=bench_keyring()) as flow:
        after = prepared.position
        topics = [BranchCompleted.topic]
        while page := await flow.store.read_all(after_position=after, limit=PAGE, topics=topics):
            found.update(str(json.loads(event.state)["routing_id"]) for event in page)
            after = page[-1].id
    return found


@contextmanager
def _serving(address: str, config: Path) -> Iterator[tuple[str, int]]:
    """Serve in a process of its own; yield where, and hold it to ending cleanly."""
    keys = {key_variable(role): signer.private_key() for role, signer in SIGNERS.items()}
    place = ["--store", address, "--config", str(config)]
    process = subprocess.Popen(
        [sys.executable, "-m", "governance_flow", "serve", "--port", "0", *place],
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", "GOVERNANCE_FLOW_LOG": "warning", **keys},
    )
    started = time.perf_counter()
    lines = process.stderr
    found = None
    while lines is not None and found is None:
        line = lines.readline()
        if not line:
            raise RuntimeError(f"the service ended with {process.wait()}")
        found = _ADDRESS.search(line)
    _say(f"ready after {time.perf_counter() - started:.2f} s")
    try:
        if found is not None:
            yield found[1], int(found[2])
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        if process.returncode:
            _say(f"the service ended with {process.returncode}: {said[-2000:]}")


def _loaded(host: str, port: int, prepared: Prepared, options: argparse.Namespace) -> Came:
    where = {
        "host": host,
        "port": port,
        "warm_up_seconds": options.warm_up,
        "seconds": options.seconds,
    }
    calls = where | {"tokens": prepared.tokens, "work_seconds": options.work_seconds}
    probe = where | {
        "token": prepared.viewer,
        "paths": [STATUS, NOTHING],
        "interval_seconds": PROBE_SECONDS,
    }
    with (
        children("scripts.load.callers:called", [calls]) as [callers],
        children("scripts.load.callers:probed", [probe]) as [prober],
    ):
        times = prober.answer()
        answer = callers.answer()
    return Came(
        completions=answer["completions"],
        status=times[STATUS],
        nothing=times[NOTHING],
        acknowledged=answer["acknowledged"],
        errors=answer["errors"],
    )


def _two(times: list[float]) -> str:
    if len(times) < 2:  # noqa: PLR2004 - no percentile without two
        return "not measured"
    cuts = statistics.quantiles(times, n=100)
    return f"{cuts[49] * 1000:.1f} ms, {cuts[98] * 1000:.1f} ms ({len(times):,} answers)"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
