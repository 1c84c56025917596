"""An honest store of each kind, made once, and a copy of it for each test to tamper with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import postgres
from tests.support.tampering import Forger, Original, make_original


@pytest.fixture(
    scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def original(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Original]:
    """Return the honest store, once for each kind that outlives its process."""
    folder = tmp_path_factory.mktemp("original")
    address = f"sqlite:///{folder / 'flow.db'}"
    with ExitStack() as stack:
        if request.param == "postgresql":
            server = request.getfixturevalue("postgres_server")
            address = stack.enter_context(postgres.fresh_database(server))
        yield asyncio.run(make_original(address, folder / "keys"))


@pytest.fixture
def forger(original: Original, tmp_path: Path) -> Iterator[Forger]:
    """Return a copy of the honest store, its guards taken away."""
    with original.copied(tmp_path / "copy") as copy:
        yield copy
