"""The branch workers: each fetches, works for a moment, and completes, until the time is up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from scripts.load.wire import Connection, Disconnected

WAIT_SECONDS = 5.0
LEASE_SECONDS = 60.0
OK = 200
_PACE = Random(1)  # noqa: S311 - nothing depends on it being unknown


@dataclass
class Done:
    """What the callers of one process came to. Times are in seconds; none from before ``begins``.

    All that was acknowledged is there, from the very first.
    """

    begins: float
    completions: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def call(
    host: str,
    port: int,
    tokens: Sequence[str],
    *,
    warm_up_seconds: float,
    seconds: float,
    work_seconds: float,
) -> Done:
    """Let one caller for each token fetch and complete for so long; first to warm up.

    ``work_seconds`` is how long each works on an assignment, more or less.
    """
    done = Done(begins=time.perf_counter() + warm_up_seconds)
    ends = done.begins + seconds
    async with asyncio.TaskGroup() as group:
        for token in tokens:
            group.create_task(_caller(Connection(host, port, token), done, ends, work_seconds))
    return done


async def _caller(connection: Connection, done: Done, ends: float, work_seconds: float) -> None:
    async with connection:
        while (left := ends - time.perf_counter()) > 0:
            try:
                await _round(connection, done, min(WAIT_SECONDS, left), work_seconds)
            except Disconnected as error:
                done.errors.append(f"disconnected: {error}")
                return


async def _round(connection: Connection, done: Done, wait: float, work_seconds: float) -> None:
    wish = {"limit": 1, "lease_seconds": LEASE_SECONDS, "wait_seconds": wait}
    answer = await connection.post("/api/v1/assignments/fetch", wish)
    if answer.status != OK:
        done.errors.append(f"fetch: {answer.status} {answer.body.decode()[:300]}")
        return
    for assignment in answer.json()["assignments"]:
        if work_seconds:
            # Branches do not work in step with each other.
            await asyncio.sleep(work_seconds * _PACE.uniform(0.5, 1.5))
        await _complete(connection, done, assignment)


async def _complete(connection: Connection, done: Done, assignment: dict[str, Any]) -> None:
    routing_id = assignment["routing_id"]
    deliberates = assignment["purpose"] == "deliberate"
    content = {
        "motion_id": assignment["motion_id"],
        "branch": assignment["branch"],
        "lease_token": assignment["lease_token"],
        "output": {},
        "next_state": "RATIFIED" if deliberates else None,
    }
    started = time.perf_counter()
    answer = await connection.post(f"/api/v1/assignments/{routing_id}/complete", content)
    if started >= done.begins:
        done.completions.append(time.perf_counter() - started)
    if answer.status == OK:
        done.acknowledged.append(routing_id)
    else:
        done.errors.append(f"complete: {answer.status} {answer.body.decode()[:300]}")


# -- In processes of their own ---------------------------------------------------------------------


async def called(host: str, port: int, tokens: list[str], **times: float) -> dict[str, Any]:
    """Call from a process of one's own; return what came of it."""
    done = await call(host, port, tokens, **times)
    return {
        "completions": done.completions,
        "acknowledged": done.acknowledged,
        "errors": done.errors,
    }


async def probed(
    *,
    host: str,
    port: int,
    token: str,
    paths: list[str],
    warm_up_seconds: float,
    seconds: float,
    interval_seconds: float,
) -> dict[str, list[float]]:
    """Ask for each path in turn, at even intervals; return how long each answer took.

    An answer that takes longer than the interval delays the next question, which is why there is
    a connection for each path.
    """
    times: dict[str, list[float]] = {path: [] for path in paths}
    await asyncio.sleep(warm_up_seconds)
    ends = time.perf_counter() + seconds

    async def probe(path: str) -> None:
        async with Connection(host, port, token) as connection:
            while (started := time.perf_counter()) < ends:
                answer = await connection.get(path)
                took = time.perf_counter() - started
                if answer.status != OK:
                    raise Disconnected(f"{path}: {answer.status} {answer.body.decode()[:300]}")
                times[path].append(took)
                await asyncio.sleep(max(0.0, interval_seconds - took))

    async with asyncio.TaskGroup() as group:
        for path in paths:
            group.create_task(probe(path))
    return times
