"""Several worker processes on one store, and what they do, watched from outside.

On PostgreSQL each session bears its worker's name, so that the server can tell who does what.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from tests.support.flows import PlayedFlow, opened
from tests.support.invariants import Ledger, check_store
from tests.support.processes import WorkerProcess, wait_until, worker_process

GATE = 7_411
"""Number of the advisory lock that holds up whoever is to be caught in the act."""

STAND_AT_GATE = f"""
        IF current_setting('application_name') LIKE 'worker-%' THEN
            PERFORM pg_advisory_xact_lock_shared({GATE});
        END IF;
"""

GUARD = f"""
    CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN {STAND_AT_GATE} RETURN NEW; END $$;
    CREATE TRIGGER guard BEFORE UPDATE ON {{table}} FOR EACH ROW EXECUTE FUNCTION guard();
"""

WATCH = f"""
    CREATE TABLE watched (
        id serial PRIMARY KEY, name text, generation integer, was bigint, position bigint,
        worker text DEFAULT current_setting('application_name'),
        at timestamptz DEFAULT clock_timestamp());
    CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN {STAND_AT_GATE}
        INSERT INTO watched (name, generation, was, position)
        VALUES (NEW.name, NEW.generation, OLD.position, NEW.position);
        RETURN NULL;
    END $$;
    CREATE TRIGGER watch AFTER UPDATE OF position ON projections
        FOR EACH ROW EXECUTE FUNCTION watch();
"""


def as_worker(address: str, name: str) -> str:
    """Return the address under which a worker's sessions bear its name, if the store knows any."""
    if not address.startswith("postgresql:"):
        return address
    return f"{address}{'&' if '?' in address else '?'}application_name={name}"


@contextmanager
def fleet(address: str, count: int, **orders: Any) -> Iterator[list[WorkerProcess]]:
    """Start so many workers, called worker-0 and so on; end them with the block."""
    with ExitStack() as stack:
        workers = [
            stack.enter_context(worker_process(as_worker(address, f"worker-{number}"), **orders))
            for number in range(count)
        ]
        for worker in workers:
            worker.wait_for("ready")
        yield workers


async def said(*workers: WorkerProcess, **counts: int) -> None:
    """Wait until all workers together have said each thing so often."""

    def enough() -> bool:
        lines = [line["said"] for worker in workers for line in list(worker.said)]
        return all(lines.count(what) >= count for what, count in counts.items())

    await asyncio.to_thread(wait_until, enough, *workers)


async def introduced(address: str, count: int, **options: Any) -> list[UUID]:
    """Put so many motions into a store, and leave it to others."""
    async with opened(address, **options) as flow:
        return [await flow.introduce(title=f"No. {number}") for number in range(count)]


async def require_sound(address: str, **options: Any) -> None:
    """Replay the log: capacity and halts held, nothing is lost or twice, and all figures agree."""
    async with opened(address, **options) as flow:
        findings = await check_store(flow.flow, Ledger())
        assert findings.lines() == []


async def wait_for_end(flow: PlayedFlow, motions: Sequence[UUID]) -> None:
    """Wait until none of the motions is under way any more."""
    waiting = set(motions)
    async with asyncio.timeout(90):
        while waiting:
            head = await flow.flow.store.head()
            waiting = {m for m in waiting if (await flow.status(m)).next_action is not None}
            if waiting:
                await flow.flow.store.wait_for_append(
                    after_position=head.position, timeout_seconds=1
                )


@dataclass(frozen=True)
class Batch:
    """One projection was moved from one position to another."""

    name: str
    generation: int
    was: int
    position: int
    worker: str
    at_seconds: float


class Gate:
    """Catches workers with their transactions open. Closed, it holds up all who come to it."""

    def __init__(self, session: psycopg.Connection[Any], setup: str) -> None:
        self._session = session
        session.execute(setup.encode())

    def close_gate(self) -> None:
        """Hold up every worker from now on."""
        self._session.execute(f"SELECT pg_advisory_lock({GATE})".encode())

    def open_gate(self) -> None:
        """Let them go on."""
        self._session.execute(f"SELECT pg_advisory_unlock({GATE})".encode())

    async def caught(self) -> str:
        """Wait until a worker stands at the gate, and return its name."""
        sql = (
            "SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid)"
            f" WHERE locktype = 'advisory' AND objid = {GATE} AND NOT granted"
        )
        async with asyncio.timeout(60):
            while True:
                row = self._session.execute(sql.encode()).fetchone()
                if row is not None:
                    return str(row[0])
                await asyncio.sleep(0)


class Watch(Gate):
    """Sees who applies which projection, and can catch that one in the middle of it."""

    def now_seconds(self) -> float:
        """Return the server's clock."""
        row = self._session.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
        assert row is not None
        return float(row[0])

    def batches(self) -> list[Batch]:
        """Return what was applied, in order."""
        rows = self._session.execute(
            "SELECT name, generation, was, position, worker, extract(epoch FROM at)"
            " FROM watched ORDER BY id"
        )
        return [
            Batch(name, generation, was, position, worker, float(at))
            for name, generation, was, position, worker, at in rows
        ]

    async def batch_of_another(self, worker: str, since: float) -> Batch:
        """Wait for the first batch after that time, and return it; it is not that worker's."""
        async with asyncio.timeout(60):
            while True:
                later = [batch for batch in self.batches() if batch.at_seconds > since]
                if later:
                    assert later[0].worker != worker
                    return later[0]
                await asyncio.sleep(0)


@contextmanager
def watching(address: str) -> Iterator[Watch]:
    """Watch the projections of a PostgreSQL store that has its tables already."""
    with closing(psycopg.connect(address, autocommit=True)) as session:
        yield Watch(session, WATCH)


@contextmanager
def guarding(address: str, table: str) -> Iterator[Gate]:
    """Let workers stop at a gate when they update a row of a table."""
    with closing(psycopg.connect(address, autocommit=True)) as session:
        yield Gate(session, GUARD.format(table=table))
