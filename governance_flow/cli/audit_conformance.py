"""``audit conformance``: was everything that happened lawful?"""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, cast

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from governance_flow.cli.command import JsonOption, Place, opened
from governance_flow.cli.errors import Failed
from governance_flow.cli.output import print_json
from governance_flow.cli.progress import BYTES, Show, progress
from governance_flow.cli.reading import read_lines
from governance_flow.cli.rendering import indented, motions
from governance_flow.cli.terminal import plain, results
from governance_flow.conformance.checker import Conformance
from governance_flow.conformance.entries import decode
from governance_flow.conformance.rules import Offence

if TYPE_CHECKING:
    from governance_flow.bootstrap import Flow

LISTED_MAX = 20
"""So many offences are listed; all are counted."""

LINE_BYTES_MAX = 64 * 2**20
"""No event is nearly as long; whatever is longer is read past, and named as unreadable."""

LINES_PER_REDRAW = 1000
GZIP_MAGIC = b"\x1f\x8b"


class Report:
    """What a check of a whole history came to, as far as it has got."""

    def __init__(self) -> None:
        self.conformance = Conformance()
        self.offences: list[Offence] = []
        self.offence_count = 0

    @property
    def passed(self) -> bool:
        """Whether nothing unlawful was found."""
        return not self.offence_count

    def take(self, line: bytes) -> None:
        """Check the next line of the export."""
        self._note(self.conformance.take(decode(line)))

    def finish(self) -> None:
        """Check what must not be left open at the end."""
        self._note(self.conformance.finish())

    def _note(self, offences: Iterable[Offence]) -> None:
        for offence in offences:
            self.offence_count += 1
            if len(self.offences) < LISTED_MAX:
                self.offences.append(offence)


def conformance(
    place: Place,
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Check an exported log (also .gz), from its first event on; no store is opened.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that everything that happened was lawful, event by event.

    Every motion is followed through the canonical flow by code that knows only the rules and the
    exported events: each transition, routing, report, error, halt and admission must have been
    allowed, as configured at that time. Exits 1 if one was not, and names the first.

    Whether the record is authentic is another question: audit verify answers it.
    """
    report = opened(place, _check_store) if file is None else _check_file(file)
    if as_json:
        print_json(report_json(report))
    else:
        results().print(report_view(report))
    if not report.passed:
        raise Failed(f"the history is not lawful; first offence: {plain(str(report.offences[0]))}")


async def _check_store(flow: Flow) -> Report:
    report = Report()
    with progress("checking", "events") as show:
        async for line in flow.audit.exporter.lines(progress=show):
            report.take(line)
    report.finish()
    return report


def _check_file(path: Path) -> Report:
    report = Report()
    with (
        progress("checking", BYTES) as show,
        path.open("rb") as raw,
        _readable(path, raw) as file,
    ):
        for line in _shown(file, raw, show):
            report.take(line)
    if not report.conformance.events:
        raise Failed(f"{path} holds no event: give it what audit export has written")
    report.finish()
    return report


@contextmanager
def _readable(path: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    """Yield the file's content, unpacked if it is packed; raises Failed if that is damaged."""
    try:
        if path.is_file() and raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC:
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield cast("BinaryIO", unpacked)
            return
        if path.is_file():
            raw.seek(0)
        yield raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Failed(f"{path} is damaged: {error}; export the log again") from error


def _shown(file: BinaryIO, raw: BinaryIO, show: Show) -> Iterator[bytes]:
    """Yield each line, showing how far the file has been read; a pipe has no length to show."""
    status = os.fstat(raw.fileno())
    has_length = stat.S_ISREG(status.st_mode)
    for number, line in enumerate(read_lines(file, LINE_BYTES_MAX)):
        if has_length and number % LINES_PER_REDRAW == 0:
            show(raw.tell(), status.st_size)
        yield b"" if line.too_long else line.content


def report_json(report: Report) -> dict[str, Any]:
    """Return what was checked and found."""
    conformance = report.conformance
    return {
        "passed": report.passed,
        "events": conformance.events,
        "motions": conformance.motions,
        "offence_count": report.offence_count,
        "offences": [
            {
                "position": offence.position,
                "motion_id": offence.motion,
                "rule": offence.rule.value,
                "message": offence.message,
            }
            for offence in report.offences
        ],
        "rules": [
            {"rule": rule.value, "meaning": rule.meaning, "checked": count}
            for rule, count in conformance.checked.items()
        ],
    }


def report_view(report: Report) -> Group:
    """Return what was checked, how often by each rule, and every offence that is listed."""
    conformance = report.conformance
    walked = f"{conformance.events:,} events, {motions(conformance.motions)}"
    lines: list[RenderableType] = []
    if report.passed:
        lines.append(Text.assemble(("Lawful", "bold green"), f": {walked}, no offence"))
    else:
        count = report.offence_count
        found = "1 offence" if count == 1 else f"{count:,} offences"
        lines.append(Text.assemble((f"Not lawful: {found}", "bold red"), f" in {walked}"))
        lines += [indented(Text(plain(str(item)), style="red")) for item in report.offences]
        if count > len(report.offences):
            lines.append(Text(f"  … and {count - len(report.offences):,} more"))
    return Group(*lines, Text(), indented(_rules_table(report)), Text())


def _rules_table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("times checked", justify="right")
    table.add_column("rule", style="cyan")
    table.add_column("what it says")
    for rule, count in report.conformance.checked.items():
        table.add_row(f"{count:,}", rule.value, rule.meaning)
    return table
