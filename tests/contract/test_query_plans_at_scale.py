"""A million finished rows cost nothing: what each statement touches is counted, not guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest

from governance_flow.application.queries import load_queries
from projections.tables import generation_queries
from tests.support.flows import opened
from tests.support.million import (
    DUE_FROM,
    NOW_US,
    Large,
    LargePostgres,
    LargeSqlite,
    id_of,
)

FEW, MANY_FINISHED, MANY_WAITING = 1_000, 1_000_000, 100_000

MOST = {"postgres": 300, "sqlite": 4_000}
"""The most that any statement may touch for ten rows: pages, or steps of SQLite's machine."""

MORE = {"postgres": 60, "sqlite": 200}
"""What it may touch more when the store is large: trees have grown higher."""

COUNTING = {
    "count_assignments": "counts every open assignment, for the metrics",
    "count_work": "counts what waits, when somebody waits for a worker to be idle",
    "shift_deadlines": "moves every open deadline, when the pipeline is resumed",
}
"""What has to touch more the more there is that is not finished; and why it may."""

WRITING = re.compile(
    "insert|append|create|drop|fill|lock|set_|add_|open_|keep|upsert|next_lease|notify"
)
"""Statements that write what they are given, make tables, or lock."""

DAY_S = 86_400
PARAMS: Mapping[str, object] = {
    "services": ["duke_service", "prince_service"],
    "kinds": ["apply", "admit"],
    "topics": ["BRANCH_COMPLETED"],
    "stream_ids": [id_of(3), id_of(40)],
    "motion_ids": [id_of(3), id_of(DUE_FROM)],
    "routing_ids": [id_of(DUE_FROM), id_of(DUE_FROM + 1)],
    "tokens": [0, 0],
    "changes": [{"motion_id": id_of(DUE_FROM), "routing_id": None}],
    "stream_id": id_of(3),
    "motion_id": id_of(DUE_FROM),
    "routing_id": id_of(DUE_FROM),
    "after_id": id_of(0),
    "after_stream": id_of(0),
    "alert_id": f"due {DUE_FROM}",
    "sink": "log",
    "owner": "a worker",
    "takers": [{"owner": "a worker", "first_place": 1, "last_place": 10}],
    "service": "duke_service",
    "topic": "BRANCH_COMPLETED",
    "state": "PLANNING",
    "counter": ["PLANNING"],
    "blocked": None,
    "active": None,
    "halted": False,
    "limit": 10,
    "token": 0,
    "format": 1,
    "now_us": NOW_US,
    "since_us": NOW_US,
    "due_us": NOW_US,
    "until_us": NOW_US,
    "introducer": "member 7",
    "word": "word7",
    "first": "word",
    "beyond": "wore",
    "before_us": 2**62,
    "before_id": "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "introduced_at_us": 1,
    "states": ["PLANNING", "EXECUTING", "INTRODUCED", "TABLED"],
    "lease_expires_at_us": NOW_US + 15_000_000,
    "after_us": 0,
    "after_version": 0,
    "up_to_version": 2**60,
    "position": 900,
    "from_position": 500,
    "after_position": 500,
    "before_position": 2**60,
    "up_to_position": 2**60,
    "committed_at_us": 0,
    "halt_epoch": 0,
    "admitted": 0,
    "width_seconds": 1,
    "before_s": 0,
    "kept": [{"width_seconds": 1, "before_s": 0}],
    "since_s": NOW_US // 10**6 - DAY_S,
    "minute_s": NOW_US // 10**6 - DAY_S + 60,
    "until_s": NOW_US // 10**6,
    "hour_s": NOW_US // 10**6 - DAY_S + 3_600,
}
"""A value for each parameter there is; another one must be named here first."""

STORES = [
    "sqlite_address",
    pytest.param("postgres_database", marks=pytest.mark.postgres),
]


@pytest.fixture
async def large(request: pytest.FixtureRequest) -> Large:
    address = str(request.getfixturevalue(request.param))
    async with opened(address):
        pass
    return LargeSqlite(address) if address.startswith("sqlite:") else LargePostgres(address)


def statements(store: Large) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield every statement that reads, or that changes a few rows, and what to run it with."""
    files = (
        "events",
        "assignments",
        "agenda",
        "alerts_outbox",
        "backlog",
        "work_changes",
        "snapshots",
        "audit",
    )
    ours = (
        load_queries("governance_flow.infrastructure", f"sql/{name}.sql", store.dialect)
        for name in files
    )
    theirs = (
        generation_queries(f"sql/{name}.sql", store.dialect, 1)
        for name in ("motions", "activity", "search")
    )
    for queries in (*ours, *theirs):
        for name, sql in queries.items():
            if (
                not WRITING.match(name)
                and name not in COUNTING
                and name not in ("count", "count_one")
            ):
                yield name, sql, parameters(store, sql)


def parameters(store: Large, sql: str) -> dict[str, object]:
    pattern = r"%\((\w+)\)[sbt]?(::json\b)?" if store.dialect == "postgres" else r"(?<!:):(\w+)()"
    return {
        name: json.dumps(PARAMS[name]) if as_json else PARAMS[name]
        for name, as_json in re.findall(pattern, sql)
    }


@pytest.mark.slow
@pytest.mark.parametrize("large", STORES, indirect=True)
def test_a_million_finished_rows_and_many_that_wait_make_nothing_slower(large: Large) -> None:
    with closing(large):
        large.make_due()
        large.finish(1, FEW)
        large.wait(1, FEW)
        before = {name: large.cost(sql, params) for name, sql, params in statements(large)}
        large.finish(FEW + 1, MANY_FINISHED)
        large.wait(FEW + 1, MANY_WAITING)
        most, more = MOST[large.dialect], MORE[large.dialect]
        slow = [
            f"{name}: {before[name]}, then {cost}\n{large.plan(sql, params)}"
            for name, sql, params in statements(large)
            if (cost := large.cost(sql, params)) > before[name] + more or before[name] > most
        ]
    assert len(before) > len(COUNTING)
    assert not slow, "\n".join(slow)
