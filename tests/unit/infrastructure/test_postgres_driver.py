"""PostgreSQL's driver is an extra: whoever lacks it is told so, and told the remedy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from governance_flow.domain.errors import InvalidInput
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.database.postgres_driver import REMEDY
from governance_flow.infrastructure.keys.places import key_directory

ADDRESS = "postgresql://ada:hunter2@host/flow"


@pytest.mark.parametrize(
    "need",
    [lambda: open_database(ADDRESS), lambda: key_directory(ADDRESS, {"HOME": "/"})],
    ids=["store", "keys"],
)
def test_without_it_a_store_in_postgresql_is_refused_with_the_remedy(
    need: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InvalidInput) as caught:
        need()
    assert REMEDY in caught.value.message
    assert "hunter2" not in caught.value.message


def test_without_it_every_other_store_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    open_database("memory:").close_now()
    assert key_directory("memory:", {}) is None


def test_the_whole_program_can_be_imported_without_importing_it() -> None:
    script = (
        "import sys, governance_flow.bootstrap, governance_flow.cli, governance_flow.api.app; "
        "sys.exit('psycopg' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
