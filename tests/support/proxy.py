"""A proxy between psycopg and PostgreSQL that breaks connections at a chosen moment.

It listens on a Unix socket, as the test server does. A fault is armed for the next connection that
sends COMMIT, or other words; everything else passes through.
"""

from __future__ import annotations

import socket
import tempfile
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from threading import Event, Thread
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

CHUNK_BYTES = 65536
COMMIT = b"COMMIT\x00"
"""A client asks for it and a server reports it in the same words (BEGIN ... READ COMMITTED does
not end there)."""


Words = tuple[bytes, bytes]
"""What a client asks with, and what the server then reports."""

AT_COMMIT: Words = (COMMIT, COMMIT)
AT_ONCE: Words = (b"UPDATE head", b"SELECT 1\x00")
"""An append that is committed by its only statement."""


class Fault(Enum):
    """What happens to the connection that asks for COMMIT next."""

    LOSE_REQUEST = auto()
    """It is cut before the server hears of it."""
    LOSE_REPLY = auto()
    """The server commits; the connection is cut before the client hears of it."""
    DIE = auto()
    """The server commits, and then nothing gets through to it any more, ever."""
    DELAY_REQUEST = auto()
    """The client's side is cut; the server hears of it when the test says so."""
    FREEZE = auto()
    """Nothing passes any more, in either direction, but nothing is closed."""


class Proxy:
    """Passes on what is sent to ``address`` to the server behind it."""

    def __init__(self, server_address: str) -> None:
        self._server = conninfo_to_dict(server_address)
        self._folder = tempfile.TemporaryDirectory(prefix="gf-proxy-")
        self.address = make_conninfo(server_address, host=self._folder.name, port="5432")
        # An address for people: make_conninfo writes key=value pairs.
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(Path(self._folder.name) / ".s.PGSQL.5432"))
        self._listener.listen()
        self._fault: Fault | None = None
        self.words = AT_COMMIT
        self._sockets: list[socket.socket] = []
        self.struck = Event()
        """Set once the armed fault has happened."""
        self.let_pass = Event()
        """To be set by the test: ends a DELAY_REQUEST."""
        Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Return the address as a URI."""
        return (
            f"postgresql://{self._server.get('user')}@/{self._server.get('dbname')}"
            f"?host={self._folder.name}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()

    def arm(self, fault: Fault, words: Words = AT_COMMIT) -> None:
        """Let this happen to the next COMMIT, or what else is asked with those words, once."""
        self.struck.clear()
        self.words = words
        self._fault = fault

    def kill(self) -> None:
        """Be a dead server: cut every connection and take no new one."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            _cut(each)

    def cut_all(self) -> None:
        """Cut the connections there are; new ones are taken."""
        for each in self._sockets:
            _cut(each)
        self._sockets.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connect()
                self._sockets += [client, server]
                link = _Link(self, client, server)
                Thread(target=link.requests, daemon=True).start()
                Thread(target=link.replies, daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = str(self._server["host"]), int(self._server.get("port") or 5432)
        if host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{host}/.s.PGSQL.{port}")
            return server
        return socket.create_connection((host, port))

    def take_fault(self) -> Fault | None:
        """Return the armed fault, which is then spent."""
        fault, self._fault = self._fault, None
        return fault


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._fault: Fault | None = None

    def requests(self) -> None:
        with suppress(OSError):
            while chunk := self._client.recv(CHUNK_BYTES):
                if self._proxy.words[0] in chunk:
                    self._fault = self._proxy.take_fault()
                match self._fault:
                    case Fault.LOSE_REQUEST:
                        break
                    case Fault.FREEZE:
                        self._proxy.struck.set()
                        return
                    case Fault.DELAY_REQUEST:
                        _cut(self._client)
                        self._proxy.struck.set()
                        self._proxy.let_pass.wait(30)
                self._server.sendall(chunk)
        self._close()

    def replies(self) -> None:
        with suppress(OSError):
            while chunk := self._server.recv(CHUNK_BYTES):
                if self._fault is None:
                    self._client.sendall(chunk)
                elif self._proxy.words[1] in chunk and self._fault in (Fault.LOSE_REPLY, Fault.DIE):
                    break
        if self._fault is Fault.DIE:
            self._proxy.kill()
        if self._fault is not Fault.FREEZE:
            self._close()

    def _close(self) -> None:
        _cut(self._client)
        _cut(self._server)
        if self._fault is not None:
            self._proxy.struck.set()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
