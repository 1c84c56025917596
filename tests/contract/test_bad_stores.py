"""Stores that cannot be used: each is refused with its own error, and left as it was."""

from __future__ import annotations

import ctypes
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from governance_flow.domain.errors import (
    InvalidInput,
    NotOurStore,
    StoreCorrupt,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreTooNew,
    StoreUnavailable,
)
from governance_flow.infrastructure.database.migrations import migrations
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.recorder import SqlRecorder
from tests.support.appends import an_append


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flow.db"


@pytest.fixture
def used(path: Path) -> Path:
    """Return the path of a store with a few hundred events in it."""
    database = open_database(f"sqlite:///{path}")
    SqlRecorder(database).commit_group([an_append(events=5) for _ in range(100)])
    database.close_now()
    return path


# --- addresses


@pytest.mark.parametrize(
    "address",
    [
        "",
        "memory",
        "flow.db",
        "mysql://localhost/flow",
        "sqlite://",
        "sqlite:///",
        "sqlite://flow.db",
        "sqlite:///:memory:",
        "sqlite:///flow.db?cache=shared",
    ],
)
def test_an_address_that_is_none_is_refused_with_the_forms_there_are(address: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_database(address)
    for form in ("memory:", "sqlite:///", "postgresql://"):
        assert form in caught.value.message


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:s3cret@[half/flow",
        "postgresql://user:s3cret@host/flow?no_such_setting=1",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(address: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_database(address)
    assert "s3cret" not in caught.value.message


def test_a_relative_and_an_absolute_path_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for address in ("sqlite:///relative.db", f"sqlite:///{tmp_path / 'absolute.db'}"):
        open_database(address).close_now()
    assert {"relative.db", "absolute.db"} <= {found.name for found in tmp_path.iterdir()}


# --- SQLite


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"folder .*nowhere does not exist"):
        open_database(f"sqlite:///{tmp_path}/nowhere/flow.db")


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="is a folder"):
        open_database(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize("statement", ["CREATE TABLE guests (name)", "PRAGMA application_id = 7"])
def test_somebody_else_s_file_is_refused_and_not_touched(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NotOurStore):
        open_database(f"sqlite:///{path}")
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["flow.db"]


def test_a_file_that_is_no_database_is_refused_and_not_touched(path: Path) -> None:
    path.write_text("The minutes of the last meeting.\n" * 100)
    before = path.read_bytes()
    with pytest.raises(NotOurStore, match="not an SQLite database"):
        open_database(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    database = open_database(f"sqlite:///{path}")
    SqlRecorder(database).commit_group([an_append()])
    database.close_now()


def test_a_damaged_file_is_reported_as_such(used: Path) -> None:
    content = bytearray(used.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    content[10 * page :] = b"\xff" * (len(content) - 10 * page)
    used.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="restore it from a backup"):
        read_everything(used)


def read_everything(path: Path) -> None:
    database = open_database(f"sqlite:///{path}")
    try:
        database.read_now(lambda tx: tx.execute("SELECT * FROM events"))
    finally:
        database.close_now()


def test_a_locked_file_is_reported_after_the_busy_timeout(used: Path) -> None:
    database = open_database(f"sqlite:///{used}", busy_seconds=0.05)
    recorder = SqlRecorder(database, settle_seconds=0)
    other = sqlite3.connect(used, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreLocked, match="another process"):
        recorder.commit_group([an_append()])
    assert recorder.max_notification_id() == 500  # readers are not kept out
    other.execute("ROLLBACK")
    recorder.commit_group([an_append()])
    other.close()
    database.close_now()


def test_a_store_locked_while_it_is_opened_is_reported(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreLocked):
        open_database(f"sqlite:///{path}", busy_seconds=0.05)
    other.close()
    open_database(f"sqlite:///{path}").close_now()


def test_a_store_that_cannot_switch_to_its_log_is_locked(used: Path) -> None:
    other = sqlite3.connect(used, isolation_level=None)
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN")
    other.execute("SELECT * FROM head")
    with pytest.raises(StoreLocked):
        open_database(f"sqlite:///{used}", busy_seconds=0.05)
    other.close()
    open_database(f"sqlite:///{used}").close_now()
    after = sqlite3.connect(used)
    assert after.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    after.close()


def test_an_sqlite_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 9))
    with pytest.raises(StoreUnavailable, match=r"too old; 3\.37\.0"):
        open_database("memory:")


def test_a_store_opened_for_reading_takes_no_appends(used: Path) -> None:
    database = open_database(f"sqlite:///{used}?mode=ro")
    recorder = SqlRecorder(database)
    assert recorder.max_notification_id() == 500
    with pytest.raises(StoreReadOnly, match="mode=ro"):
        recorder.commit_group([an_append()])
    database.close_now()


def test_reading_only_makes_no_store(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no such file"):
        open_database(f"sqlite:///{path}?mode=ro")
    assert not path.exists()


def test_an_older_store_is_not_migrated_by_a_reader(path: Path) -> None:
    open_database(f"sqlite:///{path}", steps=migrations("sqlite")[:1]).close_now()
    with pytest.raises(StoreReadOnly, match="open it once for writing"):
        open_database(f"sqlite:///{path}?mode=ro")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Touch files without root's privileges (in this thread), as tests often run as root."""
    if os.geteuid() != 0:
        yield
        return
    setfsuid = ctypes.CDLL(None).setfsuid
    setfsuid(65534)
    try:
        yield
    finally:
        setfsuid(0)


@pytest.fixture
def readable_folder() -> Iterator[Path]:
    """Return a folder everybody may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="gf-store-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@pytest.mark.skipif(sys.platform != "linux", reason="setfsuid is Linux's own")
def test_a_file_without_write_permission_can_be_read_and_not_written(
    readable_folder: Path,
) -> None:
    path = readable_folder / "flow.db"
    keeper = open_database(f"sqlite:///{path}")  # keeps the -wal and -shm files in place
    SqlRecorder(keeper).commit_group([an_append()])
    for file in readable_folder.iterdir():
        file.chmod(0o444)
    readable_folder.chmod(0o555)
    with as_nobody():
        database = open_database(f"sqlite:///{path}", busy_seconds=0.05)
        recorder = SqlRecorder(database)
        assert recorder.max_notification_id() == 1
        with pytest.raises(StoreReadOnly, match="permissions"):
            recorder.commit_group([an_append()])
    database.close_now()
    keeper.close_now()


@pytest.mark.skipif(sys.platform != "linux", reason="setfsuid is Linux's own")
def test_a_folder_without_write_permission_holds_no_new_store(readable_folder: Path) -> None:
    readable_folder.chmod(0o555)
    with as_nobody(), pytest.raises(StoreUnavailable, match="cannot be opened"):
        open_database(f"sqlite:///{readable_folder / 'flow.db'}")


def test_a_full_disk_loses_nothing_and_is_usable_again_with_room(used: Path) -> None:
    database = open_database(f"sqlite:///{used}")
    recorder = SqlRecorder(database)
    with database._writers.borrow() as connection:
        [(pages,)] = connection.execute("PRAGMA page_count")
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull, match="make room"):
        recorder.commit_group([an_append(state=b"x" * 100_000) for _ in range(10)])
    assert recorder.max_notification_id() == 500
    with database._writers.borrow() as connection:
        connection.execute(f"PRAGMA max_page_count = {2 * pages + 500}")
    recorder.commit_group([an_append(state=b"x" * 100_000)])
    assert recorder.max_notification_id() == 501
    database.close_now()


_FILLS_ITS_QUOTA = """
import resource, signal, sys
from governance_flow.domain.errors import StoreError
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.recorder import SqlRecorder
from tests.support.appends import an_append

database = open_database(sys.argv[1])
recorder = SqlRecorder(database, settle_seconds=1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
acknowledged = 0
try:
    for _ in range(1000):
        recorder.commit_group([an_append(state=b"x" * 10_000)])
        acknowledged += 1
except StoreError as error:
    print(acknowledged, type(error).__name__)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on file size")
def test_a_quota_that_is_used_up_loses_nothing_that_was_acknowledged(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FILLS_ITS_QUOTA, f"sqlite:///{path}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    acknowledged, error = done.stdout.split()
    assert error in ("StoreFull", "StoreUnavailable")
    assert int(acknowledged) > 3
    database = open_database(f"sqlite:///{path}")
    log = SqlRecorder(database).select_notifications(None, 2000)
    assert [event.id for event in log] == list(range(1, int(acknowledged) + 1))
    database.close_now()


# --- versions, in both databases


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def address(request: pytest.FixtureRequest) -> str:
    fixtures = {"sqlite": "sqlite_address", "postgresql": "postgres_database"}
    return str(request.getfixturevalue(fixtures[request.param]))


def test_an_older_store_is_migrated_with_all_that_is_in_it(address: str) -> None:
    steps = migrations("sqlite" if address.startswith("sqlite") else "postgres")
    old = open_database(address, steps=steps[:1])
    [event] = an_append().events
    columns = "position, stream_id, stream_version, topic, state, committed_at_us"
    values = {"id": str(event.originator_id), "topic": event.topic, "state": event.state}
    # By hand: what appends now also looks at tables that are not there yet.
    if old.dialect == "postgres":
        values_sql = "1, %(id)s, 1, %(topic)s, %(state)s, 0"
    else:
        values_sql = "1, :id, 1, :topic, :state, 0"
    old.write_now(
        lambda tx: tx.execute(f"INSERT INTO events ({columns}) VALUES ({values_sql})", values)
    )
    old.write_now(lambda tx: tx.execute("UPDATE head SET position = 1"))
    old.close_now()
    new = open_database(address)
    [stored] = SqlRecorder(new).select_notifications(None, 10)
    assert (stored.id, stored.originator_id, stored.state) == (1, event.originator_id, event.state)
    rows = new.read_now(lambda tx: tx.execute("SELECT version, name FROM governance_flow_schema"))
    assert rows == [(step.version, step.name) for step in steps]
    assert new.read_now(lambda tx: tx.execute("SELECT count(*) FROM assignments")) == [(0,)]
    new.close_now()


def test_opening_a_store_again_changes_nothing(address: str) -> None:
    for _ in range(2):
        database = open_database(address)
        rows = database.read_now(lambda tx: tx.execute("SELECT * FROM governance_flow_schema"))
        database.close_now()
        assert len(rows) == len(migrations(database.dialect))


def test_a_newer_store_is_refused(address: str) -> None:
    database = open_database(address)
    database.write_now(
        lambda tx: tx.execute("INSERT INTO governance_flow_schema VALUES (99, '0099_new', 0)")
    )
    database.close_now()
    with pytest.raises(StoreTooNew, match="upgrade") as caught:
        open_database(address)
    assert caught.value.stored_version == 99
    assert caught.value.known_version == len(migrations(database.dialect))
