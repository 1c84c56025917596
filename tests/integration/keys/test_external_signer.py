"""Signing by a command: one that works, and every way in which one may fail."""

from __future__ import annotations

import asyncio
import os
import select
import shlex
import sys
from base64 import b64encode
from pathlib import Path
from time import monotonic

import pytest

from governance_flow.application.ports.keys import SigningKey
from governance_flow.domain.errors import KeyUnavailable
from governance_flow.infrastructure.keys.command import (
    OUTPUT_BYTES_MAX,
    SIGNER_SECONDS,
    CommandKey,
    _Talk,
)
from tests.support.processes import PATIENCE_SECONDS, ROOT
from tests.unit.infrastructure.keys.samples import KNIGHT, a_signer, keep, keyring

SIGNER = a_signer()
MESSAGE = b"message\n\x00\xff"
REMEDY = (
    "; see to it that it answers a message on its standard input with the base64 of the signature"
)
START = "the Knight's key: the command '{}' of GOVERNANCE_FLOW_KNIGHT_SIGNER "


async def key_of(command: str, folder: Path, **environ: str) -> SigningKey:
    """Return the key that the environment says a command has."""
    given = {
        "GOVERNANCE_FLOW_KNIGHT_SIGNER": command,
        "GOVERNANCE_FLOW_KNIGHT_PUBLIC_KEY": SIGNER.vkey,
        "PATH": os.environ["PATH"],
        **environ,
    }
    return await keyring(folder / "keys", **given).key(KNIGHT, SIGNER.vkey)


def working_command(folder: Path) -> str:
    keep(folder / "the key", SIGNER)
    return shlex.join(
        [sys.executable, "-m", "tests.integration.keys.signer", str(folder / "the key")]
    )


def shell(script: str, seconds: float = 30.0) -> CommandKey:
    """Return a key behind a line for the shell."""
    command = ["sh", "-c", script]
    environ = {"PATH": os.environ["PATH"]}
    return CommandKey(KNIGHT, SIGNER.verifier, command, environ, seconds=seconds)


async def refusal(key: SigningKey, message: bytes = MESSAGE, program: str = "sh") -> str:
    """Return what is wrong with the command, without what is said of every one."""
    with pytest.raises(KeyUnavailable) as caught:
        await key.sign(message)
    assert caught.value.role is KNIGHT
    text = str(caught.value)
    assert text.startswith(START.format(program))
    assert text.endswith(REMEDY)
    return text.removeprefix(START.format(program)).removesuffix(REMEDY)


def answer(signature: bytes) -> str:
    return b64encode(signature).decode()


async def test_a_command_signs_messages_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    key = await key_of(working_command(tmp_path), tmp_path)
    # The last one is more than any pipe holds.
    for message in (b"", MESSAGE, os.urandom(2_000_000)):
        assert await key.sign(message) == SIGNER.sign(message)


async def test_many_signatures_at_once_are_each_of_their_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    key = await key_of(working_command(tmp_path), tmp_path)
    messages = [f"message {number}".encode() for number in range(12)]
    signatures = await asyncio.gather(*map(key.sign, messages))
    assert signatures == [SIGNER.sign(message) for message in messages]


async def test_no_shell_sees_the_command_and_no_variable_of_ours_reaches_it(
    tmp_path: Path,
) -> None:
    command = f"""sh -c 'env > "$0"; exit 3' '{tmp_path}/$(env) ; "said'"""
    key = await key_of(
        command,
        tmp_path,
        GOVERNANCE_FLOW_LOG_KEY=a_signer().private_key(),
        GOVERNANCE_FLOW_STORE="postgresql://me:secret@db/flow",
        HSM_SLOT="3",
    )
    assert await refusal(key) == "failed with exit code 3"
    said = (tmp_path / '$(env) ; "said').read_text()
    assert "HSM_SLOT=3\n" in said
    assert "GOVERNANCE_FLOW_" not in said


