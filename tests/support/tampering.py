"""A finished store, copied as often as wanted, in the hands of a superuser of its database.

The superuser takes the triggers away and writes what he likes. He cannot reach the folder with the
private keys, unless a test says that he stole them.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    closing,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg

from governance_flow.application.audit.expected import NOTHING, Expected
from governance_flow.application.audit.faults import AuditReport
from governance_flow.application.ports.event_store import StoredEvent
from governance_flow.bootstrap import open_flow
from governance_flow.domain.events import ProposedTransition, TransitionWitnessed
from governance_flow.domain.keys import KeyRole
from governance_flow.domain.states import GovernanceState
from governance_flow.domain.witness import WitnessChain, WitnessStatement
from governance_flow.infrastructure.mapper import JsonEventMapper
from governance_flow.transparency.keys import Ed25519Signer
from governance_flow.transparency.notes import sign_note
from tests.support import postgres
from tests.support.clock import ManualClock
from tests.support.flows import PlayedFlow, Postbox, ScriptedKnight, cast
from tests.support.histories import SETTINGS, History, eventful
from tests.support.motions import INTRODUCER

MAPPER = JsonEventMapper()

GUARDED = {"events": "events_append_only", "log_checkpoints": "log_checkpoints_kept"}
"""The tables that triggers guard, and how those are called."""

KEPT = "kept.txt"
"""What auditors call the checkpoint that they kept."""


class Row(NamedTuple):
    """A row of the table of events."""

    position: int
    stream_id: str
    stream_version: int
    topic: str
    state: bytes
    committed_at_us: int

    @property
    def event(self) -> dict[str, Any]:
        """What the event says."""
        return dict(json.loads(self.state))

    @property
    def stored(self) -> StoredEvent:
        """The row as the rest of the program knows it."""
        return StoredEvent(UUID(self.stream_id), self.stream_version, self.topic, self.state)

    def saying(self, **said: object) -> Row:
        """Return the row with an event that says something else."""
        text = json.dumps({**self.event, **said}, separators=(",", ":"), ensure_ascii=False)
        return self._replace(state=text.encode())


@dataclass(frozen=True)
class Original:
    """An honest store that nobody writes to any more.

    ``early`` and ``late`` are checkpoints that were signed on the way and kept elsewhere. What
    was recorded after the late one stands in the log's tiles, but under no checkpoint.
    """

    address: str
    keys: Path
    made: History
    first: UUID
    last: UUID
    early: str
    late: str
    now: datetime

    @property
    def on_postgres(self) -> bool:
        """Whether it is a database on a server, and not a file."""
        return self.address.startswith("postgres")

    @contextmanager
    def copied(self, folder: Path, keys: Path | None = None) -> Iterator[Forger]:
        """Copy the store and the folder of its keys, for a superuser to deal with."""
        folder.mkdir(exist_ok=True)
        if keys is None:
            keys = folder / "keys"
            shutil.copytree(self.keys, keys)
        if self.on_postgres:
            with _copied_database(self.address) as address:
                yield Forger(self, address, keys)
        else:
            shutil.copy(self.address.removeprefix("sqlite:///"), folder / "flow.db")
            yield Forger(self, f"sqlite:///{folder / 'flow.db'}", keys)


async def make_original(address: str, keys: Path) -> Original:
    """Make the honest store."""
    clock = ManualClock()
    ids = count(1)
    async with _opened(
        address,
        keys,
        clock,
        # In this order the streams are read, so that the same fault comes first every time.
        new_id=lambda: UUID(int=next(ids)),
    ) as played:
        first = await played.reach(GovernanceState.ACKNOWLEDGED)
        early = await signed_now(played)
        made = await eventful(played)
        late = await signed_now(played)
        clock.advance(5)
        last = await played.introduce("The last one")
        clock.advance(5)
        await played.orchestrator.withdraw_motion(last, INTRODUCER)
        report = await played.flow.audit.auditor.verify()
        assert [str(fault) for fault in report.faults] == []
    if address.startswith("sqlite"):
        with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    return Original(address, keys, made, first, last, early, late, clock.now())


@asynccontextmanager
async def _opened(
    address: str, keys: Path, clock: ManualClock, **more: Any
) -> AsyncIterator[PlayedFlow]:
    """Open a store with the keys in a folder, where it is also remembered what they signed."""
    knight = ScriptedKnight()
    async with open_flow(
        address,
        config=SETTINGS,
        branches=cast(),
        knight=knight,
        alert_sinks=more.pop("sinks", [Postbox()]),
        clock=clock,
        environ={"GOVERNANCE_FLOW_KEYS": str(keys)},
        **more,
    ) as flow:
        yield PlayedFlow(flow, clock, knight)


async def signed_now(played: PlayedFlow) -> str:
    """Sign a checkpoint over everything there is; return its note."""
    return (await played.flow.audit.proofs.latest()).checkpoint.note


@contextmanager
def _copied_database(address: str) -> Iterator[str]:
    """Copy a database to which nobody is connected; the copy is dropped at the end."""
    name = f"copy_{uuid4().hex}"
    source = urlsplit(address).path.removeprefix("/")
    with psycopg.connect(postgres.with_database(address, "postgres"), autocommit=True) as server:
        # Both names are ours, so they need no quoting; parameters are not allowed here.
        server.execute(f"CREATE DATABASE {name} TEMPLATE {source}".encode())
        try:
            yield postgres.with_database(address, name)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


class Forger:
    """A copy of the store without its guards, and what is done to it by plain SQL."""

    def __init__(self, original: Original, address: str, keys: Path) -> None:
        self.original = original
        self.made = original.made
        self.address = address
        self.keys = keys
        self.on_postgres = original.on_postgres
        for table, trigger in GUARDED.items():
            if self.on_postgres:
                self.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
            else:
                self.execute(f"DROP TRIGGER {trigger}_update")
                self.execute(f"DROP TRIGGER {trigger}_delete")

    # -- Plain SQL

    def execute(self, sql: str, *params: object) -> list[Any]:
        """Execute a statement, with a question mark for each parameter, and return its rows."""
        if self.on_postgres:
            text = sql.replace("%", "%%").replace("?", "%s")
            with psycopg.connect(self.address) as connection:
                cursor = connection.execute(text.encode(), params)
                return cursor.fetchall() if cursor.description else []
        path = self.address.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path)) as file, file:
            # Whatever stands in a text is given as it is, no text at all included.
            file.text_factory = lambda data: data.decode(errors="surrogateescape")
            return file.execute(sql, params).fetchall()

    def rows(self, where: str = "TRUE", *params: object) -> list[Row]:
        """Return rows of events in order of position."""
        found = self.execute(
            "SELECT position, stream_id, stream_version, topic, state, committed_at_us"
            f" FROM events WHERE {where} ORDER BY position",
            *params,
        )
        return [Row(row[0], str(row[1]), *row[2:]) for row in found]

    def row(self, position: int) -> Row:
        """Return the event at a position."""
        [row] = self.rows("position = ?", position)
        return row

    def stream(self, stream_id: UUID) -> list[Row]:
        """Return the events of a stream in order."""
        return self.rows("stream_id = ?", str(stream_id))

    def of_topic(self, topic: str) -> list[Row]:
        """Return the events of a kind."""
        return self.rows("topic = ?", topic)

    @property
    def last(self) -> int:
        """The position of the last event."""
        [(position,)] = self.execute("SELECT max(position) FROM events")
        return int(position)

    def change(self, at: int, **columns: object) -> None:
        """Change columns of the event at a position."""
        settings = ", ".join(f"{column} = ?" for column in columns)
        self.execute(f"UPDATE events SET {settings} WHERE position = ?", *columns.values(), at)

    def put(self, row: Row) -> None:
        """Write the columns of the event that stands at the row's position."""
        self.change(row.position, **row._asdict())

    def insert(self, row: Row) -> None:
        """Add an event, wherever it says that it stands."""
        self.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", *row)

    def delete(self, *positions: int) -> None:
        """Delete events; their places stay empty."""
        for position in positions:
            self.execute("DELETE FROM events WHERE position = ?", position)

    def swap(self, one: int, other: int, *columns: str) -> None:
        """Let two events change places, or only some of their columns."""
        first, second = self.row(one), self.row(other)
        taken = columns or ("stream_id", "stream_version", "topic", "state")
        # No two rows may have one place in a stream, not even meanwhile.
        self.change(one, stream_version=-1)
        self.change(other, stream_version=-2)
        self.put(second._replace(**{name: getattr(first, name) for name in taken}))
        self.put(first._replace(**{name: getattr(second, name) for name in taken}))

    # -- What a careful forger sees to

    def close_up(self) -> None:
        """Make the positions dense again, and the head go with them."""
        for position, row in enumerate(self.rows(), 1):
            if row.position != position:
                self.change(row.position, position=position)
        self.set_head()

    def make_room(self, position: int) -> None:
        """Move everything from a position on by one place."""
        for row in reversed(self.rows("position >= ?", position)):
            self.change(row.position, position=row.position + 1)

    def close_versions(self, stream_id: str) -> None:
        """Make the versions of a stream dense again."""
        for version, row in enumerate(self.rows("stream_id = ?", stream_id), 1):
            self.change(row.position, stream_version=version)

    def set_head(self, **columns: object) -> None:
        """Let the head say where the log ends, and whatever else it is told to say."""
        end = self.row(self.last)
        columns = {"position": end.position, "committed_at_us": end.committed_at_us, **columns}
        settings = ", ".join(f"{column} = ?" for column in columns)
        self.execute(f"UPDATE head SET {settings}", *columns.values())

    def table(self, name: str, suffix: str = "") -> str:
        """Return the table of the live generation of a projection."""
        [(generation,)] = self.execute(
            "SELECT generation FROM projections WHERE live AND name = ?", name
        )
        prefix = "log_tiles" if name == "log" else name
        return f"{prefix}_{generation}{suffix}"

    async def rebuild(self, *names: str) -> None:
        """Build projections anew from the events as they are now: all of them by default."""
        # Where events were cut off, what was built from them must not have come further.
        self.execute("UPDATE projections SET position = ? WHERE position > ?", self.last, self.last)
        async with self.opened() as played:
            for name in names or ("motions", "activity", "search", "log"):
                await played.flow.rebuilder.rebuild(name)

    def forget_promises(self) -> None:
        """Delete every checkpoint that stands in the store."""
        self.execute("DELETE FROM log_checkpoints")

    # -- Who stole the keys

    def stolen(self, role: KeyRole) -> Ed25519Signer:
        """Return the private key of a role."""
        return Ed25519Signer.parse((self.keys / f"{role}.key").read_text().strip())

    def forget_what_was_signed(self) -> None:
        """Remove the checkpoint that is remembered beside the log's key."""
        with suppress(FileNotFoundError):
            (self.keys / "log.signed").unlink()

    def witnessed_again(
        self, motion_id: UUID, altered: Callable[[Row], Row], knight: Ed25519Signer | None = None
    ) -> list[Row]:
        """Return a motion's events, altered, every statement signed anew as it must be then.

        The Knight's stolen key signs unless another is given.
        """
        chain = WitnessChain()
        forged = []
        for row in map(altered, self.stream(motion_id)):
            event = MAPPER.to_event(row.stored)
            version = row.stream_version
            if isinstance(event, TransitionWitnessed):
                proposed = {f.name: getattr(event, f.name) for f in fields(ProposedTransition)}
                request = chain.request(motion_id, version, ProposedTransition(**proposed))
                witness = WitnessStatement(event.statement).body()["witness"]
                text = WitnessStatement.about(request, witness).text
                statement = sign_note(text, [knight or self.stolen(KeyRole.KNIGHT)])
                forged.append(row.saying(statement=statement))
                chain = chain.with_statement(version, forged[-1].state, statement)
            else:
                forged.append(row)
                chain = chain.with_event(version, row.state)
        return forged

    def motions(self) -> list[UUID]:
        """Return the id of every motion."""
        return [UUID(row.stream_id) for row in self.of_topic("MOTION_INTRODUCED")]

    # -- The program

    def opened(
        self, now: datetime | None = None, **more: Any
    ) -> AbstractAsyncContextManager[PlayedFlow]:
        """Open the store with the program, and with the keys that lie in the folder."""
        clock = ManualClock(now or self.original.now)
        return _opened(self.address, self.keys, clock, **more)

    async def verify(self, expected: Expected = NOTHING) -> AuditReport:
        """Verify the store."""
        async with self.opened() as played:
            return await played.flow.audit.auditor.verify(expected=expected)

    async def verify_with(self, *notes: str) -> AuditReport:
        """Verify the store against checkpoints that were kept elsewhere."""
        return await self.verify(Expected(checkpoints=[(KEPT, note) for note in notes]))
