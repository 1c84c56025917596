"""A PostgreSQL server of one test's own, to be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import postgres

PATIENCE_SECONDS = 60.0


class PrivatePostgres:
    """A running server, and what may happen to it."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.address: str = server.get_uri()

    def crash(self) -> None:
        """End it at once, in the middle of whatever it does, as ``pg_ctl stop -m immediate``."""
        process = self._server.get_postmaster_info().process
        os.kill(process.pid, signal.SIGQUIT)
        process.wait(PATIENCE_SECONDS)

    def start(self) -> None:
        """Start it again; it recovers what was committed."""
        self._server.ensure_postgres_running()


@contextmanager
def private_postgres() -> Iterator[PrivatePostgres]:
    """Start a server; stop it and remove it with the block."""
    folder = Path(tempfile.mkdtemp(prefix="governance-flow-private-"))
    try:
        server = postgres._start(folder)
        try:
            yield PrivatePostgres(server)
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
