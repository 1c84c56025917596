"""Keys that sign notes: what the notes need of one, and Ed25519 (C2SP signed-note, 0x01).

The texts: ``name+keyid+base64`` for the verifier key, which anybody may have, and
``PRIVATE+KEY+name+keyid+base64`` for the private key, the form of Go's sumdb/note.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from governance_flow.transparency.encoding import control_character, from_base64, to_base64
from governance_flow.transparency.errors import MalformedKey, shown

ED25519: Final = b"\x01"
"""The signature type identifier of Ed25519 (C2SP signed-note, "Signature types")."""

KEY_BYTES: Final = 32
"""The length of an Ed25519 public key, and of the seed a private key is made of (RFC 8032)."""

KEY_ID_BYTES: Final = 4

_PRIVATE = "PRIVATE+KEY+"
_VKEY_FORM = "write it as name+keyid+base64, as its owner published it"
_PRIVATE_FORM = "write it as PRIVATE+KEY+name+keyid+base64, as it was created"


class Verifier(Protocol):
    """Checks signatures of one key."""

    @property
    def name(self) -> str:
        """The key's name, as signature lines give it."""

    @property
    def key_id(self) -> int:
        """The key's id, 32 bits; with the name it says which key signed."""

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether ``signature``, without the key id, is this key's for ``message``."""


class Signer(Protocol):
    """Signs with one key, wherever the key is: in memory, in a device, behind a command."""

    @property
    def name(self) -> str:
        """The key's name, as signature lines are to give it."""

    @property
    def key_id(self) -> int:
        """The key's id, 32 bits."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message``, without the key id."""


@lru_cache(maxsize=256)
def is_key_name(name: str) -> bool:
    """Return whether a key may have this name (C2SP signed-note, "Format")."""
    return (
        name != ""
        and "+" not in name
        and not any(map(str.isspace, name))
        # Further than the rule for names goes, but in a note they would be forbidden anyway.
        and control_character(name) is None
        and not any("\ud800" <= character <= "\udfff" for character in name)
    )


def key_id_of(name: str, type_and_key: bytes) -> int:
    """Return the key id the specification recommends, and demands of Ed25519 keys."""
    digest = sha256(name.encode() + b"\n" + type_and_key).digest()
    return int.from_bytes(digest[:KEY_ID_BYTES], "big")


@dataclass(frozen=True)
class Ed25519Verifier:
    """The public half of a key; ``public_key`` is its 32 bytes (RFC 8032, section 5.1.5)."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        """Refuse names and keys that no note could carry."""
        _check_name(self.name)
        if len(self.public_key) != KEY_BYTES:
            raise MalformedKey(
                f"{self.name}: a public key of {len(self.public_key)} bytes, not {KEY_BYTES}",
                "give the raw Ed25519 public key",
            )

    @classmethod
    def parse(cls, vkey: str) -> Ed25519Verifier:
        """Return the verifier of a vkey (C2SP signed-note, "Verifier keys")."""
        name, _, rest = vkey.partition("+")
        key_id, _, encoded = rest.partition("+")
        data = from_base64(encoded)
        if not data:
            raise MalformedKey(f"{shown(vkey)} is no verifier key", _VKEY_FORM)
        if data[:1] != ED25519:
            raise MalformedKey(
                f"{shown(vkey)} is of the signature type 0x{data[0]:02x}",
                "give an Ed25519 key, type 0x01",
            )
        verifier = cls(name, data[1:])
        # One spelling: eight lower-case digits ("Conventions used in this document").
        if key_id != f"{verifier.key_id:08x}":
            raise MalformedKey(
                f"{shown(vkey)} has the key id {shown(key_id)},"
                f" its name and key make it {verifier.key_id:08x}",
                _VKEY_FORM,
            )
        return verifier

    @cached_property
    def key_id(self) -> int:
        """The key's id (C2SP signed-note, "Ed25519 signatures")."""
        return key_id_of(self.name, ED25519 + self.public_key)

    @property
    def vkey(self) -> str:
        """The verifier key as text (C2SP signed-note, "Verifier keys")."""
        return f"{self.name}+{self.key_id:08x}+{to_base64(ED25519 + self.public_key)}"

    def __str__(self) -> str:
        return self.vkey

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is this key's for ``message``."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    @cached_property
    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.public_key)


class Ed25519Signer:
    """A private key in memory. Nothing but ``private_key`` gives it away: no repr, no error."""

    __slots__ = ("_key", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        _check_name(name)
        if len(seed) != KEY_BYTES:
            raise MalformedKey(
                f"{name}: a seed of {len(seed)} bytes", f"give {KEY_BYTES} random bytes"
            )
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Ed25519Verifier(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def parse(cls, private_key: str) -> Ed25519Signer:
        """Return the signer of a private key's text; errors do not quote it."""
        if not private_key.startswith(_PRIVATE):
            raise MalformedKey(f"the private key does not begin with {_PRIVATE}", _PRIVATE_FORM)
        name, _, rest = private_key.removeprefix(_PRIVATE).partition("+")
        key_id, _, encoded = rest.partition("+")
        data = from_base64(encoded)
        if not data or not is_key_name(name):
            raise MalformedKey("the text is no private key", _PRIVATE_FORM)
        if data[:1] != ED25519 or len(data) != 1 + KEY_BYTES:
            raise MalformedKey("the private key is not of Ed25519", "give one of type 0x01")
        signer = cls(name, data[1:])
        if key_id != f"{signer.key_id:08x}":
            raise MalformedKey(
                "the key id of the private key is not that of its name and key", _PRIVATE_FORM
            )
        return signer

    @property
    def name(self) -> str:
        """The key's name."""
        return self.verifier.name

    @property
    def key_id(self) -> int:
        """The key's id."""
        return self.verifier.key_id

    @property
    def vkey(self) -> str:
        """The verifier key as text, to be published."""
        return self.verifier.vkey

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of ``message``, 64 bytes (RFC 8032)."""
        return self._key.sign(message)

    def private_key(self) -> str:
        """Return the private key as text, to be kept where nobody else can read it."""
        encoded = to_base64(ED25519 + self._key.private_bytes_raw())
        return f"{_PRIVATE}{self.name}+{self.key_id:08x}+{encoded}"

    def __repr__(self) -> str:
        return f"Ed25519Signer({self.vkey})"


def _check_name(name: str) -> None:
    if not is_key_name(name):
        raise MalformedKey(
            f"{shown(name)} cannot be a key's name",
            "take one without spaces, plus signs and control characters, like example.com/log",
        )
