"""Keys, and keyrings of stores, that the tests of keys have in common."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from governance_flow.application.ports.keys import Keyring
from governance_flow.domain.errors import KeyUnavailable
from governance_flow.domain.keys import KeyRole
from governance_flow.infrastructure.keys.keyring import build_keyring
from governance_flow.transparency.keys import Ed25519Signer

KNIGHT, LOG = KeyRole.KNIGHT, KeyRole.LOG

NO_ENVIRONMENT: Mapping[str, str] = {}


def a_signer(name: str = "example.com/knight") -> Ed25519Signer:
    return Ed25519Signer(name, os.urandom(32))


def keyring(folder: Path, **environ: str) -> Keyring:
    """Return a keyring as a process of its own would have it, with its files in ``folder``."""
    return build_keyring("sqlite:///flow.db", {"GOVERNANCE_FLOW_KEYS": str(folder), **environ})


def keep(path: Path, signer: Ed25519Signer, mode: int = 0o600) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(f"{signer.private_key()}\n")
    path.chmod(mode)


async def refusal(
    keys: Keyring, adopted: str | None = None, role: KeyRole = KNIGHT
) -> KeyUnavailable:
    with pytest.raises(KeyUnavailable) as caught:
        await keys.key(role, adopted)
    assert caught.value.role is role
    return caught.value


async def refusal_of_successor(
    keys: Keyring, given: Path | None = None, role: KeyRole = KNIGHT
) -> str:
    with pytest.raises(KeyUnavailable) as caught:
        await keys.successor(role, None if given is None else str(given))
    return str(caught.value)
