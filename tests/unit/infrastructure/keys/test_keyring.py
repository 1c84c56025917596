"""What the keyring remembers, keys in memory, and that no private key gets out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import pytest
import structlog

from governance_flow.application.ports.keys import Keyring
from governance_flow.domain.errors import KeyUnavailable
from governance_flow.infrastructure.keys.keyring import build_keyring
from tests.support.keys import secret_of
from tests.unit.infrastructure.keys.samples import (
    KNIGHT,
    LOG,
    NO_ENVIRONMENT,
    a_signer,
    keep,
    keyring,
    refusal,
    refusal_of_successor,
)


def in_memory(random: Callable[[int], bytes] = os.urandom) -> Keyring:
    return build_keyring("memory:", NO_ENVIRONMENT, random=random)


async def test_a_key_is_loaded_once(tmp_path: Path) -> None:
    keys = keyring(tmp_path / "keys")
    first, second = await asyncio.gather(keys.key(KNIGHT, None), keys.key(KNIGHT, None))
    assert first is second
    (tmp_path / "keys" / "knight.key").unlink()
    assert await keys.key(KNIGHT, None) is first
    assert await keys.key(KNIGHT, first.verifier.vkey) is first


async def test_a_key_is_loaded_anew_when_the_store_goes_by_another(tmp_path: Path) -> None:
    keys = keyring(tmp_path / "keys")
    first = await keys.key(KNIGHT, None)
    other = a_signer()
    assert (await refusal(keys, other.vkey)).found == first.verifier.vkey
    # Somebody copies it there, as the message said.
    keep(tmp_path / "keys" / "knight.key", other)
    key = await keys.key(KNIGHT, other.vkey)
    assert key.verifier == other.verifier
    assert await keys.key(KNIGHT, other.vkey) is key


async def test_keys_in_memory_are_one_for_each_store_and_role() -> None:
    keys = in_memory()
    knight, log = await keys.key(KNIGHT, None), await keys.key(LOG, None)
    assert await keys.key(KNIGHT, knight.verifier.vkey) is knight
    assert knight.verifier.name.startswith("governance-flow.local/knight/")
    assert log.verifier.name.startswith("governance-flow.local/log/")
    assert (await in_memory().key(KNIGHT, None)).verifier != knight.verifier


async def test_keys_are_made_of_the_random_bytes_given() -> None:
    key = await in_memory(lambda count: bytes(range(count))).key(KNIGHT, None)
    same = await in_memory(lambda count: bytes(range(count))).key(KNIGHT, None)
    assert key.verifier == same.verifier
    assert key.verifier.name == "governance-flow.local/knight/00010203"


async def test_a_key_in_memory_is_followed_by_another(tmp_path: Path) -> None:
    keys = in_memory()
    assert "there is none to be followed" in await refusal_of_successor(keys)
    old = await keys.key(KNIGHT, None)
    new = await keys.successor(KNIGHT)
    assert (await keys.successor(KNIGHT)).verifier == new.verifier != old.verifier
    assert await keys.key(KNIGHT, old.verifier.vkey) is old
    keep(tmp_path / "given", a_signer())
    assert f"{new.verifier.vkey} is to follow already" in await refusal_of_successor(
        keys, tmp_path / "given"
    )
    assert (await keys.key(KNIGHT, new.verifier.vkey)).verifier == new.verifier
    await refusal(keys, old.verifier.vkey)
    given = await keys.successor(KNIGHT, str(tmp_path / "given"))
    assert (await keys.key(KNIGHT, given.verifier.vkey)).verifier == given.verifier
    assert "is the present key" in await refusal_of_successor(keys, tmp_path / "given")


async def test_a_store_in_memory_does_not_get_a_new_key_either() -> None:
    adopted = a_signer().vkey
    assert str(await refusal(in_memory(), adopted)) == (
        f"the Knight's key: the store goes by {adopted}, but in the memory of this process "
        "there is no key; set GOVERNANCE_FLOW_KNIGHT_KEY to its private key"
    )


# -- Nothing gives a private key away ----------------------------------------------------------


def frames(error: BaseException | None) -> Iterator[str]:
    """Tell what a debugger would show of an error: texts, and the variables of our code."""
    while error is not None:
        yield repr(error)
        yield repr(getattr(error, "details", {}))
        traceback: TracebackType | None = error.__traceback__
        while traceback is not None:
            if "governance_flow" in traceback.tb_frame.f_code.co_filename:
                yield repr(traceback.tb_frame.f_locals)
            traceback = traceback.tb_next
        error = error.__context__


def broken(kind: str, folder: Path, key: str) -> Keyring:
    """Return a keyring that refuses although it has seen the key, or nearly the key."""
    spoiled = key.replace("+", "+!", 3)
    path = folder / "knight.key"
    keep(path, a_signer())
    path.write_text(spoiled)
    match kind:
        case "spoiled text":
            return build_keyring("memory:", {"GOVERNANCE_FLOW_KNIGHT_KEY": spoiled})
        case "two variables":
            both = dict.fromkeys(
                ("GOVERNANCE_FLOW_KNIGHT_KEY", "GOVERNANCE_FLOW_KNIGHT_SIGNER"), key
            )
            return build_keyring("memory:", both)
        case "another key":
            return build_keyring("memory:", {"GOVERNANCE_FLOW_KNIGHT_KEY": key})
        case "spoiled file":
            return keyring(folder)
        case "another in the file":
            path.write_text(key)
            return keyring(folder)
        case "open to others":
            path.write_text(key)
            path.chmod(0o644)
            return keyring(folder)
        case _:
            return keyring(folder, GOVERNANCE_FLOW_KNIGHT_KEY_FILE=str(path))


@pytest.mark.parametrize(
    "kind",
    [
        "spoiled text",
        "two variables",
        "another key",
        "spoiled file",
        "another in the file",
        "open to others",
        "spoiled given file",
    ],
)
async def test_no_refusal_leads_to_the_private_key(tmp_path: Path, kind: str) -> None:
    key = a_signer().private_key()
    keys = broken(kind, tmp_path / "keys", key)
    with pytest.raises(KeyUnavailable) as caught:
        await keys.key(KNIGHT, a_signer().vkey)
    seen = list(frames(caught.value))
    assert len(seen) > 3
    assert not [text for text in seen if secret_of(key)[:20] in text]


async def test_no_failure_of_the_disk_leads_to_the_private_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = keyring(tmp_path / "keys")
    written: list[str] = []

    def full(descriptor: int, content: bytes) -> int:
        written.append(secret_of(content.decode().strip()))
        return 0

    monkeypatch.setattr(os, "write", full)
    error = await refusal(keys)
    monkeypatch.undo()
    (secret,) = written
    assert not [text for text in frames(error) if secret in text]


async def test_keys_show_only_their_public_half(tmp_path: Path) -> None:
    given = a_signer()
    shown = []
    with structlog.testing.capture_logs() as logs:
        for keys in (
            build_keyring("memory:", {"GOVERNANCE_FLOW_KNIGHT_KEY": given.private_key()}),
            build_keyring(
                "memory:",
                {
                    "GOVERNANCE_FLOW_KNIGHT_SIGNER": "sign",
                    "GOVERNANCE_FLOW_KNIGHT_PUBLIC_KEY": given.vkey,
                    "GOVERNANCE_FLOW_LOG_KEY": given.private_key(),
                },
            ),
        ):
            key = await keys.key(KNIGHT, None)
            assert given.vkey in repr(key)
            shown += [repr(key), str(key), repr(keys), repr(vars(keys))]
            if hasattr(key, "__dict__"):
                shown.append(repr(vars(key)))
    assert not [
        text for text in (*shown, *map(str, logs)) if secret_of(given.private_key()) in text
    ]
