"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4


def unfinished_path(target: Path) -> Path:
    """Return a name beside ``target`` that nobody else uses, to write under until it is whole."""
    return target.with_name(f".{target.name}.{uuid4().hex}.unfinished")


@contextmanager
def appearing(target: Path) -> Iterator[IO[bytes]]:
    """Yield a file to write to; it takes the place of ``target`` when the block ends well.

    A pipe or a device is written to as it is: to replace it would do away with it.
    """
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    unfinished = unfinished_path(target)
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
