"""Curves of all runs as charts, those that belong together beside each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bev_perception.evaluation.metric import Curve
from bev_perception.evaluation.report.charts.lines import Line, line_chart
from bev_perception.evaluation.report.charts.svg import Svg
from bev_perception.evaluation.report.figure_names import (
    SEPARATOR,
    families,
    family_title,
    spaced,
)
from bev_perception.evaluation.report.runs import COLORS, NamedRun, data_names, on_data

_LINES_PER_CHART = 6
_OPEN_UP_TO = 12
_DIAGONAL = r'reliab|calibration'


@dataclass(frozen=True)
class LegendEntry:
    """A line's colour with its name."""

    label: str
    color: int


@dataclass(frozen=True)
class Chart:
    """One chart; a legend when it is not that of all charts of the group."""

    title: str
    svg: Svg
    legend: tuple[LegendEntry, ...]


@dataclass(frozen=True)
class ChartGroup:
    """Charts of curves whose names begin alike, over one data set.

    Attributes:
        title: of the charts.
        data: name of the data set.
        legend: of all charts.
        charts: themselves.
        undefined: curves without a point.
        open: whether they are few enough to show at once.
    """

    title: str
    data: str
    legend: tuple[LegendEntry, ...]
    charts: tuple[Chart, ...]
    undefined: tuple[str, ...]
    open: bool


def chart_groups(runs: Sequence[NamedRun]) -> tuple[ChartGroup, ...]:
    """Returns all charts: several runs share a chart, or else several classes of one run."""
    groups = []
    for data in data_names(runs):
        of_data = on_data(runs, data)
        names = tuple(dict.fromkeys(name for run in of_data for name in run.run.curves))
        for family in families(names):
            own = [name for name in names if name.split('/')[0] == family or '/' not in name]
            own = [name for name in own if ('/' in name) == bool(family)]
            for prefix in dict.fromkeys(name.rpartition('/')[0] for name in own):
                members = [name for name in own if name.rpartition('/')[0] == prefix]
                groups.append(_group(prefix, data, members, of_data))
    return tuple(groups)


def _group(prefix: str, data: str, names: Sequence[str], runs: Sequence[NamedRun]) -> ChartGroup:
    drawn = [n for n in names if any(_has_points(run.run.curves.get(n)) for run in runs)]
    undefined = tuple(spaced(_last(name)) for name in names if name not in drawn)
    with_curves = [run for run in runs if any(name in run.run.curves for name in drawn)]
    legend: tuple[LegendEntry, ...] = ()
    if len(with_curves) == 1 and 1 < len(drawn) <= _LINES_PER_CHART and _alike(drawn, with_curves):
        charts = [_chart_of_run(prefix, drawn, with_curves[0])]
    else:
        charts = _charts_of_names(drawn, with_curves)
        if len(with_curves) > 1:
            legend = tuple(LegendEntry(_label(run), run.color) for run in with_curves)
    parts = prefix.split('/')
    title = SEPARATOR.join([family_title(parts[0]), *map(spaced, parts[1:])])
    return ChartGroup(title, data, legend, tuple(charts), undefined, len(charts) <= _OPEN_UP_TO)


def _chart_of_run(prefix: str, names: Sequence[str], run: NamedRun) -> Chart:
    lines = [
        Line(spaced(_last(name)), index % COLORS, *_points(run.run.curves[name]))
        for index, name in enumerate(names)
    ]
    first = run.run.curves[names[0]]
    svg = line_chart(lines, lines, first.x_label, first.y_label, prefix, _is_diagonal(prefix))
    return Chart('', svg, tuple(LegendEntry(line.label, line.color) for line in lines))


def _charts_of_names(names: Sequence[str], runs: Sequence[NamedRun]) -> list[Chart]:
    """Returns one chart per name; those with the same labels have the same axes."""
    lines: dict[str, list[Line]] = {}
    labels: dict[str, tuple[str, str]] = {}
    for name in names:
        own = [run for run in runs if _has_points(run.run.curves.get(name))]
        lines[name] = [Line(_label(r), r.color, *_points(r.run.curves[name])) for r in own]
        first = own[0].run.curves[name]
        labels[name] = first.x_label, first.y_label
    charts = []
    for name in names:
        beside = [line for n in names if labels[n] == labels[name] for line in lines[n]]
        svg = line_chart(lines[name], beside, *labels[name], name, _is_diagonal(name))
        charts.append(Chart(spaced(_last(name)), svg, ()))
    return charts


def _label(run: NamedRun) -> str:
    return f'{run.key} {run.run.model}'


def _last(name: str) -> str:
    return name.rpartition('/')[2]


def _points(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Returns x and y as float64, of the same length."""
    x, y = (np.asarray(values, np.float64).reshape(-1) for values in (curve.x, curve.y))
    count = min(x.size, y.size)
    return x[:count], y[:count]


def _has_points(curve: Curve | None) -> bool:
    if curve is None:
        return False
    x, y = _points(curve)
    return bool(np.any(np.isfinite(x) & np.isfinite(y)))


def _alike(names: Sequence[str], runs: Sequence[NamedRun]) -> bool:
    """Returns whether all curves have the same axes."""
    curves = [run.run.curves[name] for run in runs for name in names if name in run.run.curves]
    return len({(curve.x_label, curve.y_label) for curve in curves}) == 1


def _is_diagonal(name: str) -> bool:
    return re.search(_DIAGONAL, name) is not None
