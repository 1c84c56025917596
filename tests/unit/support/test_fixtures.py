"""The fixtures other tests stand on keep what they promise."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest

from tests.support import postgres
from tests.support.clock import START, ManualClock


def test_a_manual_clock_moves_only_when_told(clock: ManualClock) -> None:
    assert clock.now() == clock.now() == START
    assert clock.advance(1.5, hours=1) == START + timedelta(hours=1, seconds=1.5)
    assert clock.set_back(1.5) == clock.now() == START + timedelta(hours=1)


def test_a_manual_clock_is_in_utc() -> None:
    local = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert ManualClock(local).now() == datetime(2026, 1, 1, tzinfo=UTC)
    assert ManualClock(local).now().tzinfo is UTC
    with pytest.raises(ValueError, match="aware"):
        ManualClock(local.replace(tzinfo=None))


def test_a_manual_clock_does_not_go_backwards_by_mistake(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


@pytest.mark.postgres
@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_has_a_database_of_its_own(postgres_database: str, attempt: int) -> None:
    with psycopg.connect(postgres_database) as connection:
        # Would fail in the second test if it saw what the first one left.
        connection.execute("CREATE TABLE mine (number int)")


@pytest.mark.postgres
def test_a_database_is_dropped_even_when_somebody_stays_connected(postgres_server: str) -> None:
    with postgres.fresh_database(postgres_server) as address:
        lingering = psycopg.connect(address)
    with pytest.raises(psycopg.OperationalError):
        lingering.execute("SELECT 1")
    lingering.close()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(address)


def test_a_store_address_is_given_for_each_kind(store_address: str, tmp_path: Path) -> None:
    if store_address.startswith("sqlite:///"):
        assert Path(store_address.removeprefix("sqlite:///")).parent == tmp_path
    elif store_address.startswith("postgresql://"):
        with psycopg.connect(store_address) as connection:
            tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            assert connection.execute(tables).fetchone() == (0,)
    else:
        assert store_address == "memory:"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgresql://u:p@h:1/a?sslmode=require", "postgresql://u:p@h:1/b?sslmode=require"),
        ("postgresql://u:@/a?host=/sock", "postgresql://u:@/b?host=/sock"),
        ("postgresql:///a", "postgresql:///b"),
        ("postgresql://h", "postgresql://h/b"),
    ],
)
def test_another_database_on_the_same_server(address: str, expected: str) -> None:
    assert postgres.with_database(address, "b") == expected


def test_a_new_session_removes_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv(postgres.SESSION_VARIABLE, "")
    killed, living, strange = (
        tmp_path / f"governance-flow-tests-{name}" for name in ("killed", "living", "strange")
    )
    for folder, owner in ((killed, str(2**22 + 1)), (living, str(os.getpid())), (strange, "?")):
        folder.mkdir()
        (folder / "owner.pid").write_text(owner)
    session = postgres.begin_session()
    assert os.environ[postgres.SESSION_VARIABLE] == str(session)
    assert not killed.exists()
    assert living.exists()
    assert strange.exists()
    postgres.end_session(session)
    assert not session.exists()
