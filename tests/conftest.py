"""Fixtures that every kind of test may use: the stores, a clock, and how properties are tried."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.support import postgres
from tests.support.clock import ManualClock

_session_folder = pytest.StashKey[Path]()

# A slow machine is no failure, and a build tries the same examples every time.
hypothesis_settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.register_profile(
    "ci", hypothesis_settings.get_profile("default"), derandomize=True, print_blob=True
)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_configure(config: pytest.Config) -> None:
    # The workers of pytest-xdist inherit the folder from the process that leads them.
    if not hasattr(config, "workerinput"):
        config.stash[_session_folder] = folder = postgres.begin_session()
        # Private keys of stores in PostgreSQL would go to the home of whoever runs the tests.
        os.environ["XDG_DATA_HOME"] = str(folder / "data")


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = config.stash.get(_session_folder, None)
    if folder is not None:
        postgres.end_session(folder)


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock at noon of a fixed day, moved by hand."""
    return ManualClock()


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """Return the address of a running PostgreSQL server, shared by all workers."""
    return postgres.server_address()


@pytest.fixture
def postgres_database(postgres_server: str) -> Iterator[str]:
    """Return the address of an empty database that only this test uses."""
    with postgres.fresh_database(postgres_server) as address:
        yield address


@pytest.fixture
def sqlite_address(tmp_path: Path) -> str:
    """Return the address of a SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path / 'flow.db'}"


@pytest.fixture(
    params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
)
def store_address(request: pytest.FixtureRequest) -> str:
    """Return the address of an empty store, once for each kind there is."""
    fixture = {"sqlite": "sqlite_address", "postgresql": "postgres_database"}.get(request.param)
    return "memory:" if fixture is None else str(request.getfixturevalue(fixture))
