"""Whole motions per second: from the docket through all seven steps to the end."""

from __future__ import annotations

import time
from typing import Any

from governance_flow.application.ports.flow_orchestrator import GovernanceState
from scripts.bench.child import children, run_part, wait_for_go
from scripts.bench.noop import Nothing, introduce, opened
from scripts.bench.results import Results
from scripts.bench.scale import Scale
from scripts.bench.stores import NAMES, Stores


class NotDone(Exception):
    """A run did not bring every motion to its end: its figures mean nothing."""


def measure(
    results: Results, stores: Stores, scale: Scale, kind: str, processes: int, *, log: bool = True
) -> None:
    """Drive motions with so many worker processes on one fresh store.

    Without ``log`` nothing is signed and no audit log is kept, which no store can be asked for.

    The motions wait in the docket, introduced by another process. The time runs from the word to
    go until every worker has found nothing more to do and has seen a status that shows all motions
    acknowledged and the read model at the head of the log.
    """
    orders: dict[str, Any] = {
        "motions": scale.motions,
        "in_flight": scale.in_flight,
        "log": log,
    }
    with stores.fresh(kind) as address:
        introducing = run_part(f"{__name__}:fill", address=address, **orders)["seconds"]
        with children(f"{__name__}:work", [{"address": address, **orders}] * processes) as workers:
            for worker in workers:
                worker.is_ready()
            started = time.perf_counter()
            for worker in workers:
                worker.go()
            answers = [worker.answer() for worker in workers]
            elapsed = time.perf_counter() - started
    key, store = f"motions.{kind}.{processes}", NAMES[kind]
    rate = scale.motions / elapsed
    who = "1 worker" if processes == 1 else f"{processes} workers"
    title = f"whole motions, {store}, {who}"
    if not log:
        key, title = f"{key}.without_log", f"{title}, no signatures, no audit log"
    results.add(key, title, "motions/s", rate)
    if processes == 1:
        cpu_ms = 1000 * answers[0]["cpu_seconds"] / scale.motions
        results.add(f"{key}.cpu", f"  the worker's processor time, {store}", "ms/motion", cpu_ms)
    if processes == 1 and log:
        events = max(answer["position"] for answer in answers) - scale.motions
        _record_details(results, key, kind, (scale.motions, events), (elapsed, introducing))
    elif processes > 1:
        shares = [answer["performed"] for answer in answers]
        title = f"  share of the idlest of {processes} workers, {store}"
        results.add(f"{key}.least_share", title, "%", 100 * min(shares) / sum(shares))


def _record_details(
    results: Results,
    key: str,
    kind: str,
    amounts: tuple[int, int],
    seconds: tuple[float, float],
) -> None:
    """Record the same run in other units: motions and events, and the time to introduce."""
    (motions, events), (driving, introducing) = amounts, seconds
    store = NAMES[kind]
    for name, title, unit, rate in (
        ("introduced", "the same, introduction included", "motions/s",
         motions / (driving + introducing)),
        ("introducing", "introduction alone", "motions/s", motions / introducing),
        ("events", "events appended", "events/s", events / driving),
    ):  # fmt: skip
        results.add(f"{key}.{name}", f"  {title}, {store}", unit, rate)


async def fill(address: str, motions: int, in_flight: int, *, log: bool = True) -> dict[str, float]:
    """Introduce motions into an empty store (in a process of its own)."""
    async with opened(address, in_flight, log=log) as flow:
        started = time.perf_counter()
        await introduce(flow, motions)
        return {"seconds": time.perf_counter() - started}


async def work(address: str, motions: int, in_flight: int, *, log: bool = True) -> dict[str, Any]:
    """Work until nothing is left to do (in a process of its own)."""
    service = Nothing()
    async with opened(address, in_flight, service, log=log) as flow:
        wait_for_go()
        cpu_started = time.process_time()
        await flow.worker.run_until_idle()
        status = await flow.orchestrator.get_pipeline_status()
        head = (await flow.store.head()).position
        acknowledged = status.motions_by_state.get(GovernanceState.ACKNOWLEDGED, 0)
        if acknowledged != motions or status.position != head or status.lag.events:
            raise NotDone(
                f"{acknowledged} of {motions} motions acknowledged, the read model at "
                f"{status.position} of {head}, {status.lag.events} behind"
            )
        return {
            "position": head,
            "performed": service.calls,
            "cpu_seconds": time.process_time() - cpu_started,
        }
