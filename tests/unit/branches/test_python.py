"""Services that are imported: found, made, checked; and every mistake named."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from governance_flow.application.ports.flow_orchestrator import Purpose
from governance_flow.branches.python import load_service
from governance_flow.domain.branch_configuration import PythonBranch
from governance_flow.domain.errors import ConfigurationError
from tests.support.assignments import make_assignment

MODULE = """
from governance_flow.branches.results import done

NUMBER = 3

class Duke:
    def __init__(self, region="south", crew=1):
        self.region, self.crew = region, crew

    async def perform(self, assignment):
        return done(assignment, {"region": self.region, "crew": self.crew})

def make(region):
    return Duke(region, 9)

def make_class():
    return Duke

def make_number():
    return NUMBER

def fail():
    raise RuntimeError("out of oak")

class Synchronous:
    def perform(self, assignment):
        return None
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "acme_branches.py").write_text(MODULE)
    (tmp_path / "acme_broken.py").write_text("raise OSError('no licence')")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("acme_branches", "acme_broken"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("branch", "output"),
    [
        (PythonBranch(target="acme_branches:Duke"), {"region": "south", "crew": 1}),
        (
            PythonBranch(target="acme_branches:Duke", options={"region": "north", "crew": 2}),
            {"region": "north", "crew": 2},
        ),
        (
            PythonBranch(target="acme_branches:make", options={"region": "east"}),
            {"region": "east", "crew": 9},
        ),
    ],
)
async def test_a_class_or_factory_is_called_with_the_options(
    branch: PythonBranch, output: dict[str, object]
) -> None:
    service = load_service("duke_service", branch)
    result = await service.perform(make_assignment(Purpose.EXECUTE))
    assert getattr(result, "output", None) == output


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("acme_nowhere:Duke", {}, "acme_nowhere cannot be imported: ModuleNotFoundError"),
        ("acme_broken:Duke", {}, "acme_broken cannot be imported: OSError: no licence"),
        ("acme_branches:Baron", {}, "Baron is not there in acme_branches"),
        ("acme_branches:NUMBER", {}, "NUMBER cannot be called in acme_branches"),
        ("acme_branches:Duke", {"colour": "red"}, "failed with the options given (colour)"),
        ("acme_branches:make", {}, "failed with the options given (none): TypeError"),
        ("acme_branches:fail", {}, "RuntimeError: out of oak"),
        ("acme_branches:make_class", {}, "is the class Duke itself"),
        ("acme_branches:make_number", {}, "is a int, and not a branch service"),
        ("acme_branches:Synchronous", {}, "perform of Synchronous must be `async def`"),
    ],
)
def test_a_mistake_names_the_path_and_what_is_wrong(
    target: str, options: dict[str, object], said: str
) -> None:
    branch = PythonBranch.model_validate({"target": target, "options": options})
    with pytest.raises(ConfigurationError) as caught:
        load_service("duke_service", branch)
    assert "branches.duke_service.target" in str(caught.value)
    assert said in str(caught.value)
