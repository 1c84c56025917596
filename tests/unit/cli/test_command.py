"""The place a command works on, and how it is shown to people."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from governance_flow.cli.command import STORE_VARIABLE, Place, without_password
from governance_flow.cli.errors import UsedWrongly


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("memory:", "memory:"),
        ("sqlite:///a/b@c.db", "sqlite:///a/b@c.db"),
        ("postgresql://host/flow", "postgresql://host/flow"),
        ("postgresql://ada@host/flow", "postgresql://ada@host/flow"),
        ("postgresql://ada:secret@host:5432/flow", "postgresql://ada@host:5432/flow"),
        ("postgresql://ada:s@cret@host/flow", "postgresql://ada@host/flow"),
        ("postgresql://ada@h/f?password=secret&a=b", "postgresql://ada@h/f?password=…&a=b"),
        ("postgresql://h/f?user=a&sslpassword=x", "postgresql://h/f?user=a&sslpassword=…"),
    ],
)
def test_a_password_is_never_shown(address: str, shown: str) -> None:
    assert without_password(address) == shown


def test_the_store_comes_from_the_option_the_environment_or_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(STORE_VARIABLE, raising=False)
    assert Place().address == "sqlite:///governance-flow.db"
    monkeypatch.setenv(STORE_VARIABLE, "sqlite:///elsewhere.db")
    assert Place().address == "sqlite:///elsewhere.db"
    assert Place("memory:").address == "memory:"


def test_a_hint_can_be_typed_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["governance-flow"])
    place = Place("sqlite:///my motions.db", Path("a.yaml"))
    assert place.command("motion", "x") == (
        "governance-flow motion x --store 'sqlite:///my motions.db' --config a.yaml"
    )
    assert Place().command("status") == "governance-flow status"


def test_a_hint_names_a_program_that_the_shell_would_not_find(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "argv", [".venv/bin/governance-flow"])
    assert Place().command("status") == ".venv/bin/governance-flow status"


def test_a_store_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    missing = tmp_path / "typo.db"
    with pytest.raises(UsedWrongly, match=r"there is no store at .*typo\.db; check --store"):
        Place(f"sqlite:///{missing}").require_store()
    with pytest.raises(UsedWrongly):
        Place(f"sqlite:///{missing}?mode=ro").require_store()
    missing.touch()
    Place(f"sqlite:///{missing}").require_store()
    Place("memory:").require_store()
    Place("postgresql://host/flow").require_store()