async def test_a_signature_of_another_key_is_refused(tmp_path: Path) -> None:
    other = answer(a_signer().sign(MESSAGE))
    expected = f"gave a signature that is not one of {SIGNER.vkey} for the message"
    assert await refusal(shell(f"cat >/dev/null; echo {other}")) == expected
    # Nor is one of the right key for another message.
    assert await refusal(shell(f"echo {answer(SIGNER.sign(b'other'))}")) == expected
    right = answer(SIGNER.sign(MESSAGE))
    assert await shell(f"cat >/dev/null; printf '{right}\\r\\n'").sign(MESSAGE)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("cat >/dev/null", "answered '', not the base64 of 64 bytes"),
        ("echo nonsense", "answered 'nonsense', not the base64 of 64 bytes"),
        ("echo QUJD", "answered 'QUJD', not the base64 of 64 bytes"),
        ("printf 'a\\377\\nb'", "answered 'a\\ufffd\\nb', not the base64 of 64 bytes"),
        ("head -c 5000000 /dev/zero", "answered with more than 4096 bytes"),
        ("exit 3", "failed with exit code 3"),
        ("echo; echo ' HSM locked '; exit 4", "failed with exit code 4"),
        (
            "{ echo; echo ' HSM locked '; echo more; } >&2; exit 4",
            "failed with exit code 4 (it said: HSM locked)",
        ),
        ("printf 'a\\033[31mb' >&2; exit 1", "failed with exit code 1 (it said: a?[31mb)"),
        ("kill -9 $$", "was ended by signal 9"),
        (
            "head -c 5000000 /dev/zero | tr '\\0' x >&2; exit 1",
            f"failed with exit code 1 (it said: {'x' * 200}...)",
        ),
        ("echo odd; echo why >&2", "answered 'odd', not the base64 of 64 bytes (it said: why)"),
    ],
)
async def test_every_other_answer_is_refused(script: str, problem: str) -> None:
    assert await refusal(shell(script)) == problem
    # Also if it does not even read the message, and that is more than a pipe holds.
    assert await refusal(shell(script), bytes(1_000_000)) == problem


async def test_only_the_beginning_of_what_a_command_says_is_kept() -> None:
    talk = _Talk(asyncio.get_running_loop())
    for _ in range(100):
        talk.pipe_data_received(1, bytes(1000))
    assert len(talk.output) == OUTPUT_BYTES_MAX + 1


async def test_a_signature_with_a_failure_is_none() -> None:
    right = answer(SIGNER.sign(MESSAGE))
    assert await refusal(shell(f"echo {right}; exit 1")) == "failed with exit code 1"


async def test_a_command_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    missing = await key_of("no-such-signer --slot 3", tmp_path)
    assert await refusal(missing, program="no-such-signer") == (
        "cannot be started: No such file or directory"
    )
    script = tmp_path / "signer"
    script.write_text("")
    key = await key_of(shlex.quote(str(script)), tmp_path)
    with pytest.raises(KeyUnavailable, match="cannot be started: Permission denied"):
        await key.sign(MESSAGE)


@pytest.mark.parametrize("message", [MESSAGE, bytes(1_000_000)])
async def test_a_command_that_hangs_is_given_up(message: bytes) -> None:
    key = shell("exec sleep 600", seconds=0.2)
    start = monotonic()
    assert await refusal(key, message) == "was not done within 0.2 s"
    assert monotonic() - start < 15


async def test_a_signature_may_take_five_seconds(tmp_path: Path) -> None:
    assert vars(await key_of("sign", tmp_path))["_seconds"] == SIGNER_SECONDS == 5.0


async def test_a_child_that_holds_its_output_does_not_hold_us(tmp_path: Path) -> None:
    key = shell("sleep 600 & exit 0", seconds=0.2)
    assert await refusal(key) == "was not done within 0.2 s"


@pytest.mark.parametrize("turns", [2, 3, 4, 6, 10])
async def test_nothing_of_a_command_is_left_behind(tmp_path: Path, turns: int) -> None:
    line = tmp_path / "line"
    os.mkfifo(line)
    listening = os.open(line, os.O_RDONLY | os.O_NONBLOCK)
    # It and its child hold the line open for as long as they live.
    script = f"exec 3>'{line}'; sleep 600 & echo there >&3; exec sleep 600"
    signing = asyncio.ensure_future(shell(script, seconds=600.0).sign(MESSAGE))
    # Some of the way only: for all the loop knows, the command may still be starting.
    for _ in range(turns):
        await asyncio.sleep(0)
    assert heard(listening) == b"there\n"
    signing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await signing
    assert heard(listening) == b""
    os.close(listening)


def heard(line: int) -> bytes:
    """Wait, with the loop standing still, for something to be said, or for nobody to be left."""
    readable, _, _ = select.select([line], [], [], PATIENCE_SECONDS)
    assert readable
    return os.read(line, 100)
