"""Key files: read only if nobody else can, written so that all of one is there or nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import Final

from governance_flow.domain.keys import KeyRole
from governance_flow.infrastructure.keys.local import TEXT_CHARACTERS_MAX, parsed
from governance_flow.infrastructure.keys.refusals import not_readable, unavailable
from governance_flow.transparency.keys import Ed25519Signer

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
DIRECTORY_MODE: Final = 0o700

LOCK_NAME: Final = ".lock"
LOCK_SECONDS: Final = 10.0
"""How long to wait for another process that is at the same files; it needs milliseconds."""

_LOCK_POLL_SECONDS: Final = 0.01
_BYTES_MAX: Final = 4 * TEXT_CHARACTERS_MAX
_OTHERS_MAY_ANYTHING: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def read_signer(role: KeyRole, path: Path) -> Ed25519Signer | None:
    """Return the private key in a file, or None if there is no such file.

    Raises KeyUnavailable if it cannot be read, holds something else, or is open to others.
    """
    try:
        # A pipe or device in its place must not make us wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise not_readable(role, path, error) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise unavailable(role, f"{path} is no file", "put a file with the private key there")
        if status.st_mode & _OTHERS_MAY_ANYTHING:
            raise unavailable(
                role,
                f"others may use {path} (mode {stat.S_IMODE(status.st_mode):04o})",
                f"if nobody has copied it, type: chmod 600 {quote(str(path))}",
            )
        # Nothing here keeps the text, so that no traceback can lead to it.
        found = _decoded(os.read(descriptor, _BYTES_MAX + 1))
    except OSError as error:
        raise not_readable(role, path, error) from error
    finally:
        os.close(descriptor)
    if isinstance(found, str):
        raise unavailable(
            role, f"{path} {found}", "put its one line PRIVATE+KEY+... there, as it was created"
        )
    return found


def read_given(role: KeyRole, path: Path) -> Ed25519Signer:
    """Return the private key in a file that somebody named. Raises KeyUnavailable."""
    signer = read_signer(role, path)
    if signer is None:
        raise unavailable(role, f"there is no file {path}", "name the file with the private key")
    return signer


def _decoded(content: bytes) -> Ed25519Signer | str:
    if len(content) > _BYTES_MAX:
        return f"is longer than {_BYTES_MAX} bytes, so it holds no private key"
    try:
        return parsed(content.decode())
    except UnicodeDecodeError:
        return "is not text"


def check_directory(role: KeyRole, directory: Path) -> None:
    """Raise KeyUnavailable if others may put files into an existing folder of keys."""
    try:
        mode = directory.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise not_readable(role, directory, error) from error
    if not stat.S_ISDIR(mode):
        raise unavailable(
            role, f"{directory} is no folder", "name a folder, or move that file away"
        )
    if mode & _OTHERS_MAY_WRITE:
        raise unavailable(
            role,
            f"others may write to the folder {directory} (mode {stat.S_IMODE(mode):04o})",
            f"if the keys in it are yours, type: chmod go-w {quote(str(directory))}",
        )


def make_directory(directory: Path) -> None:
    """Make a folder that is only ours, and those above it that are missing. Raises OSError."""
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    for folder in reversed(missing):
        # If another process was faster, it is not sure yet that what it made will last.
        with suppress(FileExistsError):
            folder.mkdir(DIRECTORY_MODE)
            folder.chmod(DIRECTORY_MODE)
        sync_directory(folder.parent)


def create_signer(path: Path, signer: Ed25519Signer) -> None:
    """Keep a private key in a new file, or leave the one that is there by now. Raises OSError.

    Of processes that do this at once one wins, and no one ever sees half a file.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        try:
            os.fchmod(descriptor, PRIVATE_MODE)
            _write(descriptor, signer)
        finally:
            os.close(descriptor)
        try:
            os.link(name, path)
        except FileExistsError:
            return
    finally:
        Path(name).unlink()
        # Also if another process won: what it linked must not be lost once we have used it.
        sync_directory(path.parent)


def _write(descriptor: int, signer: Ed25519Signer) -> None:
    expected = len(signer.private_key().encode()) + 1
    if os.write(descriptor, f"{signer.private_key()}\n".encode()) != expected:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(descriptor)


def publish(path: Path, vkey: str) -> None:
    """Put the verifier key into a file for everybody, unless it is there. Raises OSError."""
    content = f"{vkey}\n".encode()
    if path.is_file() and path.read_bytes() == content:
        return
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, PUBLIC_MODE)
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def sync_directory(directory: Path) -> None:
    """Make sure that the names in a folder survive a power cut. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Not every file system can, and one that is read-only need not.
        if error.errno not in (errno.EINVAL, errno.EROFS):
            raise
    finally:
        os.close(descriptor)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes from renaming keys in a folder meanwhile. Raises OSError."""
    descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, PRIVATE_MODE)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)
