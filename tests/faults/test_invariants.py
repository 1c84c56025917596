"""The checks behind the fault suite can fail: each thing that may be wrong is made and found."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from governance_flow.application.ports.flow_orchestrator import ActionKind
from governance_flow.domain.states import EDGES as EDGES_OF_THE_PROGRAM
from governance_flow.domain.states import GovernanceState
from tests.support.flows import PlayedFlow, opened
from tests.support.histories import PLACES, SETTINGS, History, eventful
from tests.support.invariants import (
    EDGES,
    PIPELINE,
    Findings,
    Ledger,
    LogRow,
    check_log,
    check_store,
    read_log,
)

S = GovernanceState
ANYTHING = frozenset(ActionKind)


async def rows_of(played: PlayedFlow) -> list[LogRow]:
    log = await played.flow.store.read_all(after_position=0, limit=100_000)
    return [LogRow(e.id, str(e.originator_id), e.originator_version, e.topic, e.state) for e in log]


@pytest.fixture
async def rows() -> list[LogRow]:
    """Return the log of one motion that went the whole way."""
    async with opened() as played:
        await played.introduce()
        await played.idle()
        return await rows_of(played)


def ledger_of(rows: list[LogRow]) -> Ledger:
    """Return the ledger of somebody who was told of every event."""
    ledger = Ledger()
    for row in rows:
        ledger.note(row.stream_id, row.version, sha256(row.state).hexdigest())
        if row.topic == "MOTION_INTRODUCED":
            ledger.introduced(UUID(row.stream_id))
        if row.topic == "BRANCH_COMPLETED":
            ledger.completed(UUID(row.stream_id), UUID(json.loads(row.state)["routing_id"]))
    return ledger


def edited(row: LogRow, **fields: Any) -> LogRow:
    return row._replace(state=json.dumps({**json.loads(row.state), **fields}).encode())


def numbered(rows: list[LogRow]) -> list[LogRow]:
    """Give the rows the positions and versions of an honest log."""
    versions: dict[str, int] = {}
    for row in rows:
        versions[row.stream_id] = versions.get(row.stream_id, 0) + 1
    seen: dict[str, int] = {}
    made = []
    for position, row in enumerate(rows, 1):
        seen[row.stream_id] = seen.get(row.stream_id, 0) + 1
        made.append(row._replace(position=position, version=seen[row.stream_id]))
    return made


def the(rows: list[LogRow], topic: str) -> int:
    """Return the index of the second event of a topic."""
    return [index for index, row in enumerate(rows) if row.topic == topic][1]


def found(rows: list[LogRow], ledger: Ledger | None = None, **more: Any) -> Findings:
    return check_log(rows, ledger or Ledger(), **more).findings


def test_the_edges_are_those_of_the_flow() -> None:
    program = {(source.value, target.value) for source, target in EDGES_OF_THE_PROGRAM}
    assert {(source, target) for source in EDGES for target in EDGES[source]} == program


async def test_an_honest_log_with_all_that_can_happen_in_it_has_nothing_wrong() -> None:
    async with opened(settings=SETTINGS) as played:
        await eventful(played)
        rows = await rows_of(played)
    check = check_log(rows, ledger_of(rows), places=PLACES)
    assert check.findings.lines() == []
    assert check.failures > 3
    assert check.finished >= 2


@pytest.mark.parametrize("topic", ["MOTION_INTRODUCED", "BRANCH_COMPLETED", "MOTION_ROUTED"])
def test_what_was_acknowledged_and_is_not_there_is_lost(rows: list[LogRow], topic: str) -> None:
    index = next(i for i, row in enumerate(rows) if row.topic == topic)
    lost = found(rows[:index], ledger_of(rows[: index + 1])).lost
    named = {"MOTION_INTRODUCED": "its introduction", "BRANCH_COMPLETED": "the completion"}
    assert named.get(topic, f"version {rows[index].version}") in " ".join(lost)


def test_an_event_with_other_bytes_than_were_acknowledged_is_lost(rows: list[LogRow]) -> None:
    index = the(rows, "BRANCH_COMPLETED")
    doctored = [*rows]
    doctored[index] = edited(rows[index], output={"did": "nothing"})
    assert f"version {rows[index].version}" in " ".join(found(doctored, ledger_of(rows)).lost)


def test_of_two_events_acknowledged_as_the_same_version_one_is_lost(rows: list[LogRow]) -> None:
    ledger = ledger_of(rows)
    ledger.note(rows[3].stream_id, rows[3].version, "other bytes")
    # In whichever order they were acknowledged.
    ledger.note(rows[3].stream_id, rows[3].version, sha256(rows[3].state).hexdigest())
    assert len(found(rows, ledger).lost) == 1


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("TRANSITION_WITNESSED", "leaves"),
        ("BRANCH_COMPLETED", "was completed before"),
        ("MOTION_ROUTED", "was there before"),
    ],
)
def test_what_happens_twice_is_repeated(rows: list[LogRow], topic: str, said: str) -> None:
    index = the(rows, topic)
    again = rows[index] if topic == "MOTION_ROUTED" else edited(rows[index], event_id="another")
    doctored = numbered([*rows[: index + 1], again, *rows[index + 1 :]])
    assert said in " ".join(found(doctored).repeated)


def test_an_event_that_is_there_twice_is_repeated(rows: list[LogRow]) -> None:
    doctored = numbered([*rows, rows[-1]])
    assert "is there twice" in " ".join(found(doctored).repeated)


def test_a_motion_that_is_introduced_twice_is_repeated(rows: list[LogRow]) -> None:
    doctored = numbered([*rows, edited(rows[0], event_id="another")])
    assert "one introduction" in " ".join(found(doctored).repeated)


Change = Callable[[list[LogRow]], list[LogRow]]


def changed(topic: str, **fields: Any) -> Change:
    def change(rows: list[LogRow]) -> list[LogRow]:
        index = the(rows, topic)
        return [*rows[:index], edited(rows[index], **fields), *rows[index + 1 :]]

    return change


def without(topic: str) -> Change:
    def change(rows: list[LogRow]) -> list[LogRow]:
        index = the(rows, topic)
        return numbered([*rows[:index], *rows[index + 1 :]])

    return change


def with_a_gap(rows: list[LogRow]) -> list[LogRow]:
    return [*rows[:-1], rows[-1]._replace(position=rows[-1].position + 1)]


def with_a_version_left_out(rows: list[LogRow]) -> list[LogRow]:
    last = max(index for index, row in enumerate(rows) if row.stream_id != PIPELINE)
    left_out = rows[last]._replace(version=rows[last].version + 1)
    return [*rows[:last], left_out, *rows[last + 1 :]]


def with_rubbish(rows: list[LogRow]) -> list[LogRow]:
    return [*rows[:-1], rows[-1]._replace(state=b"no event at all")]


def halted_from_the_start(rows: list[LogRow]) -> list[LogRow]:
    halt = LogRow(0, PIPELINE, 0, "PIPELINE_HALTED", b'{"event_id": "a halt"}')
    return numbered([halt, *rows])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed("TRANSITION_WITNESSED", to_state="JUDGING"), "is no edge of the flow"),
        (changed("TRANSITION_WITNESSED", statement="trust me"), "does not bind"),
        (changed("TRANSITION_WITNESSED", cause={}), "does not bind cause"),
        (changed("BRANCH_COMPLETED", output={"did": "nothing"}), "does not bind covers"),
        (changed("BRANCH_COMPLETED", routing_id="nobody's"), "which is not open"),
        (changed("MOTION_ROUTED", state="JUDGING"), "routed in JUDGING"),
        (without("BRANCH_COMPLETED"), "does not bind version, covers"),
        (with_a_gap, "comes where"),
        (with_a_version_left_out, "comes where version"),
        (with_rubbish, "is no event"),
        (halted_from_the_start, "while the pipeline is halted"),
    ],
)
def test_what_does_not_hold_together_is_unexplained(
    rows: list[LogRow], change: Change, said: str
) -> None:
    assert said in " ".join(found(change(rows)).unexplained)


def test_more_motions_than_places_are_unexplained(rows: list[LogRow]) -> None:
    assert found(rows, places=1).unexplained == []
    assert "1 admitted, 0 places" in " ".join(found(rows, places=0).unexplained)


def test_a_stream_that_was_poisoned_on_purpose_is_followed_up_to_there(rows: list[LogRow]) -> None:
    index = the(rows, "BRANCH_COMPLETED")
    motion = rows[index].stream_id
    spoiled = [*rows]
    spoiled[index] = rows[index]._replace(state=b"no event at all")
    assert found(spoiled).unexplained != []
    check = check_log(spoiled, Ledger(), poisoned={motion})
    assert not check.findings
    assert check.states == {motion: "PLANNING"}


# -- What the program says of the log ----------------------------------------------------------


async def looked_at(address: str, made: dict[str, Any], **more: Any) -> list[str]:
    async with opened(address, settings=SETTINGS, clock=made["clock"]) as played:
        ledger = ledger_of(read_log(address))
        return (await check_store(played.flow, ledger, **more)).lines()


@pytest.fixture
async def store(sqlite_address: str) -> dict[str, Any]:
    """Make an eventful store; some motions wait for branches, as nobody works on them."""
    async with opened(sqlite_address, settings=SETTINGS) as played:
        history: History = await eventful(played)
        await played.orchestrator.get_pipeline_status()
        return {"address": sqlite_address, "history": history, "clock": played.clock}


def tamper(address: str, sql: str) -> None:
    with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as file, file:
        file.execute(sql)


async def test_an_honest_store_says_of_itself_what_its_log_says(store: dict[str, Any]) -> None:
    assert await looked_at(store["address"], store, waits_for=ANYTHING) == []


async def test_a_motion_that_waits_for_what_nobody_will_do_is_stuck(store: dict[str, Any]) -> None:
    lines = await looked_at(store["address"], store)
    stuck = [line for line in lines if "is stuck" in line]
    assert stuck == lines
    assert str(store["history"].executing) in " ".join(stuck)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE motions_1_counters SET amount = amount + 1 WHERE counter = 'blocked'", "blocked"),
        ("DELETE FROM motions_1 WHERE state = 'JUDGING'", "not on the list"),
        ("UPDATE motions_1 SET state = 'PLANNING' WHERE state = 'JUDGING'", "listed in PLANNING"),
        ("UPDATE activity_1_buckets SET amount = amount + 1 WHERE kind = 'completion'", "complet"),
        ("UPDATE head SET admitted = admitted + 1", "the head row says"),
        ("DELETE FROM assignments", "audit: "),
    ],
)
async def test_what_differs_from_the_log_is_unexplained(
    store: dict[str, Any], sql: str, said: str
) -> None:
    tamper(store["address"], sql)
    lines = await looked_at(store["address"], store, waits_for=ANYTHING)
    assert said in " ".join(lines)
    assert all(line.startswith("unexplained: ") for line in lines)


def test_findings_say_which_kind_of_thing_they_are() -> None:
    findings = Findings(lost=["a"])
    assert not Findings()
    findings += Findings(repeated=["b"], unexplained=["c"])
    assert findings
    assert findings.lines() == ["lost: a", "repeated: b", "unexplained: c"]
