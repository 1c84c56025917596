"""One process that serves, and works as well if it is to: from the first request to the last."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from governance_flow.api.service import Service

KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 10
"""So long may a request that is being answered take when the process is to end."""

HEADERS_BYTES_MAX = 64 * 1024


SILENT_SECONDS = 15.0
"""A connection on which no request has begun by then is closed."""

CONNECTIONS_MAX = 2_000
FILES_SPARED = 200
"""So many files are left to the store and the worker of this process."""


def connections_max() -> int:
    """Return how many connections this process may hold, by what the system allows it."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(CONNECTIONS_MAX, allowed - FILES_SPARED))


class _Protocol(HttpToolsProtocol):
    """A connection that must be used: nobody can hold the process's by saying nothing, or no end.

    Parsed in C: of a request that does little, the parser in Python took a seventh of the time.
    """

    _silence: asyncio.TimerHandle | None = None
    _beside_body = 0
    """How many bytes of the request under way have come that are none of its body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > connections_max():
            transport.abort()
            return
        self._silence = self.loop.call_later(SILENT_SECONDS, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._silence is not None:
            self._silence.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is more headers (or trailers) than anybody needs."""
        self._beside_body += len(data)
        super().data_received(data)
        if self._beside_body > HEADERS_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response(f"The headers are larger than {HEADERS_BYTES_MAX} bytes.")

    def on_message_begin(self) -> None:
        """Begin to count: with what comes next, for how much comes at once is bounded anyway."""
        super().on_message_begin()
        self._beside_body = 0

    def on_body(self, body: bytes) -> None:
        """Leave the body to whoever reads it."""
        self._beside_body -= len(body)
        super().on_body(body)

    def _hang_up(self) -> None:
        if getattr(self, "cycle", None) is None:  # No request has begun.
            self.transport.close()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the process, the worker's part in it included."""
        yield


class ServingProcess:
    """Serves an application on a socket, beside the worker of the same process."""

    def __init__(self, app: ASGIApp, service: Service, listener: socket.socket) -> None:
        self._service = service
        self._listener = listener
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_Protocol,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                # Whom a denied request came from is what its connection says, unless there is a
                # proxy, on the same machine, that says it instead.
                proxy_headers=service.options.secure_cookies,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    def stop(self) -> None:
        """Take no more requests, answer those that wait, finish the work in hand, and end."""
        self._service.stopping.set()
        self._server.should_exit = True

    async def run(self, *, worker: bool, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until it is stopped. With ``worker``, drive motions as well.

        A worker that fails ends the process: what it raised is raised here, after the last answer.
        """
        service = self._service
        # Whoever is told that it is ready may connect at once: they wait, and are not refused.
        self._listener.listen(self._server.config.backlog)
        tasks = [asyncio.create_task(self._server.serve([self._listener]), name="server")]
        if worker:
            service.worker = asyncio.create_task(service.flow.worker.run(), name="worker")
            tasks.append(service.worker)
        try:
            on_ready()
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.stop()
            service.flow.worker.stop()
            await service.jobs.stop()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await service.changes.stop()
        for result in results:
            if isinstance(result, BaseException):
                raise result
