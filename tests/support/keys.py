"""Keys that every process of a test has, and that are the same in every run."""

from __future__ import annotations

from governance_flow.application.ports.keys import Keyring, KeyRole
from governance_flow.infrastructure.keys.keyring import build_keyring
from governance_flow.transparency.keys import Ed25519Signer

KNIGHT = Ed25519Signer(f"governance-flow.local/{KeyRole.KNIGHT}/test", bytes(range(32)))
LOG = Ed25519Signer(f"governance-flow.local/{KeyRole.LOG}/test", bytes(range(32, 64)))


def secret_of(private_key: str) -> str:
    """Return the part of a private key that nobody may see; it may contain the separator."""
    return private_key.split("+", 4)[4]


def fixed_keyring() -> Keyring:
    """Return a keyring with these keys; it touches no file."""
    return build_keyring(
        "memory:",
        {
            "GOVERNANCE_FLOW_KNIGHT_KEY": KNIGHT.private_key(),
            "GOVERNANCE_FLOW_LOG_KEY": LOG.private_key(),
        },
    )
