"""Which folder holds the keys of which store."""

from __future__ import annotations

from pathlib import Path

import pytest

from governance_flow.domain.errors import InvalidInput
from governance_flow.infrastructure.keys.places import key_directory

HOME = {"HOME": "/home-of-somebody"}
KEYS = Path("/home-of-somebody/.local/share/governance-flow/keys")


def test_the_keys_of_a_file_lie_beside_it(tmp_path: Path) -> None:
    assert key_directory(f"sqlite:///{tmp_path}/flow.db", HOME) == tmp_path / "flow.db.keys"
    assert key_directory(f"sqlite:///{tmp_path}/flow.db?mode=ro", {}) == tmp_path / "flow.db.keys"


def test_a_link_to_a_file_has_the_keys_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "flow.db")
    assert key_directory(f"sqlite:///{tmp_path}/link.db", {}) == tmp_path / "real" / "flow.db.keys"


def test_a_relative_path_is_that_of_the_present_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert key_directory("sqlite:///flow.db", {}) == tmp_path / "flow.db.keys"
    assert key_directory("memory:", {}) is None
    assert key_directory("sqlite:///x.db", {"GOVERNANCE_FLOW_KEYS": "k"}) == tmp_path / "k"


def test_the_environment_names_another_folder_but_not_for_memory() -> None:
    environ = HOME | {"GOVERNANCE_FLOW_KEYS": "/somewhere"}
    assert key_directory("sqlite:///flow.db", environ) == Path("/somewhere")
    assert key_directory("postgresql://db/flow", environ) == Path("/somewhere")
    assert key_directory("memory:", environ) is None


def test_a_database_has_a_folder_that_names_it_legibly() -> None:
    folder = key_directory("postgresql://me:secret@db.example:5433/flow?sslmode=require", HOME)
    assert folder is not None
    assert folder.parent == KEYS
    assert folder.name.startswith("flow-db.example-")
    assert "secret" not in str(folder)
    assert key_directory("postgresql://db/flow", {"XDG_DATA_HOME": "/data"}).parent == Path(  # type: ignore[union-attr]
        "/data/governance-flow/keys"
    )
    # The specification says that a relative one is to be ignored.
    assert key_directory("postgresql://db/flow", HOME | {"XDG_DATA_HOME": "data"}).parent == KEYS  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "other",
    [
        "postgres://me@db.example/flow",
        "postgresql://me:changed@db.example/flow",
        "postgresql://you@db.example:5432/flow",
        "postgresql://me@DB.example/flow?sslmode=require&connect_timeout=3",
    ],
)
def test_however_one_comes_to_a_database_its_keys_are_the_same(other: str) -> None:
    assert key_directory(other, HOME) == key_directory("postgresql://me@db.example/flow", HOME)


def test_what_the_environment_says_of_the_server_counts() -> None:
    written = key_directory("postgresql://me@db.example:5433/flow", HOME)
    said = {"PGHOST": "db.example", "PGPORT": "5433", "PGDATABASE": "flow"}
    assert key_directory("postgresql://", HOME | said) == written
    assert key_directory("postgresql://flow@db.example:5433", HOME) == written


def test_no_two_databases_share_a_folder() -> None:
    addresses = [
        "postgresql://db/flow",
        "postgresql://db/flow2",
        "postgresql://db2/flow",
        "postgresql://db:5433/flow",
        "postgresql:///flow?host=/run/db",
        "postgresql:///flow?host=/run/DB",
        "postgresql://db/a%2Fb",
        "postgresql://db/a-b",
        "postgresql:///?service=flow",
        f"postgresql://db/{'x' * 100}a",
        f"postgresql://db/{'x' * 100}b",
    ]
    folders = [key_directory(address, HOME) for address in addresses]
    assert len(set(folders)) == len(addresses)
    assert all(folder is not None and folder.parent == KEYS for folder in folders)
    assert all(len(folder.name) < 80 for folder in folders if folder)


@pytest.mark.parametrize("address", ["mysql://secret", "postgresql://me:secret@[", "secret"])
def test_what_is_no_address_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        key_directory(address, HOME)
    assert "secret" not in str(caught.value)
