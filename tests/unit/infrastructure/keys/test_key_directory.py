"""Keys in files: made once, found again, followed by others, and refused when they are wrong."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from governance_flow.domain.errors import KeyUnavailable
from governance_flow.infrastructure.keys import directory as directory_module
from governance_flow.infrastructure.keys import files as files_module
from governance_flow.infrastructure.keys.directory import KeyDirectory
from governance_flow.infrastructure.keys.files import locked, read_signer
from governance_flow.transparency.keys import Ed25519Signer
from tests.unit.infrastructure.keys.samples import (
    KNIGHT,
    LOG,
    a_signer,
    keep,
    keyring,
    refusal,
    refusal_of_successor,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "keys"


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def is_there(path: Path) -> bool:
    return path.exists()


def made(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True)


def in_file(path: Path) -> Ed25519Signer:
    return Ed25519Signer.parse(path.read_text().removesuffix("\n"))


def there(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
async def test_new_keys_are_for_their_owner_only_whatever_the_umask(
    folder: Path, mask: int
) -> None:
    with umask(mask):
        keys = keyring(folder)
        knight, log = await keys.key(KNIGHT, None), await keys.key(LOG, None)
        await keys.successor(KNIGHT)
    assert mode_of(folder) == mode_of(folder.parent) == 0o700
    for name in ("knight.key", "log.key", "knight.key.next"):
        assert mode_of(folder / name) == 0o600
    for name, key in (("knight.pub", knight), ("log.pub", log)):
        assert mode_of(folder / name) == 0o644
        assert (folder / name).read_text() == f"{key.verifier.vkey}\n"
    assert there(folder) == {"knight.key", "knight.pub", "log.key", "log.pub", "knight.key.next"}


async def test_a_new_key_is_named_for_its_role_and_signs(folder: Path) -> None:
    for role in (KNIGHT, LOG):
        key = await keyring(folder).key(role, None)
        start, _, suffix = key.verifier.name.rpartition("/")
        assert start == f"governance-flow.local/{role}"
        assert len(suffix) == 8
        assert int(suffix, 16) >= 0
        assert key.verifier.verify(b"message", await key.sign(b"message"))
        assert (folder / f"{role}.key").read_text().endswith("\n")
        assert in_file(folder / f"{role}.key").verifier == key.verifier


async def test_signing_never_hands_control_to_the_loop(folder: Path) -> None:
    signing = (await keyring(folder).key(KNIGHT, None)).sign(b"message")
    with pytest.raises(StopIteration):
        signing.send(None)


async def test_the_key_is_found_again_by_others(folder: Path) -> None:
    key = await keyring(folder).key(KNIGHT, None)
    assert (await keyring(folder).key(KNIGHT, None)).verifier == key.verifier
    assert (await keyring(folder).key(KNIGHT, key.verifier.vkey)).verifier == key.verifier


async def test_of_two_that_make_a_key_at_once_both_use_the_first(folder: Path) -> None:
    winner = a_signer()

    def random(count: int) -> bytes:
        # Between the look that finds no key and the attempt to keep a new one.
        folder.mkdir(parents=True, exist_ok=True)
        keep(folder / "knight.key", winner)
        return os.urandom(count)

    key = await KeyDirectory(KNIGHT, folder, random).key(None)
    assert key.verifier == winner.verifier == in_file(folder / "knight.key").verifier
    assert there(folder) == {"knight.key", "knight.pub"}


async def test_a_store_with_a_key_never_gets_a_new_one(folder: Path) -> None:
    adopted = a_signer().vkey
    error = await refusal(keyring(folder), adopted)
    assert str(error) == (
        f"the Knight's key: the store goes by {adopted}, but in {folder}/knight.key there is no "
        "key; copy knight.key there from the machine that created it, or set "
        "GOVERNANCE_FLOW_KNIGHT_KEY_FILE to that file, or GOVERNANCE_FLOW_KEYS to its folder"
    )
    assert (error.adopted, error.found) == (adopted, None)
    assert not is_there(folder)


async def test_another_key_than_the_adopted_one_is_refused_and_left_alone(folder: Path) -> None:
    there_is = (await keyring(folder).key(LOG, None)).verifier.vkey
    content = (folder / "log.key").read_bytes()
    await keyring(folder).successor(LOG)
    error = await refusal(keyring(folder), a_signer().vkey, LOG)
    assert str(error).startswith("the log's key: the store goes by example.com/knight+")
    assert f"but in {folder}/log.key there is {there_is}; copy log.key there" in str(error)
    assert error.found == there_is
    assert (folder / "log.key").read_bytes() == content
    assert (folder / "log.key.next").exists()


# -- Followers ---------------------------------------------------------------------------------


async def test_a_successor_waits_beside_the_key_until_it_is_adopted(folder: Path) -> None:
    keys = keyring(folder)
    old = await keys.key(KNIGHT, None)
    new = await keys.successor(KNIGHT)
    assert new.verifier.vkey != old.verifier.vkey
    assert new.verifier.verify(b"message", await new.sign(b"message"))
    assert (await keyring(folder).successor(KNIGHT)).verifier == new.verifier
    assert (await keys.key(KNIGHT, old.verifier.vkey)).verifier == old.verifier
    assert (await keyring(folder).key(KNIGHT, None)).verifier == old.verifier


@pytest.mark.parametrize("same_process", [True, False])
async def test_an_adopted_successor_takes_the_place_of_the_key(
    folder: Path, *, same_process: bool
) -> None:
    keys = keyring(folder)
    old = await keys.key(KNIGHT, None)
    new = await keys.successor(KNIGHT)
    if not same_process:
        # The one that had it adopted ended before it renamed anything.
        keys = keyring(folder)
    key = await keys.key(KNIGHT, new.verifier.vkey)
    assert key.verifier == new.verifier == in_file(folder / "knight.key").verifier
    assert (folder / "knight.pub").read_text() == f"{new.verifier.vkey}\n"
    assert there(folder) == {"knight.key", "knight.pub"}
    assert mode_of(folder / "knight.key") == 0o600
    await refusal(keyring(folder), old.verifier.vkey)


async def test_whoever_promotes_second_does_not_destroy_the_adopted_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keyring(folder).key(KNIGHT, None)
    adopted = (await keyring(folder).successor(KNIGHT)).verifier.vkey
    next_one = a_signer()

    @contextmanager
    def beaten(place: Path) -> Iterator[None]:
        # Another process promotes, and begins the next rotation, while we wait for the lock.
        (folder / "knight.key.next").replace(folder / "knight.key")
        keep(folder / "knight.key.next", next_one)
        with locked(place):
            yield

    monkeypatch.setattr(directory_module, "locked", beaten)
    assert (await keyring(folder).key(KNIGHT, adopted)).verifier.vkey == adopted
    assert in_file(folder / "knight.key").vkey == adopted
    assert in_file(folder / "knight.key.next").vkey == next_one.vkey


async def test_a_key_renamed_between_two_looks_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keyring(folder).key(KNIGHT, None)
    adopted = (await keyring(folder).successor(KNIGHT)).verifier.vkey

    def renamed_after_the_first_look(role: object, path: Path) -> Ed25519Signer | None:
        found = read_signer(KNIGHT, path)
        if (folder / "knight.key.next").exists():
            (folder / "knight.key.next").replace(folder / "knight.key")
        return found

    monkeypatch.setattr(directory_module, "read_signer", renamed_after_the_first_look)
    assert (await keyring(folder).key(KNIGHT, adopted)).verifier.vkey == adopted


async def test_the_log_keeps_its_name_when_its_key_changes(folder: Path, tmp_path: Path) -> None:
    log = await keyring(folder).key(LOG, None)
    keep(tmp_path / "other.key", a_signer("example.com/log"))
    assert await refusal_of_successor(keyring(folder), tmp_path / "other.key", LOG) == (
        f"the log's key: {in_file(tmp_path / 'other.key').vkey} bears another name than the log, "
        f"which is {log.verifier.name}; give a key of the name {log.verifier.name}: "
        "checkpoints under another are of another log"
    )
    new = await keyring(folder).successor(LOG)
    assert new.verifier.name == log.verifier.name
    assert new.verifier.public_key != log.verifier.public_key


async def test_a_given_successor_is_copied(folder: Path, tmp_path: Path) -> None:
    given = a_signer()
    keep(tmp_path / "given", given)
    await keyring(folder).key(KNIGHT, None)
    for _ in range(2):
        key = await keyring(folder).successor(KNIGHT, str(tmp_path / "given"))
        assert key.verifier == given.verifier
    (tmp_path / "given").unlink()
    assert (await keyring(folder).successor(KNIGHT)).verifier == given.verifier
    assert (await keyring(folder).key(KNIGHT, given.vkey)).verifier == given.verifier


async def test_successors_that_cannot_follow_are_refused(folder: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    assert await refusal_of_successor(keyring(folder)) == (
        f"the Knight's key: there is none at {folder}/knight.key, or only a link that leads "
        "nowhere; let the store adopt a key first"
    )
    assert not is_there(folder)
    await keyring(folder).key(KNIGHT, None)
    assert await refusal_of_successor(keyring(folder), given) == (
        f"the Knight's key: there is no file {given}; name the file with the private key"
    )
    keep(given, in_file(folder / "knight.key"))
    assert "is the present key; give another one" in await refusal_of_successor(
        keyring(folder), given
    )
    keep(given, a_signer(), mode=0o640)
    assert f"type: chmod 600 {given}" in await refusal_of_successor(keyring(folder), given)
    given.chmod(0o600)
    pending = (await keyring(folder).successor(KNIGHT)).verifier.vkey
    assert await refusal_of_successor(keyring(folder), given) == (
        f"the Knight's key: {pending} is to follow already, in {folder}/knight.key.next; "
        "finish that, or, if the store has not adopted it, remove that file"
    )
    assert in_file(folder / "knight.key.next").vkey == pending


# -- Files that are not as they should be ------------------------------------------------------


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o660, 0o644])
async def test_a_key_that_others_may_use_is_refused(folder: Path, mode: int) -> None:
    await keyring(folder).key(KNIGHT, None)
    (folder / "knight.key").chmod(mode)
    assert str(await refusal(keyring(folder))) == (
        f"the Knight's key: others may use {folder}/knight.key (mode {mode:04o}); "
        f"if nobody has copied it, type: chmod 600 {folder}/knight.key"
    )


@pytest.mark.parametrize("mode", [0o770, 0o702])
async def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "my keys"
    folder.mkdir()
    folder.chmod(mode)
    assert str(await refusal(keyring(folder))) == (
        f"the Knight's key: others may write to the folder {folder} (mode {mode:04o}); "
        f"if the keys in it are yours, type: chmod go-w '{folder}'"
    )
    assert there(folder) == set()
    folder.chmod(0o755)
    await keyring(folder).key(KNIGHT, None)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "is not text"),
        (b"x" * 1001, "is longer than 1000 characters, so it is no private key"),
        (b"x" * 100_000, "is longer than 4000 bytes, so it holds no private key"),
        (b"example.com+1+x", "is no private key that can be used: the private key does not begin"),
        (b"PRIVATE+KEY+a+1+!", "is no private key that can be used: the text is no private key"),
    ],
)
async def test_a_file_that_holds_something_else_is_refused(
    folder: Path, content: bytes, problem: str
) -> None:
    await keyring(folder).key(KNIGHT, None)
    (folder / "knight.key").write_bytes(content)
    for adopted in (None, a_signer().vkey):
        message = str(await refusal(keyring(folder), adopted))
        assert message.startswith(f"the Knight's key: {folder}/knight.key {problem}")
        assert message.endswith("; put its one line PRIVATE+KEY+... there, as it was created")
    assert (folder / "knight.key").read_bytes() == content


async def test_what_is_no_file_is_refused_without_waiting(folder: Path) -> None:
    made(folder)
    os.mkfifo(folder / "knight.key", 0o600)
    assert f"{folder}/knight.key is no file; put a file" in str(await refusal(keyring(folder)))
    (folder / "log.key").mkdir(0o700)
    assert f"{folder}/log.key is no file" in str(await refusal(keyring(folder), None, LOG))


async def test_a_link_that_leads_nowhere_is_not_followed_by_a_new_key(folder: Path) -> None:
    made(folder)
    (folder / "knight.key").symlink_to(folder / "unmounted")
    assert "or only a link that leads nowhere" in str(await refusal(keyring(folder)))
    assert not (folder / "unmounted").exists()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert f"the Knight's key: {tmp_path}/file is no folder; name a folder" in str(
        await refusal(keyring(tmp_path / "file"))
    )
    assert f"{tmp_path}/file/keys cannot be read: Not a directory; let the user" in str(
        await refusal(keyring(tmp_path / "file" / "keys"))
    )


async def test_a_failure_of_the_disk_is_a_refusal_and_leaves_no_half_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, content: bytes) -> int:
        return len(content) - 1

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        message = str(await refusal(keyring(folder)))
    assert message == (
        f"the Knight's key: {folder}/knight.key cannot be written: No space left on device; "
        "let the user that runs this program write to the folder, and nobody else, "
        "or set GOVERNANCE_FLOW_KEYS to another folder"
    )
    assert there(folder) == set()


async def test_only_a_warning_if_the_public_key_cannot_be_handed_out(folder: Path) -> None:
    key = await keyring(folder).key(KNIGHT, None)
    (folder / "knight.pub").unlink()
    (folder / "knight.pub").mkdir()
    with structlog.testing.capture_logs() as logs:
        assert (await keyring(folder).key(KNIGHT, key.verifier.vkey)).verifier == key.verifier
    assert [(line["log_level"], line["path"]) for line in logs] == [
        ("warning", f"{folder}/knight.pub")
    ]
    assert there(folder) == {"knight.key", "knight.pub"}


async def test_a_wrong_public_key_beside_the_key_is_put_right(folder: Path) -> None:
    key = await keyring(folder).key(KNIGHT, None)
    (folder / "knight.pub").write_text(f"{a_signer().vkey}\n")
    await keyring(folder).key(KNIGHT, key.verifier.vkey)
    assert (folder / "knight.pub").read_text() == f"{key.verifier.vkey}\n"


async def test_a_file_that_the_system_does_not_give_us_is_named(folder: Path) -> None:
    made(folder)
    (folder / "knight.key").symlink_to("knight.key")
    assert str(await refusal(keyring(folder))) == (
        f"the Knight's key: {folder}/knight.key cannot be read: Too many levels of symbolic "
        "links; let the user that runs this program read it, and nobody else"
    )


async def test_a_disk_that_cannot_be_read_is_a_refusal(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keyring(folder).key(KNIGHT, None)

    def broken(descriptor: int, count: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "read", broken)
    message = str(await refusal(keyring(folder)))
    monkeypatch.undo()
    assert f"{folder}/knight.key cannot be read: Input/output error; let" in message


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EROFS, errno.EIO])
async def test_a_folder_that_cannot_be_made_to_last_is_fine_only_if_no_folder_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    await keyring(folder).key(KNIGHT, None)

    def unable(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", unable)
    if number == errno.EIO:
        assert "cannot be written: Input/output error" in str(await refusal(keyring(folder)))
    else:
        await keyring(folder).key(KNIGHT, None)


@pytest.mark.parametrize("found", [True, False])
async def test_what_others_just_made_is_made_to_last_before_it_is_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, found: bool
) -> None:
    synced: list[Path] = []
    if found:
        await keyring(folder).key(KNIGHT, None)
    monkeypatch.setattr(directory_module, "sync_directory", synced.append)
    monkeypatch.setattr(files_module, "sync_directory", synced.append)
    await keyring(folder).key(KNIGHT, None)
    assert synced == ([folder] if found else [folder.parent.parent, folder.parent, folder])


async def test_a_lock_that_is_never_given_back_is_not_waited_for_forever(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = keyring(folder)
    await keys.key(KNIGHT, None)
    monkeypatch.setattr("governance_flow.infrastructure.keys.files.LOCK_SECONDS", 0.0)
    with (
        locked(folder),
        pytest.raises(KeyUnavailable, match=r"knight\.key\.next cannot be written"),
    ):
        await keys.successor(KNIGHT)
    adopted = (await keys.successor(KNIGHT)).verifier.vkey
    with locked(folder):
        message = str(await refusal(keys, adopted))
    assert f"{folder}/knight.key cannot be written: Resource temporarily unavailable" in message
    assert (await keys.key(KNIGHT, adopted)).verifier.vkey == adopted


async def test_a_successor_that_vanishes_under_the_lock_is_not_promoted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = (await keyring(folder).key(KNIGHT, None)).verifier.vkey
    adopted = (await keyring(folder).successor(KNIGHT)).verifier.vkey

    @contextmanager
    def beaten(place: Path) -> Iterator[None]:
        keep(folder / "knight.key.next", a_signer())
        yield

    monkeypatch.setattr(directory_module, "locked", beaten)
    assert (await refusal(keyring(folder), adopted)).found == old
    assert in_file(folder / "knight.key").vkey == old
