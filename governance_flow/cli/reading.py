"""Reading the lines of a file of any length, one at a time, in a bounded amount of memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from governance_flow.application.importing import is_blank, strip_byte_order_mark

_SKIPPED_AT_ONCE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class RawLine:
    """One line that is not blank, its end left out.

    ``number`` counts from 1, ``offset`` is where it begins in the file, ``length`` its bytes. A
    line that is longer than allowed is ``too_long``, and ``content`` only its beginning.
    """

    number: int
    offset: int
    length: int
    content: bytes
    too_long: bool = False

    @property
    def end(self) -> int:
        """How far into the file one has read, after this line."""
        return self.offset + self.length


def read_lines(file: BinaryIO, max_line_bytes: int) -> Iterator[RawLine]:
    """Yield every line that is not blank; raises OSError as reading does."""
    number = 0
    offset = 0
    while read := file.readline(max_line_bytes + 1):
        number += 1
        length = len(read)
        too_long = length > max_line_bytes and not read.endswith(b"\n")
        if too_long:
            length += _skip_line(file)
        content = strip_byte_order_mark(read) if number == 1 else read
        if not is_blank(content):
            yield RawLine(number, offset, length, content.rstrip(b"\r\n"), too_long)
        offset += length


def _skip_line(file: BinaryIO) -> int:
    """Read past the rest of a line and return how many bytes that were."""
    skipped = 0
    while read := file.readline(_SKIPPED_AT_ONCE_BYTES):
        skipped += len(read)
        if read.endswith(b"\n"):
            break
    return skipped


class Occurrences:
    """Counts how often each content has come up, on disk once that is much.

    It must remember every content there was, which no bounded memory can: so it is kept in a
    temporary database, which SQLite holds in a small cache and deletes when it is closed.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(
            "CREATE TABLE seen (digest BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID"
        )
        self._database.execute("BEGIN")

    def next(self, digest: str) -> int:
        """Count the content once more and return how often it has come up, this time included."""
        rows = self._database.execute(
            "INSERT INTO seen (digest, times) VALUES (?, 1) "
            "ON CONFLICT (digest) DO UPDATE SET times = times + 1 RETURNING times",
            (bytes.fromhex(digest),),
        ).fetchall()
        return int(rows[0][0])

    def close(self) -> None:
        """Delete what was counted."""
        self._database.close()
