"""What the same questions and the same work cost in a store that has grown.

Stores of all sizes are open at once and are asked in turns. No motion is asked for twice, or the
small store would be at an advantage: all of its motions would soon be in memory.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from governance_flow.application.ports.flow_orchestrator import GovernanceState
from governance_flow.bootstrap import Flow
from scripts.bench.child import memory_bytes, run_part
from scripts.bench.filling import IN_FLIGHT, FilledStore
from scripts.bench.noop import done, introduce, introduce_one, opened
from scripts.bench.results import Results
from scripts.bench.scale import Scale
from scripts.bench.stores import NAMES

QUESTIONS = {
    "status": "status of the pipeline",
    "page": "one page of a list",
    "motion": "status of a motion",
    "step": "one step of a motion",
    "whole": "a motion through a worker",
}
"""What is asked, and what it is called. The last one is the step with all that belongs to it."""

WARM_UP_TIMES = 3

_RARELY = {"whole": 3}
"""What takes so long that it is asked for only every so many times."""

_MEBIBYTE = 2**20


def ask(results: Results, scale: Scale, kind: str, filled: dict[int, FilledStore]) -> None:
    """Put every question to every store, in turns."""
    orders = [
        {
            "address": filled[size].address,
            "ids": [str(motion_id) for motion_id in filled[size].some_ids],
        }
        for size in scale.growth_motions
    ]
    times = scale.growth_rounds * scale.growth_asked
    said = run_part(f"{__name__}:answers", stores=orders, times=times)
    for question, title in QUESTIONS.items():
        for size, milliseconds in zip(scale.growth_motions, said[question], strict=True):
            results.samples(
                f"growth.{kind}.{question}.{size}",
                f"{title}, {size:,} motions, {NAMES[kind]}",
                "ms",
                milliseconds,
            )


def weigh(results: Results, scale: Scale, kind: str, filled: dict[int, FilledStore]) -> None:
    """Let a worker do the same work in the stores but the smallest, and look at its memory."""
    for size in scale.growth_motions[1:]:
        said = run_part(
            f"{__name__}:weight", address=filled[size].address, motions=scale.memory_motions
        )
        title = f"memory of a worker, {size:,} motions, {NAMES[kind]}"
        results.add(f"memory.{kind}.{size}", title, "MiB", said["bytes"] / _MEBIBYTE)


# -- In a process of its own -----------------------------------------------------------------------


async def weight(address: str, motions: int) -> dict[str, int]:
    """Drive some more motions, and return the memory held then."""
    async with opened(address, IN_FLIGHT) as flow:
        await introduce(flow, motions)
        await flow.worker.run_until_idle()
        await flow.orchestrator.get_pipeline_status()
        return {"bytes": memory_bytes()}


async def answers(stores: list[dict[str, Any]], times: int) -> dict[str, list[list[float]]]:
    """Put every question to every store so often; return the times in ms by question and store."""
    async with AsyncExitStack() as stack:
        asked = []
        for store in stores:
            flow = await stack.enter_async_context(opened(store["address"], IN_FLIGHT))
            asked.append(_Asked(flow, [UUID(motion_id) for motion_id in store["ids"]]))
        return {
            question: await _in_turns(asked, question, -(-times // _RARELY.get(question, 1)))
            for question in QUESTIONS
        }


async def _in_turns(stores: list[_Asked], question: str, times: int) -> list[list[float]]:
    took: list[list[float]] = [[] for _ in stores]
    for number in range(WARM_UP_TIMES + times):
        for store, kept in zip(stores, took, strict=True):
            act = await store.prepared(question)
            started = time.perf_counter()
            await act()
            elapsed = time.perf_counter() - started
            if number >= WARM_UP_TIMES:
                kept.append(1000 * elapsed)
    return took


@dataclass(slots=True)
class _Asked:
    """One store, and how far it has been asked."""

    flow: Flow
    ids: list[UUID]
    after: str | None = None

    async def prepared(self, question: str) -> Callable[[], Awaitable[object]]:
        """Return what is to be measured, everything that it needs being ready."""
        orchestrator = self.flow.orchestrator
        match question:
            case "status":
                return orchestrator.get_pipeline_status
            case "page":
                return self._page
            case "motion":
                # Asked once around only if there are few: then it is in memory, in every store.
                motion_id = self.ids.pop()
                self.ids.insert(0, motion_id)
                return lambda: orchestrator.get_motion_status(motion_id)
            case "step":
                return await self._step()
            case "whole":
                return self._whole
            case _:
                raise ValueError(question)

    async def _page(self) -> None:
        """Read the page behind the one read last."""
        page = await self.flow.orchestrator.list_motions(after=self.after)
        self.after = page.next_after

    async def _step(self) -> Callable[[], Awaitable[object]]:
        """Bring a new motion to where it is deliberated; the step is what follows."""
        orchestrator = self.flow.orchestrator
        motion_id = await introduce_one(self.flow, 0)
        await orchestrator.process_motion(motion_id)
        assignment = await orchestrator.route_to_branch(motion_id, GovernanceState.DELIBERATING)
        result = replace(done(assignment), routing_id=assignment.routing_id)
        return lambda: orchestrator.handle_completion(motion_id, result)

    async def _whole(self) -> None:
        """Introduce a motion, and let the worker take it to the end."""
        await introduce_one(self.flow, 0)
        await self.flow.worker.run_until_idle()
