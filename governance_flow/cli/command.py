"""What all commands have in common: the store, the configuration, and how they fail."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import shlex
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer
from rich.markup import escape

from governance_flow.cli.errors import UsedWrongly, reported_errors
from governance_flow.cli.logs import configure_logs

if TYPE_CHECKING:
    from governance_flow.bootstrap import Flow

P = ParamSpec("P")
T = TypeVar("T")

STORE_VARIABLE = "GOVERNANCE_FLOW_STORE"
_SQLITE = "sqlite:///"
_PROGRAM = "governance-flow"
_PASSWORD_OPTION = re.compile(r"([?&][a-z]*password=)[^&]*")

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="ADDRESS",
        show_default="sqlite:///governance-flow.db",
        help=f"sqlite:///path, postgresql://user@host/database or memory: (env: {STORE_VARIABLE}).",
        rich_help_panel="Where",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        readable=True,
        help="A configuration in YAML; what it does not name stays as packaged.",
        rich_help_panel="Where",
    ),
]
DebugOption = Annotated[
    bool,
    typer.Option(
        "--debug", metavar="", help="Show the traceback of an error.", rich_help_panel="Where"
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", metavar="", help="Print JSON, for programs, instead of tables.")
]

_COMMON = {
    "store": (StoreOption, None),
    "config": (ConfigOption, None),
    "debug": (DebugOption, False),
}


@dataclass(frozen=True, slots=True)
class Place:
    """The store a command works on, and the configuration it goes by; None: the default."""

    store: str | None = None
    config: Path | None = None

    @property
    def address(self) -> str:
        """The store's address, whoever gave it."""
        from governance_flow.bootstrap import DEFAULT_STORE  # noqa: PLC0415 - see opened

        return self.store or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE

    @property
    def shown(self) -> str:
        """The address as it may be shown: without a password."""
        return without_password(self.address)

    def command(self, *words: str) -> str:
        """Return a command line that works on the same store in the same way."""
        line = [program_name(), *words]
        if self.store is not None:
            line += ["--store", without_password(self.store)]
        if self.config is not None:
            line += ["--config", str(self.config)]
        return shlex.join(line)

    def require_store(self) -> None:
        """Refuse to make an empty store where somebody mistyped the address of a full one."""
        if not self.address.startswith(_SQLITE):
            return
        path = Path(self.address.removeprefix(_SQLITE).partition("?")[0])
        if not path.exists():
            raise UsedWrongly(
                f"there is no store at {self.shown}; check --store and {STORE_VARIABLE}, "
                "or make one with run, import, introduce, worker, serve or token create"
            )


def program_name() -> str:
    """Return what to type to start this program: its name alone only if the shell finds it."""
    called = Path(sys.argv[0])
    if called.name == _PROGRAM and shutil.which(_PROGRAM) is None:
        return str(called)
    return _PROGRAM


def without_password(address: str) -> str:
    """Return an address that can be shown to anybody."""
    address = _PASSWORD_OPTION.sub(r"\1…", address)
    head, at, tail = address.rpartition("@")
    scheme, slashes, user = head.partition("://")
    if not at or not slashes or scheme not in ("postgresql", "postgres"):
        return address
    return f"{scheme}://{user.partition(':')[0]}@{tail}"


def command(
    app: typer.Typer, name: str, *examples: str, panel: str | None = None
) -> Callable[[Callable[Concatenate[Place, P], None]], Callable[Concatenate[Place, P], None]]:
    """Register a function as a command. It gets the place, and what its signature asks for.

    Its docstring is the help. ``examples`` are the words after the program's name.
    """

    def register(
        function: Callable[Concatenate[Place, P], None],
    ) -> Callable[Concatenate[Place, P], None]:
        def run(
            *, store: str | None = None, config: Path | None = None, debug: bool = False, **own: Any
        ) -> None:
            configure_logs()
            with reported_errors(debug=debug):
                function(Place(store, config), **own)  # type: ignore[call-arg]

        _, *own = inspect.signature(function, eval_str=True).parameters.values()
        common = [
            inspect.Parameter(
                key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
            for key, (annotation, default) in _COMMON.items()
        ]
        signature = inspect.Signature([*own, *common])
        # Typer reads both; whatever way it calls, it does so by name.
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        run.__name__ = function.__name__
        app.command(name, help=_help(function), epilog=_epilog(examples), rich_help_panel=panel)(
            run
        )
        return function

    return register


def _help(function: Callable[..., None]) -> str:
    """Return the docstring, each paragraph in one line: the terminal decides where to break it."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(escape(" ".join(paragraph.split())) for paragraph in paragraphs)


def _epilog(examples: tuple[str, ...]) -> str | None:
    if not examples:
        return None
    lines = [f"  {_PROGRAM} {escape(example)}" for example in examples]
    return "\n".join(["Examples:", *lines])


def opened(
    place: Place,
    work: Callable[[Flow], Awaitable[T]],
    *,
    creates: bool = False,
    worker_name: str | None = None,
) -> T:
    """Open the store, do ``work`` with it, close it, and return what it returned.

    ``creates`` says that the command may begin a new store.
    """
    # Imported only now: it brings drivers and clients with it, which --help has no use for.
    from governance_flow.bootstrap import open_flow  # noqa: PLC0415

    if not creates:
        place.require_store()

    async def use() -> T:
        async with open_flow(place.store, config=place.config, worker_name=worker_name) as flow:
            return await work(flow)

    return asyncio.run(use())
