"""How it is said that a key cannot be had: what is wrong, where, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from governance_flow.domain.errors import KeyUnavailable
from governance_flow.domain.keys import KeyRole

KEYS_VARIABLE = "GOVERNANCE_FLOW_KEYS"
"""The environment variable that names the folder of the key files."""


def key_variable(role: KeyRole) -> str:
    """Return the environment variable for a private key itself."""
    return f"GOVERNANCE_FLOW_{role.upper()}_KEY"


def key_file_variable(role: KeyRole) -> str:
    """Return the environment variable for the file that holds a private key."""
    return f"{key_variable(role)}_FILE"


def signer_variable(role: KeyRole) -> str:
    """Return the environment variable for the command that signs."""
    return f"GOVERNANCE_FLOW_{role.upper()}_SIGNER"


def public_key_variable(role: KeyRole) -> str:
    """Return the environment variable for the verifier key of the command that signs."""
    return f"GOVERNANCE_FLOW_{role.upper()}_PUBLIC_KEY"


def unavailable(role: KeyRole, problem: str, remedy: str, **details: object) -> KeyUnavailable:
    """Return the error to raise; ``details`` become its attributes."""
    return KeyUnavailable(f"{_owner(role)} key: {problem}; {remedy}", role=role, **details)


def another_key(
    role: KeyRole, adopted: str, found: str | None, where: str, remedy: str
) -> KeyUnavailable:
    """Return the error for a key that is not the one the store has on record.

    ``found`` is the verifier key of what is at ``where``, or None if there is nothing.
    """
    what = "there is no key" if found is None else f"there is {found}"
    return unavailable(
        role,
        f"the store goes by {adopted}, but {where} {what}",
        remedy,
        adopted=adopted,
        found=found,
    )


def not_readable(role: KeyRole, path: Path, error: OSError) -> KeyUnavailable:
    """Return the error for a key file that the system does not give us."""
    return unavailable(
        role,
        f"{path} cannot be read: {error.strerror}",
        "let the user that runs this program read it, and nobody else",
    )


def not_writable(role: KeyRole, path: Path, error: OSError) -> KeyUnavailable:
    """Return the error for a key file that cannot be made or renamed."""
    return unavailable(
        role,
        f"{path} cannot be written: {error.strerror}",
        "let the user that runs this program write to the folder, and nobody else,"
        f" or set {KEYS_VARIABLE} to another folder",
    )


def _owner(role: KeyRole) -> str:
    match role:
        case KeyRole.KNIGHT:
            return "the Knight's"
        case KeyRole.LOG:
            return "the log's"
        case _:
            assert_never(role)
