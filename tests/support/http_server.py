"""A small HTTP server on the loopback that answers as a test tells it, and keeps what it got."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_WAIT_SECONDS = 60.0
TRICKLE_SECONDS = 0.01


@dataclass
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Server:
    """What to answer with, and what was received."""

    address: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    hang: bool = False
    hang_up: bool = False
    trickle: bool = False
    requests: list[Received] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


@contextmanager
def running_server() -> Iterator[Server]:
    """Run a server in a thread for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            server.requests.append(Received(self.path, dict(self.headers), body))
            if server.hang:
                server.released.wait(MAX_WAIT_SECONDS)
            if server.hang or server.hang_up:
                self.close_connection = True
                return
            self.send_response(server.status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(server.body)))
            self.end_headers()
            try:
                while server.trickle and not server.released.wait(TRICKLE_SECONDS):
                    self.wfile.write(b" ")
                self.wfile.write(server.body)
            except OSError:
                # The client read as much as it wanted.
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{listening.server_address[1]}")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        listening.shutdown()
        thread.join()
        listening.server_close()
