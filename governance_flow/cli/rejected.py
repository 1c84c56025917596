"""The lines that could not be used, kept in a file beside the input so that they can be mended."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from governance_flow.cli.files import unfinished_path
from governance_flow.cli.reading import RawLine
from governance_flow.cli.terminal import plain, say

SUFFIX = ".rejected.jsonl"
_NO_PLACES = (("dev",), ("proc",))

LINES_SAID_MAX = 20
"""More bad lines than this are only counted on the terminal: the file has them all."""


class Rejected:
    """Collects bad lines. The file appears whole, or not at all, when the block ends.

    It stands beside the input; where that cannot be written, in the working folder, or in the one
    for temporary files; and if no file can be written, every line is named on stderr.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._file: IO[str] | None = None
        self._final: Path | None = None
        self._places = _places(source)
        self.count = 0
        self.path: Path | None = None
        """Where the file is, once it is finished; None if there is none."""

    def add(self, line: RawLine, reason: str) -> None:
        """Say that a line is bad, and keep it."""
        self.count += 1
        kept = self._write(_record(line, reason))
        if self.count <= LINES_SAID_MAX or not kept:
            _say_line(line.number, reason)
        elif self.count == LINES_SAID_MAX + 1:
            say("… and more; the rest is only kept in the file")

    def finish(self) -> None:
        """Put the file in its place; remove what an earlier import of the same input left there."""
        beside = self._source.parent / (self._source.name + SUFFIX)
        if self._file is not None and self._final is not None:
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                Path(self._file.name).replace(self._final)
                self.path = self._final
            except OSError as error:
                self._give_up(error)
        if self.path != beside:
            _remove_left_over(beside)

    def _write(self, record: dict[str, Any]) -> bool:
        """Return whether there is a file that keeps the record."""
        while self._file is None and self._places:
            place = self._places.pop(0)
            try:
                self._final = place / (self._source.name + SUFFIX)
                # Line by line, so that a full disk is noticed at the line it hits.
                self._file = unfinished_path(self._final).open("x", buffering=1, encoding="utf-8")
            except OSError as error:
                say(f"warning: bad lines cannot be kept in {place}: {error.strerror}")
        if self._file is None:
            return False
        try:
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        except OSError as error:
            self._give_up(error)
            return False
        return True

    def _give_up(self, error: OSError) -> None:
        """Say what the file would have said, as far as it was not said yet."""
        if self._file is None:
            return
        unfinished = Path(self._file.name)
        with suppress(OSError):
            self._file.close()
        say(f"warning: bad lines cannot be kept in {unfinished.parent}: {error.strerror}")
        for number, reason in _read_back(unfinished)[LINES_SAID_MAX:]:
            _say_line(number, reason)
        with suppress(OSError):
            unfinished.unlink()
        self._file = None
        self._places = []


def _places(source: Path) -> list[Path]:
    folders = (source.parent, Path.cwd(), Path(tempfile.gettempdir()))
    different = {folder.absolute(): folder for folder in reversed(folders)}
    # Nothing is kept beside a device or a pipe such as /dev/stdin.
    return [
        folder
        for folder in folders
        if different.get(folder.absolute()) is folder
        and folder.absolute().parts[1:2] not in _NO_PLACES
    ]


def _say_line(number: int, reason: str) -> None:
    say(f"line {number}: {plain(reason)}")


def _record(line: RawLine, reason: str) -> dict[str, Any]:
    record: dict[str, Any] = {"line": line.number, "reason": reason}
    if line.too_long:
        # Not copied: the input has it, at this place.
        return record | {"offset": line.offset, "bytes": line.length}
    try:
        return record | {"content": line.content.decode("utf-8")}
    except UnicodeDecodeError:
        return record | {"content_base64": base64.b64encode(line.content).decode("ascii")}


def _read_back(path: Path) -> list[tuple[int, str]]:
    """Return what was written before the disk was full, the last line perhaps cut short."""
    kept = []
    with suppress(OSError, ValueError), path.open(encoding="utf-8") as file:
        for text in file:
            record = json.loads(text)
            kept.append((record["line"], record["reason"]))
    return kept


def _remove_left_over(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        say(f"warning: {path} is from an earlier import and cannot be removed: {error.strerror}")
