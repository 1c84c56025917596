"""The last checkpoint that was signed here, kept beside the key and not in the store.

Whoever can change the store can also take checkpoints out of it. What is kept here still keeps the
log's key from signing anything that contradicts them.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from governance_flow.application.ports.keys import LastSigned
from governance_flow.domain.errors import KeyUnavailable
from governance_flow.infrastructure.keys.files import locked, make_directory, sync_directory
from governance_flow.infrastructure.keys.places import key_directory

NAME = "log.signed"


def build_last_signed(address: str, environ: Mapping[str, str]) -> LastSigned:
    """Return where the store at ``address`` remembers what it signed. Touches no file yet."""
    directory = key_directory(address, environ)
    return MemoryLastSigned() if directory is None else FileLastSigned(directory / NAME)


class MemoryLastSigned:
    """For stores that end with the process."""

    def __init__(self) -> None:
        self._note: str | None = None

    @property
    def where(self) -> str:
        """Where it is kept, for a person."""
        return "memory"

    async def read(self) -> str | None:
        """Return the last note; None if none was signed."""
        return self._note

    async def write(self, note: str) -> None:
        """Keep a note in place of the last one."""
        self._note = note


class FileLastSigned:
    """A file beside the key, replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def where(self) -> str:
        """Where it is kept, for a person."""
        return str(self._path)

    async def read(self) -> str | None:
        """Return the last note; None if there is no file. Raises KeyUnavailable."""
        try:
            return await asyncio.to_thread(self._read)
        except (OSError, UnicodeDecodeError) as error:
            raise KeyUnavailable(
                f"{self._path}, the last checkpoint that was signed here, cannot be read: {error}"
            ) from error

    def _read(self) -> str | None:
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    async def write(self, note: str) -> None:
        """Keep a note, unless a larger one is kept. Raises KeyUnavailable if it cannot be kept."""
        try:
            await asyncio.to_thread(self._write, note)
        except OSError as error:
            raise KeyUnavailable(
                f"{self._path}: the checkpoint cannot be kept beside the key, so none is signed: "
                f"{error}"
            ) from error

    def _write(self, note: str) -> None:
        make_directory(self._path.parent)
        with locked(self._path.parent):
            # Of two processes that sign at once, the one that promised less may come last.
            if _size(note) >= _size(self._read()):
                self._replace(note)

    def _replace(self, note: str) -> None:
        # Made for its owner alone.
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(note)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_directory(self._path.parent)


def _size(note: str | None) -> int:
    """Return the size that a checkpoint speaks of: its second line."""
    lines = (note or "").split("\n")
    size = lines[1] if len(lines) > 1 else ""
    return int(size) if size.isascii() and size.isdigit() else 0
