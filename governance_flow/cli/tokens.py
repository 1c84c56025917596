"""Commands about access tokens: made out, listed, revoked; and who was turned away."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from governance_flow.application.access.gatekeeper import ID_BYTES
from governance_flow.application.access.permissions import ROLES, Permission, Role
from governance_flow.cli.command import JsonOption, Place, command, opened
from governance_flow.cli.errors import UsedWrongly
from governance_flow.cli.output import print_json, time_json
from governance_flow.cli.terminal import plain, results, say
from governance_flow.domain.branches import SERVICE_BRANCH, GovernanceBranch

if TYPE_CHECKING:
    from datetime import datetime

    from governance_flow.application.access.bearers import Token
    from governance_flow.bootstrap import Flow

DEFAULT_LIFETIME = "90d"
LIFETIME_MAX = timedelta(days=36_500)
_LIFETIME = re.compile(r"(\d{1,6})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_BRANCHES = sorted(set(SERVICE_BRANCH.values()))


def register(app: typer.Typer) -> None:
    """Add the group of commands to the program."""
    tokens = typer.Typer(
        help="Access tokens: who may use the HTTP service, and for what.",
        no_args_is_help=True,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    command(
        tokens,
        "create",
        "token create Ada --role operator",
        "token create 'harbour works' --role branch --branch duke --expires 30d",
        "token create grafana --permission metrics --expires never --json",
    )(create)
    command(tokens, "list", "token list", "token list --json")(list_tokens)
    command(tokens, "revoke", "token revoke 5f0e4a778a362f0f")(revoke)
    command(tokens, "denials", "token denials", "token denials --limit 100 --json")(denials)
    app.add_typer(tokens, name="token", rich_help_panel="Access")


def create(
    place: Place,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Who acts with it; events will say so.")
    ],
    *,
    role: Annotated[
        list[Role] | None,
        typer.Option("--role", help="What it is for; may be said more than once."),
    ] = None,
    permission: Annotated[
        list[Permission] | None,
        typer.Option("--permission", help="One permission more; may be said more than once."),
    ] = None,
    branch: Annotated[
        list[GovernanceBranch] | None,
        typer.Option(
            "--branch",
            case_sensitive=False,
            help="The branch that it may work for; may be said more than once.",
        ),
    ] = None,
    expires: Annotated[
        str,
        typer.Option("--expires", metavar="TIME", help="After 12h, 90d or 4w; or never."),
    ] = DEFAULT_LIFETIME,
    as_json: JsonOption = False,
) -> None:
    """Make out a token, and print it: this once, it is kept nowhere.

    Roles: viewer (see everything but the audit), member (and introduce motions), operator (and
    resolve, halt, rebuild, audit, but not introduce), auditor (see and audit), branch (the work of
    the branches named, and nothing else), scraper (metrics).
    """
    permissions = set(permission or ()).union(*(ROLES[chosen] for chosen in role or ()))
    if not permissions:
        raise UsedWrongly(f"say what it is for: --role {'|'.join(Role)}, or --permission")
    branches = set(branch or ())
    if idle := branches - set(_BRANCHES):
        raise UsedWrongly(
            f"the {min(idle)} has no assignments of its own: its tasks are the duke's"
        )
    lifetime = _lifetime(expires)

    async def make_out(flow: Flow) -> tuple[Token, str]:
        return await flow.gatekeeper.make_out(name, permissions, branches, lifetime=lifetime)

    token, text = opened(place, make_out, creates=True)
    if as_json:
        print_json(_token_json(token) | {"token": text})
        return
    results().print(text, soft_wrap=True, highlight=False)
    until = f"until {token.expires_at:%Y-%m-%d %H:%M} UTC" if token.expires_at else "for ever"
    allowed = ", ".join(sorted(token.permissions))
    say(f"token {token.token_id} of {plain(name)}: {allowed}; {until}. It is shown this once.")


def list_tokens(place: Place, *, as_json: JsonOption = False) -> None:
    """List every token that was ever made out, without what would let anybody use it."""
    tokens = opened(place, lambda flow: flow.gatekeeper.tokens())
    if as_json:
        print_json({"tokens": [_token_json(token) for token in tokens]})
        return
    if not tokens:
        say("no token was made out yet: governance-flow token create --help")
        return
    # Whole, however narrow the terminal: revoke wants it so.
    token_id = Column("token", no_wrap=True, min_width=2 * ID_BYTES)
    table = Table(token_id, "name", "permissions", "branches", "made out", "valid until", box=None)
    for token in tokens:
        table.add_row(
            token.token_id,
            plain(token.name),
            ", ".join(sorted(token.permissions)),
            ", ".join(sorted(token.branches)),
            _shown(token.created_at),
            f"revoked {_shown(token.revoked_at)}"
            if token.revoked_at
            else _shown(token.expires_at) or "for ever",
        )
    results().print(table)


def revoke(
    place: Place,
    token_id: Annotated[
        str, typer.Argument(metavar="TOKEN", help="The token's id, as token list shows it.")
    ],
) -> None:
    """Let a token be accepted no more, nor the sessions that were opened with it."""
    opened(place, lambda flow: flow.gatekeeper.revoke(token_id))
    results().print(f"revoked {plain(token_id)}")


def denials(
    place: Place,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="So many at most.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List who was turned away, why and how often, the newest first."""
    found = opened(place, lambda flow: flow.gatekeeper.denials(limit=limit))
    if as_json:
        print_json(
            {
                "denials": [
                    {
                        "minute": time_json(one.minute),
                        "reason": one.reason.value,
                        "count": one.count,
                        "name": one.name,
                        "token_id": one.token_id,
                        "client": one.client,
                        "operation": one.operation,
                    }
                    for _, one in found
                ]
            }
        )
        return
    if not found:
        say("nobody was turned away")
        return
    table = Table("minute (UTC)", "reason", "times", "name", "token", "from", "operation", box=None)
    for _, one in found:
        table.add_row(
            _shown(one.minute),
            one.reason.value,
            f"{one.count:,}",
            plain(one.name),
            one.token_id,
            one.client,
            one.operation,
        )
    results().print(table)


def _lifetime(text: str) -> timedelta | None:
    if text == "never":
        return None
    found = _LIFETIME.fullmatch(text)
    if found is None:
        raise UsedWrongly(f"--expires: {text!r} is no time; say 12h, 90d, 4w or never")
    lifetime = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if lifetime > LIFETIME_MAX:
        raise UsedWrongly(f"--expires: {text} is longer than a hundred years; say never")
    return lifetime


def _shown(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def _token_json(token: Token) -> dict[str, Any]:
    return {
        "token_id": token.token_id,
        "name": token.name,
        "permissions": sorted(token.permissions),
        "branches": sorted(token.branches),
        "created_at": time_json(token.created_at),
        "expires_at": time_json(token.expires_at),
        "revoked_at": time_json(token.revoked_at),
    }
