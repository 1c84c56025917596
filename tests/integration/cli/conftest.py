"""A command line on a new SQLite store."""

from __future__ import annotations

import pytest

from tests.support.cli import Cli


@pytest.fixture
def cli(sqlite_address: str) -> Cli:
    """Return the command line on a store that is not there yet."""
    return Cli(sqlite_address)
