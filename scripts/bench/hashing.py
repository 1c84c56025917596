"""How fast the bytes of a record are checked: hashing and chain, and nothing else of an audit.

Everything that ``audit verify`` finds out by digests alone is found out here, by reading the log
twice as it does, with its own parts but for following the chain, which needs events there: every
leaf is hashed again out of its row, the tree is built of the leaves, and tiles and
checkpoints are compared with it; and stream by stream each statement must cover the stored bytes
of every event since the one before, and name that one's digest. Not done: verifying the Knight's
signatures, decoding events, and following them.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, cast

from governance_flow.application.audit.key_history import KeyHistory
from governance_flow.application.audit.leaves import statement_in
from governance_flow.application.audit.log_check import LogCheck
from governance_flow.application.audit.pages import pages_by_position, pages_by_stream
from governance_flow.application.ports.audit import AuditLog, StoredRow
from governance_flow.application.process_manager.collecting import collecting_rarely
from governance_flow.bootstrap import Flow
from governance_flow.domain.events import TransitionWitnessed
from governance_flow.domain.witness import STATEMENT_HEADER, digest_of
from governance_flow.infrastructure.log_checkpoints import SqlLogCheckpoints
from projections.log_tree import SqlLogTree
from scripts.bench.child import run_part
from scripts.bench.filling import IN_FLIGHT, FilledStore
from scripts.bench.noop import opened
from scripts.bench.results import Results
from scripts.bench.scale import Scale
from scripts.bench.stores import NAMES

if TYPE_CHECKING:
    from governance_flow.application.audit.faults import Fault
    from governance_flow.infrastructure.database.base import AnyDatabase


_TEXT = r'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"'
_STATEMENT = re.compile(
    rf"""{STATEMENT_HEADER}\n
    {{"actor":{{"authenticated_by":{_TEXT},"id":{_TEXT}}},
    "cause":{{"event_id":(?:null|{_TEXT}),"kind":{_TEXT},"reason":{_TEXT}}},
    "covers":(\[[^]]*\]),
    "from":{_TEXT},
    "motion_id":({_TEXT}),
    "previous_statement":(null|{_TEXT}),
    "timestamp":{_TEXT},
    "to":{_TEXT},
    "until":(?:null|{_TEXT}),
    "version":([0-9]+),
    "witness":{_TEXT}}}\n""".encode(),
    re.VERBOSE,
)
"""What a statement says of the chain: each member in its place and only once, so that nobody can
read it otherwise. Canonical JSON is spelt in this one way."""


class BrokenChain(Exception):
    """A statement does not cover what stands before it."""


class NotInLog(Exception):
    """The events are not those of the audit log."""


def measure(results: Results, scale: Scale, kind: str, filled: dict[int, FilledStore]) -> None:
    """Check the bytes of the middle store.

    What counts is how much of a core this takes: on PostgreSQL the server, which works on another
    core meanwhile, is waited for.
    """
    size = scale.growth_motions[1]
    said = run_part(f"{__name__}:hashed", address=filled[size].address)
    key, store = f"hashing.{kind}", f"{size:,} motions, {NAMES[kind]}"
    title = f"hashing and chain alone, a core, {store}"
    results.add(key, title, "events/s", said["events"] / said["cpu_seconds"])
    title = f"  the same by the clock, {store}"
    results.add(f"{key}.clock", title, "events/s", said["events"] / said["seconds"])


# -- In a process of its own -----------------------------------------------------------------------


async def hashed(address: str) -> dict[str, float]:
    """Check a store; ``cpu_seconds`` is what this process used of a core, in all its threads.

    Cycles are collected rarely meanwhile, as they are while everything is verified.
    """
    async with opened(address, IN_FLIGHT) as flow:
        events = flow.audit.events
        last = (await events.ends()).last_position
        started, cpu_started = time.perf_counter(), time.process_time()
        with collecting_rarely():
            checkpoints = await hash_all(flow, last)
            statements = await follow_chains(events, last)
        return {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu_started,
            "events": last,
            "statements": statements,
            "checkpoints": checkpoints,
        }


async def hash_all(flow: Flow, last_position: int) -> int:
    """Hold every leaf, tile and checkpoint against the events; return how many checkpoints.

    Raises NotInLog.
    """
    events, database = flow.audit.events, cast("AnyDatabase", flow.database)
    keys = await KeyHistory.read(events, flow.mapper, up_to_position=last_position)
    check = LogCheck(SqlLogTree(database), SqlLogCheckpoints(database), keys.log_key)
    await check.start()
    faults: list[Fault] = []
    async for page in pages_by_position(events, up_to_position=last_position):
        faults += await check.add(page)
    faults += await check.finish(last_position)
    if faults or check.unlogged:
        raise NotInLog("; ".join(map(str, faults[:3])) or f"{check.unlogged} events")
    return check.checkpoints


async def follow_chains(log: AuditLog, last_position: int) -> int:
    """Hold every statement against the bytes it covers; return how many. Raises BrokenChain."""
    statements = 0
    stream_id, previous = "", "null"
    covers: list[str] = []
    async for page in pages_by_stream(log, up_to_position=last_position):
        for row in page:
            _, motion_id, version, topic, state, _ = row
            if motion_id != stream_id:
                stream_id, previous = motion_id, "null"
                covers = []
            if topic == TransitionWitnessed.topic:
                statements += 1
                previous = _linked(row, covers, previous)
                covers = []
            covers.append(f'{{"sha256":"{digest_of(state)}","version":{version}}}')
    return statements


def _linked(row: StoredRow, covers: list[str], previous: str) -> str:
    """Return what the next statement must say of this one.

    Raises BrokenChain unless it is spelt as statements are and says all that it must, itself.
    """
    statement = statement_in(row.state)
    said = _STATEMENT.match(statement) if statement is not None else None
    expected = f"[{','.join(covers)}]", f'"{row.stream_id}"', previous, str(row.version)
    if statement is None or said is None or tuple(map(bytes.decode, said.groups())) != expected:
        raise BrokenChain(f"position {row.position}: {statement!r}")
    return f'"{digest_of(statement)}"'
