"""Keys that the environment gives, and every way to give them wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.infrastructure.keys.samples import (
    KNIGHT,
    LOG,
    a_signer,
    keep,
    keyring,
    refusal,
    refusal_of_successor,
)

GIVEN = a_signer()
OTHER = a_signer("example.com/other")

TEXT, FILE = "GOVERNANCE_FLOW_KNIGHT_KEY", "GOVERNANCE_FLOW_KNIGHT_KEY_FILE"
SIGNER, PUBLIC = "GOVERNANCE_FLOW_KNIGHT_SIGNER", "GOVERNANCE_FLOW_KNIGHT_PUBLIC_KEY"
PREFIX = "the Knight's key: "


def environment(kind: str, folder: Path) -> dict[str, str]:
    """Give GIVEN to the Knight, in one of the three ways."""
    keep(folder / "given", GIVEN)
    return {
        TEXT: {TEXT: f" {GIVEN.private_key()}\n"},
        FILE: {FILE: str(folder / "given")},
        SIGNER: {SIGNER: "sign --with it", PUBLIC: GIVEN.vkey},
    }[kind]


@pytest.mark.parametrize("kind", [TEXT, FILE, SIGNER])
async def test_a_given_key_is_used_and_no_file_made(tmp_path: Path, kind: str) -> None:
    environ = environment(kind, tmp_path)
    for adopted in (None, GIVEN.vkey):
        key = await keyring(tmp_path / "keys", **environ).key(KNIGHT, adopted)
        assert key.verifier == GIVEN.verifier
        if kind != SIGNER:
            assert GIVEN.verifier.verify(b"message", await key.sign(b"message"))
    assert not (tmp_path / "keys").exists()


async def test_the_same_variables_give_the_key_of_the_log(tmp_path: Path) -> None:
    keys = keyring(tmp_path / "keys", GOVERNANCE_FLOW_LOG_KEY=GIVEN.private_key())
    assert (await keys.key(LOG, None)).verifier == GIVEN.verifier
    assert (await keys.key(KNIGHT, None)).verifier != GIVEN.verifier
    assert not (tmp_path / "keys" / "log.key").exists()


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        (TEXT, "set it to the private key of that one"),
        (FILE, "let it name the file with that one, instead of {folder}/given"),
        (SIGNER, f"let it sign with that one, and {PUBLIC} say so"),
    ],
)
async def test_a_given_key_that_is_not_the_adopted_one_is_refused(
    tmp_path: Path, kind: str, remedy: str
) -> None:
    # What lies in the folder does not help: the environment has said what to use.
    keep(tmp_path / "keys" / "knight.key", OTHER)
    error = await refusal(keyring(tmp_path / "keys", **environment(kind, tmp_path)), OTHER.vkey)
    assert str(error) == (
        f"{PREFIX}the store goes by {OTHER.vkey}, but in {kind} there is {GIVEN.vkey}; "
        + remedy.format(folder=tmp_path)
    )
    assert (error.adopted, error.found) == (OTHER.vkey, GIVEN.vkey)


@pytest.mark.parametrize("kind", [TEXT, FILE, SIGNER])
async def test_a_given_key_is_replaced_where_it_comes_from(tmp_path: Path, kind: str) -> None:
    keys = keyring(tmp_path / "keys", **environment(kind, tmp_path))
    assert await refusal_of_successor(keys) == (
        f"{PREFIX}it comes from {kind}, so no other can be kept to follow it here; "
        "replace it where it comes from"
    )


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {TEXT: "a", FILE: "b"},
            f"{TEXT} and {FILE} are set; set one of them only, so that it is clear which",
        ),
        (
            {FILE: "b", SIGNER: "c", PUBLIC: GIVEN.vkey},
            f"{FILE} and {SIGNER} are set; set one of them only, so that it is clear which",
        ),
        (
            {TEXT: "a", FILE: "b", SIGNER: "c"},
            (
                f"{TEXT} and {FILE} and {SIGNER} are set; "
                "set one of them only, so that it is clear which"
            ),
        ),
        (
            {PUBLIC: GIVEN.vkey},
            f"{PUBLIC} is set; it goes with {SIGNER} only: unset it, or set that",
        ),
        (
            {PUBLIC: GIVEN.vkey, TEXT: GIVEN.private_key()},
            (
                f"{PUBLIC} is set together with {TEXT}; "
                f"it goes with {SIGNER} only: unset it, or set that"
            ),
        ),
        (
            {SIGNER: "sign"},
            f"{SIGNER} is set without {PUBLIC}; set {PUBLIC} to the command's public key",
        ),
        (
            {SIGNER: "sign", PUBLIC: "nonsense"},
            f"{PUBLIC}: 'nonsense' is no verifier key; set it to the command's public key",
        ),
        (
            {SIGNER: "sign 'it", PUBLIC: GIVEN.vkey},
            (
                f"{SIGNER} cannot be split into a program and its arguments "
                "(No closing quotation); quote it as for a shell"
            ),
        ),
        (
            {SIGNER: " ", PUBLIC: GIVEN.vkey},
            f"{SIGNER} cannot be split into a program and its arguments; quote it as for a shell",
        ),
        ({TEXT: " "}, f"{TEXT} is empty; set it to the text PRIVATE+KEY+..., as it was created"),
        (
            {TEXT: GIVEN.vkey},
            (
                f"{TEXT} is no private key that can be used: the private key does not begin with "
                "PRIVATE+KEY+; set it to the text PRIVATE+KEY+..., as it was created"
            ),
        ),
        (
            {TEXT: GIVEN.private_key() * 20},
            (
                f"{TEXT} is longer than 1000 characters, so it is no private key; "
                "set it to the text PRIVATE+KEY+..., as it was created"
            ),
        ),
    ],
)
async def test_mistakes_in_the_environment_are_said_to_who_needs_the_key(
    tmp_path: Path, environ: dict[str, str], message: str
) -> None:
    keys = keyring(tmp_path / "keys", **environ)
    for adopted in (None, GIVEN.vkey):
        assert str(await refusal(keys, adopted)) == PREFIX + message
    assert await refusal_of_successor(keys) == PREFIX + message
    # The other role is not concerned.
    await keys.key(LOG, None)


async def test_variables_that_are_empty_are_not_set(tmp_path: Path) -> None:
    environ = dict.fromkeys((TEXT, FILE, SIGNER, PUBLIC), "")
    await keyring(tmp_path / "keys", **environ).key(KNIGHT, None)
    assert (tmp_path / "keys" / "knight.key").exists()


async def test_a_given_file_must_be_there_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "given"
    keys = keyring(tmp_path / "keys", **{FILE: str(path)})
    assert str(await refusal(keys)) == (
        f"{PREFIX}there is no file {path}; name the file with the private key"
    )
    keep(path, GIVEN, mode=0o644)
    assert f"{PREFIX}others may use {path} (mode 0644); if nobody has copied it" in str(
        await refusal(keys)
    )
    path.chmod(0o400)
    assert (await keys.key(KNIGHT, None)).verifier == GIVEN.verifier


async def test_a_given_file_may_be_a_link_as_mounted_secrets_are(tmp_path: Path) -> None:
    keep(tmp_path / "given", GIVEN)
    (tmp_path / "link").symlink_to(tmp_path / "given")
    keys = keyring(tmp_path / "keys", **{FILE: str(tmp_path / "link")})
    assert (await keys.key(KNIGHT, None)).verifier == GIVEN.verifier
