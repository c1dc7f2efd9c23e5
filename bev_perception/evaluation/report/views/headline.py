"""The figures that a reader looks for first, one tile each, all runs in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bev_perception.evaluation.report.charts.axes import nice_end
from bev_perception.evaluation.report.charts.bars import interval_bar
from bev_perception.evaluation.report.charts.svg import Svg
from bev_perception.evaluation.report.figure_names import explanation, headline_names
from bev_perception.evaluation.report.numbers import defined
from bev_perception.evaluation.report.runs import NamedRun
from bev_perception.evaluation.report.views.cells import (
    Cell,
    Heading,
    best_runs,
    figure_cell,
    heading,
)
from bev_perception.evaluation.results import Estimate


@dataclass(frozen=True)
class TileRow:
    """One run in a tile."""

    run: NamedRun
    cell: Cell
    bar: Svg


@dataclass(frozen=True)
class Tile:
    """One figure.

    Attributes:
        heading: its title.
        explanation: one line; empty when nothing is known about it.
        rows: one per run.
    """

    heading: Heading
    explanation: str
    rows: tuple[TileRow, ...]


def tiles(runs: Sequence[NamedRun]) -> tuple[Tile, ...]:
    """Returns one tile per headline figure."""
    return tuple(_tile(name, runs) for name in headline_names([run.run for run in runs]))


def _tile(name: str, runs: Sequence[NamedRun]) -> Tile:
    best = best_runs(name, runs)
    ends = _ends([run.run.figures.get(name) for run in runs])
    rows = []
    for run in runs:
        estimate = run.run.figures.get(name) or Estimate(None, None, None, 'higher')
        cell = figure_cell(estimate, name, run.key, run.key in best)
        bar = interval_bar(cell.value, estimate.low, estimate.high, ends, run.color)
        rows.append(TileRow(run, cell, bar))
    return Tile(heading(name, runs), explanation(name), tuple(rows))


def _ends(estimates: Sequence[Estimate | None]) -> tuple[float, float]:
    """Returns a scale that holds 0 and all values with their intervals; shares get 0..1."""
    numbers = [
        number
        for estimate in estimates
        if estimate is not None
        for number in (estimate.value, estimate.low, estimate.high)
        if number is not None and defined(number)
    ]
    unit = next((estimate.unit for estimate in estimates if estimate is not None), '')
    if not unit and all(0 <= number <= 1 for number in numbers):
        return 0.0, 1.0
    end = nice_end(numbers)
    return (-end if min(numbers) < 0 else 0.0), end
