"""Lines over two axes, and a histogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.report.charts.axes import Axis, Plane
from bev_perception.evaluation.report.charts.svg import Svg, element, number, picture

FloatArray = NDArray[np.float64]

_WIDTH, _HEIGHT = 360.0, 250.0
_MOST_POINTS = 240
_DOTS_UP_TO = 24


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a chart.

    Attributes:
        label: in the legend.
        color: number of a colour of the style sheet.
        x, y: [n]; NaN breaks the line.
    """

    label: str
    color: int
    x: FloatArray
    y: FloatArray


def line_chart(
    lines: Sequence[Line],
    beside: Sequence[Line],
    x_label: str,
    y_label: str,
    title: str,
    diagonal: bool = False,
) -> Svg:
    """Returns a chart of lines; the axes are shares when both are within 0..1.

    Args:
        lines: drawn in order.
        beside: of all charts that shall have the same axes, those of this one among them.
        x_label: with unit.
        y_label: with unit.
        title: for those who do not see the picture.
        diagonal: whether to draw where both axes are equal.
    """
    x = np.concatenate([line.x for line in beside])
    y = np.concatenate([line.y for line in beside])
    if _is_share(x) and _is_share(y):
        plane = Plane(Axis.share(x_label), Axis.share(y_label), _WIDTH, _HEIGHT)
    else:
        plane = Plane(Axis.around(x, x_label), Axis.around(y, y_label), _WIDTH, _HEIGHT)
    parts = [plane.frame()]
    if diagonal:
        ends = np.array([max(plane.x.low, plane.y.low), min(plane.x.high, plane.y.high)])
        parts.append(element('path', d=_path(plane.points(ends, ends)), class_='ideal'))
    parts += [_drawn(line, plane) for line in lines]
    return picture(_WIDTH, _HEIGHT, title, *parts, class_='chart')


def histogram(values: FloatArray, marks: Sequence[tuple[str, float]], label: str) -> Svg:
    """Returns how often values occur, up to a little over the last mark; what is beyond adds up
    in the last bar.

    Args:
        values: [n], not negative; at least one.
        marks: (name, value) of vertical lines.
        label: of the x axis, with unit.
    """
    end = max([1.15 * value for _, value in marks] or [float(values.max())])
    end = end if end > 0 else 1.0
    bars = min(40, max(8, round(np.sqrt(values.size))))
    counts, edges = np.histogram(np.minimum(values, end), bars, (0.0, end))
    plane = Plane(
        Axis.around(np.array([0.0, end]), label),
        Axis.around(np.array([0.0, counts.max()]), 'frames'),
        _WIDTH,
        _HEIGHT,
    )
    lower = plane.points(edges[:-1], np.zeros(bars))
    upper = plane.points(edges[1:], counts.astype(np.float64))
    parts = [
        element('rect', x=x0, y=y1, width=0.9 * (x1 - x0), height=y0 - y1, class_='bar')
        for (x0, y0), (x1, y1), count in zip(lower, upper, counts, strict=True)
        if count
    ]  # fmt: skip
    for row, (name, value) in enumerate(marks):
        x, top = plane.points(np.array([value]), np.array([plane.y.high]))[0]
        low = plane.points(np.array([value]), np.array([0.0]))[0, 1]
        parts.append(element('line', x1=x, x2=x, y1=top, y2=low, class_='mark'))
        parts.append(element('text', name, x=x + 3, y=top + 9 + 12 * row, class_='tick strong'))
    return picture(_WIDTH, _HEIGHT, f'Histogram of {label}', plane.frame(), *parts, class_='chart')


def _drawn(line: Line, plane: Plane) -> Svg:
    keep = _thinned(line.x.size)
    x, y = line.x[keep], line.y[keep]
    seen = np.isfinite(x) & np.isfinite(y)
    points = plane.points(np.where(seen, x, 0.0), np.where(seen, y, 0.0))
    cuts = np.flatnonzero(np.diff(seen.astype(np.int8))) + 1
    stretches = [part for part in np.split(np.arange(x.size), cuts) if part.size and seen[part[0]]]
    d = ''.join(_path(points[part]) for part in stretches if part.size > 1)
    alone = [part[0] for part in stretches if part.size == 1]
    dots = np.flatnonzero(seen).tolist() if x.size <= _DOTS_UP_TO else alone
    parts = [element('title', line.label)]
    if d:
        parts.append(element('path', d=d, class_='line'))
    parts += [element('circle', cx=points[i, 0], cy=points[i, 1], r=2.6) for i in dots]
    return element('g', *parts, class_=f'series c{line.color}')


def _thinned(size: int) -> NDArray[np.int64]:
    """Returns indices of at most `_MOST_POINTS` points, the first and last among them."""
    count = min(size, _MOST_POINTS)
    return np.unique(np.round(np.linspace(0, size - 1, count)).astype(np.int64)) if size else (
        np.zeros(0, np.int64)
    )  # fmt: skip


def _path(points: FloatArray) -> str:
    places = [f'{number(x)} {number(y)}' for x, y in points.tolist()]
    return f'M{places[0]}L' + ' '.join(places[1:])


def _is_share(values: FloatArray) -> bool:
    finite = values[np.isfinite(values)]
    return bool(finite.size) and bool(np.all((finite >= 0) & (finite <= 1)))
