"""Progress of long work: a bar where it can be redrawn, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from governance_flow.cli.terminal import diagnostics, is_lively, plain, say

PLAIN_INTERVAL_SECONDS = 5.0
"""How often a line is printed where nothing can be redrawn."""

BYTES = "bytes"

Show = Callable[[int, int], None]
"""Told how much is done, and of how much."""


@contextmanager
def progress(doing: str, unit: str, *, quiet: bool = False) -> Iterator[Show]:
    """Yield what shows how far ``doing`` has come, counted in ``unit``."""
    console = diagnostics()
    if quiet:
        yield lambda _done, _total: None
    elif is_lively(console):
        with _bar(plain(doing)) as bar:
            task = bar.add_task("", total=None, count="")

            def redraw(done: int, total: int) -> None:
                count = _count(done, total, unit)
                bar.update(task, completed=done, total=max(total, 1), count=count)

            yield redraw
    else:
        yield _lines(doing, unit)


def _bar(doing: str) -> Progress:
    return Progress(
        TextColumn(doing),
        BarColumn(complete_style="cyan", finished_style="green"),
        TextColumn("{task.fields[count]}"),
        TimeRemainingColumn(),
        console=diagnostics(),
        transient=True,
    )


def _lines(doing: str, unit: str) -> Show:
    said_at = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= PLAIN_INTERVAL_SECONDS:
            said_at = time.monotonic()
            say(f"{plain(doing)}: {_count(done, total, unit)}")

    return tell


def _count(done: int, total: int, unit: str) -> str:
    if unit == BYTES:
        # How many there are tells a person nothing.
        return f"{done / max(total, 1):.0%}"
    return f"{done:,} of {total:,} {unit}"
