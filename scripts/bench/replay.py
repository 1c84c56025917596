"""How fast the record is read again: verified, projected anew, and folded; and in what memory."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any
from uuid import UUID

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    GovernanceState,
    Purpose,
)
from governance_flow.bootstrap import Flow
from governance_flow.domain.errors import NotInState
from projections.rebuild import Progress
from scripts.bench.child import peak_memory_bytes, run_part
from scripts.bench.filling import IN_FLIGHT, FilledStore
from scripts.bench.noop import done, introduce_one, opened
from scripts.bench.raw_tables import raw_tables
from scripts.bench.results import Results
from scripts.bench.scale import Scale
from scripts.bench.stores import NAMES, Stores

REBUILT = "motions"
"""The projection that is built anew: the one with a row for every motion."""

REBUILD_EVENTS_MAX = 1_000_000

_MEBIBYTE = 2**20
_FIRST_PART = 0.1


class FaultsFound(Exception):
    """The store does not verify, so what was measured on it means nothing."""


def verified_sizes(scale: Scale) -> tuple[int, ...]:
    """Return the sizes of the stores that are verified: of the smallest, and of the middle one."""
    return scale.growth_motions[:2]


def verify(results: Results, scale: Scale, kind: str, filled: dict[int, FilledStore]) -> None:
    """Verify the whole of the smallest and of the middle store; the memory must be the same."""
    for size in verified_sizes(scale):
        said = run_part(f"{__name__}:verified", address=filled[size].address)
        store = f"{size:,} motions, {NAMES[kind]}"
        key = f"verify.{kind}.{size}"
        results.add(key, f"audit verify, {store}", "events/s", said["events"] / said["seconds"])
        results.add(f"{key}.memory", f"  its memory, {store}", "MiB", said["bytes"] / _MEBIBYTE)


def rebuild(results: Results, scale: Scale, kind: str, filled: dict[int, FilledStore]) -> None:
    """Build a projection anew in the largest store, for so long, or for a million events."""
    store = filled[scale.growth_motions[-1]]
    said = run_part(
        f"{__name__}:rebuilt",
        address=store.address,
        events=min(store.events, REBUILD_EVENTS_MAX),
        seconds_max=scale.replay_seconds_max,
    )
    key, title = f"rebuild.{kind}", f"rebuild of {REBUILT!r}, {NAMES[kind]}"
    results.add(key, title, "events/s", said["events"] / said["seconds"])
    results.add(f"{key}.events", f"  events read, {NAMES[kind]}", "events", said["events"])
    results.add(
        f"{key}.memory.early", f"  its memory after a tenth, {NAMES[kind]}", "MiB",
        said["early_bytes"] / _MEBIBYTE,
    )  # fmt: skip
    results.add(
        f"{key}.memory", f"  its memory at the end, {NAMES[kind]}", "MiB",
        said["bytes"] / _MEBIBYTE,
    )  # fmt: skip


def load(results: Results, stores: Stores, scale: Scale, kind: str) -> None:
    """Load one long motion that no process has in memory, without a snapshot and with one."""
    with stores.fresh(kind) as address:
        made = run_part(f"{__name__}:long_motion", address=address, events=scale.long_motion_events)
        for snapshot in (True, False):
            if not snapshot:
                with raw_tables(address) as raw:
                    raw.empty("snapshots")
            said = run_part(
                f"{__name__}:loaded",
                address=address,
                motion_id=made["motion_id"],
                times=scale.cold_loads,
            )
            how = "from its snapshot" if snapshot else "from its events"
            key = f"load.{kind}.{'snapshot' if snapshot else 'events'}"
            title = f"cold load of a motion of {made['events']:,} events, {how}, {NAMES[kind]}"
            results.samples(key, title, "ms", said["milliseconds"])
            if not snapshot:
                rates = [1000 * made["events"] / each for each in said["milliseconds"]]
                results.add(f"{key}.rate", f"  the same, {NAMES[kind]}", "events/s", *rates)


# -- In a process of its own -----------------------------------------------------------------------


async def verified(address: str) -> dict[str, float]:
    """Verify a store."""
    async with opened(address, IN_FLIGHT) as flow:
        started = time.perf_counter()
        report = await flow.audit.auditor.verify()
        elapsed = time.perf_counter() - started
    if report.faults:
        raise FaultsFound("; ".join(map(str, report.faults[:3])))
    return {"events": report.events, "seconds": elapsed, "bytes": peak_memory_bytes()}


async def rebuilt(address: str, events: int, seconds_max: float) -> dict[str, float]:
    """Rebuild the projection until it has read so many events, or the time is up."""
    early_bytes = 0
    reached = 0
    enough = asyncio.Event()

    def progress(told: Progress) -> None:
        nonlocal early_bytes, reached
        reached = told.position
        if not early_bytes and reached >= events * _FIRST_PART:
            early_bytes = peak_memory_bytes()
        if reached >= events:
            enough.set()

    async with opened(address, IN_FLIGHT) as flow:
        started = time.perf_counter()
        rebuilding = asyncio.create_task(flow.rebuilder.rebuild(REBUILT, progress))
        waiting = asyncio.create_task(enough.wait())
        try:
            await asyncio.wait(
                [rebuilding, waiting], timeout=seconds_max, return_when=asyncio.FIRST_COMPLETED
            )
            elapsed = time.perf_counter() - started
            peak_bytes = peak_memory_bytes()
            if rebuilding.done():
                rebuilding.result()
        finally:
            rebuilding.cancel()
            waiting.cancel()
            await asyncio.gather(rebuilding, waiting, return_exceptions=True)
    return {
        "events": reached,
        "seconds": elapsed,
        "early_bytes": early_bytes or peak_bytes,
        "bytes": peak_bytes,
    }


async def long_motion(address: str, events: int) -> dict[str, Any]:
    """Send one motion back and forth until its stream is that long."""
    async with opened(address, IN_FLIGHT) as flow:
        motion_id = await introduce_one(flow, 0)
        version = 0
        while version < events:
            status = await flow.orchestrator.get_motion_status(motion_id)
            version = status.version
            await _back_and_forth(flow, motion_id, status.current_state)
        status = await flow.orchestrator.get_motion_status(motion_id)
        return {"motion_id": str(motion_id), "events": status.version}


async def _back_and_forth(flow: Flow, motion_id: UUID, state: GovernanceState) -> None:
    try:
        assignment = await flow.orchestrator.route_to_branch(motion_id, state)
    except NotInState:
        # It was admitted meanwhile, by being routed.
        return
    await flow.orchestrator.handle_completion(motion_id, _unsatisfied(assignment))


def _unsatisfied(assignment: BranchAssignment) -> BranchResult:
    """Fail to plan, ever again: back to deliberation, and by and by to a review, which resumes."""
    well = replace(done(assignment), routing_id=assignment.routing_id)
    match assignment.purpose:
        case Purpose.PLAN:
            return replace(
                well,
                success=False,
                next_state=None,
                error="too vague",
                error_type="validation_error",
            )
        case Purpose.REVIEW:
            return replace(well, output={"decision": "resume"})
        case _:
            return well


async def loaded(address: str, motion_id: str, times: int) -> dict[str, list[float]]:
    """Load a motion several times, each time with nothing in memory."""
    took = []
    for _ in range(times):
        async with opened(address, IN_FLIGHT) as flow:
            started = time.perf_counter()
            await flow.orchestrator.get_motion_status(UUID(motion_id))
            took.append(1000 * (time.perf_counter() - started))
    return {"milliseconds": took}
