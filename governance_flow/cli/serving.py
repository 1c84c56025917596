"""The command that serves the API and the dashboard, and by default works as well."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Annotated

import typer

from governance_flow.api.sockets import listening
from governance_flow.cli.command import Place, command, opened
from governance_flow.cli.errors import UsedWrongly
from governance_flow.cli.logs import configure_logs
from governance_flow.cli.stopping import Stopping
from governance_flow.cli.terminal import say
from governance_flow.domain.keys import KeyRole

if TYPE_CHECKING:
    from governance_flow.bootstrap import Flow

PANEL = "Pipeline"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8400
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "serve",
        "serve",
        "serve --store postgresql://user@host/flow --no-worker --port 9000",
        "serve --host 0.0.0.0 --behind-tls",
        panel=PANEL,
    )(serve)


def serve(
    place: Place,
    *,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="The address to listen on.")
    ] = DEFAULT_HOST,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The port; 0: any that is free.")
    ] = DEFAULT_PORT,
    worker: Annotated[
        bool,
        typer.Option("--worker/--no-worker", help="Drive motions in this process as well."),
    ] = True,
    behind_tls: Annotated[
        bool,
        typer.Option(
            "--behind-tls",
            metavar="",
            help="Browsers come by https, through a proxy that ends it: cookies are for that only.",
        ),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="Its name on leases; no two workers may share one."
        ),
    ] = None,
) -> None:
    """Serve the HTTP API and the dashboard, and drive motions in the same process.

    Whoever wants in needs a token: governance-flow token create NAME --role operator. The API
    describes itself at /api/v1/openapi.json. Ctrl-C or SIGTERM lets the work in hand finish and
    exits 0; a second one exits at once.
    """
    configure_logs(default="info")
    listener = _listen(host, port)

    async def work(flow: Flow) -> None:
        # Imported only now: --help has no use for a web framework.
        from governance_flow.api.server import ServingProcess  # noqa: PLC0415
        from governance_flow.api.service import Service, ServiceOptions  # noqa: PLC0415
        from governance_flow.dashboard.app import build_service_app  # noqa: PLC0415

        if worker:
            await flow.keys.check((KeyRole.KNIGHT,))
        service = Service(flow, ServiceOptions(secure_cookies=behind_tls))
        process = ServingProcess(build_service_app(service), service, listener)
        if host not in LOOPBACK and not behind_tls:
            say("tokens go over the network in the clear: put a proxy with TLS in front")

        def stop() -> None:
            process.stop()
            say("stopping once what is in hand is done; once more ends it now")

        def ready() -> None:
            say(f"serving {place.shown} at {_address(listener)}; Ctrl-C to stop")

        with Stopping(stop):
            await process.run(worker=worker, on_ready=ready)
        say("stopped")

    with listener:
        opened(place, work, creates=True, worker_name=name)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listening(host, port)
    except (OSError, UnicodeError) as error:
        raise UsedWrongly(f"cannot listen on {host}, port {port}: {error}; try --port") from error


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
