"""Keys as text: Go's published pair, every mangling refused, and nothing secret in an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance_flow.transparency.encoding import to_base64
from governance_flow.transparency.errors import MalformedKey
from governance_flow.transparency.keys import Ed25519Signer, Ed25519Verifier, is_key_name

# Published with Go's sumdb/note; the private key is known to everybody.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"

names = st.text(min_size=1).filter(is_key_name)
seeds = st.binary(min_size=32, max_size=32)


def manglings(text: str) -> list[str]:
    """Return every part of a text, and the text with each character the next one."""
    parts = [text[i:j] for i in range(len(text) + 1) for j in range(i, len(text) + 1)]
    parts.remove(text)
    return parts + [text[:i] + chr(ord(c) + 1) + text[i + 1 :] for i, c in enumerate(text)]


@pytest.mark.parametrize("vkey", [PETER, ENOCH])
def test_go_verifier_keys_are_read_and_written_back(vkey: str) -> None:
    verifier = Ed25519Verifier.parse(vkey)
    assert f"{verifier.name}+{verifier.key_id:08x}" == vkey.rpartition("+")[0]
    assert verifier.vkey == str(verifier) == vkey


def test_go_private_key_belongs_to_its_verifier_key() -> None:
    signer = Ed25519Signer.parse(PETER_PRIVATE)
    assert signer.verifier == Ed25519Verifier.parse(PETER)
    assert (signer.name, signer.key_id, signer.vkey) == ("PeterNeumann", 0xC74F20A3, PETER)
    assert signer.private_key() == PETER_PRIVATE


def test_every_mangled_verifier_key_is_refused() -> None:
    for mangled in manglings(PETER):
        with pytest.raises(MalformedKey):
            Ed25519Verifier.parse(mangled)


def test_every_mangled_private_key_is_refused_without_showing_it() -> None:
    secret = PETER_PRIVATE.rpartition("+")[2]
    for mangled in manglings(PETER_PRIVATE):
        with pytest.raises(MalformedKey) as caught:
            Ed25519Signer.parse(mangled)
        shown = repr(caught.value) + str(caught.value)
        assert all(secret[at : at + 8] not in shown for at in range(len(secret) - 8))


@pytest.mark.parametrize(
    ("vkey", "says"),
    [
        # Go: a key of the wrong length, and of an unknown algorithm, both with the right key id.
        ("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==", "base64"),
        ("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "type 0x65"),
        # "Conventions": hex is lower case.
        ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key id 'C74F20A3'"),
        ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key's name"),
        ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key's name"),
        ("EnochRoot+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "make it"),
    ],
)
def test_a_refused_verifier_key_says_why(vkey: str, says: str) -> None:
    with pytest.raises(MalformedKey) as caught:
        Ed25519Verifier.parse(vkey)
    assert says in str(caught.value) or says in caught.value.remedy


def test_a_private_key_of_another_length_is_refused_without_showing_it() -> None:
    for length in (0, 31, 33):
        text = f"PRIVATE+KEY+secret+00000000+{to_base64(bytes([1, *range(length)]))}"
        with pytest.raises(MalformedKey, match="the private key is not of Ed25519") as caught:
            Ed25519Signer.parse(text)
        assert "secret" not in str(caught.value)


def test_a_signer_shows_its_verifier_key_only() -> None:
    signer = Ed25519Signer.parse(PETER_PRIVATE)
    assert repr(signer) == str(signer) == f"Ed25519Signer({PETER})"


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_keys_of_a_wrong_length_are_refused(length: int) -> None:
    with pytest.raises(MalformedKey, match=f"a seed of {length} bytes"):
        Ed25519Signer("example.com/log", bytes(length))
    with pytest.raises(MalformedKey, match=f"a public key of {length} bytes"):
        Ed25519Verifier("example.com/log", bytes(length))


# "Format": names are not empty and have no Unicode spaces and no plus; control characters and
# halves of surrogate pairs could not stand in a note.
@pytest.mark.parametrize(
    "name",
    [
        *("", "a b", "a+b", "a\tb", "a\u00a0b", "a\u2003b", "a\u2028b", "a\u3000b", "a\x85b"),
        *("a\nb", "a\x00b", "a\x1fb", "a\ud800b"),
    ],
)
def test_names_that_no_key_may_have(name: str) -> None:
    assert not is_key_name(name)
    with pytest.raises(MalformedKey, match="cannot be a key's name"):
        Ed25519Signer(name, bytes(32))


@pytest.mark.parametrize("name", ["a", "example.com/log", "größe", "☃", "—", "a\u200bb", "a\x7fb"])
def test_names_that_a_key_may_have(name: str) -> None:
    signer = Ed25519Signer(name, bytes(32))
    assert Ed25519Verifier.parse(signer.vkey) == signer.verifier


@given(names, seeds, st.binary(), st.integers(0, 511))
def test_what_is_signed_verifies_and_nothing_else(
    name: str, seed: bytes, message: bytes, bit: int
) -> None:
    signer = Ed25519Signer.parse(Ed25519Signer(name, seed).private_key())
    verifier = Ed25519Verifier.parse(signer.vkey)
    signature = signer.sign(message)
    assert verifier.verify(message, signature)
    assert not verifier.verify(message + b"\n", signature)
    mangled = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(64, "big")
    for wrong in (mangled, signature[:-1], signature + b"\x00", b""):
        assert not verifier.verify(message, wrong)
