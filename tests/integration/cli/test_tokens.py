"""Access tokens on the command line."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.support.cli import Cli


def test_a_token_is_printed_this_once_and_kept_nowhere(cli: Cli) -> None:
    made = cli("token", "create", "Ada", "--role", "operator", "--role", "member")
    text = made.stdout.strip()
    assert text.startswith("gf_")
    assert "access, audit, control, introduce, metrics, read, rebuild, resolve" in made.stderr
    [listed] = cli.json("token", "list")["tokens"]
    assert listed["name"] == "Ada"
    assert listed["token_id"] == text.split("_")[1]
    secret = text.split("_")[2]
    with closing(sqlite3.connect(cli.store.removeprefix("sqlite:///"))) as connection:
        assert not [line for line in connection.iterdump() if secret in line]
    assert secret not in cli("token", "list").stdout


def test_a_token_for_a_branch_names_it(cli: Cli) -> None:
    made = cli.json("token", "create", "works", "--role", "branch", "--branch", "duke")
    assert (made["permissions"], made["branches"]) == (["work"], ["duke"])
    assert made["token"].startswith("gf_")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Ada"], "say what it is for: --role viewer|member|operator"),
        (["Ada", "--role", "branch"], "name at least one"),
        (["Ada", "--role", "viewer", "--branch", "duke"], "name at least one"),
        (["Ada", "--role", "branch", "--branch", "earl"], "the duke's"),
        (["Ada", "--role", "viewer", "--expires", "soon"], "say 12h, 90d, 4w or never"),
        (["Ada", "--role", "viewer", "--expires", "0d"], "must expire after it was made out"),
        ([" ", "--role", "viewer"], "name is empty"),
    ],
    ids=["nothing", "no-branch", "idle-branch", "earl", "no-time", "no-lifetime", "no-name"],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(
    cli: Cli, words: list[str], said: str
) -> None:
    cli("import", "/dev/null")
    assert said in cli("token", "create", *words, code=2).stderr
    assert cli.json("token", "list")["tokens"] == []


def test_tokens_expire_when_it_was_said(cli: Cli) -> None:
    for_ever = cli.json("token", "create", "a", "--role", "viewer", "--expires", "never")
    assert for_ever["expires_at"] is None
    hours = cli.json("token", "create", "b", "--role", "viewer", "--expires", "36h")
    made, ends = hours["created_at"], hours["expires_at"]
    assert made < ends
    assert "for ever" in cli("token", "list").stdout


def test_a_revoked_token_says_so_and_cannot_be_revoked_twice(cli: Cli) -> None:
    token_id = cli.json("token", "create", "Ada", "--role", "viewer")["token_id"]
    cli("token", "revoke", token_id)
    [listed] = cli.json("token", "list")["tokens"]
    assert listed["revoked_at"] is not None
    assert "revoked" in cli("token", "list").stdout
    assert "there is no token" in cli("token", "revoke", token_id, code=2).stderr


def test_a_store_without_denials_says_so(cli: Cli) -> None:
    cli("token", "create", "Ada", "--role", "viewer")
    assert "nobody was turned away" in cli("token", "denials").stderr
    assert cli.json("token", "denials") == {"denials": []}
