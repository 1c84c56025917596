"""The two streams a command writes to: results to stdout, everything else to stderr.

Text that came from outside is never printed as it is: it may hold characters that move the cursor,
recolour the screen or reverse the direction of the line.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from datetime import UTC, datetime

from rich.console import Console

FORMAT_VARIABLE = "GOVERNANCE_FLOW_LOG_FORMAT"
"""Holds console or json."""

WIDTH_OFF_TERMINAL = 160
"""Columns when nobody's terminal sets a limit: a file or a pipe can be as wide as it needs."""

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_HARMLESS = frozenset({"\u200c", "\u200d"})
"""Joiners that several scripts, and emoji, are spelt with."""


def plain(text: str) -> str:
    """Return ``text`` in one line, with whatever a terminal would obey made visible."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in " ".join(text.split()))


def _visible(character: str) -> str:
    if character in _HARMLESS or unicodedata.category(character) not in _INVISIBLE:
        return character
    return f"\\u{ord(character):04x}"


def results() -> Console:
    """Return a console on stdout, for what was asked for."""
    return _console(stderr=False)


def diagnostics() -> Console:
    """Return a console on stderr, for progress, warnings and errors."""
    return _console(stderr=True)


def is_lively(console: Console) -> bool:
    """Return whether what is shown can be redrawn in place."""
    return console.is_terminal and not console.is_dumb_terminal


def says_json() -> bool:
    """Return whether somebody collects what goes to stderr, and wants an object in every line."""
    return os.environ.get(FORMAT_VARIABLE, "").strip().lower() == "json"


def say(line: str) -> None:
    """Print one line to stderr, just as it is; among log lines in JSON, as one of those."""
    if says_json():
        level = "error" if line.startswith("error: ") else "info"
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        entry = {"timestamp": now, "level": level, "logger": "governance_flow.cli", "event": line}
        line = json.dumps(entry)
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH_OFF_TERMINAL
    return console
