"""All faults, how often each happens, and what is looked at afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from governance_flow.domain.errors import GovernanceFlowError
from tests.faults import clocks
from tests.faults.clocks import turn_one_clock, turn_the_clock
from tests.faults.conduct import (
    IMPATIENT,
    answer_late_inside,
    answer_late_outside,
    answer_twice,
    fall_silent,
    hang_knight,
)
from tests.faults.connections import cut_connections, lose_commit_replies
from tests.faults.deaths import crash_server, kill_workers
from tests.faults.disk import Impossible, fill_disk, limit_files, small_disk
from tests.faults.poison import poison_streams
from tests.faults.stage import Stage, Stuck, staged
from tests.support.invariants import Findings, check_store
from tests.support.postgres import fresh_database
from tests.support.private_postgres import PrivatePostgres, private_postgres

POSTGRESQL, SQLITE, SMALL_DISK = "postgresql", "sqlite", "sqlite on a small disk"

Act = Callable[[Stage, int], Awaitable[None]]


@dataclass(frozen=True)
class FaultCase:
    """One fault on one kind of store: ``times`` in the whole suite, ``few`` among the tests."""

    name: str
    store: str
    act: Act
    times: int
    few: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    crashes: bool = False
    """Whether the server itself is what goes wrong."""

    def __str__(self) -> str:
        return f"{self.name} on {self.store}"


@dataclass(frozen=True)
class Outcome:
    """What a fault did, and what was found afterwards."""

    case: FaultCase
    times: int
    motions: int = 0
    findings: Findings = field(default_factory=Findings)
    seconds: float = 0.0
    skipped: str | None = None
    """Why it could not happen on this machine, if it could not."""


def _on_both(name: str, act: Act, times: int, few: int, **more: Any) -> list[FaultCase]:
    return [FaultCase(name, store, act, times, few, **more) for store in (POSTGRESQL, SQLITE)]


SHORT_LEASES = {"worker": {"lease_seconds": 0.8, "heartbeat_seconds": 0.2}}


def cases(kills: int = 200, restarts: int = 20) -> list[FaultCase]:
    """Return every fault on every store it can happen to; a quarter of the kills are SQLite's."""
    on_sqlite = kills // 4
    three, two = partial(kill_workers, workers=3), partial(kill_workers, workers=2)
    return [
        FaultCase("worker-killed", POSTGRESQL, three, kills - on_sqlite, 6),
        FaultCase("worker-killed", SQLITE, two, on_sqlite, 4),
        FaultCase("server-crashed", POSTGRESQL, crash_server, restarts, 2, crashes=True),
        FaultCase("connection-cut", POSTGRESQL, cut_connections, 40, 4),
        FaultCase(
            "commit-reply-lost", POSTGRESQL, lose_commit_replies, 40, 4, settings=SHORT_LEASES
        ),
        *_on_both("knight-hung", hang_knight, 8, 2, settings=IMPATIENT),
        *_on_both("branch-silent", fall_silent, 8, 2, settings=IMPATIENT),
        *_on_both("answered-twice", answer_twice, 12, 3),
        *_on_both("answered-late", answer_late_outside, 10, 2),
        FaultCase("worker-frozen", POSTGRESQL, answer_late_inside, 10, 1, settings=SHORT_LEASES),
        FaultCase("clock-turned", POSTGRESQL, turn_one_clock, 20, 4, settings=clocks.SETTINGS),
        FaultCase("clock-turned", SQLITE, turn_the_clock, 20, 4, settings=clocks.SETTINGS),
        FaultCase("file-limited", SQLITE, limit_files, 8, 1),
        FaultCase("disk-full", SMALL_DISK, fill_disk, 8, 1),
        *_on_both("event-poisoned", poison_streams, 12, 3),
    ]


@contextmanager
def store_for(case: FaultCase, server_address: str) -> Iterator[tuple[str, PrivatePostgres | None]]:
    """Give the address of an empty store for a fault, and the server if that is to be crashed.

    Raises Impossible if this machine can have no such store.
    """
    match case.store:
        case "postgresql" if case.crashes:
            with private_postgres() as own_server:
                yield own_server.address, own_server
        case "postgresql":
            with fresh_database(server_address) as address:
                yield address, None
        case "sqlite":
            with TemporaryDirectory(prefix="governance-flow-faults-") as folder:
                yield f"sqlite:///{Path(folder) / 'flow.db'}", None
        case _:
            with small_disk() as disk:
                yield f"sqlite:///{disk / 'flow.db'}", None


async def perform(
    case: FaultCase, address: str, *, seed: int, times: int, server: PrivatePostgres | None = None
) -> Outcome:
    """Let a fault happen so many times in a store, and look at what is left of it."""
    started = perf_counter()
    findings = Findings()
    # A fault by itself, or among others: its motions and its moments are the same.
    rng = Random(f"{seed}/{case}")
    async with staged(address, rng, server=server, **case.settings) as stage:
        try:
            await case.act(stage, times)
            await stage.dismiss()
        except Stuck as error:
            findings.unexplained.append(str(error))
            stage.end_all()
        stage.calm.set()
        poisoned = {str(motion) for motion in stage.poisoned}
        try:
            findings += await check_store(stage.flow, stage.ledger, poisoned=poisoned)
        except GovernanceFlowError as error:
            findings.unexplained.append(f"the store cannot be looked at: {error}")
        findings.unexplained += [*stage.strangers, *stage.astray()]
        if not stage.told_by_workers:
            findings.unexplained.append("no worker acknowledged anything: nothing was looked at")
        motions = len(stage.motions)
    return Outcome(case, times, motions, findings, perf_counter() - started)


async def perform_anywhere(
    case: FaultCase, server_address: str, *, seed: int, few: bool = False
) -> Outcome:
    """Let a fault happen in a store made for it; where it cannot, say so.

    ``server_address`` is that of a PostgreSQL server on which databases may be made.
    """
    times = case.few if few else case.times
    try:
        with store_for(case, server_address) as (address, own_server):
            return await perform(case, address, seed=seed, times=times, server=own_server)
    except Impossible as error:
        return Outcome(case, 0, skipped=str(error))
