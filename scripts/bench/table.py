"""The results as tables: for a terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.bench.goals import Verdict, verdicts
from scripts.bench.results import Kind, Results, Series

FIGURES = ("what", "min", "median", "p99", "max", "unit", "figures")
GOALS = ("goal", "ratio of medians, or median", "wanted", "")

_WHOLE_FROM = 100
_TENTHS_FROM = 10

Row = tuple[str, ...]


def figures(results: Results) -> list[Row]:
    """Return a row for everything that was measured."""
    return [_figure_row(series) for series in results if series.values]


def goals(results: Results) -> list[Row]:
    """Return a row for every goal."""
    return [_goal_row(verdict) for verdict in verdicts(results)]


def facts(results: Results) -> list[str]:
    """Return a line for every fact."""
    return [f"{name.replace('_', ' ')}: {_fact(value)}" for name, value in results.facts.items()]


def text(head: Row, rows: Sequence[Row]) -> str:
    """Return a table with aligned columns; all but the first and the last two are figures."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = [
            cell.rjust(width) if _is_figure(cell) else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def markdown(head: Row, rows: Sequence[Row]) -> str:
    """Return a table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.strip() for cell in line)} |" for line in lines)


def _figure_row(series: Series) -> Row:
    p99 = number(series.p99) if series.kind is Kind.SAMPLES else ""
    low, high = min(series.values), max(series.values)
    return (
        series.title,
        number(low),
        number(series.median),
        p99,
        number(high),
        series.unit,
        str(len(series.values)),
    )


def _goal_row(verdict: Verdict) -> Row:
    figure = "" if verdict.figure is None else f"{verdict.figure:.2f}"
    if verdict.figure is not None and verdict.goal.to is None:
        figure = number(verdict.figure)
    return (verdict.goal.name, figure, verdict.wanted, verdict.said)


def number(value: float) -> str:
    """Return a figure with as many digits as mean something."""
    if abs(value) >= _WHOLE_FROM:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= _TENTHS_FROM else f"{value:.2f}"


def _is_figure(cell: str) -> bool:
    return cell[:1].isdigit()


def _fact(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_fact(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_fact, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
