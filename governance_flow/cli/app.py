"""The program: its commands, its own options, and how it begins."""

from __future__ import annotations

import contextlib
import io
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from governance_flow.cli import (
    audit,
    decisions,
    keys,
    motions,
    pipeline,
    running,
    serving,
    tokens,
    work,
)
from governance_flow.cli.terminal import results

app = typer.Typer(
    name="governance-flow",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every command explains itself: governance-flow COMMAND --help",
)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - Typer calls it by position
    if asked:
        results().print(f"governance-flow {version('governance-flow')}")
        raise typer.Exit


@app.callback()
def _program(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar="",
            callback=_show_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Move motions through a governance pipeline in which no step is skipped and none unwitnessed.

    The main job: governance-flow run FILE.jsonl.

    Exit codes: 0 done; 1 it failed, or found a fault; 2 it was used wrongly.
    """


running.register(app)
serving.register(app)
motions.register(app)
pipeline.register(app)
work.register(app)
decisions.register(app)
audit.register(app)
keys.register(app)
tokens.register(app)


def main() -> None:
    """Run the program on the command line's arguments, and exit."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets a question mark, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="replace")
    app()
