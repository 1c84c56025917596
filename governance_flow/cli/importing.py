"""Introducing the motions of a file: streamed, in bounded batches, each line for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from governance_flow.application.importing import MotionLine, parse_line
from governance_flow.cli.reading import Occurrences, RawLine, read_lines
from governance_flow.cli.rejected import Rejected
from governance_flow.domain.errors import InvalidInput, MotionAlreadyExists

BATCH_LINES = 256
BATCH_BYTES = 8 * 2**20
"""What is in flight at once is no more than this, and one line."""

_ESCAPE_FACTOR = 6
"""JSON may spell one byte of text in six."""

_SLACK_BYTES = 64 * 2**10


@dataclass(slots=True)
class ImportReport:
    """What became of the lines that were read, blank ones not counted."""

    introduced: int = 0
    known: int = 0
    rejected: int = 0
    read_bytes: int = 0
    stopped: bool = False
    rejected_path: Path | None = None

    @property
    def lines(self) -> int:
        """How many lines were read."""
        return self.introduced + self.known + self.rejected

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return {
            "lines": self.lines,
            "introduced": self.introduced,
            "known": self.known,
            "rejected": self.rejected,
            "rejected_file": None if self.rejected_path is None else str(self.rejected_path),
            "stopped": self.stopped,
        }


class Introduces(Protocol):
    """What introduces a motion: the orchestrator's ``introduce``, by its fields."""

    def __call__(self, motion_id: UUID, line: MotionLine) -> Awaitable[bool]:
        """Return whether the motion is new; raises as the orchestrator does."""
        ...


@dataclass(frozen=True, slots=True)
class _Parsed:
    raw: RawLine
    motion_id: UUID
    line: MotionLine


@dataclass(frozen=True, slots=True)
class _Bad:
    raw: RawLine
    reason: str


async def import_file(
    path: Path,
    introduce: Introduces,
    report: ImportReport,
    *,
    max_motion_bytes: int,
    on_progress: Callable[[], None],
    stopped: Callable[[], bool],
) -> None:
    """Introduce every motion of a file that can be; bad lines go to a file beside it.

    ``report`` is kept up to date, also when this raises. ``stopped`` is asked
    between batches. Raises OSError if the file cannot be read, StoreError if the store cannot be
    used: what was introduced until then stays, and importing again goes on.
    """
    rejected = Rejected(path)
    occurrences = Occurrences()
    try:
        with path.open("rb") as file:
            limit = _ESCAPE_FACTOR * max_motion_bytes + _SLACK_BYTES
            batches = _batches(read_lines(file, limit), occurrences, limit)
            while not (report.stopped or stopped()):
                batch = await asyncio.to_thread(next, batches, None)
                if batch is None:
                    break
                await _introduce_batch(batch, introduce, rejected, report)
                on_progress()
            else:
                report.stopped = True
    finally:
        occurrences.close()
        rejected.finish()
        report.rejected_path = rejected.path


def _batches(
    lines: Iterator[RawLine], occurrences: Occurrences, limit: int
) -> Iterator[list[_Parsed | _Bad]]:
    batch: list[_Parsed | _Bad] = []
    size = 0
    for raw in lines:
        batch.append(_parsed(raw, occurrences, limit))
        size += len(raw.content)
        if len(batch) >= BATCH_LINES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _parsed(raw: RawLine, occurrences: Occurrences, limit: int) -> _Parsed | _Bad:
    if raw.too_long:
        return _Bad(raw, f"the line takes {raw.length} bytes; at most {limit} are read")
    try:
        line = parse_line(raw.content)
    except InvalidInput as error:
        return _Bad(raw, error.message)
    occurrence = occurrences.next(line.digest) if line.motion_id is None else 1
    return _Parsed(raw, line.id_for(occurrence), line)


async def _introduce_batch(
    batch: list[_Parsed | _Bad],
    introduce: Introduces,
    rejected: Rejected,
    report: ImportReport,
) -> None:
    """Introduce the lines of a batch together, so that their appends share transactions."""
    good = [item for item in batch if isinstance(item, _Parsed)]
    answers = await asyncio.gather(
        *(introduce(item.motion_id, item.line) for item in good), return_exceptions=True
    )
    outcomes = dict(zip((item.raw.number for item in good), answers, strict=True))
    failure: BaseException | None = None
    for item in batch:
        outcome = outcomes.get(item.raw.number) if isinstance(item, _Parsed) else None
        match outcome:
            case None if isinstance(item, _Bad):
                report.rejected += 1
                rejected.add(item.raw, item.reason)
            case InvalidInput() | MotionAlreadyExists():
                report.rejected += 1
                rejected.add(item.raw, outcome.message)
            case BaseException():
                failure = failure or outcome
            case _:
                report.introduced += outcome is True
                report.known += outcome is False
    report.read_bytes = batch[-1].raw.end
    if failure is not None:
        raise failure
