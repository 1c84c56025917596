"""Commands about the keys: which are in force, and replacing the Knight's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from governance_flow.application.audit.key_history import Adoption, KeyHistory
from governance_flow.application.times import from_us
from governance_flow.cli.arguments import ByOption
from governance_flow.cli.command import JsonOption, Place, command, opened
from governance_flow.cli.output import print_json, time_json
from governance_flow.cli.rendering import clock_time
from governance_flow.cli.terminal import plain, results, say
from governance_flow.domain.events import Actor, Authentication
from governance_flow.domain.keys import KeyRole

if TYPE_CHECKING:
    from governance_flow.bootstrap import Flow

PANEL = "Audit"


def register(app: typer.Typer) -> None:
    """Add these commands to the program, below ``keys``."""
    keys = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
    command(keys, "show", "keys show", "keys show --json")(show)
    command(
        keys,
        "rotate",
        "keys rotate --by zoe",
        "keys rotate --by zoe --to knight.key",
    )(rotate)
    app.add_typer(
        keys,
        name="keys",
        help="Show the public keys, replace the Knight's.",
        rich_help_panel=PANEL,
    )


def show(place: Place, *, as_json: JsonOption = False) -> None:
    """Show every public key the store has adopted, and from which position on it signed.

    These are what auditors need, and should have from you rather than from a bundle.
    """
    history = opened(place, _history)
    if as_json:
        print_json({"keys": [_adoption_json(adoption) for adoption in history.adoptions]})
        return
    if not history.adoptions:
        results().print("No key was adopted yet: nothing was ever signed in this store.")
        return
    for adoption in history.adoptions:
        row = adoption.row
        since = clock_time(from_us(row.committed_at_us))
        results().print(f"{adoption.role}, since position {row.position:,} ({since} UTC)")
        # Whole, in a line of its own: it is there to be copied.
        sys.stdout.write(f"  {plain(adoption.key.vkey)}\n")


def rotate(
    place: Place,
    *,
    by: ByOption,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="The new private key; without it one is made.",
        ),
    ] = None,
) -> None:
    """Let another key sign the Knight's statements from now on.

    The change is an event, signed by both keys. Statements made before stay good. Workers on
    other machines need the new key; until they have it, they cannot witness. The log's key is
    never replaced: auditors know the log by it.
    """

    async def replace(flow: Flow) -> str:
        actor = Actor(id=by, authenticated_by=Authentication.ASSERTED)
        return await flow.keys.rotate(KeyRole.KNIGHT, actor, str(to) if to else None)

    vkey = opened(place, replace)
    say(
        "the Knight's key was replaced; copy its file to every other worker's machine, and give "
        "auditors the new public key:"
    )
    sys.stdout.write(f"{plain(vkey)}\n")


async def _history(flow: Flow) -> KeyHistory:
    head = await flow.store.head()
    return await KeyHistory.read(flow.audit.events, flow.mapper, up_to_position=head.position)


def _adoption_json(adoption: Adoption) -> dict[str, Any]:
    return {
        "role": adoption.role.value,
        "key": adoption.key.vkey,
        "position": adoption.row.position,
        "adopted_at": time_json(from_us(adoption.row.committed_at_us)),
    }
