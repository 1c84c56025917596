"""What was measured: named series of raw figures, and how they become JSON and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from statistics import median, quantiles
from typing import Any

FORMAT = 1
"""Version of the JSON's shape."""

_HUNDREDTHS = 100


class Kind(StrEnum):
    """What the figures of a series are."""

    RUNS = "runs"
    """One figure for each run; the median stands for them."""
    SAMPLES = "samples"
    """Many single observations; their median and their 99th percentile matter."""


@dataclass(slots=True)
class Series:
    """All figures of one thing that was measured, in the order in which they were."""

    key: str
    title: str
    unit: str
    kind: Kind = Kind.RUNS
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The figure in the middle."""
        return median(self.values)

    @property
    def p99(self) -> float:
        """The 99th percentile; of few figures, the highest."""
        if len(self.values) < _HUNDREDTHS:
            return max(self.values)
        return quantiles(self.values, n=_HUNDREDTHS, method="inclusive")[-1]


class Results:
    """Every series of a run by its key, and the facts about the machine and the set-up."""

    def __init__(self, facts: dict[str, Any] | None = None) -> None:
        self.facts: dict[str, Any] = {} if facts is None else facts
        self._series: dict[str, Series] = {}

    def __iter__(self) -> Iterator[Series]:
        """Yield the series in the order in which they were first added to."""
        return iter(self._series.values())

    def add(
        self, key: str, title: str, unit: str, *values: float, kind: Kind = Kind.RUNS
    ) -> Series:
        """Add figures to the series ``key``, which is made if it is not there."""
        series = self._series.setdefault(key, Series(key, title, unit, kind))
        series.values.extend(values)
        return series

    def samples(self, key: str, title: str, unit: str, values: Iterable[float]) -> Series:
        """Add single observations to the series ``key``."""
        return self.add(key, title, unit, *values, kind=Kind.SAMPLES)

    def median(self, key: str) -> float | None:
        """Return the median of a series; None if it was not measured."""
        series = self._series.get(key)
        return series.median if series is not None and series.values else None

    def ratio(self, key: str, to: str) -> float | None:
        """Return the ratio of two medians; None unless both were measured."""
        above, below = self.median(key), self.median(to)
        return above / below if above is not None and below else None

    def to_json(self) -> str:
        """Return everything, as ``from_json`` reads it."""
        series = [asdict(item) for item in self]
        return json.dumps({"format": FORMAT, "facts": self.facts, "series": series}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Results:
        """Return what ``to_json`` wrote; raises ValueError for another format."""
        raw = json.loads(text)
        if raw.get("format") != FORMAT:
            raise ValueError(f"not a benchmark of format {FORMAT}: {raw.get('format')!r}")
        results = cls(raw["facts"])
        for item in raw["series"]:
            kind = Kind(item["kind"])
            results.add(item["key"], item["title"], item["unit"], *item["values"], kind=kind)
        return results

    def write(self, path: Path) -> None:
        """Write the JSON, making the folder if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json() + "\n", encoding="utf-8")
