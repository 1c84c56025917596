"""Fixtures for branch services over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.http_server import Server, running_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Return a server on the loopback, reached directly whatever proxy the machine has."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_server() as server:
        yield server
