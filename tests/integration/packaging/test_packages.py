"""What is published: an sdist that makes a wheel, and a wheel that runs where nothing else is.

The wheel is installed into an environment of its own. Its dependencies are those of the tests,
found by path, so that nothing is downloaded but the build backend; PostgreSQL's driver is hidden.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PACKAGES = ("governance_flow", "projections")
PATIENCE_SECONDS = 120.0

BUILD = """
import os, sys
from hatchling import build
target, *steps = sys.argv[1:]
print([getattr(build, f"build_{step}")(target) for step in steps][-1])
"""

HIDDEN_DRIVER = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("psycopg", "psycopg_binary", "psycopg_c", "psycopg_pool"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""

IMPORT_ALL = """
import importlib, json, pkgutil, sys
names = []
for package in sys.argv[1:]:
    found = importlib.import_module(package)
    assert "site-packages" in found.__file__, found.__file__
    names += [m.name for m in pkgutil.walk_packages(found.__path__, package + ".")
              if not m.name.startswith("governance_flow.infrastructure.database.postgres")
              and not m.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
print(json.dumps(len(names)))
"""


class Built(NamedTuple):
    """The two files, and an environment that the wheel is installed in."""

    sdist: Path
    wheel: Path
    environment: Path
    folder: Path

    def run(self, *words: str, code: int = 0) -> str:
        """Run a program of the environment; return what it wrote, having checked the exit code."""
        clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            [self.environment / "bin" / words[0], *words[1:]],
            cwd=self.folder,
            env={**clean, "XDG_DATA_HOME": str(self.folder), "COLUMNS": "200", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said
        return said


def checked(*words: str | Path, folder: Path, backend: Path | None = None) -> str:
    """Run a program of the tests' environment; return the last line it wrote."""
    environ = dict(os.environ) if backend is None else {**os.environ, "PYTHONPATH": str(backend)}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1] if done.stdout else ""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("packages")
    backend = folder / "backend"
    if find_spec("hatchling") is None:
        quietly = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
        checked(*quietly, "--target", backend, "hatchling>=1.27", folder=folder)
    sdist = folder / checked("-c", BUILD, folder, "sdist", folder=ROOT, backend=backend)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source", filter="data")
    [source] = (folder / "source").iterdir()
    # As whoever has the sdist alone would: the repository is not there to help.
    wheel = folder / checked("-c", BUILD, folder, "wheel", folder=source, backend=backend)
    environment = folder / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    pip = ("-m", "pip", "--python", environment / "bin" / "python", "install", "--quiet")
    checked(*pip, "--disable-pip-version-check", "--no-deps", "--no-index", wheel, folder=folder)
    site = Path(
        sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)})
    )
    # A line with a path adds that path and reads no .pth file there: ours is not found twice.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (site / "sitecustomize.py").write_text(HIDDEN_DRIVER)
    return Built(sdist, wheel, environment, folder)


def tree() -> set[str]:
    """Return every file of ours that must be installed: modules, SQL, pages, and their assets."""
    return {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == tree()
    kinds = {name.rpartition(".")[2] for name in names}
    assert {"py", "sql", "yaml", "typed"} <= kinds


def test_the_sdist_holds_what_is_needed_to_read_build_and_try_it(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "docs/operations.md"}
    assert wanted | {"examples/motions.jsonl", "tests/conftest.py"} | tree() <= names
    assert not {name for name in names if name.startswith((".", "var/")) and name != ".gitignore"}


def test_the_wheel_names_the_driver_as_an_extra_only(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(metadata).decode().splitlines()
    [driver] = [line for line in lines if line.startswith("Requires-Dist: psycopg")]
    assert driver.endswith("; extra == 'postgres'")
    assert any(line.startswith("Requires-Dist: fastapi") for line in lines)


def test_the_program_runs_where_only_the_wheel_is(built: Built) -> None:
    assert built.run("governance-flow", "--version").startswith("governance-flow ")
    assert "--no-worker" in built.run("governance-flow", "serve", "--help")
    shutil.copy(ROOT / "examples" / "motions.jsonl", built.folder)
    store = ("--store", "sqlite:///flow.db")
    built.run("governance-flow", "run", "motions.jsonl", "--quiet", "--wait", "0", *store)
    verified = json.loads(built.run("governance-flow", "audit", "verify", "--json", *store))
    assert verified["passed"]
    assert verified["motions"] > 20


def test_no_module_needs_the_driver_before_a_store_is_in_postgresql(built: Built) -> None:
    assert int(built.run("python", "-c", IMPORT_ALL, *PACKAGES)) > 100


@pytest.mark.parametrize(
    "words", [("status",), ("keys", "show"), ("serve", "--port", "0")], ids=" ".join
)
def test_without_the_driver_a_postgresql_address_is_refused_with_the_remedy(
    built: Built, words: tuple[str, ...]
) -> None:
    said = built.run("governance-flow", *words, "--store", "postgresql://host/flow", code=2)
    assert said.startswith("error: a store in PostgreSQL needs its driver")
    assert "pip install 'psycopg[binary]'" in said
    assert len(said.splitlines()) == 1
