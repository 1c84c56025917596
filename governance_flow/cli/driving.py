"""Driving motions until nothing can be done, and showing how they move meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.text import Text

from governance_flow.application.ports.flow_orchestrator import PipelineStatus
from governance_flow.application.times import from_us
from governance_flow.cli.rendering import length_of_time, motions, status_view
from governance_flow.cli.terminal import diagnostics, is_lively, say
from governance_flow.domain.branch_configuration import ExternalBranch

if TYPE_CHECKING:
    from governance_flow.bootstrap import Flow

LIVELY_INTERVAL_SECONDS = 0.25
PLAIN_INTERVAL_SECONDS = 5.0
INTERVAL_SECONDS_MAX = 2.0
"""Where the machine is busy, looking takes longer, and is done less often, but never less so."""

LEASES_LOOKED_AT = 1000


async def drive(flow: Flow, *, quiet: bool) -> None:
    """Work until nothing can be done now; raises what goes wrong with the store."""
    await flow.keys.check()
    await _tell_of_leases(flow)
    working = asyncio.create_task(flow.worker.run_until_idle())
    try:
        if not quiet:
            await _watch(flow, working)
        await working
    finally:
        # Only if watching failed: the work in hand is given back before the store is closed.
        if not working.done():
            flow.worker.stop()
            await asyncio.gather(working, return_exceptions=True)


async def _watch(flow: Flow, working: asyncio.Task[None]) -> None:
    with _display() as (show, interval_seconds):
        await asyncio.wait({working}, timeout=interval_seconds)
        while not working.done():
            looked_at = time.monotonic()
            show(await flow.orchestrator.get_pipeline_status())
            cost = time.monotonic() - looked_at
            pause = max(interval_seconds, min(cost, INTERVAL_SECONDS_MAX))
            await asyncio.wait({working}, timeout=pause)


@contextmanager
def _display() -> Iterator[tuple[Callable[[PipelineStatus], None], float]]:
    """Yield what shows a status, and how often to call it."""
    console = diagnostics()
    started = time.monotonic()
    if not is_lively(console):
        yield lambda status: say(_in_one_line(status)), PLAIN_INTERVAL_SECONDS
        return
    with Live(console=console, transient=True, auto_refresh=False) as live:

        def show(status: PipelineStatus) -> None:
            elapsed = length_of_time(timedelta(seconds=time.monotonic() - started))
            title = Text(f"driving motions, {elapsed}; Ctrl-C to stop", style="dim")
            live.update(Group(title, Text(), status_view(status)), refresh=True)

        yield show, LIVELY_INTERVAL_SECONDS


def _in_one_line(status: PipelineStatus) -> str:
    total = sum(status.motions_by_state.values())
    states = ", ".join(f"{count:,} {s}" for s, count in status.motions_by_state.items() if count)
    return f"driving {motions(total)}: {states}"


async def _tell_of_leases(flow: Flow) -> None:
    """Say why nothing may move for a moment, if another worker holds (or held) assignments."""
    branches = flow.configuration.branches
    now = datetime.now(UTC)
    expiries = [
        from_us(row.lease.expires_at_us)
        for row in await flow.assignments.list_open(limit=LEASES_LOOKED_AT)
        if row.lease.owner is not None
        and row.lease.expires_at_us is not None
        and not isinstance(branches[row.service], ExternalBranch)
    ]
    held = [expiry for expiry in expiries if expiry > now]
    if held:
        noun = "assignment is" if len(held) == 1 else "assignments are"
        say(
            f"{len(held):,} {noun} leased to another worker; if it has died, its work is taken "
            f"over when the lease ends, in {length_of_time(max(held) - now)} at the latest"
        )
