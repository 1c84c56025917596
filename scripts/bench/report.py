"""A finished run as Markdown: ``python -m scripts.bench.report var/bench.json``."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.bench import table
from scripts.bench.results import Results


def report(results: Results) -> str:
    """Return the goals, the figures and the facts as Markdown."""
    parts = [
        table.markdown(table.GOALS, table.goals(results)),
        table.markdown(table.FIGURES, table.figures(results)),
        "\n".join(f"- {fact}" for fact in table.facts(results)),
    ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(report(Results.from_json(Path(name).read_text(encoding="utf-8"))))
