"""Two runs beside each other: what is significantly better or worse."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bev_perception.evaluation.report.charts.axes import nice_end
from bev_perception.evaluation.report.charts.bars import change_bar
from bev_perception.evaluation.report.charts.svg import Svg
from bev_perception.evaluation.report.figure_names import headline_names
from bev_perception.evaluation.report.numbers import (
    change_text,
    defined,
    interval_text,
    number_text,
)
from bev_perception.evaluation.report.runs import NamedRun
from bev_perception.evaluation.report.views.cells import Heading, heading
from bev_perception.evaluation.results import Comparison, Difference


@dataclass(frozen=True)
class DifferenceRow:
    """One figure.

    Attributes:
        heading: title with unit.
        difference: numbers and verdict.
        first, second, change, interval: as text.
        bar: the change with its interval.
    """

    heading: Heading
    difference: Difference
    first: str
    second: str
    change: str
    interval: str
    bar: Svg | None


@dataclass(frozen=True)
class DifferingFrame:
    """A frame that the two runs do not agree on."""

    scene: str
    stamp_ns: int
    first: str
    second: str
    change: str


@dataclass(frozen=True)
class ComparisonView:
    """One comparison.

    Attributes:
        first, second: titles.
        first_run, second_run: runs of these titles; None when the page does not show them.
        counts: figures by verdict.
        headline: headline figures, whatever their verdict.
        worse, better: other significant differences, the greatest first.
        calm: the rest.
        frames: where they differ most.
    """

    first: str
    second: str
    first_run: NamedRun | None
    second_run: NamedRun | None
    counts: Mapping[str, int]
    headline: tuple[DifferenceRow, ...]
    worse: tuple[DifferenceRow, ...]
    better: tuple[DifferenceRow, ...]
    calm: tuple[DifferenceRow, ...]
    frames: tuple[DifferingFrame, ...]


def comparison_views(
    comparisons: Sequence[Comparison], runs: Sequence[NamedRun]
) -> tuple[ComparisonView, ...]:
    """Returns all comparisons."""
    return tuple(_view(comparison, runs) for comparison in comparisons)


def _view(comparison: Comparison, runs: Sequence[NamedRun]) -> ComparisonView:
    headings = {d.name: heading(d.name, runs) for d in comparison.differences}
    extents = _extents(comparison.differences, headings)
    rows = {d.name: _row(d, headings[d.name], extents) for d in comparison.differences}
    headline = [rows.pop(name) for name in headline_names([r.run for r in runs]) if name in rows]
    strongest = sorted(
        rows.values(), key=lambda row: -_strength(row.difference, extents[row.heading.unit])
    )
    verdicts = Counter(difference.verdict for difference in comparison.differences)
    by_title = {run.title: run for run in runs}
    return ComparisonView(
        comparison.first,
        comparison.second,
        by_title.get(comparison.first),
        by_title.get(comparison.second),
        {verdict: verdicts[verdict] for verdict in ('better', 'worse', 'same', 'n/a')},
        tuple(headline),
        tuple(row for row in strongest if row.difference.verdict == 'worse'),
        tuple(row for row in strongest if row.difference.verdict == 'better'),
        tuple(row for row in rows.values() if row.difference.verdict in ('same', 'n/a')),
        tuple(_frame(*frame) for frame in comparison.frames),
    )


def _extents(
    differences: Sequence[Difference], headings: Mapping[str, Heading]
) -> dict[str, float]:
    """Returns the half width of the scale of each unit, the same for all of its figures."""
    numbers: dict[str, list[float]] = {}
    for d in differences:
        values = (d.change, d.low, d.high)
        known = [v for v in values if v is not None and math.isfinite(v)]
        numbers.setdefault(headings[d.name].unit, []).extend(known)
    return {unit: nice_end(values) for unit, values in numbers.items()}


def _strength(difference: Difference, extent: float) -> float:
    return abs(difference.change or 0.0) / extent


def _row(difference: Difference, title: Heading, extents: Mapping[str, float]) -> DifferenceRow:
    unit, bar = title.unit, None
    if difference.change is not None and defined(difference.change):
        bar = change_bar(
            difference.change, difference.low, difference.high, extents[unit], difference.verdict
        )
    return DifferenceRow(
        title,
        difference,
        number_text(difference.first, unit),
        number_text(difference.second, unit),
        change_text(difference.change, unit),
        interval_text(difference.low, difference.high, unit),
        bar,
    )


def _frame(scene: str, stamp_ns: int, first: float, second: float) -> DifferingFrame:
    return DifferingFrame(
        scene, stamp_ns, number_text(first), number_text(second), change_text(second - first)
    )
