"""Logs of the simulator's seeds: real workers that die, a failing Knight, halts, few places."""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from unittest import mock

from governance_flow.application.audit.export import Exporter
from governance_flow.application.ports.audit import AuditLog, StoredRow
from governance_flow.infrastructure.mapper import JsonEventMapper
from tests.simulation.running import run_seed
from tests.simulation.world import World
from tests.support.audit import MemoryLog
from tests.unit.conformance.exported import Event

LOG = (
    "SELECT position, stream_id, stream_version, topic, state, committed_at_us"
    " FROM events ORDER BY position"
)


def simulated(seed: int) -> list[Event]:
    """Return the log that a seed leads to, as it is exported."""
    rows: list[StoredRow] = []
    end = World.end

    async def read_and_end(world: World) -> None:
        rows.extend(StoredRow(*row) for row in world.database.look_at(LOG))
        await end(world)

    with mock.patch.object(World, "end", read_and_end):
        outcome = run_seed(seed)
    assert outcome.failure is None, str(outcome)
    return _exported(rows)


@cache
def kept(seed: int) -> tuple[Event, ...]:
    """Return the same, made once. Nobody changes its events."""
    return tuple(simulated(seed))


def _exported(rows: list[StoredRow]) -> list[Event]:
    log: AuditLog = MemoryLog((), None)
    exporter: Any = Exporter(log, JsonEventMapper())
    return [json.loads(exporter._line(row)) for row in rows]
