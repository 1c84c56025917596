"""Writing transactions that wait for the same writer share a commit, and nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from governance_flow.domain.errors import StoreUnavailable
from governance_flow.infrastructure.database.base import StoreTransaction
from governance_flow.infrastructure.database.errors import (
    CommitOutcomeUnknown,
    ConstraintViolated,
)
from governance_flow.infrastructure.database.hints import Channel
from governance_flow.infrastructure.database.shared_commits import TOGETHER_MAX
from governance_flow.infrastructure.database.sqlite import SqliteDatabase, SqliteTransaction
from tests.support.clock import ManualClock


class Notes:
    """A database with one table, and a writer that can be held up."""

    def __init__(self, path: Path) -> None:
        self.database = SqliteDatabase(path, clock=ManualClock())
        self.commits = 0
        self.gate = Event()
        self.gate.set()

    def put(self, *texts: str) -> Callable[[StoreTransaction], list[str]]:
        def work(tx: StoreTransaction) -> list[str]:
            for text in texts:
                tx.execute("INSERT INTO notes VALUES (:text)", {"text": text})
            return list(texts)

        return work

    async def hold_the_writer(self) -> asyncio.Task[Any]:
        """Let whatever is written next wait behind something that is under way."""
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.gate.clear()

        def work(tx: StoreTransaction) -> None:
            loop.call_soon_threadsafe(begun.set)
            assert self.gate.wait(10)

        held = asyncio.create_task(self.database.write(work))
        await begun.wait()
        return held

    async def together(self, *works: Callable[[StoreTransaction], Any]) -> list[Any]:
        """Write all of it while the writer is held up; return what each came to."""
        held = await self.hold_the_writer()
        tasks = [asyncio.create_task(self.database.write(work)) for work in works]
        await asyncio.sleep(0)
        self.commits = 0
        self.gate.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        await held
        return answers

    async def all(self) -> list[str]:
        rows = await self.database.read(lambda tx: tx.execute("SELECT text FROM notes"))
        return [text for (text,) in rows]


@pytest.fixture
async def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Notes]:
    notes = Notes(tmp_path / "notes.db")
    notes.database.write_now(lambda tx: tx.execute("CREATE TABLE notes (text TEXT UNIQUE)"))
    commit = SqliteTransaction.commit

    def counted(tx: SqliteTransaction) -> None:
        notes.commits += 1
        commit(tx)

    monkeypatch.setattr(SqliteTransaction, "commit", counted)
    yield notes
    notes.gate.set()
    await notes.database.close()


async def test_what_waits_for_the_writer_shares_a_commit(notes: Notes) -> None:
    answers = await notes.together(*(notes.put(str(number)) for number in range(20)))
    assert answers == [[str(number)] for number in range(20)]
    assert await notes.all() == [str(number) for number in range(20)]
    assert notes.commits == 2, "one for what held the writer up, one for all of these"


async def test_no_more_share_a_commit_than_may(notes: Notes) -> None:
    many = 2 * TOGETHER_MAX + 1
    await notes.together(*(notes.put(str(number)) for number in range(many)))
    assert len(await notes.all()) == many
    assert notes.commits == 4


async def test_one_that_fails_fails_alone_and_with_its_own_error(notes: Notes) -> None:
    def mistaken(tx: StoreTransaction) -> None:
        notes.put("never")(tx)
        raise LookupError("mistaken")

    first, wrong, twice, last = await notes.together(
        notes.put("a"), mistaken, notes.put("b", "b"), notes.put("c")
    )
    assert (first, last) == (["a"], ["c"])
    assert isinstance(wrong, LookupError)
    assert isinstance(twice, ConstraintViolated)
    assert await notes.all() == ["a", "c"]


async def test_only_what_was_committed_is_announced(notes: Notes) -> None:
    def announcing(number: int, *, fails: bool) -> Callable[[StoreTransaction], None]:
        def work(tx: StoreTransaction) -> None:
            tx.announce(Channel.EVENTS, number)
            if fails:
                raise LookupError

        return work

    await notes.together(announcing(3, fails=False), announcing(9, fails=True))
    assert notes.database.hints.latest(Channel.EVENTS) == 3


async def test_nothing_begins_that_was_cancelled_while_it_waited(notes: Notes) -> None:
    held = await notes.hold_the_writer()
    cancelled = asyncio.create_task(notes.database.write(notes.put("cancelled")))
    kept = asyncio.create_task(notes.database.write(notes.put("kept")))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.sleep(0)
    notes.gate.set()
    await asyncio.gather(held, kept)
    assert await notes.all() == ["kept"]


async def test_whoever_shares_a_commit_of_which_nobody_knows_what_became_is_told_so(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = SqliteTransaction.commit

    def lost(tx: SqliteTransaction) -> None:
        commit(tx)
        if notes.gate.is_set() and notes.commits > 1:
            raise CommitOutcomeUnknown("the disk went away", where="notes")

    monkeypatch.setattr(SqliteTransaction, "commit", lost)
    answers = await notes.together(notes.put("a"), notes.put("b"))
    assert [type(answer) for answer in answers] == [CommitOutcomeUnknown] * 2
    assert answers[0] is not answers[1]
    assert await notes.all() == ["a", "b"], "nothing was done twice"


async def test_a_disk_that_fills_up_is_told_to_whom_it_concerns(notes: Notes) -> None:
    def fill(tx: StoreTransaction) -> None:
        [(pages,)] = tx.execute("PRAGMA page_count")
        tx.execute(f"PRAGMA max_page_count = {pages}")
        tx.execute("INSERT INTO notes VALUES (:text)", {"text": "x" * 100_000})

    small, large = await notes.together(notes.put("small"), fill)
    assert small == ["small"]
    assert isinstance(large, Exception)
    assert not isinstance(large, sqlite3.Error)
    assert await notes.all() == ["small"]


async def test_a_row_is_looked_up_without_a_thread_unless_the_file_is_locked(
    notes: Notes, tmp_path: Path
) -> None:
    threads: list[str] = []

    def look(tx: StoreTransaction) -> int:
        [(count,)] = tx.execute("SELECT count(*) FROM notes")
        threads.append(threading.current_thread().name)
        return int(count)

    await notes.database.write(notes.put("a"))
    assert await notes.database.read_row(look) == 1

    other = sqlite3.connect(tmp_path / "notes.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")  # In a file without a write-ahead log nobody can read then.
    waiting = asyncio.create_task(notes.database.read_row(look))
    await asyncio.sleep(0)
    assert not waiting.done()
    other.execute("COMMIT")
    assert await waiting == 1
    other.close()
    assert threads[0] == threading.main_thread().name
    assert threads[1].startswith("store-read")


async def test_a_closed_database_takes_nothing_more(notes: Notes) -> None:
    await notes.database.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await notes.database.write(notes.put("late"))
