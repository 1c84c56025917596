"""Processes that share a folder of keys, one of which may die at any moment."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from governance_flow.infrastructure.keys.files import read_signer
from governance_flow.infrastructure.keys.keyring import build_keyring
from governance_flow.transparency.keys import Ed25519Signer
from tests.support.processes import PATIENCE_SECONDS, ROOT
from tests.unit.infrastructure.keys.samples import KNIGHT, a_signer, keep, keyring

MODULE = "tests.integration.keys.key_process"
ROUNDS = 40


def all_at_once(folder: Path, promoted: str = "", count: int = 3) -> list[list[str]]:
    """Return the keys that each of several processes was given in each round."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", MODULE, str(folder), str(ROUNDS), promoted],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [
            json.loads(process.communicate(timeout=PATIENCE_SECONDS)[0]) for process in processes
        ]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def test_processes_that_make_a_key_at_once_all_use_one(tmp_path: Path) -> None:
    given = all_at_once(tmp_path)
    assert given[0] == given[1] == given[2]
    assert len(set(given[0])) == ROUNDS
    for number, vkey in enumerate(given[0]):
        signer = read_signer(KNIGHT, tmp_path / str(number) / "knight.key")
        assert signer is not None
        assert signer.vkey == vkey
        assert files(tmp_path / str(number)) == {"knight.key", "knight.pub"}


def test_processes_that_promote_a_key_at_once_all_use_it(tmp_path: Path) -> None:
    adopted = a_signer()
    for number in range(ROUNDS):
        keep(tmp_path / str(number) / "knight.key", a_signer())
        keep(tmp_path / str(number) / "knight.key.next", adopted)
    assert all_at_once(tmp_path, adopted.vkey) == [[adopted.vkey] * ROUNDS] * 3
    assert files(tmp_path / "0") == {"knight.key", "knight.pub"}


def killed_at(call: str, folder: Path, action: str) -> None:
    """Run keyring code in a process that is killed when it first comes to a system call."""
    script = f"""
import asyncio, os, signal
from governance_flow.domain.keys import KeyRole
from governance_flow.infrastructure.keys.keyring import build_keyring
keys = build_keyring("sqlite:///flow.db", {{"GOVERNANCE_FLOW_KEYS": {str(folder)!r}}})
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
async def act():
    {action}
os.{call} = die
asyncio.run(act())
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL


async def test_a_process_killed_while_it_makes_a_key_leaves_a_key_or_none(tmp_path: Path) -> None:
    for call in ("fchmod", "write", "fsync", "link", "unlink"):
        folder = tmp_path / call
        killed_at(call, folder, "await keys.key(KeyRole.KNIGHT, None)")
        made = read_signer(KNIGHT, folder / "knight.key")
        assert (made is not None) == (call == "unlink")
        key = await keyring(folder).key(KNIGHT, made.vkey if made else None)
        assert key.verifier.verify(b"message", await key.sign(b"message"))
        assert all(path.stat().st_mode & 0o077 == 0 for path in folder.glob(".knight.key*"))


async def test_a_process_killed_between_adoption_and_renaming_loses_no_key(tmp_path: Path) -> None:
    keys = keyring(tmp_path / "keys")
    await keys.key(KNIGHT, None)
    adopted = (await keys.successor(KNIGHT)).verifier.vkey
    for call in ("replace", "fsync"):
        # Before it renames, and before that is sure to last.
        killed_at(call, tmp_path / "keys", f"await keys.key(KeyRole.KNIGHT, {adopted!r})")
    assert (await keyring(tmp_path / "keys").key(KNIGHT, adopted)).verifier.vkey == adopted


def no_more_bytes() -> None:
    """Let the process write to no file, as a full quota does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-B", "-m", MODULE, str(tmp_path), "1", ""],
        cwd=ROOT,
        # Coverage would want to write a file of its own.
        env={name: value for name, value in os.environ.items() if "COVERAGE" not in name},
        input="go\n",
        capture_output=True,
        text=True,
        preexec_fn=no_more_bytes,
        check=False,
    )
    assert (
        f"KeyUnavailable: the Knight's key: {tmp_path}/0/knight.key cannot be written: "
        "File too large; let the user"
    ) in process.stderr
    assert files(tmp_path / "0") == set()


async def test_a_key_file_of_this_form_is_what_others_write_and_read(tmp_path: Path) -> None:
    path = tmp_path / "flow.db.keys" / "knight.key"
    key = await build_keyring(f"sqlite:///{tmp_path}/flow.db", {}).key(KNIGHT, None)
    assert Ed25519Signer.parse(path.read_text().rstrip("\n")).vkey == key.verifier.vkey
    assert os.fspath(path.parent) == f"{tmp_path}/flow.db.keys"
