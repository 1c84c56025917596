"""A disk with no room left under an SQLite file: nothing is lost, and work goes on afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from governance_flow.domain.errors import StoreError
from tests.faults.stage import Stage
from tests.support.driving import introduce, motion_id

LIMIT_BYTES_MAX = 200_000
"""A limit below the size that the write-ahead log has by then or soon will have."""

DISK_BYTES = 64_000_000
CHUNK_BYTES = 4096
INTRODUCED_MAX = 2000
"""More motions than the write-ahead log has room for before it must grow."""
LINES_MAX = 40

STORE_FAILURES = {
    "the worker failed and goes on",
    "result not recorded yet",
    "failed, and left for later",
    "leases could not be extended",
}
"""What workers log when the store does not take what they have for it."""


class Impossible(Exception):
    """This fault cannot be made on this machine; the message says why."""


async def limit_files(stage: Stage, times: int) -> None:
    """Let files grow no further for the workers, but for nobody else, and then again."""
    await stage.start_all(2)
    for _ in range(times):
        await stage.introduce(stage.rng.randint(2, 5))
        await stage.lines_more(stage.rng.randint(1, LINES_MAX))
        for workman in stage.workers:
            workman.tell("limit", bytes=stage.rng.randrange(LIMIT_BYTES_MAX))
        before = failures(stage)
        while failures(stage) == before:
            await stage.introduce(2)
            await stage.until(partial(_failed_or_rests, stage, before), "a worker ran out of room")
        for workman in stage.workers:
            workman.tell("limit", bytes=None)
        await stage.rest()


async def fill_disk(stage: Stage, times: int) -> None:
    """Fill the file system the store is on, and make room again."""
    ballast = Path(stage.flow.address.removeprefix("sqlite:///")).parent / "ballast"
    await stage.start_all(2)
    for _ in range(times):
        await stage.introduce(stage.rng.randint(2, 5))
        await stage.lines_more(stage.rng.randint(1, LINES_MAX))
        before = failures(stage)
        stage.calm.clear()
        numbers = stage.choose(INTRODUCED_MAX)
        tried = 0
        try:
            _fill(ballast)
            # What the write-ahead log has room for already may still be recorded.
            while tried < INTRODUCED_MAX and await _introduced(stage, numbers[tried]):
                tried += 1
            await stage.until(partial(_failed_or_rests, stage, before), "a worker ran out of room")
        finally:
            ballast.unlink()
            stage.calm.set()
        if tried == INTRODUCED_MAX:
            stage.strangers.append(f"{tried} motions were introduced on a full disk")
        # Whether the last one was recorded nobody was told: it is introduced again, as it was.
        await stage.introduce_these(numbers[: tried + 1])
        await stage.rest()


async def _introduced(stage: Stage, number: int) -> bool:
    """Introduce a motion once; returns whether it was recorded."""
    try:
        await introduce(stage.flow.orchestrator, number)
    except StoreError:
        return False
    stage.ledger.introduced(motion_id(number))
    return True


def failures(stage: Stage) -> int:
    """Return how often the store has failed a worker."""
    return sum(line["said"] == "log" and line["event"] in STORE_FAILURES for _, line in stage.heard)


def _failed_or_rests(stage: Stage, before: int) -> bool:
    return failures(stage) > before or stage.at_rest


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(os.urandom(CHUNK_BYTES))


@contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a small file system in memory. Raises Impossible if we may not."""
    folder = Path(tempfile.mkdtemp(prefix="governance-flow-disk-"))
    try:
        options = f"size={DISK_BYTES}"
        try:
            command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise Impossible(f"mount cannot be run: {error}") from error
        if done.returncode:
            raise Impossible(f"no small disk can be mounted: {done.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
