"""What the benchmark makes of its raw figures: medians, ratios, verdicts, tables, JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.bench import table
from scripts.bench.goals import Goal, Verdict, verdicts
from scripts.bench.report import report
from scripts.bench.results import Kind, Results, Series


def verdict_on(results: Results, name: str) -> Verdict:
    [found] = [verdict for verdict in verdicts(results) if verdict.goal.name == name]
    return found


AGAINST_DBOS = "motions against DBOS, PostgreSQL"


def test_the_figures_of_a_series_add_up_over_the_rounds() -> None:
    results = Results()
    for figure in (3.0, 1.0, 2.0):
        results.add("a", "A", "things/s", figure)
    [series] = results
    assert series.values == [3.0, 1.0, 2.0]
    assert series.median == 2.0


def test_a_ratio_is_that_of_the_medians_and_needs_both() -> None:
    results = Results()
    results.add("ours", "ours", "/s", 10.0, 30.0, 1000.0)
    assert results.ratio("ours", "theirs") is None
    results.add("theirs", "theirs", "/s", 4.0, 5.0, 6.0)
    assert results.ratio("ours", "theirs") == 6.0


def test_the_99th_percentile_leaves_out_the_highest_of_many_and_nothing_of_few() -> None:
    many = Series("k", "t", "ms", Kind.SAMPLES, [float(value) for value in range(1, 1001)])
    few = Series("k", "t", "ms", Kind.SAMPLES, [1.0, 2.0, 50.0])
    assert 990 <= many.p99 <= 991
    assert few.p99 == 50.0


def test_json_holds_every_raw_figure_and_every_fact(tmp_path: Path) -> None:
    results = Results({"cores": 2})
    results.add("a", "A", "/s", 1.5, 2.5)
    results.samples("b", "B", "ms", [3.0, 4.0])
    results.write(tmp_path / "new" / "bench.json")
    again = Results.from_json((tmp_path / "new" / "bench.json").read_text())
    assert list(again) == list(results)
    assert again.facts == {"cores": 2}


def test_json_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format"):
        Results.from_json('{"format": 2, "facts": {}, "series": []}')


@pytest.mark.parametrize(
    ("at_least", "figure", "met", "said"),
    [
        (True, 6.0, True, "met"),
        (True, 5.99, False, "NOT MET"),
        (False, 6.0, True, "met"),
        (False, 6.01, False, "NOT MET"),
        (False, None, None, "not measured"),
    ],
)
def test_a_goal_is_met_at_its_limit(
    at_least: bool, figure: float | None, met: bool | None, said: str
) -> None:
    verdict = Verdict(Goal("a goal", "a", "b", 6, at_least=at_least), figure)
    assert verdict.met is met
    assert verdict.said == said


def test_the_goals_are_judged_by_what_was_measured() -> None:
    results = Results()
    assert verdict_on(results, AGAINST_DBOS).met is None
    results.add("motions.postgres.1", "ours", "/s", 599.0)
    results.add("dbos.postgres", "theirs", "/s", 100.0)
    assert verdict_on(results, AGAINST_DBOS).met is False
    results.add("motions.postgres.1", "ours", "/s", 601.0, 602.0)
    assert verdict_on(results, AGAINST_DBOS).met is True


def test_a_goal_may_be_a_median_by_itself() -> None:
    name = "events hashed and chained a second by one core, SQLite"
    results = Results()
    assert verdict_on(results, name).met is None
    results.add("hashing.sqlite", "hashed", "events/s", 49_999.0)
    assert verdict_on(results, name).met is False
    results.add("hashing.sqlite", "hashed", "events/s", 60_000.0, 50_000.0)
    assert verdict_on(results, name).met is True
    [row] = [row for row in table.goals(results) if row[0] == name]
    assert row == (name, "50,000", "at least 50,000", "met")


def test_the_log_may_cost_a_quarter_of_the_throughput() -> None:
    name = "motions with signatures and audit log against without, PostgreSQL"
    results = Results()
    results.add("motions.postgres.1", "with", "motions/s", 74.0)
    assert verdict_on(results, name).met is None
    results.add("motions.postgres.1.without_log", "without", "motions/s", 100.0)
    assert verdict_on(results, name).met is False
    results.add("motions.postgres.1", "with", "motions/s", 76.0)
    assert verdict_on(results, name).met is True


def test_growth_is_judged_between_the_smallest_and_the_largest_store_of_the_run() -> None:
    results = Results({"growth_motions": [10, 20, 40]})
    results.samples("growth.sqlite.status.10", "few", "ms", [1.0])
    results.samples("growth.sqlite.status.20", "some", "ms", [9.0])
    results.samples("growth.sqlite.status.40", "many", "ms", [1.4])
    name = "status of the pipeline, 40 motions against 10, SQLite"
    verdict = verdict_on(results, name)
    assert verdict.figure == pytest.approx(1.4)
    assert verdict.met is True


def test_tables_show_the_lowest_the_median_and_the_highest_figure() -> None:
    results = Results()
    results.add("a", "whole motions", "motions/s", 1234.4, 99.94, 5.0)
    results.samples("b", "one alone", "ms", [1.0, 2.0, 3.0])
    assert table.figures(results) == [
        ("whole motions", "5.00", "99.9", "", "1,234", "motions/s", "3"),
        ("one alone", "1.00", "2.00", "3.00", "3.00", "ms", "3"),
    ]
    lines = table.text(table.FIGURES, table.figures(results)).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("whole motions")


def test_the_report_is_markdown_with_goals_figures_and_facts() -> None:
    results = Results({"cores": 2})
    results.add("motions.postgres.1", "ours", "/s", 700.0)
    results.add("dbos.postgres", "theirs", "/s", 100.0)
    written = report(results)
    assert f"| {AGAINST_DBOS} | 7.00 | at least 6 (aim: 10) | met |" in written
    assert "| ours | 700 | 700 |  | 700 | /s | 1 |" in written
    assert "- cores: 2" in written
