"""The keys of every store that is measured: the same in each process, and secret to nobody.

For benchmarks only. A key of a real store is made of random bytes, and kept in a file. These are
given as a key may be given, so that they sign as in production, without a file that somebody would
have to remove.
"""

from __future__ import annotations

from base64 import b64encode

from governance_flow.application.ports.keys import Keyring, KeyRole
from governance_flow.infrastructure.keys.keyring import build_keyring
from governance_flow.infrastructure.keys.refusals import key_variable
from governance_flow.transparency.keys import KEY_BYTES, KEY_ID_BYTES, Ed25519Signer

SIGNERS = {
    role: Ed25519Signer(f"governance-flow.local/{role}/bench", bytes([seed]) * KEY_BYTES)
    for seed, role in enumerate(KeyRole, 1)
}


def bench_keyring() -> Keyring:
    """Return a keyring with these keys; it touches no file."""
    given = {key_variable(role): signer.private_key() for role, signer in SIGNERS.items()}
    return build_keyring("memory:", given)


def signature_of(text: bytes, role: KeyRole) -> bytes:
    """Return what stands at the end of the line with which a key signs the text of a note."""
    signer = SIGNERS[role]
    return b64encode(signer.key_id.to_bytes(KEY_ID_BYTES, "big") + signer.sign(text))
